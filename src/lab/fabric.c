/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/fabric.h"

#include "base/json.h"
#include "base/mem.h"
#include "lab/bridge.h"
#include "lab/exec.h"
#include "lab/hostile.h"
#include "lab/plan.h"
#include "lab/processes.h"
#include "linux/address.h"
#include "linux/route.h"
#include "linux/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#define LOOPBACK 1

#define _netlink_ _cleanup_(netlink_close)

int namespace_make(const char *path, struct err *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	if (fd < 0)
		return err_system(err, errno, "%s", path);
	if (unshare(CLONE_NEWNET) < 0 ||
		mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0)
		return err_system(err, errno, "make the network namespace %s", path);
	return 0;
}

int namespace_remove(const char *path, struct err *err)
{
	if (processes_kill_in(path, err) < 0)
		return -err->code;
	umount2(path, MNT_DETACH);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_system(err, errno, "%s", path);
	return 0;
}

static unsigned int prefix_bits(enum family family)
{
	return plan_node_prefix_length(family) + (family == FAMILY_IPV4 ? 96 : 0);
}

static void bridge_name(unsigned int subnet, char name[IF_NAMESIZE])
{
	snprintf(name, IF_NAMESIZE, "subnet%u", subnet);
}

/* The switch's side of a member's pair: the member's name, or what is left of a long one. */
static void port_name(const char *member, char name[IF_NAMESIZE])
{
	_json_ json_t *text = json_string(member);

	if (strlen(member) < IF_NAMESIZE)
		snprintf(name, IF_NAMESIZE, "%s", member);
	else
		snprintf(name, IF_NAMESIZE, "%.6s-%08x", member, (unsigned int)tree_hash(text));
}

static int link_index(struct netlink *netlink, const char *name, unsigned int *ret_index,
	struct err *err)
{
	struct link_info info;

	if (link_find(netlink, name, &info, err) < 0)
		return -err->code;
	*ret_index = info.ifindex;
	return 0;
}

static int subnet_make(
	const struct lab *lab, struct netlink *netlink, unsigned int subnet, struct err *err)
{
	const unsigned char mac[LINK_MAC_SIZE] = {0x02, 0x89, 0, 0, (unsigned char)subnet, 1};
	_netlink_batch_ struct netlink_batch make = {0}, fill = {0};
	char name[IF_NAMESIZE];
	unsigned int ifindex = 0;

	bridge_name(subnet, name);
	bridge_add(&make, name, mac);
	if (netlink_commit(netlink, &make, err) < 0 ||
		link_index(netlink, name, &ifindex, err) < 0)
		return -err->code;
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
		_free_ char *text = plan_node_address(f, subnet, PLAN_HOST_GATEWAY);
		struct address gateway = {.ifindex = ifindex, .length = prefix_bits(f),
			.flags = ADDRESS_NO_DAD};

		if (addr_parse(text, &gateway.addr) == 0 && lab->settings.node_families[f])
			address_add(&fill, &gateway);
	}
	return netlink_commit(netlink, &fill, err);
}

/*
 * As a stock distribution sets up a machine: not as this machine happens to be set up. But one that
 * has been up for a while: a link-local address that is still being checked for duplicates cannot
 * ask for neighbors, so for two seconds nothing would reach another node.
 */
