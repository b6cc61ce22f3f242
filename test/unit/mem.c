/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include "check.h"

#include <fcntl.h>

static void test_new_is_zeroed(void **state)
{
	_free_ unsigned char *memory = mem_new(10, 10);
	_free_ void *nothing = mem_new(0, 0);

	for (int i = 0; i < 100; i++)
		assert_int_equal(memory[i], 0);
	assert_non_null(nothing);
}

static void test_grow(void **state)
{
	_free_ int *list = NULL;
	size_t capacity = 0;

	for (int i = 0; i < 1000; i++) {
		list = mem_grow(list, &capacity, (size_t)i + 1, sizeof(*list));
		list[i] = i;
	}
	assert_true(capacity >= 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(list[i], i);
}

static void test_strings(void **state)
{
	_free_ char *string = mem_string("text"), *formatted = mem_format("%s-%d", string, 7);
	_free_ char *copy = mem_copy("a\0b", 4);

	assert_string_equal(formatted, "text-7");
	assert_memory_equal(copy, "a\0b", 4);
	assert_null(mem_string_or_null(NULL));
}

static void test_take(void **state)
{
	_free_ char *string = mem_string("text");
	_free_ char *taken = TAKE_PTR(string);
	_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int number = fd;

	assert_null(string);
	assert_string_equal(taken, "text");
	assert_int_equal(TAKE_FD(fd), number);
	assert_int_equal(fd, -1);
	mem_close(&number);
	assert_int_equal(number, -1);
	mem_close(&number);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_is_zeroed),
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
