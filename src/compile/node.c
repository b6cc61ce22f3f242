/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/node.h"

#include "abi/wire.h"
#include "base/mem.h"
#include "compile/local.h"
#include "compile/overlap.h"
#include "ipam/pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct compilation {
	struct store *store;
	const struct settings *settings;
	const struct facts *facts;
	const struct node *own;
	struct rows *rows;
	struct problems *problems;
	struct settings_row row;
};

/* Each family's part of struct settings_row. */
static unsigned int family_slot(enum family family)
{
	return family == FAMILY_IPV4 ? SETTINGS_IPV4 : SETTINGS_IPV6;
}

static struct addr length_mask(unsigned int length)
{
	struct addr ones;

	memset(&ones, 0xff, sizeof(ones));
	return addr_masked(&ones, length);
}

static void settings_range_set(struct settings_range *range, const struct prefix *prefix)
{
	range->first = prefix->addr;
	range->mask = length_mask(prefix->length);
}

/* Matches no address: nothing masked to zero is all ones. */
static void settings_range_never(struct settings_range *range)
{
	memset(&range->first, 0xff, sizeof(range->first));
	memset(&range->mask, 0, sizeof(range->mask));
}

static void compile_settings_start(struct compilation *c)
{
	const struct settings *settings = c->settings;

	for (unsigned int i = 0; i < SETTINGS_FAMILIES; i++)
		settings_range_never(&c->row.own[i]);
	for (unsigned int i = 0; i < SETTINGS_RANGES; i++) {
		settings_range_never(&c->row.cluster[i]);
		settings_range_never(&c->row.no_masquerade[i]);
		settings_range_never(&c->row.service[i]);
		if (i < settings->pod_ranges.count)
			settings_range_set(&c->row.cluster[i], &settings->pod_ranges.range[i]);
		if (i < settings->no_masquerade.count)
			settings_range_set(
				&c->row.no_masquerade[i], &settings->no_masquerade.range[i]);
		if (i < settings->service_ranges.count)
			settings_range_set(&c->row.service[i], &settings->service_ranges.range[i]);
	}
	c->row.tunnel_ifindex = c->facts->tunnel_ifindex;
	c->row.mark = settings->mark;
	c->row.mark_mask = settings->mark_mask;
	c->row.masquerade = settings->masquerade;
	c->row.tunnel_mtu = (__u16)c->facts->pod_mtu;
	c->row.tunnel_port = htons((uint16_t)settings->tunnel_port);
	c->row.ready = 1;
}

/* 0, or -ENOSPC where the node's range has a length beyond what the programs try. */
static int compile_length(struct compilation *c, const struct prefix *range)
{
	struct settings_length *lengths = c->row.lengths[family_slot(prefix_family(range))];

	for (unsigned int i = 0; i < SETTINGS_LENGTHS; i++) {
		if (lengths[i].length == range->length)
			return 0;
		if (lengths[i].length)
			continue;
		lengths[i].length = range->length;
		lengths[i].mask = length_mask(range->length);
		return 0;
	}
	return -ENOSPC;
}

static void compile_node_row(struct compilation *c, const struct addr *addr,
	const struct node_row *row)
{
	rows_add(c->rows, TABLE_NODE, addr, row);
}

/* Of an InternalIP. */
static __u32 node_ports_flag(const struct compilation *c, const struct addr *addr)
{
	return node_ports_are_on(&c->settings->node_ports, addr, true) ? NODE_PORTS : 0;
}

static void compile_route(struct compilation *c, const struct prefix *range,
	const struct route_value *value)
{
	struct route_key key = {.first = range->addr, .length = range->length};

	rows_add(c->rows, TABLE_ROUTE, &key, value);
}

/* This node's range: its router address on the tunnel device, and an end for what nobody holds. */
static void compile_own_range(struct compilation *c, const struct prefix *range,
	const struct addr *underlay)
{
	struct node_row row = {.underlay = *underlay, .flags = NODE_OWN | NODE_ROUTER};
	struct route_value nobody = {.kind = ROUTE_KIND_PROHIBIT};
	struct addr router = pool_node_address(range);
	struct address_key key = {
		.addr = router, .length = 128, .ifindex = c->facts->tunnel_ifindex};
	struct address_value value = {0};

	settings_range_set(&c->row.own[family_slot(prefix_family(range))], range);
	compile_node_row(c, &router, &row);
	rows_add(c->rows, TABLE_ADDRESS, &key, &value);
	compile_route(c, range, &nobody);
}

