/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inside.h"

#include "agent/cni.h"
#include "base/mem.h"
#include "linux/address.h"
#include "linux/link.h"
#include "linux/neighbor.h"
#include "linux/route.h"
#include "linux/shaper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOPBACK_IFINDEX 1

static const char *const gateways[FAMILY_MAX] = {
	[FAMILY_IPV4] = cni_gateway_ipv4, [FAMILY_IPV6] = cni_gateway_ipv6};
static const char *const everything[FAMILY_MAX] = {
	[FAMILY_IPV4] = "0.0.0.0/0", [FAMILY_IPV6] = "::/0"};

static bool route_is_default(const struct route *route, enum family family)
{
	struct prefix all;

	prefix_parse(everything[family], &all, NULL);
	return prefix_compare(&route->destination, &all) == 0 && route->type == ROUTE_UNICAST;
}

/* The metric behind the last default route of each family. */
static int inside_see_default(const struct route *route, void *context)
{
	unsigned int *metric = context;

	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
		if (route_is_default(route, family) && route->metric >= metric[family])
			metric[family] = route->metric + 1;
	return 0;
}

static void inside_append_gateway(struct netlink_batch *batch, enum family family,
	const struct attachment *a, unsigned int ifindex, unsigned int metric)
{
	struct neighbor neighbor = {.ifindex = ifindex};
	struct route route = {.ifindex = ifindex, .on_link = true, .metric = metric};

	addr_parse(gateways[family], &neighbor.addr);
	memcpy(neighbor.mac, a->host_mac, sizeof(neighbor.mac));
	neighbor_replace(batch, &neighbor);
	if (family == FAMILY_IPV4) {
		/* For who makes routes of his own by this gateway without "onlink". */
		struct route link = {.destination = {.addr = neighbor.addr, .length = 128},
			.ifindex = ifindex,
			.metric = metric};

		route_replace(batch, &link);
	}
	prefix_parse(everything[family], &route.destination, NULL);
	route.gateway = neighbor.addr;
	route_replace(batch, &route);
}

static void inside_append_address(
	struct netlink_batch *batch, const struct addr *addr, unsigned int ifindex)
{
	struct address address = {.addr = *addr,
		.length = 128,
		.ifindex = ifindex,
		.flags = ADDRESS_NO_DAD | ADDRESS_NO_PREFIX_ROUTE};

	address_add(batch, &address);
}

int inside_set(const struct attachment *a, struct netlink *inside,
	unsigned int ret_metric[FAMILY_MAX], struct err *err)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	const struct attachment_limit *limit = &a->limit[DIRECTION_EGRESS];
	struct link_info link;
	int r = link_find(inside, a->ifname, &link, err);

	if (r == 0)
		r = route_dump(inside, ROUTE_TABLE_MAIN, 0, inside_see_default, ret_metric, err);
	if (r < 0)
		return r;
	link_set_up(&batch, LOOPBACK_IFINDEX, true);
	link_set_bare(&batch, link.ifindex);
	for (__u32 i = 0; i < a->address_count; i++)
		inside_append_address(&batch, &a->addresses[i], link.ifindex);
	if (limit->rate) {
		struct shaper shaper = shaper_of_bits(limit->rate, limit->burst);

		shaper_set(&batch, link.ifindex, &shaper);
	}
	link_set_up(&batch, link.ifindex, true);
	for (__u32 i = 0; i < a->address_count; i++) {
		enum family family = addr_family(&a->addresses[i]);

		inside_append_gateway(&batch, family, a, link.ifindex, ret_metric[family]);
	}
	return netlink_commit(inside, &batch, err);
}

struct inside_seen {
	const struct attachment *attachment;
	unsigned int ifindex;
	bool address[ATTACHMENT_ADDRESSES];
	bool gateway[FAMILY_MAX], neighbor[FAMILY_MAX];
};

static int inside_see_address(const struct address *address, void *context)
{
	struct inside_seen *seen = context;

	for (__u32 i = 0; i < seen->attachment->address_count; i++)
		if (addr_compare(&address->addr, &seen->attachment->addresses[i]) == 0)
			seen->address[i] = true;
	return 0;
}

