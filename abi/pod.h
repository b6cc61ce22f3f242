/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"

/* Table pw_pod: address of a pod on this node -> where it is. The pinned table is the store. */

enum pod_flag {
	POD_SHAPED = 1 << 0, /* the node's side has a queue that limits what enters: not past it */
};

struct pod_row {
	__u32 ifindex; /* the node's side of the pair */
	__u32 flags; /* enum pod_flag */
	__u8 mac[6]; /* the pod's side: the only source address that its frames may bear */
	__u8 host_mac[6];
	__u32 generation; /* of the policies that select it */
	__u32 group[2]; /* of policies, ingress and egress; 0: none */
	__u64 added_ns; /* CLOCK_BOOTTIME of the ADD */
};
_Static_assert(sizeof(struct pod_row) == 40, "no padding");
