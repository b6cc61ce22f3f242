/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "check.h"

static const struct {
	const char *json, *wanted;
} cases[] = {
	{"{}", "{}\n"},
	{"{\"a\": {}, \"b\": []}", "a: {}\nb: []\n"},
	{"{\"a\": [1, {\"b\": true, \"c\": null}]}", "a:\n- 1\n- b: true\n  c: null\n"},
	{"{\"a\": \"text\", \"b\": \"two words\"}", "a: text\nb: two words\n"},
	{"{\"a\": \"yes\", \"b\": \"012\", \"c\": \"\", \"d\": \"~\"}",
		"a: 'yes'\nb: '012'\nc: ''\nd: '~'\n"},
	{"{\"80\": \"x\", \"on\": 1}", "'80': x\n'on': 1\n"},
	{"{\"a\": \"two\\nlines\\n\"}", "a: \"two\\nlines\\n\"\n"},
	{"{\"a\": \"10.0.0.0/8\", \"b\": \"fd00::/64\"}", "a: 10.0.0.0/8\nb: fd00::/64\n"},
	{"{\"a\": 1.5}", "a: 1.5\n"},
};

static json_t *tree_of(const char *text)
{
	json_t *tree = NULL;

	assert_int_equal(json_read(text, strlen(text), &tree, NULL), 0);
	return tree;
}

static void check_same(const json_t *tree, const char *text)
{
	_json_ json_t *again = NULL;
	struct err err = {0};

	if (yaml_read_one(text, strlen(text), &again, &err) < 0)
		fail_msg("%s\n%s", err.text, text);
	if (!json_equal(tree, again))
		fail_msg("not the same:\n%s", text);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ json_t *tree = tree_of(cases[i].json);
		_free_ char *text = yaml_write(tree);

		check_case(cases[i].json, text, cases[i].wanted);
		check_same(tree, text);
	}
}

/* Pieces that mean something in YAML, put together at random. */
static char *random_string(uint64_t *seed)
{
	static const char *const pieces[] = {"a", "b", " ", "  ", "\n", "\t", ":", ": ", "#", " #",
		"-", "- ", "?", "!", "&", "*", "|", ">", "'", "\"", "\\", "{", "}", "[", "]", ",",
		"%", "@", "`", "~", "---", "...", "<<", "=", "0", "1", ".", "x", "e", "yes", "null",
		"\x01", "\x7f", "\r", "\xc2\x85", "\xc2\xa0", "\xe2\x80\xa8", "\xef\xbb\xbf",
		"\xc3\xa4", "\xf0\x9f\x98\x80"};
	struct text text = {0};

	for (uint32_t left = check_random(seed) % 6; left > 0; left--)
		text_append(&text, pieces[check_random(seed) % ARRAY_SIZE(pieces)]);
	return text_take(&text);
}

static json_t *random_tree(uint64_t *seed, int depth)
{
	uint32_t kind = check_random(seed) % (depth > 0 ? 6 : 4), left = check_random(seed) % 4;
	_free_ char *string = random_string(seed);
	json_t *tree;

	switch (kind) {
	case 0:
		return json_integer((json_int_t)check_random(seed) - (1 << 30));
	case 1:
		return json_boolean(check_random(seed) % 2);
	case 2:
		return json_real(check_random(seed) % 1000 + 0.25);
	case 3:
		return json_string(string);
	case 4:
		tree = json_array();
		for (; left > 0; left--)
			json_array_append_new(tree, random_tree(seed, depth - 1));
		return tree;
	default:
		tree = json_object();
		for (; left > 0; left--) {
			_free_ char *key = random_string(seed);

			json_object_set_new(tree, key, random_tree(seed, depth - 1));
		}
		return tree;
	}
}

static void test_reads_back(void **state)
{
	uint64_t seed = 11;

	for (int i = 0; i < 20000; i++) {
		_json_ json_t *tree = json_object();
		_free_ char *text = NULL;

		json_object_set_new(tree, "value", random_tree(&seed, 4));
		text = yaml_write(tree);
		check_same(tree, text);
	}
}

static void test_long(void **state)
{
	_free_ char *key = mem_new(1, 3001), *text = NULL;
	_json_ json_t *tree = json_object();

	for (int i = 0; i < 3000; i++)
		key[i] = "word "[i % 5];
	key[2999] = 'x';
	json_object_set_new(tree, key, json_string(key));
	text = yaml_write(tree);
	check_same(tree, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_reads_back),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
