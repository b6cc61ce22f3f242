/* SPDX-License-Identifier: Apache-2.0 */
#include "model/node.h"

#include "objects.h"

#define NODE "apiVersion: v1\nkind: Node\nmetadata: {name: alpha}\n"

static const struct object_case cases[] = {
	{"bare", NODE, NULL},
	{"no name", "apiVersion: v1\nkind: Node\nmetadata: {}\n", "metadata.name: is missing"},
	{"no metadata", "apiVersion: v1\nkind: Node\n", "metadata: is missing"},
	{"bad name", "apiVersion: v1\nkind: Node\nmetadata: {name: ../x}\n",
		"metadata.name: \"../x\" is no name of a Node; use at most 253 of a-z 0-9 '-' '.'"},
	{"not a string", "apiVersion: v1\nkind: Node\nmetadata: {name: 12}\n",
		"metadata.name: 12 is no string; put it in quotes"},
	{"range", NODE "spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, 'fd00::/64']}\n",
		NULL},
	{"empty range is none", NODE "spec: {podCIDR: ''}\n", NULL},
	{"no range", NODE "spec: {podCIDRs: [10.1.0.0]}\n",
		"spec.podCIDRs[0]: \"10.1.0.0\" is no range of addresses; use one like 10.1.0.0/16 "
		"or "
		"fd00::/64"},
	{"differs", NODE "spec: {podCIDR: 10.2.0.0/24, podCIDRs: [10.1.0.0/24]}\n",
		"spec.podCIDR: differs from the first of podCIDRs; it must be the same"},
	{"one family twice", NODE "spec: {podCIDRs: [10.1.0.0/24, 10.2.0.0/24]}\n",
		"spec.podCIDRs: more than one range of a family; use at most one of IPv4 and one "
		"of IPv6"},
	{"three", NODE "spec: {podCIDRs: [10.1.0.0/24, 'fd00::/64', 10.2.0.0/24]}\n",
		"spec.podCIDRs: more than one range of a family; use at most one of IPv4 and one "
		"of IPv6"},
	{"everything", NODE "spec: {podCIDRs: [0.0.0.0/0]}\n",
		"spec.podCIDRs: 0.0.0.0/0 is no range for pods; use one like 10.1.0.0/24"},
	{"everything, alone", NODE "spec: {podCIDR: '::/0'}\n",
		"spec.podCIDR: ::/0 is no range for pods; use one like 10.1.0.0/24"},
	{"multicast", NODE "spec: {podCIDRs: ['ff02::/64']}\n",
		"spec.podCIDRs: ff02::/64 is no range for pods; use one like 10.1.0.0/24"},
	{"no address", NODE "status: {addresses: [{type: InternalIP, address: alpha}]}\n",
		"status.addresses[0].address: \"alpha\" is no IP address; use one like 10.1.2.3 or "
		"fd00::1"},
	{"zone", NODE "status: {addresses: [{type: InternalIP, address: 'fe80::1%eth0'}]}\n",
		"status.addresses[0].address: \"fe80::1%eth0\" is no IP address; use one like "
		"10.1.2.3 or "
		"fd00::1"},
	{"loopback", NODE "status: {addresses: [{type: InternalIP, address: 127.0.0.1}]}\n",
		"status.addresses[0].address: \"127.0.0.1\" is a loopback address; a node is not "
		"reached "
		"by it"},
	{"type", NODE "status: {addresses: [{type: IP, address: 10.0.0.1}]}\n",
		"status.addresses[0].type: \"IP\" is no type of a node's address; use InternalIP, "
		"ExternalIP, Hostname, InternalDNS or ExternalDNS"},
	{"hostname", NODE "status: {addresses: [{type: Hostname, address: alpha}]}\n", NULL},
	{"taint without a key", NODE "spec: {taints: [{effect: NoExecute}]}\n",
		"spec.taints[0].key: is missing"},
	{"list", NODE "status: {addresses: {}}\n", "status.addresses: an object is no list"},
	{"spec is a list", NODE "spec: []\n", "spec: a list is no object"},
};

static void test_cases(void **state)
{
	check_objects(cases, ARRAY_SIZE(cases));
}

static void test_fields(void **state)
{
	_cleanup_(object_free) struct object *object =
		object_of(NODE "spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, 'fd00::/64'], "
			       "unschedulable: true}\n"
			       "status:\n"
			       "  addresses:\n"
			       "  - {type: Hostname, address: alpha}\n"
			       "  - {type: InternalIP, address: '2001:db8::1'}\n"
			       "  - {type: InternalIP, address: 192.168.000.010}\n"
			       "  - {type: InternalIP, address: 192.168.0.11}\n");
	struct node *node = object_node(object);
	char text[PREFIX_TEXT_SIZE];

	assert_string_equal(object->name, "alpha");
	assert_null(object->namespace);
	assert_true(node->unschedulable);
	assert_int_equal(node->ranges.count, 2);
	assert_string_equal(prefix_format(node_range(node, FAMILY_IPV6), text), "fd00::/64");
	assert_string_equal(addr_format(node_internal_ip(node, FAMILY_IPV4), text), "192.168.0.10");
	assert_string_equal(addr_format(node_internal_ip(node, FAMILY_IPV6), text), "2001:db8::1");
	assert_string_equal(node->addresses.list[0].name, "alpha");
	assert_int_equal(node_primary_family(node), FAMILY_IPV4);
}

static void test_primary_family(void **state)
{
	_cleanup_(object_free) struct object *bare = object_of(NODE);
	_cleanup_(object_free) struct object *address =
		object_of(NODE "status: {addresses: [{type: InternalIP, address: 'fd00::1'}]}\n");

	assert_int_equal(node_primary_family(object_node(bare)), FAMILY_NONE);
	assert_int_equal(node_primary_family(object_node(address)), FAMILY_IPV6);
	assert_null(node_range(object_node(bare), FAMILY_IPV4));
	assert_null(node_internal_ip(object_node(address), FAMILY_IPV4));
}

static void test_eligible(void **state)
{
	static const struct {
		const char *text;
		bool eligible;
	} rows[] = {
		{NODE, true},
		{NODE "spec: {unschedulable: true}\n", true},
		{NODE "spec: {taints: [{key: node.kubernetes.io/not-ready, effect: NoExecute}]}\n",
			true},
		{NODE "spec: {taints: [{key: a}, {key: ToBeDeletedByClusterAutoscaler, value: '1'}]}\n",
			false},
		{"apiVersion: v1\nkind: Node\n"
		 "metadata: {name: alpha, deletionTimestamp: '2026-01-31T12:00:00Z'}\n",
			false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(object_free) struct object *object = object_of(rows[i].text);

		assert_int_equal(node_is_eligible(object_node(object)), rows[i].eligible);
	}
}

/* podCIDR alone and podCIDRs alone say the same. */
static void test_equal(void **state)
{
	_cleanup_(object_free) struct object *single =
		object_of(NODE "spec: {podCIDR: 10.1.0.0/24}\n");
	_cleanup_(object_free) struct object *list =
		object_of(NODE "spec: {podCIDRs: [10.1.0.0/24]}\n");
	_cleanup_(object_free) struct object *other =
		object_of(NODE "spec: {podCIDRs: [10.2.0.0/24]}\n");

	assert_true(object_equal(single, list));
	assert_false(object_equal(single, other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_primary_family),
		cmocka_unit_test(test_eligible),
		cmocka_unit_test(test_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
