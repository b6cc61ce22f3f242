/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/bridge.h"

#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

void bridge_add(struct netlink_batch *batch, const char *name, const unsigned char mac[LINK_MAC_SIZE])
{
	struct nlmsghdr *message = netlink_begin(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
		NETLINK_TOLERATE_NOTHING, "bridge %s", name);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	struct nlattr *info, *data;

	header->ifi_flags = IFF_UP;
	header->ifi_change = IFF_UP;
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	mnl_attr_put(message, IFLA_ADDRESS, LINK_MAC_SIZE, mac);
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	mnl_attr_put_u8(message, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	netlink_end(batch, message);
}

void bridge_join(struct netlink_batch *batch, unsigned int port, unsigned int bridge)
{
	struct nlmsghdr *message = netlink_begin(
		batch, RTM_NEWLINK, 0, NETLINK_TOLERATE_NOTHING, "port %u of a bridge", port);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->ifi_index = (int)port;
	mnl_attr_put_u32(message, IFLA_MASTER, bridge);
	netlink_end(batch, message);
}