static void compile_own(struct compilation *c)
{
	const struct addr *first = NULL;
	struct node_row row = {0};

	for (size_t i = 0; i < c->own->addresses.count; i++) {
		const struct addr *addr = &c->own->addresses.list[i].addr;
		unsigned int slot = family_slot(addr_family(addr));

		if (c->own->addresses.list[i].type != NODE_ADDRESS_INTERNAL_IP)
			continue;
		if (!first)
			first = addr;
		if (!c->row.tunnel_source[slot].halves[0] && !c->row.tunnel_source[slot].halves[1])
			c->row.tunnel_source[slot] = *addr;
		row.underlay = *first;
		row.flags = NODE_OWN | NODE_UNDERLAY | node_ports_flag(c, addr);
		compile_node_row(c, addr, &row);
	}
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX && first; family++) {
		const struct prefix *range =
			node_usable_range(c->store, c->settings, family, c->problems);

		if (range)
			compile_own_range(c, range, first);
	}
	/* Last: an address that has a row for another purpose keeps it. */
	if (first)
		compile_local(c->settings, c->facts, c->own, first, c->rows);
}

/* Our ends of the tunnel meet in the first family of ours that the other node has too. */
static const struct addr *node_underlay(const struct node *own, const struct node *node)
{
	for (size_t i = 0; i < own->addresses.count; i++) {
		const struct addr *addr;

		if (own->addresses.list[i].type != NODE_ADDRESS_INTERNAL_IP)
			continue;
		addr = node_internal_ip(node, addr_family(&own->addresses.list[i].addr));
		if (addr)
			return addr;
	}
	return NULL;
}

static const struct wire *facts_wire_to(const struct facts *facts, const struct addr *addr)
{
	for (unsigned int i = 0; i < facts->wire_count; i++)
		for (unsigned int j = 0; j < facts->wire[i].subnet_count; j++)
			if (prefix_contains(&facts->wire[i].subnet[j], addr))
				return &facts->wire[i];
	return NULL;
}

/* How much of what is for the node's pods of a family goes past the tunnel. */
struct way {
	enum path_way way;
	const struct addr *next; /* NULL: the node is no neighbor */
	unsigned int ifindex;
};

/*
 * Directly only over a neighbor of that family: the kernel sends no IPv6 to an IPv4 neighbor, and
 * IPv4 by an IPv6 one (RFC 5549) arrives on a device without an IPv4 address, where any
 * reverse-path filter drops it.
 */
static struct way compile_way(
	const struct compilation *c, const struct node *node, enum family family)
{
	const struct addr *next = node_internal_ip(node, family);
	const struct wire *wire = next ? facts_wire_to(c->facts, next) : NULL;
	const struct prefix *range = node_range(node, family);
	struct way way = {.way = PATH_TUNNEL};
	const struct path *path = NULL;
	struct addr router;

	if (c->settings->route == SETTINGS_ROUTE_VXLAN || !wire || !wire->ethernet)
		return way;
	way.next = next;
	way.ifindex = wire->ifindex;
	if (c->settings->route == SETTINGS_ROUTE_DIRECT) {
		way.way = PATH_DIRECT;
	} else if (range && c->facts->paths) {
		router = pool_node_address(range);
		path = paths_find(c->facts->paths, &router);
	}
	if (path && addr_equal(&path->next, next))
		way.way = path->way;
	return way;
}

static struct node_row way_row(const struct way *way, const struct addr *underlay)
{
	struct node_row row = {.underlay = *underlay, .route = NODE_ROUTE_TUNNEL};

	if (way->way >= PATH_CLOSING) {
		row.flags = NODE_TAKEN;
		row.next = *way->next;
		row.ifindex = way->ifindex;
	}
	if (way->way == PATH_DIRECT)
		row.route = NODE_ROUTE_WIRE;
	return row;
}

/* Whom to ask by probes, and who may ask. */
static void compile_router(struct compilation *c, const struct prefix *range, const struct way *way,
	const struct addr *underlay)
{
	struct addr router = pool_node_address(range);
	struct node_row row = way_row(way, underlay);

	row.flags |= NODE_ROUTER | (way->way >= PATH_OPEN ? NODE_INVITED : 0U);
	row.next = *way->next;
	row.ifindex = way->ifindex;
	compile_node_row(c, &router, &row);
}

