/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/sysctl.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#define SYSCTL_ROOT "/proc/sys"

static int sysctl_open(const char *key, int flags, int *ret_fd, struct err *err)
{
	const struct open_how how = {
		.flags = (unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	_close_ int root = open(SYSCTL_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd;

	if (root < 0)
		return err_system(err, errno, SYSCTL_ROOT);
	fd = syscall(SYS_openat2, root, key, &how, sizeof(how));
	if (fd < 0)
		return err_system(err, errno, SYSCTL_ROOT "/%s", key);
	*ret_fd = (int)fd;
	return 0;
}

int sysctl_read(const char *key, char ret_value[SYSCTL_VALUE_SIZE], struct err *err)
{
	char value[SYSCTL_VALUE_SIZE];
	_close_ int fd = -1;
	ssize_t size;
	int r = sysctl_open(key, O_RDONLY, &fd, err);

	if (r < 0)
		return r;
	size = read(fd, value, sizeof(value));
	if (size < 0)
		return err_system(err, errno, "reading " SYSCTL_ROOT "/%s", key);
	if (size == sizeof(value))
		return err_set(err, EMSGSIZE, SYSCTL_ROOT "/%s has %d bytes or more", key,
			SYSCTL_VALUE_SIZE);
	value[size] = '\0';
	value[strcspn(value, "\n")] = '\0';
	memcpy(ret_value, value, sizeof(value));
	return 0;
}

int sysctl_write(const char *key, const char *value, struct err *err)
{
	_close_ int fd = -1;
	int r = sysctl_open(key, O_WRONLY, &fd, err);

	if (r < 0)
		return r;
	if (write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		return err_system(err, errno, "setting " SYSCTL_ROOT "/%s to %s", key, value);
	return 0;
}

int sysctl_set(
	const char *key, const char *value, char ret_found[SYSCTL_VALUE_SIZE], struct err *err)
{
	char found[SYSCTL_VALUE_SIZE];
	int r = sysctl_read(key, found, err);

	if (r == 0 && strcmp(found, value) != 0)
		r = sysctl_write(key, value, err);
	if (r == 0 && ret_found)
		memcpy(ret_found, found, sizeof(found));
	return r;
}
