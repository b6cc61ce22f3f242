/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Maglev's lookup table (Eisenbud and others, NSDI 2016): slots that name backends, such that each
 * backend has an equal share, all who know the same backends make the same table, and one backend
 * more or less moves few slots of the others.
 */

#define MAGLEV_SLOTS_MAX 65521 /* the largest prime below 2^16 */

/* How many slots, a prime. Few sizes, since a change of the size moves everything. */
size_t maglev_size(size_t backends);

/*
 * `name` has a hash of what makes each backend itself, such as its address and port. slot[i] is
 * the index of a backend. The order of the backends decides nothing but their indices. Of more
 * than UINT16_MAX backends or `slots` only so many have a slot.
 */
void maglev_fill(const uint64_t *name, size_t backends, uint16_t *slot, size_t slots);
