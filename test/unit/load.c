/* SPDX-License-Identifier: Apache-2.0 */
#include "model/load.h"

#include "base/text.h"
#include "check.h"

#define POD(name) "apiVersion: v1\nkind: Pod\nmetadata: {name: " name "}\n"

static size_t load(struct load_result *result, const char *source, const char *text)
{
	return objects_load(text, strlen(text), source, result);
}

/* "objects | refusals | ignored", each joined by ", ". */
static char *summary(const struct load_result *result)
{
	struct text text = {0};
	const struct hash_entry *entry;

	for (size_t i = 0; i < result->objects.count; i++) {
		_free_ char *title = object_title(result->objects.list[i].object);

		text_printf(&text, "%s%s", i ? ", " : "", title);
	}
	text_append(&text, " |");
	for (size_t i = 0; i < result->refusals.count; i++) {
		_free_ char *refusal = refusal_text(&result->refusals.list[i]);

		text_printf(&text, "%s %s", i ? "," : "", refusal);
	}
	text_append(&text, " |");
	for (size_t at = 0; (entry = hash_next(&result->ignored, &at));)
		text_printf(&text, " %s", entry->key);
	return text_take(&text);
}

static const struct {
	const char *name, *text, *wanted;
} cases[] = {
	{"empty", "", " | |"},
	{"comments", "# nothing\n---\n# here\n", " | |"},
	{"two documents", POD("a") "---\n" POD("b"), "Pod default/a, Pod default/b | |"},
	{"JSON", "{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"a\"}}",
		"Node a | |"},
	{"a bad one between", POD("a") "---\n" POD("B") "---\n" POD("c"),
		"Pod default/a, Pod default/c | f.yaml, document 2: Pod B: metadata.name: \"B\" is "
		"no name "
		"of a Pod; use at most 253 of a-z 0-9 '-' '.' |"},
	{"twice", POD("a") "---\n" POD("a"),
		"Pod default/a | f.yaml, document 2: Pod a: is given twice; the one in f.yaml, "
		"document 1 "
		"stays in force |"},
	{"a key twice", POD("a") "---\nkind: a\nkind: b\n---\n" POD("c"),
		"Pod default/a, Pod default/c | f.yaml, document 2: line 6: the key \"kind\" is "
		"given twice "
		"|"},
	{"no object", "- 1\n",
		" | f.yaml, document 1: a list is no object; use one with apiVersion "
		"and kind |"},
	{"others",
		"apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: ConfigMap\n"
		"---\napiVersion: apps/v1\nkind: Deployment\n",
		" | | apps/v1/Deployment v1/ConfigMap"},
	{"malformed", POD("a") "---\na: [\n",
		" | f.yaml: line 6, column 1: did not find expected node content while parsing a "
		"flow node "
		"|"},
	{"truncated JSON", "{\"apiVersion\": \"v1\",",
		" | f.yaml: line 1, column 20: string or '}' "
		"expected near end of file |"},
	{"no UTF-8", "a: b\nc: \xff\n", " | f.yaml: line 2: no UTF-8 |"},
	{"list",
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: "
		"{name: "
		"a}}\n- {apiVersion: v1, kind: Pod, metadata: {}}\n- {apiVersion: v1, kind: "
		"Secret}\n",
		"Pod default/a | f.yaml, document 1: Pod: metadata.name: is missing | v1/Secret"},
	{"typed list",
		"apiVersion: v1\nkind: PodList\nitems:\n- {metadata: {name: a, namespace: b}}\n",
		"Pod b/a | |"},
	{"list in a list",
		"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: "
		"[{apiVersion: v1, kind: Node, metadata: {name: a}}]}]\n",
		"Node a | |"},
	{"empty list", "apiVersion: v1\nkind: List\nitems: []\n", " | |"},
	{"escapes", "apiVersion: v1\nkind: Pod\nmetadata: {name: \"a\\e[31m\"}\n",
		" | f.yaml, document 1: Pod a\\x1b[31m: metadata.name: \"a\\u001B[31m\" is no name "
		"of a Pod; "
		"use at most 253 of a-z 0-9 '-' '.' |"},
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(load_result_clear) struct load_result result = {0};
		size_t refusals = load(&result, "f.yaml", cases[i].text);
		_free_ char *got = summary(&result);

		check_case(cases[i].name, got, cases[i].wanted);
		assert_int_equal(refusals, result.refusals.count);
	}
}

static void test_across_sources(void **state)
{
	_cleanup_(load_result_clear) struct load_result result = {0};
	_free_ char *got = NULL;

	assert_int_equal(load(&result, "a.yaml", POD("a")), 0);
	assert_int_equal(load(&result, "b.yaml", POD("b") "---\n" POD("a")), 1);
	got = summary(&result);
	assert_string_equal(got,
		"Pod default/a, Pod default/b | b.yaml, document 2: Pod a: is given "
		"twice; the one in a.yaml, document 1 stays in force |");
}

static void test_where_it_stood(void **state)
{
	_cleanup_(load_result_clear) struct load_result result = {0};
	const struct loaded *loaded;

	load(&result, "a.yaml", POD("a") "---\n" POD("b") "---\nkind: X\napiVersion: y/v1\n");
	loaded = &result.objects.list[1];
	assert_string_equal(loaded->object->place.source, "a.yaml");
	assert_string_equal(loaded->kind, "Pod");
	assert_string_equal(loaded->namespace, "default");
	assert_string_equal(loaded->name, "b");
	assert_int_equal(loaded->document, 2);
	assert_int_equal(loaded->line, 4);
	assert_true(json_is_object(json_object_get(loaded->tree, "metadata")));
	assert_string_equal(result.others.list[0].api_version, "y/v1");
	assert_null(result.others.list[0].object);
	assert_null(result.others.list[0].name);
}

/* A prefix of a good file never harms: it is read, or refused, and nothing else. */
static void test_truncated_anywhere(void **state)
{
	static const char text[] =
		POD("a") "spec:\n  containers: [{name: x, ports: [{containerPort: 80}"
			 "]}]\n---\n{\"apiVersion\": \"v1\", \"kind\": \"Node\", "
			 "\"metadata\": {\"name\": \"\\u00e4\"}}\n";

	for (size_t length = 0; length < sizeof(text); length++) {
		_cleanup_(load_result_clear) struct load_result result = {0};

		objects_load(text, length, "f", &result);
		objects_load(text + length, sizeof(text) - 1 - length, "f", &result);
	}
}

/* Of nothing but bad objects, in documents or in a list, only so many are named. */
static void test_too_many_refusals(void **state)
{
	static const char *const forms[][3] = {
		{"", POD("Bad") "---\n", ""},
		{"apiVersion: v1\nkind: PodList\nitems:\n", "- metadata: {name: Bad}\n", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_(load_result_clear) struct load_result result = {0};
		_text_ struct text text = {0};
		_free_ char *last = NULL;

		text_append(&text, forms[i][0]);
		for (int j = 0; j < 3 * LOAD_REFUSALS_MAX; j++)
			text_append(&text, forms[i][1]);
		assert_int_equal(load(&result, "a.yaml", "kind: ["), 1);
		assert_int_equal(load(&result, "b.yaml", text.data), LOAD_REFUSALS_MAX + 1);
		last = refusal_text(&result.refusals.list[LOAD_REFUSALS_MAX + 1]);
		assert_string_equal(last,
			"b.yaml: so many objects are refused that the rest is not read");
		assert_int_equal(load(&result, "c.yaml", POD("good")), 0);
		assert_int_equal(result.objects.count, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_across_sources),
		cmocka_unit_test(test_where_it_stood),
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_too_many_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
