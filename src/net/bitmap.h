/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Bits by number, 0 to size - 1. */
struct bitmap {
	uint64_t *words;
	uint32_t size;
	uint32_t count; /* of those that are set */
};

void bitmap_init(struct bitmap *bitmap, uint32_t size); /* all clear */
void bitmap_free(struct bitmap *bitmap);

bool bitmap_test(const struct bitmap *bitmap, uint32_t bit);
void bitmap_set(struct bitmap *bitmap, uint32_t bit);
void bitmap_clear(struct bitmap *bitmap, uint32_t bit);
/* The first clear bit from `start` on, going round at the end; `size` where all are set. */
uint32_t bitmap_next_clear(const struct bitmap *bitmap, uint32_t start);
