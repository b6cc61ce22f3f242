/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "net/addr.h"
#include "net/bitmap.h"
#include "net/prefix.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Who holds which address of one range. Pure: the time is a parameter (milliseconds of any clock
 * that never goes back), the start of the search is given by the caller.
 *
 * An address is reserved, free, used or resting. Reserved for ever: the first of the range
 * (network in IPv4, subnet-router anycast in IPv6), the second (the node's own), and the last
 * in IPv4 (broadcast). What is given back rests, so that nobody who still knows the old owner
 * reaches a new one by mistake. Of a range with more than 2^16 addresses only the first 2^16 are
 * given out.
 */
#define POOL_SIZE_MAX 65536U

struct pool_rest {
	uint64_t until_ms;
	uint32_t offset;
};

struct pool {
	struct prefix range;
	uint32_t size; /* offsets 0 to size - 1 */
	uint32_t next; /* where the next search begins */
	uint64_t rest_ms;
	struct bitmap taken; /* reserved, used or resting */
	struct bitmap resting;
	struct pool_rest *rests; /* a ring, the oldest first: all rest equally long */
	size_t rest_first, rest_count, rest_capacity;
	uint32_t reserved_count; /* of those below size */
};

struct pool_counts {
	uint32_t used, resting, free;
};

/*
 * -EINVAL where the range is too small to have an address to give. `start` is any number, taken
 * modulo the size: random after a boot, so that a new pod does not at once get the address of
 * the last one before it.
 */
int pool_init(struct pool *pool, const struct prefix *range, uint32_t start, uint64_t rest_ms,
	struct err *err);
void pool_clear(struct pool *pool);

/* The next free one. -ENOSPC: all used; -EAGAIN: some are resting, and the error says how long. */
int pool_take(struct pool *pool, uint64_t now_ms, struct addr *ret_addr, struct err *err);
/* This one. -ERANGE: not of this pool; -EPERM: reserved; -EADDRINUSE; -EAGAIN: resting. */
int pool_take_exact(struct pool *pool, uint64_t now_ms, const struct addr *addr, struct err *err);
/* At start, for what is known to be in use: as pool_take_exact, but resting does not matter. */
int pool_hold(struct pool *pool, const struct addr *addr, struct err *err);
/* -ENOENT where it is not used. */
int pool_release(struct pool *pool, uint64_t now_ms, const struct addr *addr, struct err *err);

bool pool_has(const struct pool *pool, const struct addr *addr); /* used */
struct pool_counts pool_counts(struct pool *pool, uint64_t now_ms);
/* The address that the node keeps for itself: the second of the range. */
struct addr pool_node_address(const struct prefix *range);
