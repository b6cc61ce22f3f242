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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_clocks)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
