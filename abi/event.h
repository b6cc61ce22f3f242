/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"

/*
 * Table pw_count: COUNT_INDEX -> packets, per processor. It has room for verdicts and hooks to come,
 * so that a release which adds some goes on counting where the former one has stopped.
 */
#define COUNT_VERDICTS 128
#define COUNT_HOOKS 16
#define COUNT_INDEX(hook, verdict) ((hook) * COUNT_VERDICTS + (verdict))

struct count_row {
	__u64 packets;
	__u64 bytes;
};

/*
 * Table pw_drop: what was dropped of late, so that `podwire drops` can name it. The least recently
 * seen makes room; a sender of many addresses costs history, never memory.
 */
struct drop_key {
	struct addr source;
	struct addr target;
	__u32 ifindex; /* the device where it was seen */
	__be16 target_port; /* 0 where there is none */
	__u8 protocol;
	__u8 verdict;
	__u8 hook;
	__u8 pad[7];
};
_Static_assert(sizeof(struct drop_key) == 48, "no padding");

struct drop_row {
	__u64 packets;
	__u64 last_ns; /* CLOCK_MONOTONIC */
	__be16 source_port; /* of the last one */
	__u8 pad[6];
};
