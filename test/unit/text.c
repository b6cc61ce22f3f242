/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "check.h"

static void test_grow(void **state)
{
	_text_ struct text text = {0};
	_free_ char *taken = NULL;

	assert_string_equal(text_string(&text), "");
	for (int i = 0; i < 1000; i++)
		text_printf(&text, "%d,", i % 10);
	assert_int_equal(text.length, 2000);
	assert_int_equal(strlen(text.data), 2000);
	text_append(&text, "end");
	taken = text_take(&text);
	assert_string_equal(taken + 2000, "end");
	assert_string_equal(text_string(&text), "");
	free(text_take(&text));
}

static void test_pad(void **state)
{
	_text_ struct text text = {0};

	text_append(&text, "ab");
	text_pad(&text, 4);
	text_append(&text, "|\n\xc3\xa4");
	text_pad(&text, 3);
	text_append(&text, "|");
	text_pad(&text, 1);
	assert_string_equal(text_string(&text), "ab  |\n\xc3\xa4  |");
}

static void test_safe(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "plain"},
		{"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
			"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"red \x1b[31m", "red \\x1b[31m"},
		{"two\nlines\ttab\x7f", "two\\x0alines\\x09tab\\x7f"},
		{"c1 \xc2\x9b!", "c1 \\xc2\\x9b!"},
		{"turn \xe2\x80\xae!", "turn \\xe2\\x80\\xae!"},
		{"broken \xc3", "broken \\xc3"},
		{"long form \xc0\xaf", "long form \\xc0\\xaf"},
		{"surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80"},
		{"beyond \xf4\x90\x80\x80", "beyond \\xf4\\x90\\x80\\x80"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_text_ struct text text = {0};

		text_append_safe(&text, cases[i].in);
		check_case(cases[i].in, text_string(&text), cases[i].out);
	}
}

static void test_utf8(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int offset; /* -1: it is UTF-8 */
	} cases[] = {
		{"", 0, -1},
		{"a\0b", 3, -1},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, -1},
		{"a\xff", 2, 1},
		{"a\xc3", 2, 1},
		{"\xc3\xa4\xe2\x82", 4, 2},
		{"\x80", 1, 0},
		{"\xe0\x80\xaf", 3, 0},
		{"\xf8\x88\x80\x80\x80", 5, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t offset = 99;
		bool good = text_is_utf8(cases[i].bytes, cases[i].size, &offset);

		assert_int_equal(good, cases[i].offset < 0);
		assert_int_equal(offset, cases[i].offset < 0 ? 99 : cases[i].offset);
	}
	assert_int_equal(text_line_at("a\nb\nc", 0), 1);
	assert_int_equal(text_line_at("a\nb\nc", 4), 3);
}

#define TEN "abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN

static void test_names(void **state)
{
	enum { LABEL = 1, SUBDOMAIN = 2, PORT = 4, KEY = 8, VALUE = 16 };
	static const struct {
		const char *name;
		int wanted;
	} cases[] = {
		{"web-0", LABEL | SUBDOMAIN | PORT | KEY | VALUE},
		{"0", LABEL | SUBDOMAIN | KEY | VALUE},
		{"a.b", SUBDOMAIN | KEY | VALUE},
		{"a..b", KEY | VALUE},
		{".a", 0},
		{"a.", 0},
		{"-a", 0},
		{"a-", 0},
		{"a--b", LABEL | SUBDOMAIN | KEY | VALUE},
		{"A", KEY | VALUE},
		{"a_b", KEY | VALUE},
		{"", VALUE},
		{"a/b", KEY},
		{"app.kubernetes.io/name", KEY},
		{"App.io/name", 0},
		{"a/b/c", 0},
		{"/b", 0},
		{"a/", 0},
		{"a b", 0},
		{"\xc3\xa4", 0},
		{"../../etc", 0},
		{SIXTY "abc", LABEL | SUBDOMAIN | KEY | VALUE},
		{SIXTY "abcd", SUBDOMAIN},
		{SIXTY SIXTY SIXTY SIXTY TEN "abc", SUBDOMAIN},
		{SIXTY SIXTY SIXTY SIXTY TEN "abcd", 0},
		{"abcdefghijklmno", LABEL | SUBDOMAIN | PORT | KEY | VALUE},
		{"abcdefghijklmnop", LABEL | SUBDOMAIN | KEY | VALUE},
		{"12345", LABEL | SUBDOMAIN | KEY | VALUE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *name = cases[i].name;
		int got = name_is_label(name) * LABEL + name_is_subdomain(name) * SUBDOMAIN +
			  name_is_port(name) * PORT + name_is_label_key(name) * KEY +
			  name_is_label_value(name) * VALUE;

		if (got != cases[i].wanted)
			print_error("name: %s\n", name);
		assert_int_equal(got, cases[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_pad),
		cmocka_unit_test(test_safe),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
