/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node.h"

#include "abi/wire.h"
#include "base/log.h"
#include "base/mem.h"
#include "linux/address.h"
#include "linux/link.h"
#include "linux/qdisc.h"
#include "linux/route.h"
#include "linux/sysctl.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

#define NODE_ANCHOR_PEER "pw-anchor-end"
#define NODE_IPVS_LINK "kube-ipvs0" /* kube-proxy's */
#define NODE_MTU_MIN 1280 /* of IPv6 */

/* --- facts: which devices carry node traffic --- */

struct search {
	const struct agent *agent;
	const struct node *own;
	struct facts *facts;
	size_t local_capacity;
	unsigned int ipvs_ifindex; /* 0: there is none */
};

static struct wire *facts_wire(struct facts *facts, unsigned int ifindex)
{
	for (unsigned int i = 0; i < facts->wire_count; i++)
		if (facts->wire[i].ifindex == ifindex)
			return &facts->wire[i];
	return NULL;
}

static void facts_add_wire(struct search *search, unsigned int ifindex)
{
	struct facts *facts = search->facts;
	struct link_info link;
	struct wire *wire;

	if (!ifindex || facts_wire(facts, ifindex) || facts->wire_count == FACTS_WIRES)
		return;
	if (link_find_index(search->agent->netlink, ifindex, &link, NULL) < 0 || link.loopback ||
		strcmp(link.name, NODE_TUNNEL_LINK) == 0)
		return;
	wire = &facts->wire[facts->wire_count++];
	wire->ifindex = ifindex;
	wire->mtu = link.mtu;
	wire->ethernet = link.type == ARPHRD_ETHER;
	snprintf(wire->name, sizeof(wire->name), "%s", link.name);
}

static bool node_has_address(const struct node *node, const struct addr *addr)
{
	for (size_t i = 0; i < node->addresses.count; i++)
		if (node->addresses.list[i].type == NODE_ADDRESS_INTERNAL_IP &&
			addr_equal(&node->addresses.list[i].addr, addr))
			return true;
	return false;
}

static int search_by_address(const struct address *address, void *context)
{
	struct search *search = context;

	if (search->own && node_has_address(search->own, &address->addr))
		facts_add_wire(search, address->ifindex);
	return 0;
}

static int search_by_default_route(const struct route *route, void *context)
{
	unsigned int everything = prefix_family(&route->destination) == FAMILY_IPV4 ? 96 : 0;

	if (route->type == ROUTE_UNICAST && route->destination.length == everything)
		facts_add_wire(context, route->ifindex);
	return 0;
}

static void search_subnet(struct search *search, const struct address *address)
{
	struct wire *wire = facts_wire(search->facts, address->ifindex);
	struct prefix *subnet;

	if (!wire || wire->subnet_count == FACTS_SUBNETS)
		return;
	subnet = &wire->subnet[wire->subnet_count++];
	subnet->addr = addr_masked(&address->addr, address->length);
	subnet->length = address->length;
}

/*
 * What somebody has put on a device of the node. Each pod's link has an address of its own accord,
 * and kube-proxy in its IPVS mode leaves every cluster address on a device: neither is meant.
 */
static int search_address(const struct address *address, void *context)
{
	struct search *search = context;
	struct addrs *local = &search->facts->local;

	if (addr_is_link_local(&address->addr))
		return 0;
	search_subnet(search, address);
	if (addr_is_loopback(&address->addr) || address->ifindex == search->ipvs_ifindex)
		return 0;
	local->list = mem_grow(
		local->list, &search->local_capacity, local->count + 1, sizeof(*local->list));
	local->list[local->count++] = address->addr;
	return 0;
}

static int search_named(struct search *search, struct err *err)
{
	const struct settings *settings = &search->agent->settings;

	for (unsigned int i = 0; i < settings->device_count; i++) {
		struct link_info link;
		int r = link_find(search->agent->netlink, settings->device[i], &link, err);

		if (r < 0)
			return err_wrap(err, "settings: devices[%u]", i);
		facts_add_wire(search, link.ifindex);
	}
	return 0;
}

/* The tunnel meets in the family of the node's first InternalIP, which decides what it adds. */
static unsigned int tunnel_overhead(const struct node *own)
{
	for (size_t i = 0; own && i < own->addresses.count; i++)
		if (own->addresses.list[i].type == NODE_ADDRESS_INTERNAL_IP)
			return addr_family(&own->addresses.list[i].addr) == FAMILY_IPV4
				       ? WIRE_OVERHEAD_IPV4
				       : WIRE_OVERHEAD_IPV6;
	return WIRE_OVERHEAD_IPV6;
}

