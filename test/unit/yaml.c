/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/json.h"
#include "base/text.h"
#include "check.h"

/* What sigs.k8s.io/yaml makes of a plain scalar; as JSON. */
static const struct {
	const char *scalar, *wanted; /* NULL: refused */
} scalar_cases[] = {
	{"text", "\"text\""},
	{"NO", "false"},
	{"No", "false"},
	{"no", "false"},
	{"n", "false"},
	{"N", "false"},
	{"nO", "\"nO\""},
	{"off", "false"},
	{"Off", "false"},
	{"OFF", "false"},
	{"yes", "true"},
	{"YES", "true"},
	{"y", "true"},
	{"Y", "true"},
	{"on", "true"},
	{"true", "true"},
	{"TRUE", "true"},
	{"tRUE", "\"tRUE\""},
	{"False", "false"},
	{"~", "null"},
	{"null", "null"},
	{"Null", "null"},
	{"nil", "\"nil\""},
	{"0", "0"},
	{"-0", "0"},
	{"0777", "511"},
	{"012", "10"},
	{"089", "89"},
	{"0o10", "8"},
	{"0O10", "8"},
	{"0o8", "\"0o8\""},
	{"0x1F", "31"},
	{"0X1f", "31"},
	{"-0x1F", "-31"},
	{"0x", "\"0x\""},
	{"0x0x1", "\"0x0x1\""},
	{"0b11", "3"},
	{"-0b11", "-3"},
	{"0b2", "\"0b2\""},
	{"1_000", "1000"},
	{"_1", "\"_1\""},
	{"+7", "7"},
	{"-7", "-7"},
	{"--7", "\"--7\""},
	{"+-7", "\"+-7\""},
	{"- 7", NULL}, /* a list within a value */
	{"1e3", "1000"},
	{"1E3", "1000"},
	{"1e-3", "0.001"},
	{"1.5", "1.5"},
	{"1.", "1"},
	{".5", "0.5"},
	{"-.5", "-0.5"},
	{".", "\".\""},
	{"1.2.3", "\"1.2.3\""},
	{"1e", "\"1e\""},
	{"1:30", "\"1:30\""},
	{"2026-01-01", "\"2026-01-01\""},
	{"2026-01-01T00:00:00Z", "\"2026-01-01T00:00:00Z\""},
	{"10.0.0.1", "\"10.0.0.1\""},
	{"10.0.0.0/8", "\"10.0.0.0/8\""},
	{"9223372036854775807", "9223372036854775807"},
	{"-9223372036854775808", "-9223372036854775808"},
	{"9223372036854775808", NULL},
	{"18446744073709551616", "1.8446744073709552e19"},
	{".inf", NULL},
	{"-.Inf", NULL},
	{".NaN", NULL},
	{"1e999", "\"1e999\""},
	{".5_0", "0.5"},
	{".5_", "\".5_\""},
	{"0.6", "0.6"},
	{"infinity", "\"infinity\""},
	{"0x1p3", "\"0x1p3\""},
	{"<<", "\"<<\""},
	{"=", "\"=\""},
	{"'012'", "\"012\""},
	{"\"yes\"", "\"yes\""},
	{"!!str 012", "\"012\""},
	{"! 012", "\"012\""},
	{"!!int 012", "10"},
	{"!!bool yes", "true"},
	{"!!binary aGk=", NULL},
	{"!custom x", NULL},
	{"\"a\\0b\"", NULL},
};

static void test_scalars(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(scalar_cases); i++) {
		_free_ char *text = mem_format("v: %s\n", scalar_cases[i].scalar), *got = NULL;
		_json_ json_t *tree = NULL;

		if (yaml_read_one(text, strlen(text), &tree, NULL) == 0)
			got = json_write(json_object_get(tree, "v"));
		check_case(scalar_cases[i].scalar, got, scalar_cases[i].wanted);
	}
}

