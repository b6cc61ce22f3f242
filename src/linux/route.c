/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/route.h"

#include "base/mem.h"
#include "linux/family.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t route_types[] = {
	[ROUTE_UNICAST] = RTN_UNICAST,
	[ROUTE_PROHIBIT] = RTN_PROHIBIT,
	[ROUTE_BLACKHOLE] = RTN_BLACKHOLE,
	[ROUTE_LOCAL] = RTN_LOCAL,
	[ROUTE_OTHER] = RTN_UNSPEC,
};
_Static_assert(ARRAY_SIZE(route_types) == ROUTE_TYPE_MAX, "a number for each type");

static enum route_type route_type_read(uint8_t number)
{
	for (enum route_type type = 0; type < ROUTE_OTHER; type++)
		if (route_types[type] == number)
			return type;
	return ROUTE_OTHER;
}

/* The kernel refuses a unicast route without gateway at a wider scope than the link (IPv4). */
static uint8_t route_scope(const struct route *route)
{
	if (route->type == ROUTE_LOCAL)
		return RT_SCOPE_HOST;
	if (route->type == ROUTE_UNICAST && addr_is_unspecified(&route->gateway))
		return RT_SCOPE_LINK;
	return RT_SCOPE_UNIVERSE;
}

static void route_put_via(struct nlmsghdr *message, const struct addr *gateway)
{
	struct {
		uint16_t family;
		uint8_t bytes[16];
	} __attribute__((packed)) via = {.family = AF_INET6};

	memcpy(via.bytes, gateway->bytes, sizeof(via.bytes));
	mnl_attr_put(message, RTA_VIA, sizeof(via), &via);
}

static void route_put_mtu(struct nlmsghdr *message, unsigned int mtu)
{
	struct nlattr *metrics = mnl_attr_nest_start(message, RTA_METRICS);

	mnl_attr_put_u32(message, RTAX_MTU, mtu);
	mnl_attr_nest_end(message, metrics);
}

static struct nlmsghdr *route_begin(struct netlink_batch *batch, int type, int flags,
	unsigned int tolerate, const struct route *route)
{
	const struct addr *destination = &route->destination.addr;
	char text[PREFIX_TEXT_SIZE];
	struct nlmsghdr *message = netlink_begin(
		batch, type, flags, tolerate, "route %s", prefix_format(&route->destination, text));
	struct rtmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->rtm_family = family_number(destination);
	header->rtm_dst_len = family_length(destination, route->destination.length);
	header->rtm_protocol = (uint8_t)(route->protocol ? route->protocol : ROUTE_PROTOCOL);
	if (header->rtm_dst_len)
		family_put_addr(message, RTA_DST, destination);
	mnl_attr_put_u32(message, RTA_TABLE, route->table ? route->table : RT_TABLE_MAIN);
	if (route->metric)
		mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
	return message;
}

void route_replace(struct netlink_batch *batch, const struct route *route)
{
	struct nlmsghdr *message =
		route_begin(batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, 0, route);
	struct rtmsg *header = mnl_nlmsg_get_payload(message);

	header->rtm_type = route_types[route->type];
	header->rtm_scope = route_scope(route);
	if (route->on_link)
		header->rtm_flags = RTNH_F_ONLINK;
	if (route->ifindex)
		mnl_attr_put_u32(message, RTA_OIF, route->ifindex);
	if (!addr_is_unspecified(&route->gateway)) {
		if (family_number(&route->gateway) == header->rtm_family)
			family_put_addr(message, RTA_GATEWAY, &route->gateway);
		else
			route_put_via(message, &route->gateway);
	}
	if (!addr_is_unspecified(&route->source))
		family_put_addr(message, RTA_PREFSRC, &route->source);
	if (route->mtu)
		route_put_mtu(message, route->mtu);
	netlink_end(batch, message);
}

void route_delete(struct netlink_batch *batch, const struct route *route)
{
	struct nlmsghdr *message =
		route_begin(batch, RTM_DELROUTE, 0, NETLINK_MAY_BE_MISSING, route);
	struct rtmsg *header = mnl_nlmsg_get_payload(message);

	header->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	netlink_end(batch, message);
}

static void route_read_via(const struct nlattr *attribute, struct addr *ret_gateway)
{
	const uint8_t *via = mnl_attr_get_payload(attribute);
	uint16_t family;

	if (mnl_attr_get_payload_len(attribute) != sizeof(family) + sizeof(ret_gateway->bytes))
		return;
	memcpy(&family, via, sizeof(family));
	if (family == AF_INET6)
		memcpy(ret_gateway->bytes, via + sizeof(family), sizeof(ret_gateway->bytes));
}

static unsigned int route_read_mtu(const struct nlattr *metrics)
{
	const struct nlattr *at[RTAX_MAX + 1];

	netlink_read_nest(metrics, at, ARRAY_SIZE(at));
	return netlink_read_u32(at[RTAX_MTU]);
}

static bool route_read(const struct nlmsghdr *message, struct route *ret)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *at[RTA_MAX + 1];

	if (header->rtm_flags & RTM_F_CLONED)
		return false;
	netlink_read(message, sizeof(*header), at, ARRAY_SIZE(at));
	*ret = (struct route){
		.type = route_type_read(header->rtm_type),
		.ifindex = netlink_read_u32(at[RTA_OIF]),
		.on_link = header->rtm_flags & RTNH_F_ONLINK,
		.table = at[RTA_TABLE] ? netlink_read_u32(at[RTA_TABLE]) : header->rtm_table,
		.protocol = header->rtm_protocol,
		.metric = netlink_read_u32(at[RTA_PRIORITY]),
		.mtu = at[RTA_METRICS] ? route_read_mtu(at[RTA_METRICS]) : 0,
	};
	family_read_default(header->rtm_family, &ret->destination.addr);
	ret->destination.length = family_read_length(header->rtm_family, header->rtm_dst_len);
	if (at[RTA_DST])
		family_read_addr(at[RTA_DST], &ret->destination.addr);
	if (at[RTA_GATEWAY])
		family_read_addr(at[RTA_GATEWAY], &ret->gateway);
	if (at[RTA_VIA])
		route_read_via(at[RTA_VIA], &ret->gateway);
	if (at[RTA_PREFSRC])
		family_read_addr(at[RTA_PREFSRC], &ret->source);
	return true;
}

struct route_walk {
	unsigned int table, protocol;
	route_each each;
	void *context;
};

static int route_visit(const struct nlmsghdr *message, void *context)
{
	const struct route_walk *walk = context;
	struct route route;

	if (!route_read(message, &route) || (walk->table && walk->table != route.table) ||
		(walk->protocol && walk->protocol != route.protocol))
		return 0;
	return walk->each(&route, walk->context);
}

/* The kernel filters by protocol; by table it would fail where no route has made the table yet. */
int route_dump(struct netlink *netlink, unsigned int table, unsigned int protocol, route_each each,
	void *context, struct err *err)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct route_walk walk = {table, protocol, each, context};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
		char buffer[NETLINK_MESSAGE_SIZE];
		struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
		struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

		request->nlmsg_type = RTM_GETROUTE;
		request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		header->rtm_family = families[i];
		header->rtm_protocol = (uint8_t)protocol;
		r = netlink_request(
			netlink, request, "reading the routes", route_visit, &walk, err);
	}
	return r;
}
