/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "linux/bpffs.h"
#include "linux/helper.h"
#include "linux/netns.h"
#include "linux/nft.h"
#include "linux/privilege.h"
#include "linux/sysctl.h"
#include "root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#define USER 6083 /* no user of the machine */

static int answer_ok(void *context, struct err *err)
{
	return *(const int *)context;
}

static int answer_reason(void *context, struct err *err)
{
	return err_set(err, EBUSY, "the reason of %s", (const char *)context);
}

static int answer_crash(void *context, struct err *err)
{
	raise(SIGKILL);
	return 0;
}

static int answer_exit(void *context, struct err *err)
{
	_exit(0);
}

static int run(helper_function function, void *context, int keep, struct err *err)
{
	struct helper helper = HELPER_NONE;
	int r = helper_start(function, context, keep, &helper, err);

	return r < 0 ? r : helper_finish(&helper, err);
}

static void test_helper(void **state)
{
	struct err err = {0};
	int seven = 7;

	assert_int_equal(run(answer_ok, &seven, -1, &err), 7);
	assert_int_equal(run(answer_reason, "it", -1, &err), -EBUSY);
	assert_string_equal(err.text, "the reason of it");
	assert_int_equal(run(answer_crash, NULL, -1, &err), -EIO);
	assert_string_equal(err.text, "the helper was killed by signal 9");
	assert_int_equal(run(answer_exit, NULL, -1, &err), -EIO);
	assert_string_equal(err.text, "the helper ended without an answer");
}

/* The loop learns of the end by the answer's descriptor. */
static void test_helper_is_awaited(void **state)
{
	struct helper helper = HELPER_NONE;
	struct pollfd wait = {.events = POLLIN};
	struct err err = {0};
	int three = 3;

	assert_return_code(helper_start(answer_ok, &three, -1, &helper, &err), 0);
	wait.fd = helper.answer;
	assert_int_equal(poll(&wait, 1, 5000), 1);
	assert_int_equal(helper_finish(&helper, &err), 3);
	assert_int_equal(helper.answer, -1);
}

/* The standard descriptors, the answer, the kept one, and the directory that is being read. */
static int count_descriptors(void *context, struct err *err)
{
	const int *keep = context;
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	if (!directory)
		return err_system(err, errno, "/proc/self/fd");
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) > STDERR_FILENO)
			count++;
	closedir(directory);
	if (*keep >= 0 && fcntl(*keep, F_GETFD) < 0)
		return err_system(err, errno, "the descriptor that should be kept");
	return count;
}

static void test_helper_keeps_nothing_else(void **state)
{
	int before[3], none = -1;
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(before); i++)
		before[i] = open("/", O_RDONLY | O_CLOEXEC);
	assert_int_equal(run(count_descriptors, &none, none, &err), 2);
	for (size_t i = 0; i < ARRAY_SIZE(before); i++)
		assert_int_equal(run(count_descriptors, &before[i], before[i], &err), 3);
	close(before[0]); /* so that the answer's pipe is below the kept one */
	close(before[1]);
	assert_int_equal(run(count_descriptors, &before[2], before[2], &err), 3);
	close(before[2]);
}

/* A second namespace's descriptor. */
static int other_namespace(void)
{
	_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int other;

	assert_return_code(unshare(CLONE_NEWNET), errno);
	other = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(setns(own, CLONE_NEWNET), errno);
	return other;
}

static int read_inode(void *context, struct err *err)
{
	_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return netns_inode(own) == *(const uint64_t *)context ? 1 : 0;
}

static void test_netns(void **state)
{
	static const struct {
		const char *path, *reason;
	} cases[] = {
		{"/proc/self/ns/net",
			"/proc/self/ns/net is the network namespace of the node itself"},
		{"/proc/self/ns/mnt", "/proc/self/ns/mnt is no network namespace"},
		{"/dev/null", "/dev/null is no network namespace"},
		{"/", "/ is no network namespace"},
		{"/nowhere", "/nowhere: No such file or directory"},
	};
	_close_ int other = other_namespace();
	uint64_t inode = netns_inode(other);
	char path[64];
	struct err err = {0};
	int fd = -1;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(netns_open(cases[i].path, &fd, &err) < 0);
		check_case(cases[i].path, err.text, cases[i].reason);
	}
	assert_int_equal(fd, -1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", other);
	assert_return_code(netns_open(path, &fd, &err), 0);
	assert_true(netns_inode(fd) == inode);
	close(fd);
	assert_int_equal(netns_run(other, read_inode, &inode, &err), 1);
}

static void test_sysctl(void **state)
{
	char value[SYSCTL_VALUE_SIZE], found[SYSCTL_VALUE_SIZE];
	struct err err = {0};

	assert_return_code(sysctl_write("net/ipv4/ip_forward", "0", &err), 0);
	assert_return_code(sysctl_set("net/ipv4/ip_forward", "1", found, &err), 0);
	assert_string_equal(found, "0");
	assert_return_code(sysctl_set("net/ipv4/ip_forward", "1", found, &err), 0);
	assert_string_equal(found, "1");
	assert_return_code(sysctl_read("net/ipv4/ip_forward", value, &err), 0);
	assert_string_equal(value, "1");
	assert_int_equal(sysctl_read("net/ipv4/conf/nosuch/rp_filter", value, &err), -ENOENT);
	check_case("a device that is not there", err.text,
		"/proc/sys/net/ipv4/conf/nosuch/rp_filter: No such file or directory");
	assert_int_equal(sysctl_write("net/ipv4/ip_forward", "many", &err), -EINVAL);
	check_case("no number", err.text,
		"setting /proc/sys/net/ipv4/ip_forward to many: Invalid argument");
	assert_true(sysctl_read("../uptime", value, &err) < 0);
	assert_true(sysctl_read("/proc/uptime", value, &err) < 0);
	assert_true(sysctl_read("net/../../uptime", value, &err) < 0);
}

