/* SPDX-License-Identifier: Apache-2.0 */
#include "model/selector.h"

#include "model/policy.h"
#include "objects.h"

static const struct {
	const char *selector;
	bool wanted; /* of {app: shop, tier: web, empty: ""} */
} cases[] = {
	{"{}", true},
	{"{matchLabels: {}}", true},
	{"{matchLabels: {app: shop}}", true},
	{"{matchLabels: {app: shop, tier: web}}", true},
	{"{matchLabels: {app: shop, tier: db}}", false},
	{"{matchLabels: {app: sho}}", false},
	{"{matchLabels: {none: shop}}", false},
	{"{matchLabels: {empty: ''}}", true},
	{"{matchLabels: {none: ''}}", false},
	{"{matchExpressions: [{key: app, operator: In, values: [x, shop]}]}", true},
	{"{matchExpressions: [{key: app, operator: In, values: [x]}]}", false},
	{"{matchExpressions: [{key: none, operator: In, values: [x]}]}", false},
	{"{matchExpressions: [{key: empty, operator: In, values: ['']}]}", true},
	{"{matchExpressions: [{key: app, operator: NotIn, values: [x]}]}", true},
	{"{matchExpressions: [{key: app, operator: NotIn, values: [x, shop]}]}", false},
	/* Also what has no such key at all. */
	{"{matchExpressions: [{key: none, operator: NotIn, values: [x]}]}", true},
	{"{matchExpressions: [{key: app, operator: Exists}]}", true},
	{"{matchExpressions: [{key: empty, operator: Exists}]}", true},
	{"{matchExpressions: [{key: none, operator: Exists}]}", false},
	{"{matchExpressions: [{key: none, operator: DoesNotExist}]}", true},
	{"{matchExpressions: [{key: app, operator: DoesNotExist}]}", false},
	{"{matchLabels: {app: shop}, matchExpressions: [{key: tier, operator: Exists}, {key: tier, "
	 "operator: NotIn, values: [db]}]}",
		true},
	{"{matchLabels: {app: shop}, matchExpressions: [{key: tier, operator: DoesNotExist}]}",
		false},
};

static void test_cases(void **state)
{
	_cleanup_(object_free) struct object *labelled =
		object_of("apiVersion: v1\nkind: Pod\n"
			  "metadata: {name: a, labels: {tier: web, app: shop, empty: ''}}\n");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *text =
			mem_format("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
				   "metadata: {name: a}\nspec: {podSelector: %s}\n",
				cases[i].selector);
		_cleanup_(object_free) struct object *policy = object_of(text);
		bool got =
			selector_matches(&object_network_policy(policy)->pods, &labelled->labels);

		check_case(cases[i].selector, got ? "matches" : "does not",
			cases[i].wanted ? "matches" : "does not");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