/* Documents as JSON, refusals in <>, joined by a space; a text that is refused as a whole in (). */
static char *read_all(const char *text, size_t length)
{
	_cleanup_(yaml_documents_clear) struct yaml_documents documents = {0};
	/* Without a NUL behind it, so that a read too far is found. */
	_free_ char *exact = mem_copy(text, length);
	struct text all = {0};
	struct err err = {0};

	if (yaml_read(exact, length, &documents, &err) < 0)
		return mem_format("(%s)", err.text);
	for (size_t i = 0; i < documents.count; i++) {
		const struct yaml_document *document = &documents.list[i];
		_free_ char *tree = document->tree ? json_write(document->tree) : NULL;

		text_printf(&all, "%s%zu:", i ? " " : "", document->line);
		if (tree)
			text_append(&all, tree);
		else
			text_printf(&all, "<%s>", document->reason);
	}
	return text_take(&all);
}

static const struct {
	const char *text, *wanted;
} document_cases[] = {
	{"", ""},
	{"\n# only this\n", ""},
	{"---\n---\n", ""},
	{"a: 1\n---\nb: 2\n...\n---\nc: 3\n", "1:{\"a\":1} 2:{\"b\":2} 5:{\"c\":3}"},
	{"\xef\xbb\xbf"
	 "a: 1",
		"1:{\"a\":1}"},
	{"a: 1\r\nb: 2\r\n", "1:{\"a\":1,\"b\":2}"},
	{"a:\nb: {}\nc: []\nd: ''\n", "1:{\"a\":null,\"b\":{},\"c\":[],\"d\":\"\"}"},
	{"1: a\ntrue: b\n1.5: c\nNO: d\n",
		"1:{\"1\":\"a\",\"true\":\"b\",\"1.5\":\"c\",\"false\":\"d\"}"},
	{"~: a\n", "1:<line 1: a key is no string>"},
	{"? [a]\n: b\n", "1:<line 1: a key is no string>"},
	{"a: 1\nb: 2\na: 3\n", "1:<line 3: the key \"a\" is given twice>"},
	{"1: a\n'1': b\n", "1:<line 2: the key \"1\" is given twice>"},
	{"a: 1\n---\nb: {c: 1, c: 2}\n---\nd: 1\n",
		"1:{\"a\":1} 2:<line 3: the key \"c\" is given twice> 4:{\"d\":1}"},
	{"a: &x [1, &y 2]\nb: *x\nc: *y\n", "1:{\"a\":[1,2],\"b\":[1,2],\"c\":2}"},
	{"a: &x 1\nb: &x 2\nc: *x\n", "1:{\"a\":1,\"b\":2,\"c\":2}"},
	{"a: &x {b: *x}\n", "1:<line 1: an alias to what is not there, or not complete>"},
	{"a: &x 1\n---\nb: *x\n",
		"1:{\"a\":1} 2:<line 3: an alias to what is not there, or not complete>"},
	{"d: &d {a: 1, b: 2}\ne: {<<: *d, b: 3}\n",
		"1:{\"d\":{\"a\":1,\"b\":2},\"e\":{\"b\":3,\"a\":1}}"},
	{"e: {<<: [{a: 1}, {a: 2, b: 2}], c: 3}\n", "1:{\"e\":{\"c\":3,\"a\":1,\"b\":2}}"},
	{"e: {<<: 1}\n", "1:<line 1: << wants a mapping or a list of mappings>"},
	{"a: |\n  two\n  lines\nb: >-\n  one\n  line\n",
		"1:{\"a\":\"two\\nlines\\n\",\"b\":\"one line\"}"},
	{"{\"a\": \"\\ud83d\\ude00\", \"b\": \"\\/\"}",
		"1:{\"a\":\"\xf0\x9f\x98\x80\",\"b\":\"/\"}"},
	{" {a: NO}", "1:{\"a\":false}"},
	{"[1, 2", "(line 1, column 5: ']' expected near end of file)"},
	{"{\"a\": 1, \"a\": 2}", "1:<line 1: the key \"a\" is given twice>"},
	{"a: b: c\n", "(line 1, column 5: mapping values are not allowed in this context)"},
	{"a: 1\n\tb: 2\n", "(line 2, column 1: found a tab character that violates indentation "
			   "while scanning a plain scalar)"},
	{"a: 1\na: 2\n---\n[", /* refused first, then broken */
		"(line 5, column 1: did not find expected node content while parsing a flow node)"},
	{"a: \"b\n", "(line 2, column 1: found unexpected end of stream while scanning a quoted "
		     "scalar)"},
	{"a: \xff\n", "(line 1: no UTF-8)"},
	{"a: 1\n\xc3", "(line 2: no UTF-8)"},
	{"a: \x01\n", "(line 1, column 1: control characters are not allowed)"},
	{"%YAML 3.0\n---\na: 1\n", "(line 1, column 1: found incompatible YAML document)"},
};

