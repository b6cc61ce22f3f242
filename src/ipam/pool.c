/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/pool.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/*
 * Inside, an address is its offset in the range. `taken` is what a search steps over: reserved,
 * used and resting; `resting` is the part of it that comes back. All rest equally long, so the
 * ring of rests is in order of time and only its head is looked at.
 *
 * Always true: taken.count == reserved + used + resting; the ring holds each resting offset once.
 */

#define POOL_FIRST_GIVEN 2 /* behind the range's own and the node's */

static bool pool_is_reserved(const struct pool *pool, uint32_t offset)
{
	bool last = prefix_family(&pool->range) == FAMILY_IPV4 &&
		    offset + 1UL == prefix_size(&pool->range);

	return offset < POOL_FIRST_GIVEN || last;
}

int pool_init(struct pool *pool, const struct prefix *range, uint32_t start, uint64_t rest_ms,
	struct err *err)
{
	unsigned long size = prefix_size(range);
	char text[PREFIX_TEXT_SIZE];

	if (size < 4)
		return err_set(err, EINVAL,
			"%s has no address left for a pod; use a range of 4 addresses or more",
			prefix_format(range, text));
	*pool = (struct pool){.range = *range, .rest_ms = rest_ms};
	pool->size = size < POOL_SIZE_MAX ? (uint32_t)size : POOL_SIZE_MAX;
	pool->next = start % pool->size;
	bitmap_init(&pool->taken, pool->size);
	bitmap_init(&pool->resting, pool->size);
	for (uint32_t offset = 0; offset < pool->size; offset++)
		if (pool_is_reserved(pool, offset))
			bitmap_set(&pool->taken, offset);
	pool->reserved_count = pool->taken.count;
	return 0;
}

void pool_clear(struct pool *pool)
{
	bitmap_free(&pool->taken);
	bitmap_free(&pool->resting);
	free(pool->rests);
	*pool = (struct pool){0};
}

struct addr pool_node_address(const struct prefix *range)
{
	return addr_add(&range->addr, 1);
}

static struct pool_rest *pool_rest_at(const struct pool *pool, size_t place)
{
	return &pool->rests[(pool->rest_first + place) % pool->rest_capacity];
}

static void pool_rest_push(struct pool *pool, struct pool_rest rest)
{
	if (pool->rest_count == pool->rest_capacity) {
		size_t capacity = pool->rest_capacity ? 2 * pool->rest_capacity : 16;
		struct pool_rest *rests = mem_new(capacity, sizeof(*rests));

		for (size_t i = 0; i < pool->rest_count; i++)
			rests[i] = *pool_rest_at(pool, i);
		free(pool->rests);
		pool->rests = rests;
		pool->rest_first = 0;
		pool->rest_capacity = capacity;
	}
	*pool_rest_at(pool, pool->rest_count++) = rest;
	bitmap_set(&pool->resting, rest.offset);
}

/* Those whose time is over are free again. */
static void pool_wake(struct pool *pool, uint64_t now_ms)
{
	while (pool->rest_count > 0) {
		const struct pool_rest *rest = pool_rest_at(pool, 0);

		if (rest->until_ms > now_ms)
			break;
		bitmap_clear(&pool->resting, rest->offset);
		bitmap_clear(&pool->taken, rest->offset);
		pool->rest_first = (pool->rest_first + 1) % pool->rest_capacity;
		pool->rest_count--;
	}
}

/* Out of the middle of the ring; only recovery does it, before much has come to rest. */
static void pool_rest_remove(struct pool *pool, uint32_t offset)
{
	size_t kept = 0;

	for (size_t i = 0; i < pool->rest_count; i++)
		if (pool_rest_at(pool, i)->offset != offset)
			*pool_rest_at(pool, kept++) = *pool_rest_at(pool, i);
	pool->rest_count = kept;
	bitmap_clear(&pool->resting, offset);
}

static int pool_find(
	const struct pool *pool, const struct addr *addr, uint32_t *ret_offset, struct err *err)
{
	char text[ADDR_TEXT_SIZE], range[PREFIX_TEXT_SIZE];
	uint32_t low, base;

	memcpy(&low, &addr->bytes[12], sizeof(low));
	memcpy(&base, &pool->range.addr.bytes[12], sizeof(base));
	low = __builtin_bswap32(low) - __builtin_bswap32(base);
	if (memcmp(addr->bytes, pool->range.addr.bytes, 12) != 0 || low >= pool->size)
		return err_set(err, ERANGE, "%s is not among the %u addresses given out of %s",
			addr_format(addr, text), pool->size, prefix_format(&pool->range, range));
	*ret_offset = low;
	return 0;
}

