/* SPDX-License-Identifier: Apache-2.0 */
#include "model/policy.h"

#include "objects.h"

#define POLICY "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n"

static const struct object_case cases[] = {
	{"no spec", POLICY, NULL},
	{"deny all", POLICY "spec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n", NULL},
	{"type", POLICY "spec: {policyTypes: [ingress]}\n",
		"spec.policyTypes[0]: \"ingress\" is no policy type; use Ingress or Egress"},
	{"empty peer", POLICY "spec: {ingress: [{from: [{}]}]}\n",
		"spec.ingress[0].from[0]: an empty peer; use podSelector, namespaceSelector or "
		"ipBlock"},
	{"selector is null", POLICY "spec: {ingress: [{from: [{podSelector: null}]}]}\n",
		"spec.ingress[0].from[0]: an empty peer; use podSelector, namespaceSelector or "
		"ipBlock"},
	{"block and selector",
		POLICY "spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}\n",
		"spec.egress[0].to[0]: ipBlock stands alone; put the selectors into another peer"},
	{"no cidr", POLICY "spec: {ingress: [{from: [{ipBlock: {}}]}]}\n",
		"spec.ingress[0].from[0].ipBlock.cidr: is missing"},
	{"cidr", POLICY "spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]}\n",
		"spec.ingress[0].from[0].ipBlock.cidr: \"10.0.0.0\" is no range of addresses; use "
		"one like "
		"10.1.0.0/16 or fd00::/64"},
	{"except outside",
		POLICY
		"spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, "
		"11.0.0.0/16]}}]}]}\n",
		"spec.ingress[0].from[0].ipBlock.except[1]: 11.0.0.0/16 is no part of the block "
		"10.0.0.0/8"},
	{"except is all",
		POLICY "spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: "
		       "[10.0.0.0/8]}}]}]}\n",
		"spec.ingress[0].from[0].ipBlock.except[0]: 10.0.0.0/8 is no part of the block "
		"10.0.0.0/8"},
	{"except of the other family",
		POLICY
		"spec: {ingress: [{from: [{ipBlock: {cidr: '::/0', except: [10.0.0.0/8]}}]}]}\n",
		"spec.ingress[0].from[0].ipBlock.except[0]: 10.0.0.0/8 is no part of the block "
		"::/0"},
	{"port zero", POLICY "spec: {ingress: [{ports: [{port: 0}]}]}\n",
		"spec.ingress[0].ports[0].port: 0 is no port; use 1 to 65535"},
	{"port without name", POLICY "spec: {ingress: [{ports: [{port: ''}]}]}\n",
		"spec.ingress[0].ports[0].port: \"\" is no name of a port; use at most 15 of a-z "
		"0-9 '-', "
		"one letter among them"},
	{"protocol", POLICY "spec: {ingress: [{ports: [{protocol: ICMP}]}]}\n",
		"spec.ingress[0].ports[0].protocol: \"ICMP\" is no protocol; use TCP, UDP or SCTP"},
	{"end below", POLICY "spec: {ingress: [{ports: [{port: 80, endPort: 70}]}]}\n",
		"spec.ingress[0].ports[0].endPort: 70 is below port 80; use 80 to 65535"},
	{"end of a name", POLICY "spec: {ingress: [{ports: [{port: web, endPort: 70}]}]}\n",
		"spec.ingress[0].ports[0].endPort: wants a port that is a number"},
	{"end alone", POLICY "spec: {ingress: [{ports: [{endPort: 70}]}]}\n",
		"spec.ingress[0].ports[0].endPort: wants a port that is a number"},
	{"operator",
		POLICY
		"spec: {podSelector: {matchExpressions: [{key: a, operator: Is, values: [b]}]}}\n",
		"spec.podSelector.matchExpressions[0].operator: \"Is\" is no operator of a "
		"selector; use "
		"In, NotIn, Exists or DoesNotExist"},
	{"In nothing", POLICY "spec: {podSelector: {matchExpressions: [{key: a, operator: In}]}}\n",
		"spec.podSelector.matchExpressions[0].values: is missing; In wants one or more"},
	{"Exists in",
		POLICY "spec: {podSelector: {matchExpressions: [{key: a, operator: Exists, values: "
		       "[b]}]}}\n",
		"spec.podSelector.matchExpressions[0].values: must not be given; Exists wants "
		"none"},
	{"one rule, not a list", POLICY "spec: {ingress: {from: []}}\n",
		"spec.ingress: an object is no list"},
	{"a rule that is null", POLICY "spec: {ingress: [null]}\n",
		"spec.ingress[0]: null is no object"},
};

