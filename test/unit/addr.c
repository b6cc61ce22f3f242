/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include "check.h"

static const struct {
	const char *text, *wanted; /* NULL: refused */
} parse_cases[] = {
	{"10.1.2.3", "10.1.2.3"},
	{"0.0.0.0", "0.0.0.0"},
	{"255.255.255.255", "255.255.255.255"},
	/* Decimal, never octal: 012 is twelve here, ten where inet_aton reads it. */
	{"010.001.012.000", "10.1.12.0"},
	{"0000000000010.1.1.1", "10.1.1.1"},
	{"256.1.1.1", NULL},
	{"1.1.1.0256", NULL},
	{"99999999999999999999.1.1.1", NULL},
	{"0x10.1.1.1", NULL},
	{"1.2.3", NULL},
	{"1.2.3.4.5", NULL},
	{"1.2.3.", NULL},
	{".1.2.3", NULL},
	{"1..2.3", NULL},
	{"1.2.3.4 ", NULL},
	{" 1.2.3.4", NULL},
	{"+1.2.3.4", NULL},
	{"16909060", NULL},
	{"", NULL},
	{"::", "::"},
	{"::1", "::1"},
	{"fd00::1", "fd00::1"},
	{"FD00::00A", "fd00::a"},
	{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
	{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
	{"0:0:0:0:0:0:0:2", "::2"},
	{"1:0:0:0:0:0:0:0", "1::"},
	{"::102:304", "::102:304"},
	{"fd00::1.2.3.4", "fd00::102:304"},
	{"fd00::010.2.3.4", "fd00::a02:304"},
	{"::ffff:10.1.2.3", "10.1.2.3"},
	{"::ffff:010.1.2.3", "10.1.2.3"},
	{"::ffff:a01:203", "10.1.2.3"},
	{"0:0:0:0:0:ffff:10.1.2.3", "10.1.2.3"},
	{"fe80::1%eth0", NULL},
	{"fe80::1%1", NULL},
	{"fd00::1::2", NULL},
	{":::", NULL},
	{"fd00:1", NULL},
	{"fd00::12345", NULL},
	{"fd00::1.2.3", NULL},
	{"fd00::1.2.3.256", NULL},
	{"[fd00::1]", NULL},
	{"1:2:3:4:5:6:7:8:9", NULL},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1.2.3.4", NULL},
};

static void test_parse(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(parse_cases); i++) {
		struct addr addr = {.bytes = {0xee}};
		char text[ADDR_TEXT_SIZE];
		int r = addr_parse(parse_cases[i].text, &addr);

		check_case(parse_cases[i].text, r < 0 ? NULL : addr_format(&addr, text),
			parse_cases[i].wanted);
		assert_int_equal(addr.bytes[0] == 0xee, r < 0);
	}
}

/* Whatever is written is read as the same. */
static void test_round_trip(void **state)
{
	uint64_t seed = 1;

	for (int i = 0; i < 20000; i++) {
		struct addr addr, again;
		char text[ADDR_TEXT_SIZE];

		for (int j = 0; j < 16; j++)
			addr.bytes[j] = check_random(&seed) % 3 ? 0 : (uint8_t)check_random(&seed);
		assert_int_equal(addr_parse(addr_format(&addr, text), &again), 0);
		assert_true(addr_equal(&addr, &again));
	}
}

enum { UNSPECIFIED = 1, LOOPBACK = 2, LINK_LOCAL = 4, MULTICAST = 8, BROADCAST = 16 };

static const struct {
	const char *text;
	enum family family;
	int properties;
} kind_cases[] = {
	{"10.1.2.3", FAMILY_IPV4, 0},
	{"0.0.0.0", FAMILY_IPV4, UNSPECIFIED},
	{"0.0.0.1", FAMILY_IPV4, 0},
	{"127.0.0.1", FAMILY_IPV4, LOOPBACK},
	{"127.255.0.1", FAMILY_IPV4, LOOPBACK},
	{"169.254.1.1", FAMILY_IPV4, LINK_LOCAL},
	{"169.255.1.1", FAMILY_IPV4, 0},
	{"224.0.0.1", FAMILY_IPV4, MULTICAST},
	{"239.1.1.1", FAMILY_IPV4, MULTICAST},
	{"240.0.0.1", FAMILY_IPV4, 0},
	{"::ffff:127.0.0.1", FAMILY_IPV4, LOOPBACK},
	{"::", FAMILY_IPV6, UNSPECIFIED},
	{"::1", FAMILY_IPV6, LOOPBACK},
	{"::7f00:1", FAMILY_IPV6, 0},
	{"fe80::1", FAMILY_IPV6, LINK_LOCAL},
	{"febf::1", FAMILY_IPV6, LINK_LOCAL},
	{"fec0::1", FAMILY_IPV6, 0},
	{"ff02::1", FAMILY_IPV6, MULTICAST},
	{"fd00::1", FAMILY_IPV6, 0},
	{"255.255.255.255", FAMILY_IPV4, BROADCAST},
	{"255.255.255.254", FAMILY_IPV4, 0},
};

static void test_kinds(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_cases); i++) {
		struct addr addr;
		int properties;

		assert_int_equal(addr_parse(kind_cases[i].text, &addr), 0);
		properties = addr_is_unspecified(&addr) * UNSPECIFIED +
			     addr_is_loopback(&addr) * LOOPBACK +
			     addr_is_link_local(&addr) * LINK_LOCAL +
			     addr_is_multicast(&addr) * MULTICAST +
			     addr_is_broadcast(&addr) * BROADCAST;
		assert_int_equal(addr_family(&addr), kind_cases[i].family);
		assert_int_equal(properties, kind_cases[i].properties);
	}
	assert_string_equal(family_name(FAMILY_IPV4), "IPv4");
	assert_string_equal(family_name(FAMILY_IPV6), "IPv6");
	assert_string_equal(family_name(FAMILY_MAX), "none");
}

static const struct {
	const char *text;
	unsigned long n;
	const char *wanted;
} add_cases[] = {
	{"10.0.0.255", 1, "10.0.1.0"},
	{"10.255.255.255", 1, "11.0.0.0"},
	{"fd00::ffff:ffff:ffff:ffff", 1, "fd00:0:0:1::"},
	{"fd00::", 0x123456789UL, "fd00::1:2345:6789"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2, "::1"},
	{"fd00::1", 0, "fd00::1"},
};

static void test_add_and_compare(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(add_cases); i++) {
		struct addr addr, sum;
		char text[ADDR_TEXT_SIZE];

		assert_int_equal(addr_parse(add_cases[i].text, &addr), 0);
		sum = addr_add(&addr, add_cases[i].n);
		check_case(add_cases[i].text, addr_format(&sum, text), add_cases[i].wanted);
		assert_int_equal(addr_compare(&addr, &sum) == 0, add_cases[i].n == 0);
		assert_int_equal(addr_compare(&addr, &sum) < 0, -addr_compare(&sum, &addr) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_add_and_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