struct addr own_source(const struct node *own, enum family family)
{
	const struct addr *addr = own ? node_internal_ip(own, family) : NULL;
	const struct prefix *range = own ? node_range(own, family) : NULL;
	struct addr none = {0};

	if (addr)
		return *addr;
	return range ? pool_node_address(range) : none;
}

static void compile_range(struct compilation *c, const struct node *node,
	const struct prefix *range, const struct addr *underlay)
{
	struct range_key key = {.first = range->addr, .length = range->length};
	enum family family = prefix_family(range);
	struct way way = compile_way(c, node, family);
	struct node_row row = way_row(&way, underlay);
	struct route_value route = {.kind = ROUTE_KIND_UNICAST,
		.ifindex = c->facts->tunnel_ifindex,
		.source = own_source(c->own, family)};

	if (way.next)
		compile_router(c, range, &way, underlay);
	rows_add(c->rows, TABLE_RANGE, &key, &row);
	compile_route(c, range, &route);
}

static void compile_remote(struct compilation *c, const struct node *node)
{
	const struct addr *underlay = node_underlay(c->own, node);
	const struct way through = {.way = PATH_TUNNEL};
	_free_ char *name = object_title(&node->object);

	if (!underlay) {
		problems_add(c->problems, name, true,
			"status.addresses has no InternalIP of a family that this node has too; "
			"its pods cannot be reached");
		return;
	}
	for (size_t i = 0; i < node->addresses.count; i++) {
		const struct addr *addr = &node->addresses.list[i].addr;
		struct way way = compile_way(c, node, addr_family(addr));
		struct node_row row = way_row(way.way == PATH_DIRECT ? &way : &through, underlay);

		if (node->addresses.list[i].type != NODE_ADDRESS_INTERNAL_IP)
			continue;
		row.flags = NODE_UNDERLAY | node_ports_flag(c, addr);
		compile_node_row(c, addr, &row);
	}
	for (size_t i = 0; i < node->ranges.count; i++) {
		if (!range_is_usable(c->store, c->settings, node, &node->ranges.list[i], c->problems))
			continue;
		if (compile_length(c, &node->ranges.list[i]) < 0)
			problems_add(c->problems, name, true,
				"spec.podCIDRs[%zu]: more than %d different lengths of ranges in "
				"one family; give all nodes ranges of one length",
				i, SETTINGS_LENGTHS);
		else
			compile_range(c, node, &node->ranges.list[i], underlay);
	}
}

/* What the node's own processes send to Services: translated on its way to the tunnel's device. */
static void compile_service_routes(struct compilation *c)
{
	for (unsigned int i = 0; i < c->settings->service_ranges.count; i++) {
		const struct prefix *range = &c->settings->service_ranges.range[i];
		struct route_value route = {.kind = ROUTE_KIND_UNICAST,
			.ifindex = c->facts->tunnel_ifindex,
			.source = own_source(c->own, prefix_family(range))};

		if (addr_is_given(&route.source) && service_range_is_usable(c->store, range))
			compile_route(c, range, &route);
	}
}

/* The node's own processes, by its addresses. */
static void compile_own_netns(struct compilation *c)
{
	struct netns_row row = {.flags = NETNS_HOST};

	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
		row.client[family_slot(family)] = own_source(c->own, family);
	if (c->facts->netns_cookie)
		rows_add(c->rows, TABLE_NETNS, &c->facts->netns_cookie, &row);
}

void compile_nodes(struct store *store, const struct settings *settings,
	const struct facts *facts, struct rows *rows, struct problems *problems)
{
	struct compilation c = {.store = store,
		.settings = settings,
		.facts = facts,
		.own = store_own_node(store, settings),
		.rows = rows,
		.problems = problems};
	const struct object *object;
	size_t position = 0;
	__u32 only = 0;

	if (!c.own) {
		problems_add(problems, "settings", true,
			"node: there is no Node %s among the objects; no pod can be added or reached",
			settings->node);
		rows_add(rows, TABLE_SETTINGS, &only, &c.row);
		return;
	}
	compile_settings_start(&c);
	compile_own(&c);
	compile_own_netns(&c);
	compile_service_routes(&c);
	while ((object = store_next(store, KIND_NODE, &position)))
		if (object_node_const(object) != c.own)
			compile_remote(&c, object_node_const(object));
	check_cluster(store, settings, c.own, problems);
	rows_add(rows, TABLE_SETTINGS, &only, &c.row);
}