/* In any table: a plugin that routes by source moves it. */
static int inside_see_route(const struct route *route, void *context)
{
	struct inside_seen *seen = context;
	struct addr gateway;

	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++) {
		addr_parse(gateways[family], &gateway);
		if (route->ifindex == seen->ifindex && route_is_default(route, family) &&
			addr_compare(&route->gateway, &gateway) == 0)
			seen->gateway[family] = true;
	}
	return 0;
}

static int inside_see_neighbor(const struct neighbor *neighbor, void *context)
{
	struct inside_seen *seen = context;
	struct addr gateway;

	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++) {
		addr_parse(gateways[family], &gateway);
		if (addr_compare(&neighbor->addr, &gateway) == 0 &&
			memcmp(neighbor->mac, seen->attachment->host_mac, 6) == 0)
			seen->neighbor[family] = true;
	}
	return 0;
}

static int inside_check_limit(const struct attachment_limit *limit, struct netlink *inside,
	unsigned int ifindex, struct err *err)
{
	struct shaper wanted = shaper_of_bits(limit->rate, limit->burst), found = {0};
	int r;

	if (!limit->rate)
		return 0;
	r = shaper_find(inside, ifindex, &found, err);
	if (r == 0 && found.rate != wanted.rate)
		r = err_set(err, ENOENT, "its limit is %llu bytes a second instead of %llu",
			(unsigned long long)found.rate, (unsigned long long)wanted.rate);
	return r;
}

static int inside_check_link(const struct attachment *a, struct netlink *inside,
	struct link_info *ret_link, struct err *err)
{
	int r = link_find(inside, a->ifname, ret_link, err);

	if (r < 0)
		return r;
	if (memcmp(ret_link->mac, a->mac, sizeof(a->mac)) != 0)
		return err_set(err, ENOENT,
			"has another MAC address than ADD gave it, with which its packets are "
			"dropped");
	if (!ret_link->up)
		return err_set(err, ENETDOWN, "is down");
	return 0;
}

int inside_check(const struct attachment *a, struct netlink *inside, struct err *err)
{
	struct inside_seen seen = {.attachment = a};
	struct link_info link;
	char text[ADDR_TEXT_SIZE];
	int r = inside_check_link(a, inside, &link, err);

	if (r < 0)
		return r;
	seen.ifindex = link.ifindex;
	r = address_dump(inside, link.ifindex, inside_see_address, &seen, err);
	if (r == 0)
		r = route_dump(inside, 0, 0, inside_see_route, &seen, err);
	if (r == 0)
		r = neighbor_dump(inside, link.ifindex, inside_see_neighbor, &seen, err);
	for (__u32 i = 0; r == 0 && i < a->address_count; i++) {
		enum family family = addr_family(&a->addresses[i]);

		if (!seen.address[i])
			r = err_set(err, ENOENT, "its address %s is missing",
				addr_format(&a->addresses[i], text));
		else if (!seen.gateway[family])
			r = err_set(err, ENOENT, "the default route of %s by %s is missing",
				family_name(family), gateways[family]);
		else if (!seen.neighbor[family])
			r = err_set(err, ENOENT, "the permanent neighbor %s is missing",
				gateways[family]);
	}
	return r < 0 ? r
		     : inside_check_limit(&a->limit[DIRECTION_EGRESS], inside, link.ifindex, err);
}

void inside_clear_name(const struct attachment *a, int *netlink_fd)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	_cleanup_(netlink_close) struct netlink *inside = NULL;
	struct link_info link;
	char name[IF_NAMESIZE];

	if (*netlink_fd < 0 || netlink_adopt(*netlink_fd, &inside, NULL) < 0)
		return;
	*netlink_fd = -1;
	if (link_find(inside, a->ifname, &link, NULL) < 0 || memcmp(link.mac, a->mac, 6) != 0)
		return;
	snprintf(name, sizeof(name), "gone%u", link.ifindex);
	link_set_up(&batch, link.ifindex, false);
	link_set_name(&batch, link.ifindex, name);
	netlink_commit(inside, &batch, NULL);
}
