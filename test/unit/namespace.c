/* SPDX-License-Identifier: Apache-2.0 */
#include "model/namespace.h"

#include "objects.h"

static const struct object_case cases[] = {
	{"bare", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n", NULL},
	{"dot", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n",
		"metadata.name: \"a.b\" is no name of a Namespace; use at most 63 of a-z 0-9 '-'"},
	{"label", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {b: true}}\n",
		"metadata.labels.b: true is no string; put it in quotes"},
	{"label's key", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x/: b}}\n",
		"metadata.labels[x/]: is no key of a label; use [DNS.NAME/]NAME with at most 63 of "
		"A-Z a-z "
		"0-9 '-' '_' '.'"},
	{"label's value",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: a b}}\n",
		"metadata.labels.x: \"a b\" is no value of a label; use at most 63 of A-Z a-z 0-9 "
		"'-' '_' "
		"'.'"},
	{"label without value",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {x: }}\n", NULL},
};

static void test_cases(void **state)
{
	check_objects(cases, ARRAY_SIZE(cases));
}

static void test_name_label(void **state)
{
	static const char *const texts[] = {
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b, zone: "
		"c}}\n",
		"apiVersion: v1\nkind: Namespace\n"
		"metadata: {name: shop, labels: {zone: c, kubernetes.io/metadata.name: shop}}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(object_free) struct object *object = object_of(texts[i]);

		assert_string_equal(
			labels_get(&object->labels, "kubernetes.io/metadata.name"), "shop");
		if (i > 0)
			assert_string_equal(labels_get(&object->labels, "zone"), "c");
		assert_non_null(object_namespace_const(object));
		assert_null(object->namespace);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_name_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
