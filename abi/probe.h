/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"

/*
 * Does the wire between two nodes carry addresses of pods? A node asks, by UDP from the address
 * that it keeps of its pod range to the other's, over the wire that a direct route would take; the
 * other's packet path answers by the same way. A cloud or a switch that checks sources lets
 * neither through.
 *
 * Both leave with the highest TTL and are refused with any other (RFC 5082): nothing that has
 * passed a router is a probe. The answer is the question with its ends exchanged, no byte longer.
 */
#define PROBE_PORT 6084
#define PROBE_TTL 255
#define PROBE_MAGIC 0x70777072 /* "pwpr" */
#define PROBE_VERSION 1

enum probe_kind { PROBE_QUESTION = 1, PROBE_ANSWER = 2 };

enum probe_flag {
	PROBE_TAKEN = 1 << 0, /* of an answer: what the asker's pods send directly will be taken */
};

struct probe {
	__be32 magic;
	__u8 version;
	__u8 kind; /* enum probe_kind */
	__u8 flags; /* enum probe_flag */
	__u8 pad;
	__u64 nonce; /* of the question: nobody else knows it */
};
_Static_assert(sizeof(struct probe) == 16, "no padding");

/*
 * Table pw_probe: the address that another node keeps of its range -> what it was asked last, and
 * for the agent that comes after this one, what followed from all answers so far.
 */
struct probe_row {
	__u64 nonce; /* 0: no answer is waited for */
	__u32 answered; /* 0: not yet */
	__u32 flags; /* enum probe_flag, of the answer */
	struct addr next; /* the neighbor that `way` is about */
	__u32 way; /* the agent's enum path_way */
	__u32 pad;
};
_Static_assert(sizeof(struct probe_row) == 40, "no padding");
