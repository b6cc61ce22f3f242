/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"
#include "abi/settings.h"

/*
 * Table pw_netns: cookie of a network namespace -> whose it is. Calls on sockets of these are
 * translated, and of no others: a cgroup holds processes of many namespaces. A namespace has one
 * cookie for good, and the kernel gives none twice, so a row that is left over harms nobody.
 */

enum netns_flag {
	NETNS_HOST = 1 << 0, /* the node's own; the others are pods' */
};

struct netns_row {
	/* As Services know it, for affinity and ranges of sources; unspecified: none. */
	struct addr client[SETTINGS_FAMILIES];
	__u32 flags; /* enum netns_flag */
	__u32 pad;
};
_Static_assert(sizeof(struct netns_row) == 40, "no padding");

/* Table pw_socket, of each socket that was translated: what its owner believes to talk to. */
struct socket_row {
	struct addr frontend;
	struct addr backend; /* a socket that has another peer was connected again since */
	__be16 frontend_port;
	__be16 backend_port;
	__u32 pad;
};
_Static_assert(sizeof(struct socket_row) == 40, "no padding");
