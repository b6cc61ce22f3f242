/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan.h"

#include "lab.h"

static char *describe_node(const json_t *node)
{
	_free_ char *ranges = json_dumps(tree_at(node, "spec.podCIDRs"), JSON_COMPACT);

	return mem_format("%s: %s %s %s", tree_name(node), node_address(node, FAMILY_IPV4),
		node_address(node, FAMILY_IPV6), ranges);
}

static void check_node(const struct lab *lab, const char *name, const char *wanted)
{
	_free_ char *got = describe_node(lab_find(lab, LAB_NODE, "", name));

	check_case(name, got, wanted);
}

static void test_names_decide(void **state)
{
	_lab_ struct lab *lab = lab_of(true, true,
		"{kind: Node, metadata: {name: node2}}\n---\n{kind: Node, metadata: {name: alpha}}\n");

	assert_int_equal(plan_nodes(lab, NULL), 0);
	check_node(lab, "node2",
		"node2: 10.89.1.12 fd89:0:0:1::12 [\"10.244.2.0/24\",\"fd44:0:0:2::/64\"]");
	check_node(lab, "alpha",
		"alpha: 10.89.1.11 fd89:0:0:1::11 [\"10.244.1.0/24\",\"fd44:0:0:1::/64\"]");
}

static void test_given_is_kept(void **state)
{
	_lab_ struct lab *lab = lab_of(true, true,
		"kind: Node\n"
		"metadata: {name: node1}\n"
		"spec: {podCIDRs: [10.42.0.0/24, 'fd42::/64']}\n"
		"status: {addresses: [{type: InternalIP, address: 10.89.1.77},\n"
		"                     {type: InternalIP, address: '2001:db8::5'}]}\n");

	assert_int_equal(plan_nodes(lab, NULL), 0);
	/* The second address is on no subnet of the lab. */
	check_node(lab, "node1",
		"node1: 10.89.1.77 fd89:0:0:1::11 [\"10.42.0.0/24\",\"fd42::/64\"]");
}

static void test_nothing_is_given_twice(void **state)
{
	_lab_ struct lab *lab = lab_of(true, false,
		"{kind: Node, metadata: {name: node2}, spec: {podCIDR: 10.244.1.0/24}}\n---\n"
		"{kind: Node, metadata: {name: node1}}\n");

	assert_int_equal(plan_nodes(lab, NULL), 0);
	check_node(lab, "node2", "node2: 10.89.1.13  [\"10.244.1.0/24\"]");
	check_node(lab, "node1", "node1: 10.89.1.12  [\"10.244.2.0/24\"]");
}

static void test_subnets(void **state)
{
	_lab_ struct lab *lab = lab_of(true, false,
		"{kind: Node, metadata: {name: node1}}\n---\n{kind: Node, metadata: {name: node2}}\n"
		"---\n{kind: Node, metadata: {name: node3}}\n");

	lab->settings.subnets = 2;
	assert_int_equal(plan_nodes(lab, NULL), 0);
	check_node(lab, "node1", "node1: 10.89.1.11  [\"10.244.1.0/24\"]");
	check_node(lab, "node2", "node2: 10.89.2.12  [\"10.244.2.0/24\"]");
	check_node(lab, "node3", "node3: 10.89.1.13  [\"10.244.3.0/24\"]");
	assert_int_equal(plan_subnet(&lab->settings, "10.89.2.12"), 2);
	assert_int_equal(plan_subnet(&lab->settings, "10.89.3.1"), 0);
	assert_int_equal(plan_subnet(&lab->settings, "fd89:0:0:2::7"), 2);
}

static void test_names_of_the_lab(void **state)
{
	_lab_ struct lab *lab = lab_of(true, false, "{kind: Node, metadata: {name: outside}}\n");
	struct err err = {0};

	assert_true(plan_nodes(lab, &err) < 0);
	assert_non_null(strstr(err.text, "outside"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_decide),
		cmocka_unit_test(test_given_is_kept),
		cmocka_unit_test(test_nothing_is_given_twice),
		cmocka_unit_test(test_subnets),
		cmocka_unit_test(test_names_of_the_lab),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