static unsigned int facts_mtu(
	const struct agent *agent, const struct facts *facts, const struct node *own)
{
	unsigned int smallest = 0;

	if (agent->settings.mtu)
		return agent->settings.mtu;
	for (unsigned int i = 0; i < facts->wire_count; i++)
		if (!smallest || facts->wire[i].mtu < smallest)
			smallest = facts->wire[i].mtu;
	if (smallest < NODE_MTU_MIN + WIRE_OVERHEAD_IPV6)
		return NODE_MTU_MIN;
	return smallest - tunnel_overhead(own);
}

int node_find_facts(struct agent *agent, const struct node *own, struct err *err)
{
	struct facts facts = {.tunnel_ifindex = agent->facts.tunnel_ifindex,
		.paths = agent->facts.paths,
		.netns_cookie = netlink_netns_cookie(agent->netlink)};
	struct search search = {.agent = agent, .own = own, .facts = &facts};
	int r = search_named(&search, err);
	struct link_info ipvs;

	if (link_find(agent->netlink, NODE_IPVS_LINK, &ipvs, NULL) == 0)
		search.ipvs_ifindex = ipvs.ifindex;
	if (r == 0 && !agent->settings.device_count)
		r = address_dump(agent->netlink, 0, search_by_address, &search, err);
	if (r == 0 && !agent->settings.device_count)
		r = route_dump(agent->netlink, ROUTE_TABLE_MAIN, 0, search_by_default_route,
			&search, err);
	if (r == 0)
		r = address_dump(agent->netlink, 0, search_address, &search, err);
	if (r < 0) {
		free(facts.local.list);
		return r;
	}
	facts.pod_mtu = facts_mtu(agent, &facts, own);
	node_forget_facts(agent);
	agent->facts = facts;
	return 0;
}

void node_forget_facts(struct agent *agent)
{
	free(agent->facts.local.list);
	agent->facts.local = (struct addrs){0};
}

/* --- links of the node --- */

static int sysctl_set_for(const char *family, const char *device, const char *key,
	const char *value, struct err *err)
{
	_free_ char *path = mem_format("net/%s/conf/%s/%s", family, device, key);
	int r = sysctl_set(path, value, NULL, err);

	return r == -ENOENT ? 0 : r; /* the family is switched off */
}

static int tunnel_make(struct agent *agent, struct err *err)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	struct link_vxlan vxlan = {.name = NODE_TUNNEL_LINK,
		.port = agent->settings.tunnel_port,
		.mtu = agent->facts.pod_mtu};

	link_delete_name(&batch, NODE_TUNNEL_LINK);
	link_add_vxlan(&batch, &vxlan);
	return netlink_commit(agent->netlink, &batch, err);
}

static int tunnel_is_ours(const struct agent *agent, const struct link_info *link)
{
	return link->vxlan_external && link->vxlan_port == agent->settings.tunnel_port;
}

static int node_attach_program(struct agent *agent, enum program program,
	enum program_direction direction, const char *device, unsigned int ifindex,
	struct err *err)
{
	int r = programs_attach(agent->programs, program, direction, device, ifindex, err);

	agent->changed += r > 0;
	return r < 0 ? r : 0;
}

static int tunnel_attach(struct agent *agent, struct err *err)
{
	int r = node_attach_program(agent, PROGRAM_FROM_TUNNEL, PROGRAM_INGRESS, NODE_TUNNEL_LINK,
		agent->facts.tunnel_ifindex, err);

	return r < 0 ? r
		     : node_attach_program(agent, PROGRAM_TO_TUNNEL, PROGRAM_EGRESS,
			       NODE_TUNNEL_LINK, agent->facts.tunnel_ifindex, err);
}

