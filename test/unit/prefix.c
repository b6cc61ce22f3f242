/* SPDX-License-Identifier: Apache-2.0 */
#include "net/prefix.h"

#include "check.h"

static const struct {
	const char *text, *wanted; /* NULL: refused */
	bool host_bits;
} parse_cases[] = {
	{"10.1.0.0/16", "10.1.0.0/16", false},
	{"10.1.2.3/16", "10.1.0.0/16", true},
	{"010.001.000.000/16", "10.1.0.0/16", false},
	{"0.0.0.0/0", "0.0.0.0/0", false},
	{"10.0.0.1/32", "10.0.0.1/32", false},
	{"10.0.0.1/33", NULL, false},
	{"10.0.0.0/7", "10.0.0.0/7", false},
	{"10.0.0.0", NULL, false},
	{"10.0.0.0/", NULL, false},
	{"/8", NULL, false},
	{"10.0.0.0/-1", NULL, false},
	{"10.0.0.0/ 8", NULL, false},
	{"10.0.0.0/8/8", NULL, false},
	{"10.0.0.0/08", "10.0.0.0/8", false},
	{"10.0.0.0/99999999999999999999", NULL, false},
	{"10.0.0.0/255.0.0.0", NULL, false},
	{"fd00::/64", "fd00::/64", false},
	{"fd00::1/64", "fd00::/64", true},
	{"::/0", "::/0", false},
	{"::1/128", "::1/128", false},
	{"::/129", NULL, false},
	{"fd00::%eth0/64", NULL, false},
	{"::ffff:10.1.0.0/112", "10.1.0.0/16", false},
	{"::ffff:10.1.0.0/16", NULL, false},
	{"::ffff:0:0/95", NULL, false},
	{"fd00:1111:2222:3333:4444:5555:6666:7777:8888:9999/64", NULL, false},
};

static void test_parse(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(parse_cases); i++) {
		char text[PREFIX_TEXT_SIZE];
		struct prefix prefix;
		bool host_bits = false;
		int r = prefix_parse(parse_cases[i].text, &prefix, &host_bits);

		check_case(parse_cases[i].text, r < 0 ? NULL : prefix_format(&prefix, text),
			parse_cases[i].wanted);
		assert_int_equal(host_bits, parse_cases[i].host_bits);
	}
}

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix, NULL), 0);
	return prefix;
}

static const struct {
	const char *range, *addr;
	bool wanted;
} contains_cases[] = {
	{"10.1.0.0/16", "10.1.255.255", true},
	{"10.1.0.0/16", "10.2.0.0", false},
	{"0.0.0.0/0", "1.2.3.4", true},
	{"0.0.0.0/0", "::1", false},
	{"::/0", "fd00::1", true},
	{"::/0", "1.2.3.4", false},
	{"::/64", "1.2.3.4", false},
	{"10.0.0.1/32", "10.0.0.1", true},
	{"10.0.0.0/31", "10.0.0.1", true},
	{"fd00::/63", "fd00:0:0:1::1", true},
	{"fd00::/64", "fd00:0:0:1::1", false},
};

static void test_contains(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(contains_cases); i++) {
		struct prefix range = prefix_of(contains_cases[i].range);
		struct addr addr;

		assert_int_equal(addr_parse(contains_cases[i].addr, &addr), 0);
		assert_int_equal(prefix_contains(&range, &addr), contains_cases[i].wanted);
	}
}

static const struct {
	const char *a, *b;
	bool wanted;
} overlap_cases[] = {
	{"10.0.0.0/8", "10.1.0.0/16", true},
	{"10.0.0.0/16", "10.1.0.0/16", false},
	{"10.0.0.0/16", "10.0.0.0/16", true},
	{"0.0.0.0/0", "192.168.0.0/24", true},
	{"::/0", "192.168.0.0/24", false},
	{"::/0", "fd00::/8", true},
	{"fd00::/8", "fe00::/8", false},
};

static void test_overlaps(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(overlap_cases); i++) {
		struct prefix a = prefix_of(overlap_cases[i].a), b = prefix_of(overlap_cases[i].b);

		assert_int_equal(prefix_overlaps(&a, &b), overlap_cases[i].wanted);
		assert_int_equal(prefix_overlaps(&b, &a), overlap_cases[i].wanted);
	}
}

/* Bit by bit, which nobody can get wrong. */
static bool slow_contains(const struct prefix *prefix, const struct addr *addr)
{
	for (unsigned int bit = 0; bit < prefix->length; bit++)
		if ((prefix->addr.bytes[bit / 8] ^ addr->bytes[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return prefix_family(prefix) == addr_family(addr);
}

static void test_contains_against_slow(void **state)
{
	uint64_t seed = 7;

	for (int i = 0; i < 50000; i++) {
		struct addr base = {0}, addr;
		struct prefix prefix = {.length = check_random(&seed) % 129};

		for (int j = 0; j < 16; j++)
			base.bytes[j] = (uint8_t)check_random(&seed);
		prefix.addr = addr_masked(&base, prefix.length);
		addr = base;
		addr.bytes[check_random(&seed) % 16] ^= (uint8_t)(1 << check_random(&seed) % 8);
		assert_int_equal(prefix_contains(&prefix, &addr), slow_contains(&prefix, &addr));
		assert_true(prefix_contains(&prefix, &base));
	}
}

static void test_sizes(void **state)
{
	const struct {
		const char *text;
		unsigned long size;
		unsigned int shown;
	} cases[] = {
		{"10.0.0.0/24", 256, 24},
		{"10.0.0.1/32", 1, 32},
		{"0.0.0.0/0", 1UL << 32, 0},
		{"fd00::/112", 65536, 112},
		{"fd00::/65", 1UL << 63, 65},
		{"fd00::/64", 1UL << 63, 64},
		{"::/0", 1UL << 63, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix prefix = prefix_of(cases[i].text);

		assert_int_equal(prefix_size(&prefix), cases[i].size);
		assert_int_equal(prefix_length_shown(&prefix), cases[i].shown);
		assert_int_equal(prefix_compare(&prefix, &prefix), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_contains_against_slow),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
