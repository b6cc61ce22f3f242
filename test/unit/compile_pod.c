/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/pod.h"

#include "check.h"
#include "compile/print.h"
#include "net/addr.h"

static struct attachment attachment(__u64 cookie)
{
	struct attachment a = {.ifindex = 7,
		.address_count = 2,
		.mac = {2, 0, 0, 0, 0, 1},
		.host_mac = {2, 0, 0, 0, 0, 2},
		.netns_cookie = cookie};

	assert_int_equal(addr_parse("10.244.1.5", &a.addresses[0]), 0);
	assert_int_equal(addr_parse("fd44::5", &a.addresses[1]), 0);
	return a;
}

static void check_rows(const struct attachment *a, const char *wanted)
{
	_text_ struct text text = {0};
	struct rows rows = {0};

	compile_attachment(a, NULL, &rows);
	rows_sort(&rows);
	rows_print(&rows, &text);
	rows_clear(&rows);
	assert_string_equal(text_string(&text), wanted);
}

#define ROWS                                                                                       \
	"route 10.244.1.5/32 dev 7\nroute fd44::5/128 dev 7\n"                                     \
	"neighbor 10.244.1.5 dev 7 mac 02:00:00:00:00:01\n"                                        \
	"neighbor fd44::5 dev 7 mac 02:00:00:00:00:01\n"                                           \
	"pod 10.244.1.5 dev 7 mac 02:00:00:00:00:01 host-mac 02:00:00:00:00:02\n"                  \
	"pod fd44::5 dev 7 mac 02:00:00:00:00:01 host-mac 02:00:00:00:00:02\n"

static void test_pod(void **state)
{
	struct attachment a = attachment(4711);

	(void)state;
	check_rows(&a, ROWS "netns 4711 client 10.244.1.5 client fd44::5\n");
}

/* A second interface, or the record of a release that did not know. */
static void test_without_a_cookie(void **state)
{
	struct attachment a = attachment(0);

	(void)state;
	check_rows(&a, ROWS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pod),
		cmocka_unit_test(test_without_a_cookie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