static int node_make_tunnel(struct agent *agent, struct err *err)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	struct link_info link;
	int r = link_find(agent->netlink, NODE_TUNNEL_LINK, &link, err);

	if (r < 0 && r != -ENODEV)
		return r;
	if (r < 0 || !tunnel_is_ours(agent, &link)) {
		agent->changed++;
		r = tunnel_make(agent, err);
		if (r == 0)
			r = link_find(agent->netlink, NODE_TUNNEL_LINK, &link, err);
		if (r < 0)
			return r;
	}
	agent->facts.tunnel_ifindex = link.ifindex;
	r = sysctl_set_for("ipv4", NODE_TUNNEL_LINK, "rp_filter", NODE_TUNNEL_RP_FILTER, err);
	if (r == 0)
		r = sysctl_set_for("ipv6", NODE_TUNNEL_LINK, "accept_ra", "0", err);
	/* Before it is up, and whether or not this node is known: no frame comes out unguarded. */
	if (r == 0 && !link.up)
		r = tunnel_attach(agent, err);
	if (r < 0)
		return r;
	if (link.mtu != agent->facts.pod_mtu)
		link_set_mtu(&batch, link.ifindex, agent->facts.pod_mtu);
	if (!link.up)
		link_set_up(&batch, link.ifindex, true);
	return netlink_commit(agent->netlink, &batch, err);
}

/* A block lives only while a device is bound to it: this one always is. It stays down. */
static int node_make_anchor(struct agent *agent, struct err *err)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	struct link_veth veth = {.name = NODE_ANCHOR_LINK,
		.peer_name = NODE_ANCHOR_PEER,
		.mac = {0x0a, [5] = 1},
		.peer_mac = {0x0a, [5] = 2},
		.peer_netns = -1};
	struct link_info link;
	int r = link_find(agent->netlink, NODE_ANCHOR_LINK, &link, err);

	if (r == -ENODEV) {
		agent->changed++;
		link_add_veth(&batch, &veth);
		r = netlink_commit(agent->netlink, &batch, err);
		netlink_batch_clear(&batch);
		if (r == 0)
			r = link_find(agent->netlink, NODE_ANCHOR_LINK, &link, err);
	}
	if (r < 0)
		return r;
	qdisc_add_clsact(&batch, link.ifindex, NODE_INGRESS_BLOCK, NODE_EGRESS_BLOCK);
	link_set_up(&batch, link.ifindex, false);
	return netlink_commit(agent->netlink, &batch, err);
}

/* Puts the program on the block unless it sits there already. */
static void block_keep_program(struct agent *agent, struct netlink_batch *batch, uint32_t block,
	enum program program)
{
	struct block_program found;

	if (block_find_program(agent->netlink, block, &found, NULL) == 0 &&
		found.id == programs_id(agent->programs, program))
		return;
	block_set_program(batch, block, programs_fd(agent->programs, program),
		program_name(program));
	agent->changed++;
}

static int node_set_programs(struct agent *agent, struct err *err)
{
	_netlink_batch_ struct netlink_batch batch = {0};

	block_keep_program(agent, &batch, NODE_INGRESS_BLOCK, PROGRAM_FROM_POD);
	block_keep_program(agent, &batch, NODE_EGRESS_BLOCK, PROGRAM_TO_POD);
	return netlink_commit(agent->netlink, &batch, err);
}

int node_make_links(struct agent *agent, struct err *err)
{
	int r = node_make_tunnel(agent, err);

	return r < 0 ? r : node_make_anchor(agent, err);
}

/* --- programs on the wires --- */

static int link_is_wanted(const char *name, void *context)
{
	const struct agent *agent = context;
	const char *colon = strrchr(name, ':');
	unsigned int ifindex = colon ? (unsigned int)strtoul(colon + 1, NULL, 10) : 0;

	if (!colon)
		return 1; /* on no device */
	if (ifindex == agent->facts.tunnel_ifindex)
		return 1;
	for (unsigned int i = 0; i < agent->facts.wire_count; i++)
		if (agent->facts.wire[i].ifindex == ifindex)
			return 1;
	return 0;
}

int node_attach(struct agent *agent, struct err *err)
{
	int r = node_set_programs(agent, err);

	if (r == 0)
		r = programs_keep_tables(agent->programs, err);
	if (r < 0)
		return r;
	agent->changed += (unsigned long)r;
	return tunnel_attach(agent, err);
}

int node_attach_wires(struct agent *agent, struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; i < agent->facts.wire_count && r == 0; i++) {
		const struct wire *wire = &agent->facts.wire[i];

		r = node_attach_program(agent,
			wire->ethernet ? PROGRAM_FROM_WIRE : PROGRAM_FROM_WIRE_BARE, PROGRAM_INGRESS,
			wire->name, wire->ifindex, err);
		if (r == 0)
			r = node_attach_program(agent,
				wire->ethernet ? PROGRAM_TO_WIRE : PROGRAM_TO_WIRE_BARE,
				PROGRAM_EGRESS, wire->name, wire->ifindex, err);
	}
	if (r == 0)
		programs_detach(agent->programs, link_is_wanted, agent);
	return r;
}
