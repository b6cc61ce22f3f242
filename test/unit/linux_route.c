/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/route.h"

#include "check.h"
#include "linux/address.h"
#include "linux/link.h"
#include "linux/neighbor.h"
#include "root.h"

#include <errno.h>
#include <stdio.h>

static struct netlink *netlink;
static unsigned int near; /* a device that is up, with an address of each family */

static void commit(struct netlink_batch *batch)
{
	struct err err = {0};

	if (netlink_commit(netlink, batch, &err) < 0)
		fail_msg("%s", err.text);
	netlink_batch_clear(batch);
}

static struct addr addr_of(const char *text)
{
	struct addr addr;

	assert_return_code(addr_parse(text, &addr), 0);
	return addr;
}

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	assert_return_code(prefix_parse(text, &prefix, NULL), 0);
	return prefix;
}

static struct address address_of(const char *text, unsigned int length, unsigned int flags)
{
	return (struct address){
		.addr = addr_of(text), .length = length, .ifindex = near, .flags = flags};
}

static int setup(void **state)
{
	struct link_veth veth = {.name = "near",
		.peer_name = "far",
		.peer_netns = -1,
		.mac = {2, 0, 0, 0, 0, 1},
		.peer_mac = {2, 0, 0, 0, 0, 2}};
	struct netlink_batch batch = {0};
	struct address address;
	struct link_info info;
	struct err err = {0};

	if (netlink_open(&netlink, &err) < 0)
		return -1;
	link_add_veth(&batch, &veth);
	commit(&batch);
	if (link_find(netlink, "far", &info, &err) < 0)
		return -1;
	link_set_up_bare(&batch, info.ifindex);
	if (link_find(netlink, "near", &info, &err) < 0)
		return -1;
	near = info.ifindex;
	address = address_of("192.0.2.1", 96 + 24, 0);
	address_add(&batch, &address);
	address = address_of("2001:db8::1", 64, ADDRESS_NO_DAD);
	address_add(&batch, &address);
	commit(&batch);
	return 0;
}

static int teardown(void **state)
{
	netlink_close(&netlink);
	return 0;
}

struct found {
	const struct route *wanted;
	struct route route;
	unsigned int count;
};

static int find_route(const struct route *route, void *context)
{
	struct found *found = context;

	if (prefix_compare(&route->destination, &found->wanted->destination) != 0)
		return 0;
	found->route = *route;
	found->count++;
	return 0;
}

/* How many routes of ours there are to the destination; the last of them. */
static unsigned int find(const struct route *wanted, struct route *ret)
{
	struct found found = {.wanted = wanted};
	struct err err = {0};

	assert_return_code(
		route_dump(netlink, ROUTE_TABLE_MAIN, ROUTE_PROTOCOL, find_route, &found, &err), 0);
	*ret = found.route;
	return found.count;
}

static const struct {
	const char *destination;
	enum route_type type;
	bool device;
	const char *gateway, *source;
	bool on_link;
	unsigned int mtu;
} route_cases[] = {
	{"10.1.0.0/24", ROUTE_PROHIBIT, false, "::", "::", false, 0},
	{"10.1.0.0/24", ROUTE_UNICAST, true, "192.0.2.9", "::", false, 0},
	{"10.1.0.0/24", ROUTE_UNICAST, true, "203.0.113.9", "192.0.2.1", true, 1400},
	{"10.1.0.0/24", ROUTE_UNICAST, true, "2001:db8::9", "::", false, 0},
	{"10.1.0.0/24", ROUTE_UNICAST, true, "::", "192.0.2.1", false, 1450},
	{"10.1.0.0/24", ROUTE_BLACKHOLE, false, "::", "::", false, 0},
	{"10.1.0.0/24", ROUTE_PROHIBIT, false, "::", "::", false, 0},
	{"10.1.0.7/32", ROUTE_UNICAST, true, "::", "::", false, 0},
	{"0.0.0.0/0", ROUTE_UNICAST, true, "169.254.1.1", "::", true, 0},
	{"fd00:1::/64", ROUTE_PROHIBIT, false, "::", "::", false, 0},
	{"fd00:1::/64", ROUTE_UNICAST, true, "2001:db8::9", "::", false, 0},
	{"fd00:1::/64", ROUTE_UNICAST, true, "fe80::9", "2001:db8::1", false, 1400},
	{"fd00:1::/64", ROUTE_UNICAST, true, "::", "2001:db8::1", false, 1430},
	{"fd00:1::/64", ROUTE_BLACKHOLE, false, "::", "::", false, 0},
	{"fd00:1::/64", ROUTE_UNICAST, true, "::", "::", false, 0},
	{"fd00:1::7/128", ROUTE_UNICAST, true, "::", "::", false, 0},
	{"::/0", ROUTE_UNICAST, true, "fe80::1", "::", true, 0},
};

