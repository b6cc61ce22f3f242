/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The agent starts as root with PRIVILEGE_START, reads its arguments and settings, loads its
 * programs, then becomes its own user with PRIVILEGE_RUN before it reads any other input.
 *
 * After that: permitted and effective sets are PRIVILEGE_RUN, inheritable and ambient ones are
 * empty, no_new_privs is set. The bounding set is CAP_NET_ADMIN alone: without it the kernel would
 * not let us hand that capability to `nft` (capset(2), inheritable set); with no_new_privs
 * no program gains it by being executed.
 */
uint64_t privilege_bit(unsigned int capability); /* of <linux/capability.h> */
extern const uint64_t privilege_start; /* BPF NET_ADMIN PERFMON SETUID SETGID SETPCAP */
extern const uint64_t privilege_run; /* BPF NET_ADMIN */

struct privilege {
	unsigned int user, group;
	uint64_t permitted, effective, inheritable, bounding, ambient;
	bool no_new_privileges;
};

/* Of this process. */
int privilege_read(struct privilege *ret_privilege, struct err *err);
/* -EPERM, naming each capability of `needed` that is not effective. */
int privilege_check(uint64_t needed, struct err *err);
/*
 * Becomes `user` and `group` without supplementary groups, with `privilege_run`, and reads back
 * that it is so. After a failure the process must end: it is neither one thing nor the other.
 */
int privilege_drop(unsigned int user, unsigned int group, struct err *err);

/* "uid 6083, gid 6083, CAP_BPF CAP_NET_ADMIN, no new privileges" */
void privilege_format(const struct privilege *privilege, struct text *text);
/* "CAP_BPF CAP_NET_ADMIN"; "none". */
void privilege_format_set(uint64_t set, struct text *text);
