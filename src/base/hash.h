/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A table from keys (strings, or bytes) to pointers. The table copies its keys and does not own
 * the values. All zeroes is an empty table. Iteration is in order of insertion, or of the keys
 * after hash_sort; it never shows the hash, so output is the same in every run.
 *
 *	const struct hash_entry *entry;
 *	for (size_t at = 0; (entry = hash_next(&hash, &at));)
 *		use(entry->key, entry->value);
 *
 * Removing entries while iterating is allowed, putting is not.
 */
struct hash_entry {
	char *key; /* ends with a NUL that is not counted; NULL: removed */
	uint32_t key_size, hash;
	void *value;
};

struct hash {
	struct hash_entry *entries;
	size_t entry_count, entry_capacity; /* with the removed ones */
	uint32_t *slots; /* 0: empty; else number of the entry + 1 */
	size_t slot_count; /* a power of two */
	size_t count;
};

/* Values are never NULL. Each returns the value that was there before, or NULL. */
void *hash_put(struct hash *hash, const char *key, void *value);
void *hash_put_bytes(struct hash *hash, const void *key, size_t key_size, void *value);
void *hash_remove(struct hash *hash, const char *key);
void *hash_remove_bytes(struct hash *hash, const void *key, size_t key_size);

void *hash_get(const struct hash *hash, const char *key);
void *hash_get_bytes(const struct hash *hash, const void *key, size_t key_size);

/* The table's own copy of a key that is in it; it stays where it is until it is removed. */
char *hash_key(const struct hash *hash, const char *key);

/* *position starts at 0; returns NULL at the end. */
const struct hash_entry *hash_next(const struct hash *hash, size_t *position);
/* Entries in order of their keys' bytes, until the next put. */
void hash_sort(struct hash *hash);

/* Leaves an empty table; free_value (may be NULL) is called for each value. */
void hash_clear(struct hash *hash, void (*free_value)(void *value));
/* For _cleanup_ of a table whose values belong to somebody else. */
void hash_cleanup(struct hash *hash);
