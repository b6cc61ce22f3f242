/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/cgroup.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int cgroup_find_in(const char *mounts, char **ret_path, struct err *err)
{
	FILE *table = setmntent(mounts, "re");
	const struct mntent *entry;

	if (!table)
		return err_system(err, errno, "%s", mounts);
	do
		entry = getmntent(table);
	while (entry && strcmp(entry->mnt_type, "cgroup2") != 0);
	if (entry)
		*ret_path = mem_string(entry->mnt_dir);
	endmntent(table);
	return entry ? 0
		     : err_set(err, ENOENT,
			       "no cgroup2 hierarchy is mounted (mount -t cgroup2 none DIRECTORY)");
}

int cgroup_find(char **ret_path, struct err *err)
{
	return cgroup_find_in("/proc/self/mounts", ret_path, err);
}

int cgroup_open(const char *path, int *ret_fd, struct err *err)
{
	_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs filesystem;

	if (fd < 0 || fstatfs(fd, &filesystem) < 0)
		return err_system(err, errno, "%s", path);
	if (filesystem.f_type != CGROUP2_SUPER_MAGIC)
		return err_set(err, EINVAL, "%s is no directory of a cgroup2 hierarchy", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

uint64_t cgroup_id(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? 0 : status.st_ino;
}