static struct route case_route(size_t i)
{
	return (struct route){
		.destination = prefix_of(route_cases[i].destination),
		.type = route_cases[i].type,
		.ifindex = route_cases[i].device ? near : 0,
		.gateway = addr_of(route_cases[i].gateway),
		.source = addr_of(route_cases[i].source),
		.on_link = route_cases[i].on_link,
		.mtu = route_cases[i].mtu,
	};
}

/* IPv6 keeps its dead ends on the loopback device, which is no gateway of anybody's choice. */
static void check_route(size_t i, const struct route *wanted, const struct route *got)
{
	char text[200], want[200], gateway[ADDR_TEXT_SIZE], source[ADDR_TEXT_SIZE];

	snprintf(want, sizeof(want), "type %d device %u via %s source %s onlink %d mtu %u",
		wanted->type, wanted->ifindex, addr_format(&wanted->gateway, gateway),
		addr_format(&wanted->source, source), wanted->on_link, wanted->mtu);
	snprintf(text, sizeof(text), "type %d device %u via %s source %s onlink %d mtu %u",
		got->type, wanted->type == ROUTE_UNICAST ? got->ifindex : 0,
		addr_format(&got->gateway, gateway), addr_format(&got->source, source),
		got->on_link, got->mtu);
	check_case(route_cases[i].destination, text, want);
}

/* Each replaces the one before it, whatever both are, and there is never a second one. */
static void test_replace(void **state)
{
	struct netlink_batch batch = {0};

	for (size_t i = 0; i < ARRAY_SIZE(route_cases); i++) {
		struct route wanted = case_route(i), got;

		route_replace(&batch, &wanted);
		route_replace(&batch, &wanted);
		commit(&batch);
		assert_int_equal(find(&wanted, &got), 1);
		check_route(i, &wanted, &got);
	}
	for (size_t i = 0; i < ARRAY_SIZE(route_cases); i++) {
		struct route wanted = case_route(i), got;

		route_delete(&batch, &wanted);
		commit(&batch);
		assert_int_equal(find(&wanted, &got), 0);
	}
}

/* A route that somebody else made is neither shown as ours nor removed. */
static void test_foreign(void **state)
{
	struct route foreign = {
		.destination = prefix_of("10.9.0.0/24"), .ifindex = near, .protocol = 4};
	struct route ours = {.destination = foreign.destination}, got;
	struct found found = {.wanted = &foreign};
	struct netlink_batch batch = {0};
	struct err err = {0};

	route_replace(&batch, &foreign);
	route_delete(&batch, &ours);
	commit(&batch);
	assert_int_equal(find(&ours, &got), 0);
	assert_return_code(route_dump(netlink, 0, 0, find_route, &found, &err), 0);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.route.protocol, 4);
	route_delete(&batch, &foreign);
	commit(&batch);
}

static void test_refusal_is_explained(void **state)
{
	struct route route = {.destination = prefix_of("10.8.0.0/24"),
		.ifindex = near,
		.gateway = addr_of("198.51.100.1")};
	_netlink_batch_ struct netlink_batch batch = {0};
	struct err err = {0};

	route_replace(&batch, &route);
	assert_int_equal(netlink_commit(netlink, &batch, &err), -ENETUNREACH);
	check_case("an unreachable gateway", err.text,
		"route 10.8.0.0/24: Network is unreachable (Nexthop has invalid gateway)");
}

struct address_seen {
	struct address wanted, got;
	unsigned int count;
};

