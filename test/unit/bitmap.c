/* SPDX-License-Identifier: Apache-2.0 */
#include "net/bitmap.h"

#include "check.h"

static uint32_t slow_next_clear(const bool *bits, uint32_t size, uint32_t start)
{
	for (uint32_t i = 0; i < size; i++)
		if (!bits[(start + i) % size])
			return (start + i) % size;
	return size;
}

static void check_against_slow(uint32_t size)
{
	bool *bits = mem_new(size, sizeof(*bits));
	struct bitmap bitmap;
	uint64_t seed = size;

	bitmap_init(&bitmap, size);
	for (int i = 0; i < 5000; i++) {
		uint32_t bit = check_random(&seed) % size, start = check_random(&seed) % size;

		/* More sets than clears, so that it fills up. */
		bits[bit] = check_random(&seed) % 8 != 0;
		if (bits[bit])
			bitmap_set(&bitmap, bit);
		else
			bitmap_clear(&bitmap, bit);
		assert_int_equal(bitmap_test(&bitmap, bit), bits[bit]);
		assert_int_equal(
			bitmap_next_clear(&bitmap, start), slow_next_clear(bits, size, start));
	}
	bitmap_free(&bitmap);
	free(bits);
}

static void test_against_slow(void **state)
{
	static const uint32_t sizes[] = {1, 2, 63, 64, 65, 128, 200, 4096};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		check_against_slow(sizes[i]);
}

static void test_count_and_ends(void **state)
{
	struct bitmap bitmap;

	bitmap_init(&bitmap, 65536);
	assert_int_equal(bitmap_next_clear(&bitmap, 65535), 65535);
	for (uint32_t bit = 0; bit < 65536; bit++) {
		bitmap_set(&bitmap, bit);
		bitmap_set(&bitmap, bit);
	}
	assert_int_equal(bitmap.count, 65536);
	assert_int_equal(bitmap_next_clear(&bitmap, 0), 65536);
	bitmap_clear(&bitmap, 5);
	bitmap_clear(&bitmap, 5);
	assert_int_equal(bitmap.count, 65535);
	assert_int_equal(bitmap_next_clear(&bitmap, 6), 5);
	bitmap_free(&bitmap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_slow),
		cmocka_unit_test(test_count_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
