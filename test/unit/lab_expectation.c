/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/check.h"

#include "lab.h"
#include "lab/options.h"

static int parse(const char *yaml, struct expectations *ret_expectations, struct err *err)
{
	_json_ json_t *tree = NULL;

	if (yaml_read_one(yaml, strlen(yaml), &tree, err) < 0)
		return -err->code;
	return expectations_parse(tree, ret_expectations, err);
}

static void test_full(void **state)
{
	struct expectations all;
	struct err err = {0};
	const struct expectation *e;

	assert_int_equal(parse("check:\n"
			       "- {from: outside, to: x/p}\n"
			       "- {from: x/p, to: 10.0.0.1, port: 53, protocol: udp, family: ipv4, "
			       "expect: reachable, source: 10.0.0.2}\n"
			       "- {from: n1, to: svc/x/s, port: 80, expect: refused}\n",
				 &all, &err),
		0);
	assert_int_equal(all.count, 3);
	e = &all.list[0];
	assert_string_equal(e->from, "outside");
	assert_true(e->families[FAMILY_IPV4] && e->families[FAMILY_IPV6]);
	assert_int_equal(e->outcome, PROBE_REACHED);
	assert_int_equal(e->port, 0);
	e = &all.list[1];
	assert_true(e->is_udp && e->families[FAMILY_IPV4] && !e->families[FAMILY_IPV6]);
	assert_int_equal(e->source, CHECK_SOURCE_ADDRESS);
	assert_int_equal(all.list[2].outcome, PROBE_REFUSED);
	expectations_clear(&all);
}

static void test_refused(void **state)
{
	static const struct {
		const char *yaml, *reason;
	} cases[] = {
		{"[]", "list of expectations"},
		{"{}", "check"},
		{"[1]", "object"},
		{"[{to: b}]", "from"},
		{"[{from: a}]", "to"},
		{"[{from: a, to: b, prot: TCP}]", "prot"},
		{"[{from: a, to: b, port: 0}]", "port"},
		{"[{from: a, to: b, port: 70000}]", "port"},
		{"[{from: a, to: b, protocol: SCTP}]", "TCP or UDP"},
		{"[{from: a, to: b, family: ipx}]", "ipv4"},
		{"[{from: a, to: b, expect: maybe}]", "refused"},
		{"[{from: a, to: b, source: me}]", "source"},
		{"[{from: a, to: b, expect: refused, source: pod}]", "reachable"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct expectations all = {0};
		struct err err = {0};

		assert_true(parse(cases[i].yaml, &all, &err) < 0);
		check_case(cases[i].yaml, strstr(err.text, cases[i].reason) ? "named" : err.text,
			"named");
	}
}

static void test_options(void **state)
{
	char *argv[] = {"-n3", "--family=ipv6", "-f", "a.yaml", "--file", "b", "rest", "--name", "x"};
	struct lab_options o;
	struct err err = {0};

	assert_int_equal(lab_options_parse(LAB_VERB_UP, ARRAY_SIZE(argv), argv, &o, &err), 0);
	assert_int_equal(o.nodes, 3);
	assert_string_equal(o.family, "ipv6");
	assert_int_equal(o.files.count, 2);
	assert_string_equal(o.files.list[1], "b");
	assert_string_equal(o.name, "x");
	assert_int_equal(o.argument_count, 1);
	lab_options_clear(&o);
}

/* What follows the target belongs to the program, options too. */
static void test_options_of_exec(void **state)
{
	char *plain[] = {"--name", "x", "ns/p", "ls", "-n", NULL};
	char *dashes[] = {"ns/p", "--name=x", "--", "ls", "-n", NULL};
	char *unknown[] = {"--nodes", "3", NULL};
	struct lab_options o;
	struct err err = {0};

	assert_int_equal(lab_options_parse(LAB_VERB_EXEC, 5, plain, &o, &err), 0);
	assert_string_equal(o.arguments[0], "ns/p");
	assert_string_equal(o.command[0], "ls");
	assert_string_equal(o.command[1], "-n");
	assert_int_equal(lab_options_parse(LAB_VERB_EXEC, 5, dashes, &o, &err), 0);
	assert_string_equal(o.name, "x");
	assert_string_equal(o.command[0], "ls");
	assert_true(lab_options_parse(LAB_VERB_EXEC, 2, unknown, &o, &err) < 0);
	assert_non_null(strstr(err.text, "--nodes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_options_of_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
