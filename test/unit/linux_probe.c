/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/probe.h"

#include "check.h"

#include <errno.h>
#include <stdbool.h>

static const struct {
	const char *release;
	bool enough;
} cases[] = {
	{"6.6.0", true},
	{"6.6", true},
	{"6.6-rc1", true},
	{"6.6.13+bpo-amd64", true},
	{"6.12.9-amd64", true},
	{"6.10.0", true}, /* ten is more than six */
	{"7.0.0", true},
	{"10.1.0", true},
	{"6.5.13-amd64", false},
	{"6.1.0-18-amd64", false},
	{"5.15.0-91-generic", false},
	{"5.100.0", false},
	{"4.18.0-553.el8_10.x86_64", false},
	{"", false},
	{"6", false},
	{"6.", false},
	{"6.x", false},
	{".6", false},
	{"linux", false},
	{"-6.6", false},
	{"6.99999999999999999999", false},
};

static void test_release(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};
		int r = probe_kernel_release(cases[i].release, &err);

		check_case(cases[i].release,
			r == 0		? "enough"
			: r == -ENOTSUP ? "refused"
					: "?",
			cases[i].enough ? "enough" : "refused");
		assert_int_equal(err.text[0] != '\0', !cases[i].enough);
	}
}

/* The sentence says what is there and what would be right. */
static void test_sentence(void **state)
{
	struct err err = {0};

	probe_kernel_release("6.1.0-18-amd64", &err);
	assert_non_null(strstr(err.text, "needs Linux 6.6 or later"));
	assert_non_null(strstr(err.text, "this machine runs 6.1.0-18-amd64"));
	assert_non_null(strstr(err.text, "bookworm-backports"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