static int see_address(const struct address *address, void *context)
{
	struct address_seen *seen = context;

	if (!addr_equal(&address->addr, &seen->wanted.addr))
		return 0;
	seen->got = *address;
	seen->count++;
	return 0;
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		unsigned int length, flags;
	} cases[] = {
		{"10.1.0.1", 128, ADDRESS_NO_PREFIX_ROUTE},
		{"169.254.7.7", 96 + 16, 0},
		{"fd00:1::1", 128, ADDRESS_NO_DAD | ADDRESS_NO_PREFIX_ROUTE},
		{"fe80::5", 64, ADDRESS_NO_DAD},
	};
	struct netlink_batch batch = {0};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address_seen seen = {
			.wanted = address_of(cases[i].text, cases[i].length, cases[i].flags)};

		address_add(&batch, &seen.wanted);
		address_add(&batch, &seen.wanted);
		commit(&batch);
		assert_return_code(address_dump(netlink, near, see_address, &seen, &err), 0);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.got.length, cases[i].length);
		assert_int_equal(seen.got.ifindex, near);
		assert_int_equal(seen.got.flags & ADDRESS_NO_PREFIX_ROUTE,
			cases[i].flags & ADDRESS_NO_PREFIX_ROUTE);
		address_delete(&batch, &seen.wanted);
		address_delete(&batch, &seen.wanted);
		commit(&batch);
		seen.count = 0;
		assert_return_code(address_dump(netlink, 0, see_address, &seen, &err), 0);
		assert_int_equal(seen.count, 0);
	}
}

struct neighbor_seen {
	struct neighbor neighbor;
	unsigned int count;
};

static int see_neighbor(const struct neighbor *neighbor, void *context)
{
	struct neighbor_seen *seen = context;

	if (!addr_equal(&neighbor->addr, &seen->neighbor.addr))
		return 0;
	seen->neighbor = *neighbor;
	seen->count++;
	return 0;
}

static void test_neighbors(void **state)
{
	static const char *const texts[] = {"10.1.0.7", "fd00:1::7", "169.254.1.1", "fe80::1"};
	struct netlink_batch batch = {0};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct neighbor neighbor = {
			.addr = addr_of(texts[i]), .ifindex = near, .mac = {2, 0, 0, 0, 0, 9}};
		struct neighbor_seen seen = {.neighbor = neighbor};

		neighbor_replace(&batch, &neighbor);
		neighbor.mac[5] = 10;
		neighbor_replace(&batch, &neighbor);
		commit(&batch);
		assert_return_code(neighbor_dump(netlink, near, see_neighbor, &seen, &err), 0);
		assert_int_equal(seen.count, 1);
		assert_memory_equal(seen.neighbor.mac, neighbor.mac, sizeof(neighbor.mac));
		assert_int_equal(seen.neighbor.ifindex, near);
		neighbor_delete(&batch, &neighbor);
		neighbor_delete(&batch, &neighbor);
		commit(&batch);
		seen.count = 0;
		assert_return_code(neighbor_dump(netlink, 0, see_neighbor, &seen, &err), 0);
		assert_int_equal(seen.count, 0);
	}
}

/* What nobody has asked for is asked for; what somebody has made permanent stays so. */
static void test_resolve(void **state)
{
	static const char *const texts[] = {"10.1.0.77", "fd00:1::77"};
	struct netlink_batch batch = {0};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct neighbor neighbor = {
			.addr = addr_of(texts[i]), .ifindex = near, .mac = {2, 0, 0, 0, 0, 9}};
		struct neighbor_seen seen = {.neighbor = neighbor};
		bool known = true;

		for (unsigned int again = 0; again < 2; again++) {
			assert_return_code(
				neighbor_resolve(netlink, &neighbor.addr, near, &known, &err), 0);
			assert_false(known);
		}
		neighbor_replace(&batch, &neighbor);
		commit(&batch);
		assert_return_code(
			neighbor_resolve(netlink, &neighbor.addr, near, &known, &err), 0);
		assert_true(known);
		assert_return_code(neighbor_dump(netlink, near, see_neighbor, &seen, &err), 0);
		assert_int_equal(seen.count, 1);
		neighbor_delete(&batch, &neighbor);
		commit(&batch);
		assert_true(neighbor_resolve(netlink, &neighbor.addr, 9999, &known, &err) < 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_refusal_is_explained),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_neighbors),
		cmocka_unit_test(test_resolve),
	};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, setup, teardown);
}