static void pool_use(struct pool *pool, uint32_t offset)
{
	bitmap_set(&pool->taken, offset);
	pool->next = (offset + 1) % pool->size;
}

int pool_take(struct pool *pool, uint64_t now_ms, struct addr *ret_addr, struct err *err)
{
	char range[PREFIX_TEXT_SIZE];
	uint32_t offset;

	pool_wake(pool, now_ms);
	offset = bitmap_next_clear(&pool->taken, pool->next);
	if (offset < pool->size) {
		pool_use(pool, offset);
		*ret_addr = addr_add(&pool->range.addr, offset);
		return 0;
	}
	prefix_format(&pool->range, range);
	if (pool->rest_count == 0)
		return err_set(err, ENOSPC, "all %u addresses of %s are in use",
			pool->size - pool->reserved_count, range);
	return err_set(err, EAGAIN,
		"no address of %s is free; %zu rest after use, the first for another %" PRIu64
		" ms",
		range, pool->rest_count, pool_rest_at(pool, 0)->until_ms - now_ms);
}

static uint64_t pool_rest_left(const struct pool *pool, uint32_t offset, uint64_t now_ms)
{
	for (size_t i = 0; i < pool->rest_count; i++)
		if (pool_rest_at(pool, i)->offset == offset)
			return pool_rest_at(pool, i)->until_ms - now_ms;
	return 0;
}

int pool_take_exact(struct pool *pool, uint64_t now_ms, const struct addr *addr, struct err *err)
{
	char text[ADDR_TEXT_SIZE];
	uint32_t offset;
	int r = pool_find(pool, addr, &offset, err);

	if (r < 0)
		return r;
	pool_wake(pool, now_ms);
	if (bitmap_test(&pool->resting, offset))
		return err_set(err, EAGAIN, "%s rests after use, for another %" PRIu64 " ms",
			addr_format(addr, text), pool_rest_left(pool, offset, now_ms));
	return pool_hold(pool, addr, err);
}

int pool_hold(struct pool *pool, const struct addr *addr, struct err *err)
{
	char text[ADDR_TEXT_SIZE];
	uint32_t offset;
	int r = pool_find(pool, addr, &offset, err);

	if (r < 0)
		return r;
	if (pool_is_reserved(pool, offset))
		return err_set(
			err, EPERM, "%s is reserved; no pod can have it", addr_format(addr, text));
	if (bitmap_test(&pool->resting, offset))
		pool_rest_remove(pool, offset);
	else if (bitmap_test(&pool->taken, offset))
		return err_set(err, EADDRINUSE, "%s is in use", addr_format(addr, text));
	bitmap_set(&pool->taken, offset);
	return 0;
}

int pool_release(struct pool *pool, uint64_t now_ms, const struct addr *addr, struct err *err)
{
	char text[ADDR_TEXT_SIZE];
	uint32_t offset;

	pool_wake(pool, now_ms);
	if (pool_find(pool, addr, &offset, NULL) < 0 || !pool_has(pool, addr))
		return err_set(err, ENOENT, "%s is not in use", addr_format(addr, text));
	if (pool->rest_ms == 0)
		bitmap_clear(&pool->taken, offset);
	else
		pool_rest_push(pool,
			(struct pool_rest){.until_ms = now_ms + pool->rest_ms, .offset = offset});
	return 0;
}

bool pool_has(const struct pool *pool, const struct addr *addr)
{
	uint32_t offset;

	return pool_find(pool, addr, &offset, NULL) == 0 && bitmap_test(&pool->taken, offset) &&
	       !bitmap_test(&pool->resting, offset) && !pool_is_reserved(pool, offset);
}

struct pool_counts pool_counts(struct pool *pool, uint64_t now_ms)
{
	pool_wake(pool, now_ms);
	return (struct pool_counts){
		.used = pool->taken.count - pool->resting.count - pool->reserved_count,
		.resting = pool->resting.count,
		.free = pool->size - pool->taken.count,
	};
}
