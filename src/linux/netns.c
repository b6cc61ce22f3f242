/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/netns.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define NETNS_OWN "/proc/self/ns/net"

uint64_t netns_inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? 0 : status.st_ino;
}

int netns_check(int fd, const char *name, struct err *err)
{
	struct statfs filesystem;
	struct stat status, own;

	if (fstatfs(fd, &filesystem) < 0 || fstat(fd, &status) < 0)
		return err_system(err, errno, "%s", name);
	/* Only namespaces answer this request, but a device may take the number for one of its own.
	 */
	if (filesystem.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(err, EINVAL, "%s is no network namespace", name);
	if (stat(NETNS_OWN, &own) < 0)
		return err_system(err, errno, NETNS_OWN);
	if (own.st_dev == status.st_dev && own.st_ino == status.st_ino)
		return err_set(err, EINVAL, "%s is the network namespace of the node itself", name);
	return 0;
}

int netns_open(const char *path, int *ret_fd, struct err *err)
{
	/* Without waiting: a path that is a pipe's would block. */
	_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_system(err, errno, "%s", path);
	r = netns_check(fd, path, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

struct netns_call {
	int netns;
	helper_function function;
	void *context;
};

static int netns_call(void *context, struct err *err)
{
	const struct netns_call *call = context;

	if (setns(call->netns, CLONE_NEWNET) < 0)
		return err_system(err, errno, "entering the network namespace");
	return call->function(call->context, err);
}

int netns_run(int netns, helper_function function, void *context, struct err *err)
{
	struct netns_call call = {netns, function, context};
	struct helper helper = HELPER_NONE;
	int r = helper_start(netns_call, &call, netns, &helper, err);

	return r < 0 ? r : helper_finish(&helper, err);
}
