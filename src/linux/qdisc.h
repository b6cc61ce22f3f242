/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "linux/netlink.h"

#include <stdint.h>

/*
 * clsact with shared blocks. A program sits once on a block; a device takes part by a clsact qdisc
 * that names the block. Binding a device costs 45 us (a TCX link 16 ms for RCU, with RTNL held),
 * replacing the one filter swaps the program of all devices without a gap, and nothing is left
 * when a device goes. A block lives only while a device is bound to it.
 */

/* Blocks are numbers from 1, of the whole namespace; 0: none on this side. It may exist already. */
void qdisc_add_clsact(struct netlink_batch *batch, unsigned int ifindex, uint32_t ingress_block,
	uint32_t egress_block);
/* With its device or without, it may be gone. */
void qdisc_delete_clsact(struct netlink_batch *batch, unsigned int ifindex);

/* Puts the program on the block, in the place of the one that is there. `name` is for `tc`. */
void block_set_program(struct netlink_batch *batch, uint32_t block, int program, const char *name);

struct block_program {
	uint32_t id; /* of the program, as in bpf_prog_info */
	char name[64];
};

/* -ENOENT: no device is bound to the block, or it has no program of ours. */
int block_find_program(struct netlink *netlink, uint32_t block, struct block_program *ret_program,
	struct err *err);

struct clsact {
	unsigned int ifindex;
	uint32_t ingress_block; /* 0: not shared */
	uint32_t egress_block;
};

/* Every clsact of the namespace. */
typedef int (*clsact_each)(const struct clsact *clsact, void *context);
int qdisc_dump_clsact(struct netlink *netlink, clsact_each each, void *context, struct err *err);
