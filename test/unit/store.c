/* SPDX-License-Identifier: Apache-2.0 */
#include "model/store.h"

#include "base/text.h"
#include "objects.h"

static struct object *pod(const char *namespace, const char *name, const char *node)
{
	_free_ char *text =
		mem_format("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s}\n"
			   "spec: {nodeName: %s}\n",
			name, namespace, node);

	return object_of(text);
}

static void check_keys(struct store *store, const char *wanted)
{
	_text_ struct text text = {0};
	const struct object *object;

	for (size_t at = 0; (object = store_next(store, KIND_POD, &at));)
		text_printf(&text, "%s/%s ", object->namespace, object->name);
	assert_string_equal(text_string(&text), wanted);
}

static void test_put(void **state)
{
	_cleanup_(store_clear) struct store store = {0};
	struct object *first = pod("b", "x", "alpha"), *same = pod("b", "x", "alpha");
	struct object *changed = pod("b", "x", "beta"), *old = NULL,
		      *again = pod("b", "x", "alpha");
	const struct object *kept = first;

	assert_int_equal(store_put(&store, &first, NULL), STORE_ADDED);
	assert_null(first);
	assert_int_equal(store_put(&store, &same, &old), STORE_UNCHANGED);
	assert_null(same);
	assert_null(old);
	assert_ptr_equal(store_get(&store, KIND_POD, "b", "x"), kept);
	assert_int_equal(store_put(&store, &changed, &old), STORE_CHANGED);
	assert_ptr_equal(old, kept);
	object_free(&old);
	assert_int_equal(store_put(&store, &again, NULL), STORE_CHANGED);
	assert_int_equal(store_count(&store, KIND_POD), 1);
}

static void test_remove_and_order(void **state)
{
	_cleanup_(store_clear) struct store store = {0};
	struct object *objects[] = {
		pod("b", "x", "alpha"), pod("a", "z", "alpha"), pod("b", "a", "alpha")};
	struct object *removed, *changed = pod("b", "x", "beta"), *late = pod("a", "a", "alpha");

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		store_put(&store, &objects[i], NULL);
	check_keys(&store, "a/z b/a b/x ");
	store_put(&store, &changed, NULL);
	removed = store_remove(&store, KIND_POD, "b", "a");
	assert_string_equal(removed->name, "a");
	object_free(&removed);
	assert_null(store_remove(&store, KIND_POD, "b", "a"));
	check_keys(&store, "a/z b/x ");
	store_put(&store, &late, NULL);
	check_keys(&store, "a/a a/z b/x ");
}

static void test_kinds_are_apart(void **state)
{
	_cleanup_(store_clear) struct store store = {0};
	struct object *node = object_of("apiVersion: v1\nkind: Node\nmetadata: {name: a}\n");
	struct object *namespace =
		object_of("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n");

	assert_int_equal(store_put(&store, &node, NULL), STORE_ADDED);
	assert_int_equal(store_put(&store, &namespace, NULL), STORE_ADDED);
	assert_int_equal(store_get(&store, KIND_NODE, NULL, "a")->kind, KIND_NODE);
	assert_int_equal(store_get(&store, KIND_NAMESPACE, NULL, "a")->kind, KIND_NAMESPACE);
	assert_null(store_get(&store, KIND_POD, NULL, "a"));
}

static struct object *slice(const char *name, const char *service)
{
	_free_ char *text = mem_format("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
				       "metadata: {name: %s, labels: {kubernetes.io/service-name: %s}}\n"
				       "addressType: IPv4\n",
		name, service);

	return object_of(text);
}

/* Slices are found by their Service, wherever a change of their label takes them. */
static void test_slices(void **state)
{
	_cleanup_(store_clear) struct store store = {0};
	struct object *first = slice("a", "web"), *second = slice("b", "web");
	struct object *moved = slice("a", "log"), *gone;
	const struct endpoint_slice *const *list;

	assert_int_equal(store_slices(&store, "default", "web", &list), 0);
	store_put(&store, &first, NULL);
	store_put(&store, &second, NULL);
	assert_int_equal(store_slices(&store, "default", "web", &list), 2);
	assert_int_equal(store_slices(&store, "other", "web", &list), 0);
	store_put(&store, &moved, NULL);
	assert_int_equal(store_slices(&store, "default", "web", &list), 1);
	assert_string_equal(list[0]->object.name, "b");
	assert_int_equal(store_slices(&store, "default", "log", &list), 1);
	assert_string_equal(list[0]->object.name, "a");
	gone = store_remove(&store, KIND_ENDPOINT_SLICE, "default", "b");
	object_free(&gone);
	assert_int_equal(store_slices(&store, "default", "web", &list), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_remove_and_order),
		cmocka_unit_test(test_kinds_are_apart),
		cmocka_unit_test(test_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
