/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/text.h"

#include "check.h"

static const struct {
	const char *name, *text;
	size_t length; /* 0: of the text */
	const char *error; /* NULL: read; else how the error begins, as the words are jansson's */
} read_cases[] = {
	{"object", "{\"a\": [1, 2.5, true, null, \"x\"]}", 0, NULL},
	{"scalar", "12", 0, NULL},
	{"spaces around", " \n[] \n", 0, NULL},
	{"empty", "", 0, "line 1, column 0: "},
	{"more behind", "{} {}", 0, "line 1, column 4: "},
	{"truncated", "{\"a\":", 0, "line 1, column 5: "},
	{"key twice", "{\"a\": 1,\n\"a\": 2}", 0, "line 2, column 3: "},
	{"NUL", "{\"a\":\n1\0}", 9, "line 2: a NUL byte"},
	{"NUL in a string", "\"a\0\"", 4, "line 1: a NUL byte"},
	{"escaped NUL", "\"\\u0000\"", 0, "line 1, column 8: "},
	{"no UTF-8", "\"\xff\"", 0, "line 1, column 1: "},
	{"too big", "[9223372036854775808]", 0, "line 1, column 20: "},
	{"brackets in strings", "\"[[[[\\\"[[[[\"", 0, NULL},
	{"comma", "[1,]", 0, "line 1, column 4: "},
	{"comment", "[] // x", 0, "line 1, column 4: "},
};

static void test_read(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(read_cases); i++) {
		_json_ json_t *tree = NULL;
		struct err err = {0};
		size_t length =
			read_cases[i].length ? read_cases[i].length : strlen(read_cases[i].text);
		/* Without a NUL behind it, so that a read too far is found. */
		_free_ char *exact = mem_copy(read_cases[i].text, length);
		int r = json_read(exact, length, &tree, &err);

		if (read_cases[i].error)
			err.text[strlen(read_cases[i].error)] = '\0';
		check_case(read_cases[i].name, r < 0 ? err.text : NULL, read_cases[i].error);
		assert_int_equal(tree != NULL, r == 0);
	}
}

static void test_depth(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1)];

	for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
		_json_ json_t *tree = NULL;
		struct err err = {0};
		int r;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		r = json_read(text, 2 * depth, &tree, &err);
		assert_int_equal(r == 0, depth == JSON_DEPTH_MAX);
		if (r < 0)
			assert_string_equal(err.text, "line 1: more than 64 levels");
	}
}

static void test_number_of_values(void **state)
{
	for (size_t values = JSON_VALUES_MAX; values <= JSON_VALUES_MAX + 1; values++) {
		_text_ struct text text = {0};
		_json_ json_t *tree = NULL;
		struct err err = {0};
		int r;

		text_append(&text, "[\",,,\""); /* the list is one, the string another */
		for (size_t i = 2; i < values; i++)
			text_append(&text, ",1");
		text_append(&text, "]");
		r = json_read(text.data, text.length, &tree, &err);
		assert_int_equal(r == 0, values == JSON_VALUES_MAX);
		if (r < 0)
			assert_string_equal(err.text, "line 1: more than 1000000 values");
	}
}

static json_t *tree_of(const char *text)
{
	json_t *tree = NULL;
	struct err err = {0};

	if (json_read(text, strlen(text), &tree, &err) < 0)
		fail_msg("%s", err.text);
	return tree;
}

static const char sample[] =
	"{\"text\": \"x\", \"number\": 70000, \"yes\": true, \"nothing\": null, "
	"\"list\": [1, {\"inner\": []}], \"object\": {\"app.io/name\": 1}, "
	"\"long\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaa\"}";

