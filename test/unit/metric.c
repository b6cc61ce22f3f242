/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"

#include "check.h"

static void test_samples(void **state)
{
	_text_ struct text text = {0};

	metric_head(&text, "a_total", METRIC_COUNTER, "What is counted.");
	metric_sample(&text, "a_total", 3, NULL);
	metric_sample(&text, "a_total", 9007199254740991, "x", "1", NULL);
	metric_sample(&text, "a_total", 0.25, "x", "a\\b\"c\nd", "y", "", NULL);
	assert_string_equal(text_string(&text), "# HELP a_total What is counted.\n"
						"# TYPE a_total counter\n"
						"a_total 3\n"
						"a_total{x=\"1\"} 9007199254740991\n"
						"a_total{x=\"a\\\\b\\\"c\\nd\",y=\"\"} 0.25\n");
}

static void test_histogram(void **state)
{
	struct histogram histogram = {0};
	_text_ struct text text = {0};

	histogram_add_linear(&histogram, 0.25, 0.25, 2);
	histogram_add_exponential(&histogram, 1, 2, 2);
	histogram_observe(&histogram, 0);
	histogram_observe(&histogram, 0.25); /* a bound belongs to what is below it */
	histogram_observe(&histogram, 0.75);
	histogram_observe(&histogram, 2);
	histogram_observe(&histogram, 7);
	metric_histogram(&text, "h_seconds", &histogram, "f", "v");
	assert_string_equal(text_string(&text), "h_seconds_bucket{f=\"v\",le=\"0.25\"} 2\n"
						"h_seconds_bucket{f=\"v\",le=\"0.5\"} 2\n"
						"h_seconds_bucket{f=\"v\",le=\"1\"} 3\n"
						"h_seconds_bucket{f=\"v\",le=\"2\"} 4\n"
						"h_seconds_bucket{f=\"v\",le=\"+Inf\"} 5\n"
						"h_seconds_sum{f=\"v\"} 10\n"
						"h_seconds_count{f=\"v\"} 5\n");
}

static void test_no_more_bounds_than_there_is_room(void **state)
{
	struct histogram histogram = {0};

	histogram_add_linear(&histogram, 0, 1, 50);
	histogram_add_exponential(&histogram, 50, 2, 50);
	assert_int_equal(histogram.bound_count, HISTOGRAM_BOUNDS_MAX);
	histogram_observe(&histogram, 1e300);
	assert_int_equal(histogram.count[HISTOGRAM_BOUNDS_MAX], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_no_more_bounds_than_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