static int settings_stock(bool is_router, struct err *err)
{
	const struct {
		const char *key, *value;
	} settings[] = {
		{"net/ipv4/ip_forward", is_router ? "1" : "0"},
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", is_router ? "0" : "2"},
		{"net/ipv6/conf/all/forwarding", is_router ? "1" : "0"},
		{"net/ipv6/conf/all/disable_ipv6", "0"},
		{"net/ipv6/conf/default/disable_ipv6", "0"},
		{"net/ipv6/conf/default/accept_dad", "0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (sysctl_set(settings[i].key, settings[i].value, NULL, err) < 0)
			return -err->code;
	return 0;
}

int fabric_make(const struct lab *lab, struct err *err)
{
	_free_ char *path = lab_namespace_path(lab, LAB_FABRIC);
	_netlink_batch_ struct netlink_batch batch = {0};
	_netlink_ struct netlink *netlink = NULL;

	if (namespace_make(path, err) < 0 || settings_stock(true, err) < 0 ||
		netlink_open(&netlink, err) < 0)
		return -err->code;
	link_set_up(&batch, LOOPBACK, true);
	if (netlink_commit(netlink, &batch, err) < 0)
		return -err->code;
	for (unsigned int subnet = 1; subnet <= lab->settings.subnets; subnet++)
		if (subnet_make(lab, netlink, subnet, err) < 0)
			return err_wrap(err, "subnet %u", subnet);
	return lab->settings.hostile ? hostile_switch_make(err) : 0;
}

/* In the fabric's namespace: the pair is there, and its switch side is on the subnet's bridge. */
static int port_make(const struct lab *lab, const char *member, unsigned int subnet, struct err *err)
{
	_netlink_batch_ struct netlink_batch make = {0}, join = {0};
	_free_ char *path = lab_namespace_path(lab, member);
	_close_ int netns = open(path, O_RDONLY | O_CLOEXEC);
	struct link_veth veth = {.peer_name = "eth0", .peer_netns = netns};
	_json_ json_t *text = json_string(member);
	uint64_t hash = tree_hash(text);
	_netlink_ struct netlink *netlink = NULL;
	unsigned int port = 0, bridge = 0;
	char name[IF_NAMESIZE];

	if (netns < 0)
		return err_system(err, errno, "%s", path);
	if (netlink_open(&netlink, err) < 0)
		return -err->code;
	port_name(member, veth.name);
	memcpy(veth.mac, (unsigned char[]){0x02, 0x8a}, 2);
	memcpy(veth.mac + 2, &hash, 4);
	memcpy(veth.peer_mac, (unsigned char[]){0x02, 0x89}, 2);
	memcpy(veth.peer_mac + 2, &hash, 4);
	if (link_index(netlink, veth.name, &port, err) < 0) {
		if (err->code != ENODEV)
			return -err->code;
		link_add_veth(&make, &veth);
		if (netlink_commit(netlink, &make, err) < 0 ||
			link_index(netlink, veth.name, &port, err) < 0)
			return -err->code;
	}
	bridge_name(subnet, name);
	if (link_index(netlink, name, &bridge, err) < 0)
		return -err->code;
	bridge_join(&join, port, bridge);
	return netlink_commit(netlink, &join, err);
}

struct addresses {
	struct netlink_batch *batch;
	const struct address *wanted;
	size_t count;
};

static int address_surplus_delete(const struct address *address, void *context)
{
	const struct addresses *addresses = context;

	for (size_t i = 0; i < addresses->count; i++)
		if (addr_equal(&addresses->wanted[i].addr, &address->addr))
			return 0;
	if (!addr_is_link_local(&address->addr))
		address_delete(addresses->batch, address);
	return 0;
}

static void default_route_add(
	struct netlink_batch *batch, enum family family, unsigned int subnet, unsigned int ifindex)
{
	struct route route = {.ifindex = ifindex, .protocol = 4 /* static */};
	_free_ char *gateway = plan_node_address(family, subnet, PLAN_HOST_GATEWAY);

	if (prefix_parse(family == FAMILY_IPV4 ? "0.0.0.0/0" : "::/0", &route.destination, NULL) < 0 ||
		addr_parse(gateway, &route.gateway) < 0)
		return;
	route_replace(batch, &route);
}

/* In the member's namespace. */
static int member_configure(
	unsigned int subnet, const char *const addresses[FAMILY_MAX], struct err *err)
{
	_netlink_batch_ struct netlink_batch surplus = {0}, batch = {0};
	struct address wanted[FAMILY_MAX];
	struct addresses all = {.batch = &surplus, .wanted = wanted};
	_netlink_ struct netlink *netlink = NULL;
	unsigned int ifindex = 0;

	if (netlink_open(&netlink, err) < 0 || link_index(netlink, "eth0", &ifindex, err) < 0)
		return -err->code;
	link_set_up(&batch, LOOPBACK, true);
	link_set_up(&batch, ifindex, true);
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
		struct address address = {.ifindex = ifindex, .length = prefix_bits(f),
			.flags = ADDRESS_NO_DAD};

		if (!*addresses[f])
			continue;
		if (addr_parse(addresses[f], &address.addr) < 0)
			return err_set(err, EINVAL, "\"%s\" is no address", addresses[f]);
		wanted[all.count++] = address;
		address_add(&batch, &address);
	}
	/* The old ones first: as long as one is there it may be chosen as a source. */
	if (address_dump(netlink, ifindex, address_surplus_delete, &all, err) < 0 ||
		netlink_commit(netlink, &surplus, err) < 0)
		return -err->code;
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		if (*addresses[f])
			default_route_add(&batch, f, subnet, ifindex);
	return netlink_commit(netlink, &batch, err);
}

int fabric_join(const struct lab *lab, const char *member, unsigned int subnet,
	const char *const addresses[FAMILY_MAX], struct err *err)
{
	_free_ char *fabric = lab_namespace_path(lab, LAB_FABRIC);
	_free_ char *path = lab_namespace_path(lab, member);
	bool is_new = access(path, F_OK) < 0;
	bool is_hostile = lab->settings.hostile && strcmp(member, LAB_OUTSIDE) != 0;
	char port[IF_NAMESIZE];

	port_name(member, port);
	if (is_new && (namespace_make(path, err) < 0 || settings_stock(false, err) < 0 ||
			      (is_hostile && hostile_sysctls_set(err) < 0)))
		return -err->code;
	if (namespace_enter(fabric, err) < 0 || port_make(lab, member, subnet, err) < 0 ||
		(is_hostile && hostile_switch_port(port, addresses, err) < 0) ||
		namespace_enter(path, err) < 0)
		return -err->code;
	return member_configure(subnet, addresses, err);
}

int fabric_leave(const struct lab *lab, const char *member, struct err *err)
{
	_free_ char *fabric = lab_namespace_path(lab, LAB_FABRIC);
	_netlink_batch_ struct netlink_batch batch = {0};
	_netlink_ struct netlink *netlink = NULL;
	char name[IF_NAMESIZE];

	if (namespace_enter(fabric, err) < 0 || netlink_open(&netlink, err) < 0)
		return -err->code;
	port_name(member, name);
	link_delete_name(&batch, name);
	return netlink_commit(netlink, &batch, err);
}

struct routes {
	const json_t *nodes;
	struct netlink_batch *batch;
};

static int route_surplus_delete(const struct route *route, void *context)
{
	const struct routes *routes = context;
	struct prefix held;
	json_t *node, *range;
	size_t i, j;

	json_array_foreach(routes->nodes, i, node)
	{
		json_array_foreach(tree_at(node, "spec.podCIDRs"), j, range)
		{
			if (prefix_parse(json_string_value(range), &held, NULL) == 0 &&
				prefix_compare(&held, &route->destination) == 0)
				return 0;
		}
	}
	route_delete(routes->batch, route);
	return 0;
}

int fabric_routes(const struct lab *lab, struct err *err)
{
	_free_ char *fabric = lab_namespace_path(lab, LAB_FABRIC);
	_json_ json_t *nodes = lab_list(lab, LAB_NODE);
	_netlink_batch_ struct netlink_batch batch = {0};
	_netlink_ struct netlink *netlink = NULL;
	struct routes routes = {.nodes = nodes, .batch = &batch};
	json_t *node, *range;
	size_t i, j;

	if (lab->settings.route != SETTINGS_ROUTE_DIRECT || lab->settings.subnets == 1)
		return 0;
	if (namespace_enter(fabric, err) < 0 || netlink_open(&netlink, err) < 0 ||
		route_dump(netlink, 0, ROUTE_PROTOCOL, route_surplus_delete, &routes, err) < 0)
		return -err->code;
	json_array_foreach(nodes, i, node)
	{
		json_array_foreach(tree_at(node, "spec.podCIDRs"), j, range)
		{
			struct route route = {0};
			const char *text = json_string_value(range);

			if (prefix_parse(text, &route.destination, NULL) == 0 &&
				addr_parse(node_address(node, text_family(text)), &route.gateway) == 0)
				route_replace(&batch, &route);
		}
	}
	return netlink_commit(netlink, &batch, err);
}
