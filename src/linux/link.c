/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/link.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Begins RTM_NEWLINK or RTM_DELLINK for a device by its number; 0: by an attribute. */
static struct nlmsghdr *link_begin(struct netlink_batch *batch, int type, int flags,
	unsigned int tolerate, unsigned int ifindex, const char *what)
{
	struct nlmsghdr *message =
		ifindex ? netlink_begin(
				  batch, type, flags, tolerate, "device %u: %s", ifindex, what)
			: netlink_begin(batch, type, flags, tolerate, "device %s", what);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)ifindex;
	return message;
}

static struct ifinfomsg *link_header(struct nlmsghdr *message)
{
	return mnl_nlmsg_get_payload(message);
}

static void link_put_bare(struct nlmsghdr *message)
{
	struct nlattr *spec = mnl_attr_nest_start(message, IFLA_AF_SPEC);
	struct nlattr *family = mnl_attr_nest_start(message, AF_INET6);

	mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(message, family);
	mnl_attr_nest_end(message, spec);
}

/* What both ends of a pair have. */
static void link_put_end(struct nlmsghdr *message, const char *name,
	const unsigned char mac[LINK_MAC_SIZE], unsigned int mtu)
{
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	mnl_attr_put(message, IFLA_ADDRESS, LINK_MAC_SIZE, mac);
	if (mtu)
		mnl_attr_put_u32(message, IFLA_MTU, mtu);
	mnl_attr_put_u32(message, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(message, IFLA_NUM_RX_QUEUES, 1);
}

static void link_put_peer(struct nlmsghdr *message, const struct link_veth *veth)
{
	struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	struct nlattr *data, *peer;

	mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	link_put_end(message, veth->peer_name, veth->peer_mac, veth->mtu);
	if (veth->peer_netns >= 0)
		mnl_attr_put_u32(message, IFLA_NET_NS_FD, (uint32_t)veth->peer_netns);
	mnl_attr_nest_end(message, peer);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
}

void link_add_veth(struct netlink_batch *batch, const struct link_veth *veth)
{
	struct nlmsghdr *message =
		link_begin(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, veth->name);

	link_put_end(message, veth->name, veth->mac, veth->mtu);
	if (veth->group)
		mnl_attr_put_u32(message, IFLA_GROUP, veth->group);
	link_put_peer(message, veth);
	netlink_end(batch, message);

	/* The kernel ignores the address mode in the message that creates a device. */
	message = link_begin(batch, RTM_NEWLINK, 0, 0, 0, veth->name);
	link_header(message)->ifi_flags = IFF_UP;
	link_header(message)->ifi_change = IFF_UP;
	mnl_attr_put_strz(message, IFLA_IFNAME, veth->name);
	link_put_bare(message);
	netlink_end(batch, message);
}

void link_add_vxlan(struct netlink_batch *batch, const struct link_vxlan *vxlan)
{
	struct nlmsghdr *message =
		link_begin(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, vxlan->name);
	struct nlattr *info, *data;

	link_header(message)->ifi_flags = IFF_NOARP;
	link_header(message)->ifi_change = IFF_NOARP;
	mnl_attr_put_strz(message, IFLA_IFNAME, vxlan->name);
	if (vxlan->mtu)
		mnl_attr_put_u32(message, IFLA_MTU, vxlan->mtu);
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "vxlan");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	mnl_attr_put_u8(message, IFLA_VXLAN_COLLECT_METADATA, 1);
	mnl_attr_put_u16(message, IFLA_VXLAN_PORT, htons((uint16_t)vxlan->port));
	mnl_attr_put_u8(message, IFLA_VXLAN_LEARNING, 0);
	mnl_attr_put_u8(message, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	netlink_end(batch, message);

	message = link_begin(batch, RTM_NEWLINK, 0, 0, 0, vxlan->name);
	mnl_attr_put_strz(message, IFLA_IFNAME, vxlan->name);
	link_put_bare(message);
	netlink_end(batch, message);
}

void link_set_bare(struct netlink_batch *batch, unsigned int ifindex)
{
	struct nlmsghdr *message = link_begin(batch, RTM_NEWLINK, 0, 0, ifindex, "bare");

	link_put_bare(message);
	netlink_end(batch, message);
}

void link_set_up(struct netlink_batch *batch, unsigned int ifindex, bool up)
{
	struct nlmsghdr *message =
		link_begin(batch, RTM_NEWLINK, 0, 0, ifindex, up ? "up" : "down");

	link_header(message)->ifi_flags = up ? IFF_UP : 0;
	link_header(message)->ifi_change = IFF_UP;
	netlink_end(batch, message);
}

void link_set_up_bare(struct netlink_batch *batch, unsigned int ifindex)
{
	struct nlmsghdr *message = link_begin(batch, RTM_NEWLINK, 0, 0, ifindex, "up");

	link_header(message)->ifi_flags = IFF_UP;
	link_header(message)->ifi_change = IFF_UP;
	link_put_bare(message);
	netlink_end(batch, message);
}

void link_set_mtu(struct netlink_batch *batch, unsigned int ifindex, unsigned int mtu)
{
	struct nlmsghdr *message = link_begin(batch, RTM_NEWLINK, 0, 0, ifindex, "mtu");

	mnl_attr_put_u32(message, IFLA_MTU, mtu);
	netlink_end(batch, message);
}

void link_set_mac(
	struct netlink_batch *batch, unsigned int ifindex, const unsigned char mac[LINK_MAC_SIZE])
{
	struct nlmsghdr *message = link_begin(batch, RTM_NEWLINK, 0, 0, ifindex, "address");

	mnl_attr_put(message, IFLA_ADDRESS, LINK_MAC_SIZE, mac);
	netlink_end(batch, message);
}

void link_set_name(struct netlink_batch *batch, unsigned int ifindex, const char *name)
{
	struct nlmsghdr *message = link_begin(batch, RTM_NEWLINK, 0, 0, ifindex, "name");

	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	netlink_end(batch, message);
}

void link_set_group(struct netlink_batch *batch, unsigned int ifindex, unsigned int group)
{
	struct nlmsghdr *message = link_begin(batch, RTM_NEWLINK, 0, 0, ifindex, "group");

	mnl_attr_put_u32(message, IFLA_GROUP, group);
	netlink_end(batch, message);
}

void link_delete(struct netlink_batch *batch, unsigned int ifindex)
{
	struct nlmsghdr *message =
		link_begin(batch, RTM_DELLINK, 0, NETLINK_MAY_BE_MISSING, ifindex, "delete");

	netlink_end(batch, message);
}

void link_delete_name(struct netlink_batch *batch, const char *name)
{
	struct nlmsghdr *message =
		link_begin(batch, RTM_DELLINK, 0, NETLINK_MAY_BE_MISSING, 0, name);

	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	netlink_end(batch, message);
}

void link_delete_group(struct netlink_batch *batch, unsigned int group)
{
	struct nlmsghdr *message =
		link_begin(batch, RTM_DELLINK, 0, NETLINK_MAY_BE_MISSING, 0, "group: delete");

	mnl_attr_put_u32(message, IFLA_GROUP, group);
	netlink_end(batch, message);
}

static int link_bury_now(void *context, struct err *err)
{
	const unsigned int *group = context;
	_netlink_batch_ struct netlink_batch batch = {0};
	struct netlink *netlink = NULL;
	int r = netlink_open(&netlink, err);

	if (r < 0)
		return r;
	link_delete_group(&batch, *group);
	r = netlink_commit(netlink, &batch, err);
	netlink_close(&netlink);
	return r;
}

int link_bury(unsigned int group, struct helper *ret_helper, struct err *err)
{
	return helper_start(link_bury_now, &group, -1, ret_helper, err);
}