static void test_getters(void **state)
{
	_json_ json_t *tree = tree_of(sample);
	struct json_at root = json_root(tree), list, object;
	const char *text = "default";
	bool flag = false;
	int64_t number = 0;
	uint16_t port = 7;

	assert_int_equal(json_get_string(&root, "none", JSON_OPTIONAL, &text, NULL), 0);
	assert_string_equal(text, "default");
	assert_int_equal(json_get_string(&root, "nothing", JSON_OPTIONAL, &text, NULL), 0);
	assert_string_equal(text, "default");
	assert_int_equal(json_get_string(&root, "text", JSON_REQUIRED, &text, NULL), 0);
	assert_string_equal(text, "x");
	assert_int_equal(json_get_bool(&root, "yes", JSON_OPTIONAL, &flag, NULL), 0);
	assert_true(flag);
	assert_int_equal(json_get_int(&root, "number", JSON_OPTIONAL, 0, 100000, &number, NULL), 0);
	assert_int_equal(number, 70000);
	assert_int_equal(json_get_port(&root, "none", JSON_OPTIONAL, &port, NULL), 0);
	assert_int_equal(port, 7);
	assert_int_equal(json_get_array(&root, "list", JSON_REQUIRED, &list, NULL), 0);
	assert_int_equal(json_array_size(list.value), 2);
	assert_int_equal(json_get_object(&root, "none", JSON_OPTIONAL, &object, NULL), 0);
	assert_null(object.value);
}

static void check_error(int result, const struct err *err, const char *wanted)
{
	assert_true(result < 0);
	check_case("getter", err->text, wanted);
}

static void test_errors(void **state)
{
	_json_ json_t *tree = tree_of(sample);
	struct json_at root = json_root(tree), list = json_member(&root, "list");
	struct json_at element = json_element(&list, 1), object = json_member(&root, "object"), any;
	struct json_at last = json_element(&list, 0);
	struct err err = {0};
	const char *text;
	int64_t number;
	uint16_t port;
	bool flag;

	check_error(json_get_string(&root, "nothing", JSON_REQUIRED, &text, &err), &err,
		"nothing: is missing");
	check_error(json_get_string(&root, "number", JSON_OPTIONAL, &text, &err), &err,
		"number: 70000 is no string; put it in quotes");
	check_error(json_get_port(&root, "number", JSON_OPTIONAL, &port, &err), &err,
		"number: 70000 is no port; use 1 to 65535");
	check_error(json_get_int(&root, "text", JSON_OPTIONAL, 1, 5, &number, &err), &err,
		"text: \"x\" is no number that is allowed here; use 1 to 5");
	check_error(json_get_bool(&root, "text", JSON_OPTIONAL, &flag, &err), &err,
		"text: \"x\" is neither true nor false");
	check_error(json_get_array(&root, "object", JSON_OPTIONAL, &any, &err), &err,
		"object: an object is no list");
	check_error(json_get_object(&element, "inner", JSON_OPTIONAL, &any, &err), &err,
		"list[1].inner: a list is no object");
	check_error(json_get_object(&object, "app.io/name", JSON_OPTIONAL, &any, &err), &err,
		"object[app.io/name]: 1 is no object");
	check_error(json_get_bool(&root, "long", JSON_OPTIONAL, &flag, &err), &err,
		"long: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\" "
		"is neither "
		"true nor false");
	check_error(json_as_string(&last, &text, &err), &err,
		"list[0]: 1 is no string; put it in quotes");
	check_error(json_error(&root, &err, "text alone"), &err, "text alone");
}

static void test_write(void **state)
{
	_json_ json_t *tree = tree_of("{\"b\": 1, \"a\": [\"\xc3\xa4\"]}");
	_free_ char *text = json_write(tree), *pretty = json_write_pretty(tree);

	assert_string_equal(text, "{\"b\":1,\"a\":[\"\xc3\xa4\"]}");
	assert_string_equal(pretty, "{\n  \"b\": 1,\n  \"a\": [\n    \"\xc3\xa4\"\n  ]\n}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_number_of_values),
		cmocka_unit_test(test_getters),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
