/* SPDX-License-Identifier: Apache-2.0 */
#include "net/maglev.h"

#include "base/mem.h"

#include <string.h>

#define MAGLEV_FREE UINT16_MAX

/* Sixteen slots or more for each backend, so that shares differ by 6 % at most, up to the bound. */
static const struct {
	size_t backends, slots;
} maglev_sizes[] = {{16, 251}, {64, 1021}, {256, 4093}, {1024, 16381}, {SIZE_MAX, MAGLEV_SLOTS_MAX}};

size_t maglev_size(size_t backends)
{
	size_t i = 0;

	while (backends > maglev_sizes[i].backends)
		i++;
	return maglev_sizes[i].slots;
}

/* Where a backend's walk over all slots is, and how far it goes with each step. */
struct walk {
	uint64_t name;
	uint32_t at, step;
	uint16_t index;
};

static int walk_order(const void *left, const void *right)
{
	const struct walk *a = left, *b = right;

	if (a->name != b->name)
		return a->name < b->name ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

/* In turn each backend takes the next slot of its walk that is free. */
void maglev_fill(const uint64_t *name, size_t backends, uint16_t *slot, size_t slots)
{
	size_t count = backends < MAGLEV_FREE ? backends : MAGLEV_FREE, filled = 0;
	_free_ struct walk *walk = mem_new(count, sizeof(*walk));

	for (size_t i = 0; i < count; i++)
		walk[i] = (struct walk){.name = name[i],
			.at = (uint32_t)(name[i] % slots),
			.step = (uint32_t)((name[i] >> 32) % (slots - 1) + 1),
			.index = (uint16_t)i};
	qsort(walk, count, sizeof(*walk), walk_order);
	memset(slot, 0xff, slots * sizeof(*slot));
	while (filled < slots && count)
		for (size_t i = 0; i < count && filled < slots; i++) {
			while (slot[walk[i].at] != MAGLEV_FREE)
				walk[i].at = (uint32_t)((walk[i].at + walk[i].step) % slots);
			slot[walk[i].at] = walk[i].index;
			filled++;
		}
}
