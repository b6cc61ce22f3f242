/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "base/word.h"

static void test_one_text_is_one_word(void **state)
{
	char text[] = "alpha", *first = word_take(text), *second, *other = word_take("beta");

	text[0] = 'A'; /* it is a copy */
	second = word_take("alpha");
	assert_ptr_equal(first, second);
	assert_ptr_not_equal(first, other);
	assert_string_equal(first, "alpha");
	word_release(&first);
	assert_null(first);
	assert_string_equal(second, "alpha");
	word_release(&second);
	word_release(&other);
}

/* As many as make the table grow: none moves while it is in use. */
static void test_words_stay(void **state)
{
	char *word[2000];

	for (size_t i = 0; i < ARRAY_SIZE(word); i++) {
		_free_ char *text = mem_format("word-%zu", i % 1000);

		word[i] = word_take(text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(word); i++) {
		_free_ char *text = mem_format("word-%zu", i % 1000);

		assert_string_equal(word[i], text);
		assert_ptr_equal(word[i], word[i % 1000]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(word); i++)
		word_release(&word[i]);
}

static void test_none(void **state)
{
	char *none = NULL;

	word_release(&none);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_text_is_one_word),
		cmocka_unit_test(test_words_stay),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