static void test_documents(void **state)
{
	_free_ char *nul = read_all("a: 1\nb: \0\n", 10);

	for (size_t i = 0; i < ARRAY_SIZE(document_cases); i++) {
		_free_ char *got = read_all(document_cases[i].text, strlen(document_cases[i].text));

		check_case(document_cases[i].text, got, document_cases[i].wanted);
	}
	assert_string_equal(nul, "(line 2: a NUL byte)");
}

/* A short text that would unfold to 10^9 values, and one that is too deep. */
static void test_limits(void **state)
{
	_text_ struct text laughs = {0}, deep = {0}, folded = {0};
	_free_ char *got = NULL, *got_deep = NULL, *got_folded = NULL;

	text_append(&laughs, "a0: &a0 x\n");
	for (int i = 1; i < 10; i++)
		text_printf(&laughs,
			"a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
			i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	got = read_all(laughs.data, laughs.length);
	assert_string_equal(got, "(line 7: more than 1000000 values)");

	for (int i = 0; i < 100; i++)
		text_append(&deep, "- ");
	got_deep = read_all(deep.data, deep.length);
	assert_string_equal(got_deep, "1:<line 1: more than 64 levels>");

	/* Each line one level more, by an alias to the line before. */
	text_append(&folded, "a0: &a0 [x]\n");
	for (int i = 1; i < 100; i++)
		text_printf(&folded, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	got_folded = read_all(folded.data, folded.length);
	assert_string_equal(got_folded, "1:<line 63: more than 64 levels>");
}

static void repeat(struct text *text, const char *part, unsigned int times)
{
	for (unsigned int i = 0; i < times; i++)
		text_append(text, part);
}

/* What is far too deep ends the reader: libyaml takes as long for each event as it is deep. */
static void test_far_too_deep(void **state)
{
	static const struct {
		const char *open, *close;
	} cases[] = {{"[", "]"}, {"{a: ", "}"}, {"- ", ""}, {"? ", ""}, {"!!str [", "]"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_text_ struct text text = {0};
		_free_ char *got = NULL;

		text_append(&text, "a: 1\n---\n");
		repeat(&text, cases[i].open, 20000);
		repeat(&text, cases[i].close, 20000);
		got = read_all(text.data, text.length);
		check_case(cases[i].open, got, "(line 3: more than 64 levels)");
	}
}

/* In one document or in many, read or skipped: a million values and no more. */
static void test_far_too_many(void **state)
{
	static const struct {
		const char *head, *part, *tail, *wanted;
	} cases[] = {
		{"a: [!x y, ", "b,", "]\n", "(line 1: more than 1000000 values)"},
		{"", "--- {}\n", "", "(line 333334: more than 1000000 values)"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_text_ struct text text = {0};
		_free_ char *got = NULL;

		text_append(&text, cases[i].head);
		repeat(&text, cases[i].part, 1000001);
		text_append(&text, cases[i].tail);
		got = read_all(text.data, text.length);
		check_case(cases[i].head, got, cases[i].wanted);
	}
}

static void test_one(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"", "{}"},
		{"a: 1\n", "{\"a\":1}"},
		{"a: 1\n---\nb: 1\n", "line 2: a second document; one is read"},
		{"a: 1\na: 1\n", "line 2: the key \"a\" is given twice"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ json_t *tree = NULL;
		_free_ char *got = NULL;
		struct err err = {0};

		if (yaml_read_one(cases[i].text, strlen(cases[i].text), &tree, &err) == 0)
			got = json_write(tree);
		check_case(cases[i].text, got ? got : err.text, cases[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_far_too_deep),
		cmocka_unit_test(test_far_too_many),
		cmocka_unit_test(test_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
