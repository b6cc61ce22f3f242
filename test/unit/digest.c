/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "base/digest.h"

#define KEY0 UINT64_C(0x0706050403020100)
#define KEY1 UINT64_C(0x0f0e0d0c0b0a0908)

static uint64_t digest_of(const void *bytes, size_t size)
{
	struct digest digest;

	digest_start(&digest, KEY0, KEY1);
	digest_add(&digest, bytes, size);
	return digest_end(&digest);
}

/* The vectors of the paper and of its reference implementation. */
static void test_is_siphash(void **state)
{
	uint8_t bytes[64];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_true(digest_of(bytes, 0) == UINT64_C(0x726fdb47dd0e0e31));
	assert_true(digest_of(bytes, 1) == UINT64_C(0x74f839c593dc67fd));
	assert_true(digest_of(bytes, 8) == UINT64_C(0x93f5f5799a932462));
	assert_true(digest_of(bytes, 15) == UINT64_C(0xa129ca6149be45e5));
}

static void test_parts_make_the_whole(void **state)
{
	struct digest digest;

	digest_start(&digest, KEY0, KEY1);
	digest_add(&digest, "podwi", 5);
	digest_add(&digest, "re, in par", 10);
	digest_add(&digest, "ts", 2);
	assert_true(digest_end(&digest) == digest_of("podwire, in parts", 17));
}

static void test_strings_have_an_end(void **state)
{
	struct digest first, second, none;

	digest_start(&first, 1, 2);
	digest_add_string(&first, "ab");
	digest_add_string(&first, "c");
	digest_start(&second, 1, 2);
	digest_add_string(&second, "a");
	digest_add_string(&second, "bc");
	assert_true(digest_end(&first) != digest_end(&second));
	digest_start(&first, 1, 2);
	digest_add_string(&first, "");
	digest_start(&none, 1, 2);
	digest_add_string(&none, NULL);
	assert_true(digest_end(&first) == digest_end(&none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_siphash),
		cmocka_unit_test(test_parts_make_the_whole),
		cmocka_unit_test(test_strings_have_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
