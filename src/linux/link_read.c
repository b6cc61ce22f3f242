/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/link.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LINK_LOWER_UP 0x10000 /* IFF_LOWER_UP of <linux/if.h>, which <net/if.h> excludes */

static void link_read_vxlan(const struct nlattr *nest, struct link_info *info)
{
	const struct nlattr *at[IFLA_VXLAN_MAX + 1];

	netlink_read_nest(nest, at, ARRAY_SIZE(at));
	if (at[IFLA_VXLAN_PORT] && mnl_attr_get_payload_len(at[IFLA_VXLAN_PORT]) == sizeof(uint16_t))
		info->vxlan_port = ntohs(mnl_attr_get_u16(at[IFLA_VXLAN_PORT]));
	/* A flag when it is set, a byte when it is read. */
	info->vxlan_external =
		at[IFLA_VXLAN_COLLECT_METADATA] &&
		mnl_attr_get_payload_len(at[IFLA_VXLAN_COLLECT_METADATA]) == sizeof(uint8_t) &&
		mnl_attr_get_u8(at[IFLA_VXLAN_COLLECT_METADATA]);
}

static void link_read_kind(const struct nlattr *nest, struct link_info *info)
{
	const struct nlattr *at[IFLA_INFO_MAX + 1];

	netlink_read_nest(nest, at, ARRAY_SIZE(at));
	if (at[IFLA_INFO_KIND])
		netlink_read_text(at[IFLA_INFO_KIND], info->kind, sizeof(info->kind));
	if (at[IFLA_INFO_DATA] && strcmp(info->kind, "vxlan") == 0)
		link_read_vxlan(at[IFLA_INFO_DATA], info);
}

static void link_read(const struct nlmsghdr *message, struct link_info *info)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *at[IFLA_MAX + 1];

	netlink_read(message, sizeof(*header), at, ARRAY_SIZE(at));
	*info = (struct link_info){
		.ifindex = (unsigned int)header->ifi_index,
		.type = header->ifi_type,
		.up = header->ifi_flags & IFF_UP,
		.carrier = header->ifi_flags & LINK_LOWER_UP,
		.loopback = header->ifi_flags & IFF_LOOPBACK,
		.mtu = netlink_read_u32(at[IFLA_MTU]),
		.group = netlink_read_u32(at[IFLA_GROUP]),
		.peer_ifindex = netlink_read_u32(at[IFLA_LINK]),
		.netns_id = -1,
	};
	if (at[IFLA_LINK_NETNSID])
		info->netns_id = (int)netlink_read_u32(at[IFLA_LINK_NETNSID]);
	if (at[IFLA_IFNAME])
		netlink_read_text(at[IFLA_IFNAME], info->name, sizeof(info->name));
	if (at[IFLA_ADDRESS] && mnl_attr_get_payload_len(at[IFLA_ADDRESS]) == LINK_MAC_SIZE)
		memcpy(info->mac, mnl_attr_get_payload(at[IFLA_ADDRESS]), LINK_MAC_SIZE);
	if (at[IFLA_LINKINFO])
		link_read_kind(at[IFLA_LINKINFO], info);
}

/* Without statistics, which are the larger part of an answer. */
static struct nlmsghdr *link_request(char *buffer, int flags, unsigned int ifindex)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	info->ifi_index = (int)ifindex;
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return request;
}

static int link_take(const struct nlmsghdr *message, void *context)
{
	link_read(message, context);
	return 0;
}

int link_find(
	struct netlink *netlink, const char *name, struct link_info *ret_info, struct err *err)
{
	char buffer[NETLINK_MESSAGE_SIZE], what[NETLINK_WHAT_SIZE];
	struct nlmsghdr *request = link_request(buffer, 0, 0);

	if (strnlen(name, IF_NAMESIZE) == IF_NAMESIZE)
		return err_set(err, ENODEV, "device %s: the name is longer than 15 bytes", name);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	snprintf(what, sizeof(what), "device %s", name);
	return netlink_request(netlink, request, what, link_take, ret_info, err);
}

int link_find_index(
	struct netlink *netlink, unsigned int ifindex, struct link_info *ret_info, struct err *err)
{
	char buffer[NETLINK_MESSAGE_SIZE], what[NETLINK_WHAT_SIZE];
	struct nlmsghdr *request = link_request(buffer, 0, ifindex);

	snprintf(what, sizeof(what), "device %u", ifindex);
	return netlink_request(netlink, request, what, link_take, ret_info, err);
}

struct link_walk {
	link_each each;
	void *context;
};

static int link_visit(const struct nlmsghdr *message, void *context)
{
	const struct link_walk *walk = context;
	struct link_info info;

	link_read(message, &info);
	return walk->each(&info, walk->context);
}

int link_dump(struct netlink *netlink, link_each each, void *context, struct err *err)
{
	struct link_walk walk = {each, context};
	char buffer[NETLINK_MESSAGE_SIZE];

	return netlink_request(netlink, link_request(buffer, NLM_F_DUMP, 0), "reading the devices",
		link_visit, &walk, err);
}
