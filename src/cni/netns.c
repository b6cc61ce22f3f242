/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/*
 * The agent may not enter namespaces. So the plugin, which the runtime starts as root, opens a
 * netlink socket inside; it acts there whoever holds it.
 */

#define NETNS_OWN "/proc/self/ns/net"

/* -1 where the path is no network namespace but ours; ADD and CHECK end with the reason. */
static int netns_open(const char *path, int own, bool needed)
{
	/* Without waiting: a path that is a pipe's would block. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct statfs filesystem;
	struct stat status, own_status;

	if (fd < 0 && !needed)
		return -1;
	if (fd < 0)
		cni_fail(errno == ENOENT ? CNI_UNKNOWN_CONTAINER : CNI_INVALID_ENVIRONMENT,
			"CNI_NETNS: %s: %s", path, strerror(errno));
	if (fstatfs(fd, &filesystem) < 0 || filesystem.f_type != NSFS_MAGIC ||
		ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		if (needed)
			cni_fail(CNI_INVALID_ENVIRONMENT, "CNI_NETNS: %s is no network namespace",
				path);
		return -1;
	}
	if (fstat(fd, &status) < 0 || fstat(own, &own_status) < 0 ||
		(status.st_dev == own_status.st_dev && status.st_ino == own_status.st_ino)) {
		if (needed)
			cni_fail(CNI_INVALID_ENVIRONMENT,
				"CNI_NETNS: %s is the node's own network namespace", path);
		return -1;
	}
	return fd;
}

/*
 * Some runtimes switch IPv6 off in new namespaces; pods have an IPv6 loopback in any case, and the
 * interface that comes takes its setting from `default`. Where this cannot be done, the agent
 * meets the refusal of an IPv6 address and names it.
 */
static void netns_allow_ipv6(void)
{
	static const char *const keys[] = {"/proc/sys/net/ipv6/conf/lo/disable_ipv6",
		"/proc/sys/net/ipv6/conf/default/disable_ipv6"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		int fd = open(keys[i], O_RDWR | O_CLOEXEC);
		char value = '0';

		if (fd < 0)
			continue;
		if (read(fd, &value, 1) == 1 && value == '1' && pwrite(fd, "0", 1, 0) < 0)
			errno = 0; /* see above */
		close(fd);
	}
}

void netns_enter(struct cni_request *request)
{
	bool needed = request->verb->needs & CNI_NEED_NETNS;
	int own;

	request->netns_fd = request->netlink_fd = -1;
	if (!*request->netns)
		return;
	own = open(NETNS_OWN, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		cni_fail(CNI_IO, NETNS_OWN ": %s", strerror(errno));
	request->netns_fd = netns_open(request->netns, own, needed);
	if (request->netns_fd < 0)
		return;
	if (setns(request->netns_fd, CLONE_NEWNET) < 0)
		cni_fail(CNI_IO, "entering %s: %s; the plugin must run as root", request->netns,
			strerror(errno));
	request->netlink_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (request->netlink_fd < 0)
		cni_fail(CNI_IO, "a netlink socket in %s: %s", request->netns, strerror(errno));
	netns_allow_ipv6();
	if (setns(own, CLONE_NEWNET) < 0)
		cni_fail(CNI_IO, "going back to the node's namespace: %s", strerror(errno));
}
