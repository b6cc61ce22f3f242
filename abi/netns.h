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

/*
 * Table pw_socket, of each socket of which a call was translated: what its owner believes to talk
 * to. Of a socket that is not connected: with the first whom it has sent to.
 */
struct socket_row {
	struct addr frontend;
	struct addr backend; /* or the cluster address, for datagrams; another peer is meant as it is */
	__be16 frontend_port;
	__be16 backend_port; /* 0: forgotten, no peer has it */
	__u32 pad;
};
_Static_assert(sizeof(struct socket_row) == 40, "no padding");

/* Table pw_sent: the same with all the others that a socket has sent datagrams to. */
struct sent_key {
	__u64 socket; /* its cookie, which the kernel gives no other */
	struct addr backend;
	__be16 backend_port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct sent_key) == 32, "no padding");

struct sent_row {
	struct addr frontend;
	__be16 frontend_port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct sent_row) == 24, "no padding");
