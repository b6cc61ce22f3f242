// SPDX-License-Identifier: Apache-2.0
#include "linux/cgroup.h"

#include "base/mem.h"
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int find_in(const char *mounts, char **ret_path, struct err *err)
{
	char file[] = "/tmp/podwire-mounts-XXXXXX";
	_close_ int fd = mkstemp(file);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, mounts, strlen(mounts)), strlen(mounts));
	r = cgroup_find_in(file, ret_path, err);
	unlink(file);
	return r;
}

static void test_where_it_is_mounted(void **state)
{
	static const struct {
		const char *mounts, *path;
	} cases[] = {
		{"proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n",
			"/sys/fs/cgroup"},
		{"cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
		 "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
			"/sys/fs/cgroup/unified"},
		{"x /a cgroup2 rw 0 0\nx /b cgroup2 rw 0 0\n", "/a"},
		{"cgroup2 /with\\040space cgroup2 rw 0 0\n", "/with space"},
		{"cgroup2 /cgroup2 tmpfs rw 0 0\nx /right cgroup2 rw 0 0", "/right"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *path = NULL;
		struct err err;

		assert_int_equal(find_in(cases[i].mounts, &path, &err), 0);
		assert_string_equal(path, cases[i].path);
	}
}

static void test_nowhere(void **state)
{
	char *path = NULL;
	struct err err;

	(void)state;
	assert_int_equal(find_in("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n", &path, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no cgroup2"));
	assert_int_equal(find_in("", &path, &err), -ENOENT);
	assert_int_equal(cgroup_find_in("/nowhere", &path, &err), -ENOENT);
	assert_null(path);
}

static void test_what_is_no_cgroup(void **state)
{
	_close_ int fd = -1;
	struct err err;

	(void)state;
	assert_int_equal(cgroup_open("/tmp", &fd, &err), -EINVAL);
	assert_int_equal(cgroup_open("/proc/self/status", &fd, &err), -ENOTDIR);
	assert_int_equal(cgroup_open("/nowhere", &fd, &err), -ENOENT);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_it_is_mounted),
		cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_what_is_no_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
