/* SPDX-License-Identifier: Apache-2.0 */
#include "net/bitmap.h"

#include "base/mem.h"

#define BITMAP_WORD_BITS 64U

void bitmap_init(struct bitmap *bitmap, uint32_t size)
{
	*bitmap = (struct bitmap){.size = size};
	bitmap->words = mem_new((size + BITMAP_WORD_BITS - 1) / BITMAP_WORD_BITS, sizeof(uint64_t));
}

void bitmap_free(struct bitmap *bitmap)
{
	free(bitmap->words);
	*bitmap = (struct bitmap){0};
}

static uint64_t bitmap_mask(uint32_t bit)
{
	return UINT64_C(1) << bit % BITMAP_WORD_BITS;
}

bool bitmap_test(const struct bitmap *bitmap, uint32_t bit)
{
	return bitmap->words[bit / BITMAP_WORD_BITS] & bitmap_mask(bit);
}

void bitmap_set(struct bitmap *bitmap, uint32_t bit)
{
	bitmap->count += !bitmap_test(bitmap, bit);
	bitmap->words[bit / BITMAP_WORD_BITS] |= bitmap_mask(bit);
}

void bitmap_clear(struct bitmap *bitmap, uint32_t bit)
{
	bitmap->count -= bitmap_test(bitmap, bit);
	bitmap->words[bit / BITMAP_WORD_BITS] &= ~bitmap_mask(bit);
}

/* The first clear bit in [start, end), or `end`. */
static uint32_t bitmap_scan(const struct bitmap *bitmap, uint32_t start, uint32_t end)
{
	while (start < end) {
		uint64_t clear =
			~bitmap->words[start / BITMAP_WORD_BITS] >> start % BITMAP_WORD_BITS;

		if (clear) {
			start += (uint32_t)__builtin_ctzll(clear);
			return start < end ? start : end;
		}
		start += BITMAP_WORD_BITS - start % BITMAP_WORD_BITS;
	}
	return end;
}

uint32_t bitmap_next_clear(const struct bitmap *bitmap, uint32_t start)
{
	uint32_t found;

	if (bitmap->count == bitmap->size)
		return bitmap->size;
	start %= bitmap->size;
	found = bitmap_scan(bitmap, start, bitmap->size);
	if (found < bitmap->size)
		return found;
	found = bitmap_scan(bitmap, 0, start);
	return found < start ? found : bitmap->size;
}
