/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "check.h"

static void test_clocks(void **state)
{
	uint64_t first = clock_monotonic_ns(), boot = clock_boottime_ns();

	assert_true(first > 0);
	assert_true(clock_monotonic_ns() >= first);
	assert_true(clock_monotonic_ms() >= first / CLOCK_NS_PER_MS);
	/* Sleep counts in one of them only. */
	assert_true(boot >= first);
}

static void test_format(void **state)
{
	char text[CLOCK_TEXT_SIZE];

	assert_string_equal(clock_format(0, text), "1970-01-01T00:00:00.000000000Z");
	assert_string_equal(clock_format(UINT64_C(1769860800123456789), text),
		"2026-01-31T12:00:00.123456789Z");
	assert_true(clock_realtime_ns() > UINT64_C(1600000000000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks), cmocka_unit_test(test_format)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
