/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/bpffs.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define BPFFS_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

int bpffs_is_mounted(const char *directory, bool *ret_mounted, struct err *err)
{
	_close_ int fd = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat own, above;
	struct statfs filesystem;

	if (fd < 0 || fstatfs(fd, &filesystem) < 0 || fstat(fd, &own) < 0 ||
		fstatat(fd, "..", &above, 0) < 0)
		return err_system(err, errno, "%s", directory);
	/* A directory inside another BPF file system is not its root. */
	*ret_mounted = filesystem.f_type == BPF_FS_MAGIC && own.st_dev != above.st_dev;
	return 0;
}

int bpffs_check(const char *directory, unsigned int user, struct err *err)
{
	struct stat stat;

	if (lstat(directory, &stat) < 0)
		return err_system(err, errno, "%s", directory);
	if ((stat.st_uid == 0 || stat.st_uid == user) && (stat.st_mode & 0077) == 0)
		return 0;
	return err_set(err, EPERM,
		"%s is a BPF file system of user %u with mode %04o, so others may have pinned anything "
		"in it; unmount it",
		directory, stat.st_uid, stat.st_mode & 07777);
}

/* The mount options are younger (6.7) than the kernels that we run on. */
static int bpffs_own(const char *directory, unsigned int user, unsigned int group, struct err *err)
{
	if (chmod(directory, 0700) < 0 || chown(directory, user, group) < 0)
		return err_system(err, errno, "%s: giving it to user %u", directory, user);
	return 0;
}

int bpffs_mount(const char *directory, unsigned int user, unsigned int group, struct err *err)
{
	bool mounted = false;
	char options[64];
	int r = bpffs_is_mounted(directory, &mounted, err);

	if (r < 0)
		return r;
	if (mounted) {
		r = bpffs_check(directory, user, err);
		return r < 0 ? r : bpffs_own(directory, user, group, err);
	}
	snprintf(options, sizeof(options), "uid=%u,gid=%u,mode=0700", user, group);
	if (mount("bpf", directory, "bpf", BPFFS_FLAGS, options) == 0)
		return 0;
	if (errno != EINVAL)
		return err_system(err, errno, "mounting a BPF file system at %s", directory);
	if (mount("bpf", directory, "bpf", BPFFS_FLAGS, "mode=0700") < 0)
		return err_system(err, errno, "mounting a BPF file system at %s", directory);
	return bpffs_own(directory, user, group, err);
}

int bpffs_unmount(const char *directory, struct err *err)
{
	bool mounted = false;
	int r = bpffs_is_mounted(directory, &mounted, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (mounted && umount2(directory, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return err_system(err, errno, "unmounting %s", directory);
	return 0;
}
