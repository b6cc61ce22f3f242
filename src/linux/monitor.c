/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/monitor.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static const int monitor_groups[] = {RTNLGRP_LINK, RTNLGRP_TC, RTNLGRP_IPV4_IFADDR,
	RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};

int monitor_open(int *ret_fd, struct err *err)
{
	_close_ int fd = socket(
		AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	const int least = 0; /* room for one message: more would only have to be taken off again */

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)) < 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_system(err, errno, "a netlink socket for changes");
	for (size_t i = 0; i < ARRAY_SIZE(monitor_groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &monitor_groups[i],
			    sizeof(monitor_groups[i])) < 0)
			return err_system(err, errno, "listening for changes of group %d",
				monitor_groups[i]);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void monitor_drain(int fd)
{
	char messages[16384];

	/* ENOBUFS says that some were lost, which does not matter here. */
	while (recv(fd, messages, sizeof(messages), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		errno = 0;
}