static void test_cases(void **state)
{
	check_objects(cases, ARRAY_SIZE(cases));
}

/* kubernetes.md 3.1: policyTypes absent means ingress, and egress where it has a rule. */
static void test_types(void **state)
{
	static const struct {
		const char *spec;
		bool ingress, egress;
	} rows[] = {
		{"{}", true, false},
		{"{ingress: []}", true, false},
		{"{egress: []}", true, false},
		{"{egress: [{}]}", true, true},
		{"{policyTypes: [Egress], egress: [{}]}", false, true},
		{"{policyTypes: [Ingress], egress: [{}]}", true, false},
		{"{policyTypes: [Egress, Ingress]}", true, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *text = mem_format(POLICY "spec: %s\n", rows[i].spec);
		_cleanup_(object_free) struct object *object = object_of(text);
		const struct network_policy *policy = object_network_policy_const(object);

		assert_int_equal(policy->isolates[DIRECTION_INGRESS], rows[i].ingress);
		assert_int_equal(policy->isolates[DIRECTION_EGRESS], rows[i].egress);
	}
}

static void test_peers(void **state)
{
	_cleanup_(object_free) struct object *object =
		object_of(POLICY "spec:\n"
				 "  podSelector: {matchLabels: {app: db}}\n"
				 "  ingress:\n"
				 "  - from:\n"
				 "    - podSelector: {}\n"
				 "    - namespaceSelector: {matchLabels: {team: a}}\n"
				 "      podSelector: {matchLabels: {app: web}}\n"
				 "    - ipBlock: {cidr: 10.0.0.5/8, except: [10.1.0.0/16]}\n"
				 "  - {}\n");
	const struct network_policy *policy = object_network_policy(object);
	const struct policy_rules *rules = &policy->rules[DIRECTION_INGRESS];
	const struct policy_peer *peers = rules->list[0].peers.list;
	char text[PREFIX_TEXT_SIZE];

	assert_int_equal(rules->count, 2);
	assert_int_equal(rules->list[0].peers.count, 3);
	assert_non_null(peers[0].pods);
	assert_null(peers[0].namespaces);
	assert_string_equal(labels_get(&peers[1].namespaces->match_labels, "team"), "a");
	assert_string_equal(labels_get(&peers[1].pods->match_labels, "app"), "web");
	assert_string_equal(prefix_format(&peers[2].block->range, text), "10.0.0.0/8");
	assert_int_equal(peers[2].block->except.count, 1);
	assert_int_equal(rules->list[1].peers.count, 0);
	assert_int_equal(rules->list[1].ports.count, 0);
	assert_string_equal(labels_get(&policy->pods.match_labels, "app"), "db");
}

static void test_ports(void **state)
{
	_cleanup_(object_free) struct object *object =
		object_of(POLICY "spec: {egress: [{ports: [{port: 80}, {port: web, protocol: UDP}, "
				 "{protocol: SCTP}, "
				 "{port: 1000, endPort: 2000}]}]}\n");
	const struct policy_port *ports =
		object_network_policy(object)->rules[DIRECTION_EGRESS].list[0].ports.list;

	assert_int_equal(ports[0].port.number, 80);
	assert_int_equal(ports[0].protocol, PROTOCOL_TCP);
	assert_int_equal(ports[0].end_port, 0);
	assert_string_equal(ports[1].port.name, "web");
	assert_int_equal(ports[1].protocol, PROTOCOL_UDP);
	assert_int_equal(ports[2].protocol, PROTOCOL_SCTP);
	assert_int_equal(ports[2].port.number, 0);
	assert_null(ports[2].port.name);
	assert_int_equal(ports[3].end_port, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