static int drop(void *context, struct err *err)
{
	struct privilege privilege;
	_text_ struct text text = {0};
	int r = privilege_drop(USER, USER, err);

	if (r == 0)
		r = privilege_read(&privilege, err);
	if (r < 0)
		return r;
	privilege_format(&privilege, &text);
	return err_set(err, 1, "%s", text_string(&text)); /* the text is the answer */
}

static int drop_and_check(void *context, struct err *err)
{
	int r = privilege_drop(USER, USER, err);

	if (r < 0)
		return r;
	if (setuid(0) == 0 || unshare(CLONE_NEWNET) == 0)
		return err_set(err, EFAULT, "it still may do as root does");
	return privilege_check(
		privilege_start | privilege_bit(CAP_SYS_ADMIN) | privilege_bit(CAP_CHOWN), err);
}

/* What the agent does to nftables once it is no longer root. */
static int drop_and_apply(void *context, struct err *err)
{
	bool exists = false;
	int r = privilege_drop(USER, USER, err);

	if (r == 0)
		r = nft_apply("add table inet podwire_test\n"
			      "add chain inet podwire_test empty\n",
			err);
	if (r == 0)
		r = nft_table_exists("inet", "podwire_test", &exists, err);
	return r < 0 ? r : exists;
}

static void test_privilege(void **state)
{
	struct err err = {0};

	assert_return_code(privilege_check(privilege_start, &err), 0);
	assert_int_equal(run(drop, NULL, -1, &err), -1);
	check_case("after the drop", err.text,
		"uid 6083, gid 6083, CAP_NET_ADMIN CAP_BPF, no new privileges");
	assert_int_equal(run(drop_and_check, NULL, -1, &err), -EPERM);
	check_case("what is missing then", err.text,
		"CAP_CHOWN CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_SYS_ADMIN CAP_PERFMON missing; "
		"start it as root, or with these capabilities");
}

static void test_nft(void **state)
{
	bool exists = true;
	struct err err = {0};

	if (access("/usr/sbin/nft", X_OK) < 0)
		skip();
	assert_return_code(nft_table_exists("inet", "podwire_test", &exists, &err), 0);
	assert_false(exists);
	assert_return_code(nft_delete_table("inet", "podwire_test", &err), 0);
	if (run(drop_and_apply, NULL, -1, &err) != 1)
		fail_msg("nft without root: %s", err.text);
	assert_return_code(nft_table_exists("inet", "podwire_test", &exists, &err), 0);
	assert_true(exists);
	assert_return_code(nft_table_exists("ip", "podwire_test", &exists, &err), 0);
	assert_false(exists);
	assert_return_code(nft_delete_table("inet", "podwire_test", &err), 0);
	assert_return_code(nft_table_exists("inet", "podwire_test", &exists, &err), 0);
	assert_false(exists);
	assert_true(nft_apply("add nonsense\n", &err) < 0);
	assert_non_null(strstr(err.text, "syntax error"));
}

static void test_bpffs(void **state)
{
	char directory[] = "/tmp/podwire-test-bpffs-XXXXXX";
	bool mounted = true;
	struct stat status;
	struct err err = {0};

	assert_non_null(mkdtemp(directory));
	assert_return_code(bpffs_is_mounted(directory, &mounted, &err), 0);
	assert_false(mounted);
	assert_return_code(bpffs_mount(directory, USER, USER, &err), 0);
	assert_return_code(bpffs_is_mounted(directory, &mounted, &err), 0);
	assert_true(mounted);
	assert_return_code(stat(directory, &status), errno);
	assert_int_equal(status.st_uid, USER);
	assert_int_equal(status.st_mode & 0777, 0700);
	/* Once more: the mount stays. What was another user's is not taken over. */
	assert_return_code(bpffs_mount(directory, USER, USER, &err), 0);
	assert_int_equal(bpffs_mount(directory, USER + 1, USER + 1, &err), -EPERM);
	assert_return_code(bpffs_check(directory, USER, &err), 0);
	assert_int_equal(bpffs_check(directory, USER + 1, &err), -EPERM);
	assert_return_code(stat(directory, &status), errno);
	assert_int_equal(status.st_uid, USER);
	assert_return_code(bpffs_unmount(directory, &err), 0);
	assert_return_code(bpffs_unmount(directory, &err), 0);
	assert_return_code(bpffs_is_mounted(directory, &mounted, &err), 0);
	assert_false(mounted);
	rmdir(directory);
	assert_return_code(bpffs_unmount(directory, &err), 0);
	assert_int_equal(bpffs_mount(directory, USER, USER, &err), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_helper),
		cmocka_unit_test(test_helper_is_awaited),
		cmocka_unit_test(test_helper_keeps_nothing_else),
		cmocka_unit_test(test_netns),
		cmocka_unit_test(test_sysctl),
		cmocka_unit_test(test_privilege),
		cmocka_unit_test(test_nft),
		cmocka_unit_test(test_bpffs),
	};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
