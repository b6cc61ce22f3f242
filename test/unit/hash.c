/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "check.h"

#include <stdio.h>

/* The model: an array by number of key. */
#define KEYS 300

static void check_equal(const struct hash *hash, void *const model[KEYS])
{
	const struct hash_entry *entry;
	size_t count = 0, walked = 0;
	char key[16];

	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		assert_ptr_equal(hash_get(hash, key), model[i]);
		count += model[i] != NULL;
	}
	for (size_t at = 0; (entry = hash_next(hash, &at)); walked++)
		assert_ptr_equal(hash_get(hash, entry->key), entry->value);
	assert_int_equal(hash->count, count);
	assert_int_equal(walked, count);
}

static void test_against_model(void **state)
{
	struct hash hash = {0};
	void *model[KEYS] = {0};
	uint64_t seed = 3;

	for (int i = 0; i < 20000; i++) {
		uint32_t number = check_random(&seed) % KEYS;
		void *value = (void *)(uintptr_t)(i + 1);
		char key[16];

		snprintf(key, sizeof(key), "key-%u", number);
		if (check_random(&seed) % 2) {
			assert_ptr_equal(hash_put(&hash, key, value), model[number]);
			model[number] = value;
		} else {
			assert_ptr_equal(hash_remove(&hash, key), model[number]);
			model[number] = NULL;
		}
		if (i % 1000 == 0)
			hash_sort(&hash);
		if (i % 100 == 0)
			check_equal(&hash, model);
	}
	check_equal(&hash, model);
	hash_clear(&hash, NULL);
	assert_null(hash_get(&hash, "key-1"));
}

static char *joined(const struct hash *hash)
{
	static char text[256];
	const struct hash_entry *entry;

	text[0] = '\0';
	for (size_t at = 0; (entry = hash_next(hash, &at));)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", entry->key);
	return text;
}

static void test_order(void **state)
{
	struct hash hash = {0};

	hash_put(&hash, "pear", &hash);
	hash_put(&hash, "apple", &hash);
	hash_put(&hash, "fig", &hash);
	hash_put(&hash, "apple", &hash);
	assert_string_equal(joined(&hash), "pear apple fig ");
	hash_remove(&hash, "pear");
	hash_put(&hash, "pear", &hash);
	assert_string_equal(joined(&hash), "apple fig pear ");
	hash_put(&hash, "app", &hash);
	hash_remove(&hash, "fig");
	hash_sort(&hash);
	assert_string_equal(joined(&hash), "app apple pear ");
	hash_cleanup(&hash);
	hash_sort(&hash);
	assert_string_equal(joined(&hash), "");
}

static void test_remove_while_iterating(void **state)
{
	struct hash hash = {0};
	const struct hash_entry *entry;

	hash_put(&hash, "a", &hash);
	hash_put(&hash, "b", &hash);
	hash_put(&hash, "c", &hash);
	for (size_t at = 0; (entry = hash_next(&hash, &at));)
		hash_remove(&hash, entry->key);
	assert_int_equal(hash.count, 0);
	hash_cleanup(&hash);
}

/* A guest leaves nothing behind, however often it comes: neither a place nor a slot. */
static void test_comes_and_goes(void **state)
{
	struct hash hash = {0};
	size_t taken = 0;

	hash_put(&hash, "host", &hash);
	for (int i = 0; i < 100000; i++) {
		hash_put(&hash, "guest", &hash);
		assert_ptr_equal(hash_remove(&hash, "guest"), &hash);
	}
	for (size_t i = 0; i < hash.slot_count; i++)
		taken += hash.slots[i] != 0;
	assert_int_equal(taken, 1);
	assert_int_equal(hash.entry_count, 1);
	hash_cleanup(&hash);
}

static void test_bytes(void **state)
{
	struct hash hash = {0};
	int value;

	hash_put_bytes(&hash, "a\0b", 3, &value);
	assert_ptr_equal(hash_get_bytes(&hash, "a\0b", 3), &value);
	assert_null(hash_get_bytes(&hash, "a\0c", 3));
	assert_null(hash_get(&hash, "a"));
	hash_put_bytes(&hash, "", 0, &hash);
	assert_ptr_equal(hash_get(&hash, ""), &hash);
	hash_put(&hash, "key", &value);
	assert_string_equal(hash_key(&hash, "key"), "key");
	assert_ptr_equal(hash_remove(&hash, "key"), &value);
	assert_ptr_equal(hash_remove_bytes(&hash, "a\0b", 3), &value);
	assert_null(hash_remove_bytes(&hash, "a\0b", 3));
	hash_cleanup(&hash);
}

static void test_clear_frees(void **state)
{
	struct hash hash = {0};

	hash_put(&hash, "a", mem_string("value"));
	free(hash_put(&hash, "a", mem_string("other")));
	hash_clear(&hash, free);
	hash_clear(&hash, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_remove_while_iterating),
		cmocka_unit_test(test_comes_and_goes),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_clear_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
