/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/*
 * The packet path's programs: loaded in every variant before the agent gives up its privileges
 * (without CAP_PERFMON the verifier more than doubles the cost per packet), attached later.
 *
 * Tables are pinned in BPFDIR/LAYOUT, links in BPFDIR/links. What is pinned is taken over: the
 * tables keep their rows, the links change their program without a gap.
 */

struct programs;

enum program {
	PROGRAM_FROM_POD,
	PROGRAM_TO_POD,
	PROGRAM_FROM_WIRE,
	PROGRAM_FROM_WIRE_BARE, /* for a device without Ethernet header */
	PROGRAM_TO_WIRE,
	PROGRAM_TO_WIRE_BARE,
	PROGRAM_FROM_TUNNEL,
	PROGRAM_TO_TUNNEL,
	PROGRAM_CONNECT4, /* from here on on a cgroup */
	PROGRAM_CONNECT6,
	PROGRAM_SENDMSG4,
	PROGRAM_SENDMSG6,
	PROGRAM_RECVMSG4,
	PROGRAM_RECVMSG6,
	PROGRAM_GETPEERNAME4,
	PROGRAM_GETPEERNAME6,
	PROGRAM_MAX
};

enum program_direction { PROGRAM_INGRESS, PROGRAM_EGRESS };

struct programs_options {
	const char *directory; /* a mounted bpffs */
	unsigned int flow_entries; /* of a table that is made anew */
	unsigned int table_entries; /* the same of every hash, for tests; 0: as they are declared */
};

/*
 * Needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON. What is pinned belongs to the file-system user id of
 * the caller, who must be the agent's own user by then (setfsuid): it pins and unpins later on.
 */
int programs_load(
	const struct programs_options *options, struct programs **ret_programs, struct err *err);
void programs_free(struct programs **programs);
int programs_fd(const struct programs *programs, enum program program);
/* As the kernel numbers programs; 0 where it will not say. */
unsigned int programs_id(const struct programs *programs, enum program program);
const char *program_name(enum program program);

/*
 * Attaches by a TCX link that stays when the agent ends. A link that is there already gets the
 * new program; one whose device has gone is made anew. A new link costs 9-32 ms (RCU). Returns 1
 * where it had to be made or pinned, else 0.
 */
int programs_attach(struct programs *programs, enum program program,
	enum program_direction direction, const char *device, unsigned int ifindex,
	struct err *err);

/*
 * Attaches what acts on sockets to a cgroup2 directory, by links that stay as well. The kernel may
 * have refused to load it: everything else works without, and this says why. Returns how many had
 * to be made or pinned.
 */
int programs_attach_cgroup(struct programs *programs, const char *directory, struct err *err);

/* Pins what has lost its pin; returns how many tables these were. */
int programs_keep_tables(struct programs *programs, struct err *err);

/* Removes the links that `keep` refuses, and those of programs that we have not. */
void programs_detach(
	struct programs *programs, int (*keep)(const char *link, void *context), void *context);

/* BPFDIR/LAYOUT, in a static buffer. */
const char *programs_table_directory(const char *directory);
