/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "net/maglev.h"

#define BACKENDS 200

static void names_make(uint64_t *name, size_t count)
{
	uint64_t random = 6083;

	for (size_t i = 0; i < count; i++)
		name[i] = (uint64_t)check_random(&random) << 32 ^ (uint64_t)check_random(&random) << 8 ^
			  check_random(&random);
}

static void test_sizes_are_primes(void **state)
{
	static const size_t counts[] = {1, 2, 16, 17, 64, 65, 256, 257, 1024, 1025, 100000};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t size = maglev_size(counts[i]);

		for (size_t d = 2; d * d <= size; d++)
			assert_int_not_equal(size % d, 0);
		assert_true(size >= 15 * counts[i] || size == MAGLEV_SLOTS_MAX);
		assert_true(size <= MAGLEV_SLOTS_MAX);
	}
}

/* Each has its share, give or take one slot. */
static void test_shares_are_equal(void **state)
{
	uint64_t name[BACKENDS];
	uint16_t slot[MAGLEV_SLOTS_MAX];

	names_make(name, BACKENDS);
	for (size_t count = 1; count <= BACKENDS; count++) {
		size_t size = maglev_size(count), share[BACKENDS] = {0};

		maglev_fill(name, count, slot, size);
		for (size_t i = 0; i < size; i++) {
			assert_true(slot[i] < count);
			share[slot[i]]++;
		}
		for (size_t i = 0; i < count; i++)
			assert_in_range(share[i], size / count, size / count + 1);
	}
}

/* The order in which the backends are given decides their numbers and nothing else. */
static void test_order_is_nothing(void **state)
{
	uint64_t name[BACKENDS], turned[BACKENDS];
	uint16_t slot[MAGLEV_SLOTS_MAX], other[MAGLEV_SLOTS_MAX];

	names_make(name, BACKENDS);
	for (size_t count = 1; count <= BACKENDS; count += 13) {
		size_t size = maglev_size(count);

		for (size_t i = 0; i < count; i++)
			turned[i] = name[count - 1 - i];
		maglev_fill(name, count, slot, size);
		maglev_fill(turned, count, other, size);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(slot[i], count - 1 - other[i]);
	}
}

/* One of `count` goes: its share must move, and not much more than that. */
static void test_few_slots_move(void **state)
{
	uint64_t name[BACKENDS];
	uint16_t slot[MAGLEV_SLOTS_MAX], fewer[MAGLEV_SLOTS_MAX];

	names_make(name, BACKENDS);
	for (size_t count = 3; count <= 16; count++) {
		size_t size = maglev_size(count), moved = 0;

		maglev_fill(name, count, slot, size);
		maglev_fill(name, count - 1, fewer, size);
		for (size_t i = 0; i < size; i++)
			if (slot[i] < count - 1 && slot[i] != fewer[i])
				moved++;
		assert_true(moved * 100 <= size * 20);
	}
}

/* Two backends of one name, and more backends than slots, are odd but must end. */
static void test_odd_input(void **state)
{
	static uint64_t many[300000];
	uint64_t same[] = {7, 7, 7};
	uint16_t slot[MAGLEV_SLOTS_MAX];

	maglev_fill(same, 3, slot, 251);
	for (size_t i = 0; i < 251; i++)
		assert_true(slot[i] < 3);
	names_make(many, ARRAY_SIZE(many));
	maglev_fill(many, ARRAY_SIZE(many), slot, MAGLEV_SLOTS_MAX);
	for (size_t i = 0; i < MAGLEV_SLOTS_MAX; i++)
		assert_true(slot[i] < UINT16_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_are_primes),
		cmocka_unit_test(test_shares_are_equal),
		cmocka_unit_test(test_order_is_nothing),
		cmocka_unit_test(test_few_slots_move),
		cmocka_unit_test(test_odd_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
