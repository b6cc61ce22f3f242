/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include "check.h"

#include <errno.h>

static void test_set_and_wrap(void **state)
{
	struct err err = {0};

	assert_int_equal(err_set(&err, EINVAL, "port %d", 7), -EINVAL);
	assert_int_equal(err.code, EINVAL);
	assert_int_equal(err_wrap(&err, "file %s", "a.yaml"), -EINVAL);
	assert_string_equal(err.text, "file a.yaml: port 7");
	assert_int_equal(err_system(&err, ENOENT, "open %s", "x"), -ENOENT);
	assert_string_equal(err.text, "open x: No such file or directory");
}

static void test_nobody_asks(void **state)
{
	assert_int_equal(err_set(NULL, EPERM, "text"), -EPERM);
	assert_int_equal(err_system(NULL, EPERM, "text"), -EPERM);
}

static void test_too_long(void **state)
{
	struct err err = {0};
	char text[2 * ERR_TEXT_SIZE];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, EINVAL, "%s", text);
	assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
	err_wrap(&err, "%s", text);
	assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
	err_system(&err, EINVAL, "%s", text);
	assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_wrap),
		cmocka_unit_test(test_nobody_asks),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
