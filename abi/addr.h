/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include <linux/types.h>

/*
 * The one address type of podwire, on both sides of the kernel boundary: 16 bytes in network
 * order, IPv4 as ::ffff:a.b.c.d. One type means one table, one guard and one test per feature
 * instead of a pair (the price, measured: 4 ns a lookup by address).
 */
struct addr {
	union {
		__u8 bytes[16];
		__be32 words[4];
		__u64 halves[2];
	};
};

#define ADDR_MAPPED_WORD 0x0000ffffU /* words[2] of an IPv4 address, in host order */

static inline __attribute__((always_inline)) int addr_is_v4(const struct addr *a)
{
	return a->halves[0] == 0 && a->words[2] == __builtin_bswap32(ADDR_MAPPED_WORD);
}

static inline __attribute__((always_inline)) void addr_set_v4(struct addr *a, __be32 v4)
{
	a->halves[0] = 0;
	a->words[2] = __builtin_bswap32(ADDR_MAPPED_WORD);
	a->words[3] = v4;
}

static inline __attribute__((always_inline)) int addr_equal(
	const struct addr *a, const struct addr *b)
{
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

_Static_assert(sizeof(struct addr) == 16, "the layout of every table rests on it");
