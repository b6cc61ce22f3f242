/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/mem.h"

#include <string.h>
#include <sys/auxv.h>

/*
 * Open addressing over an array of entries in order of insertion. A removed entry keeps its place
 * in the array, with key NULL, until a rebuild or until nothing is behind it; its slot is closed
 * at once, so that what comes and goes for ever makes no chain longer. Entries never outnumber half
 * of the slots, so each probe meets an empty slot.
 */

#define HASH_SLOTS_MIN 16

/* FNV-1a from a start that differs in every process, so that no chosen names collide. */
static uint32_t hash_of(const void *key, size_t size)
{
	static uint64_t seed;
	const uint8_t *bytes = key;
	uint64_t hash;

	if (!seed) {
		memcpy(&seed, (const void *)getauxval(AT_RANDOM), sizeof(seed));
		seed |= 1;
	}
	hash = seed;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash ^ hash >> 32);
}

/* The slot that holds the key, or the empty one where its chain ends. */
static size_t hash_slot(const struct hash *hash, const void *key, size_t key_size, uint32_t value)
{
	size_t mask = hash->slot_count - 1, slot = value & mask;

	for (; hash->slots[slot]; slot = (slot + 1) & mask) {
		const struct hash_entry *entry = &hash->entries[hash->slots[slot] - 1];

		if (entry->key && entry->hash == value && entry->key_size == key_size &&
			memcmp(entry->key, key, key_size) == 0)
			break;
	}
	return slot;
}

static struct hash_entry *hash_find(const struct hash *hash, const void *key, size_t key_size)
{
	size_t slot;

	if (hash->count == 0)
		return NULL;
	slot = hash_slot(hash, key, key_size, hash_of(key, key_size));
	return hash->slots[slot] ? &hash->entries[hash->slots[slot] - 1] : NULL;
}

/* Without the removed entries, and with room for one more. */
static void hash_rebuild(struct hash *hash)
{
	size_t slot_count = HASH_SLOTS_MIN, kept = 0;

	for (size_t i = 0; i < hash->entry_count; i++)
		if (hash->entries[i].key)
			hash->entries[kept++] = hash->entries[i];
	hash->entry_count = kept;
	/* A quarter full after a rebuild, so that the next one is as many puts away. */
	while (slot_count < 4 * (kept + 1))
		slot_count *= 2;
	free(hash->slots);
	hash->slots = mem_new(slot_count, sizeof(*hash->slots));
	hash->slot_count = slot_count;
	for (size_t i = 0; i < kept; i++) {
		const struct hash_entry *entry = &hash->entries[i];

		hash->slots[hash_slot(hash, entry->key, entry->key_size, entry->hash)] =
			(uint32_t)(i + 1);
	}
}

void *hash_put_bytes(struct hash *hash, const void *key, size_t key_size, void *value)
{
	struct hash_entry *entry = hash_find(hash, key, key_size);
	uint32_t hash_value;

	if (entry) {
		void *old = entry->value;

		entry->value = value;
		return old;
	}
	if (2 * (hash->entry_count + 1) > hash->slot_count)
		hash_rebuild(hash);
	hash->entries = mem_grow(hash->entries, &hash->entry_capacity, hash->entry_count + 1,
		sizeof(*hash->entries));
	hash_value = hash_of(key, key_size);
	entry = &hash->entries[hash->entry_count++];
	*entry = (struct hash_entry){
		.key_size = (uint32_t)key_size, .hash = hash_value, .value = value};
	/* The slot is looked for while the entry has no key and so cannot match. */
	hash->slots[hash_slot(hash, key, key_size, hash_value)] = (uint32_t)hash->entry_count;
	entry->key = mem_new(1, key_size + 1);
	memcpy(entry->key, key, key_size);
	hash->count++;
	return NULL;
}

void *hash_put(struct hash *hash, const char *key, void *value)
{
	return hash_put_bytes(hash, key, strlen(key), value);
}

/* What stands behind the slot in its chain moves up, unless it is where it belongs. */
static void hash_close_slot(struct hash *hash, size_t empty)
{
	size_t mask = hash->slot_count - 1;

	for (size_t slot = (empty + 1) & mask; hash->slots[slot]; slot = (slot + 1) & mask) {
		size_t home = hash->entries[hash->slots[slot] - 1].hash & mask;

		if (((slot - home) & mask) < ((slot - empty) & mask))
			continue;
		hash->slots[empty] = hash->slots[slot];
		empty = slot;
	}
	hash->slots[empty] = 0;
}

void *hash_remove_bytes(struct hash *hash, const void *key, size_t key_size)
{
	struct hash_entry *entry = hash_find(hash, key, key_size);
	void *value;

	if (!entry)
		return NULL;
	value = TAKE_PTR(entry->value);
	hash_close_slot(hash, hash_slot(hash, key, key_size, entry->hash));
	free(TAKE_PTR(entry->key));
	hash->count--;
	while (hash->entry_count && !hash->entries[hash->entry_count - 1].key)
		hash->entry_count--;
	return value;
}

void *hash_remove(struct hash *hash, const char *key)
{
	return hash_remove_bytes(hash, key, strlen(key));
}

void *hash_get_bytes(const struct hash *hash, const void *key, size_t key_size)
{
	const struct hash_entry *entry = hash_find(hash, key, key_size);

	return entry ? entry->value : NULL;
}

void *hash_get(const struct hash *hash, const char *key)
{
	return hash_get_bytes(hash, key, strlen(key));
}

char *hash_key(const struct hash *hash, const char *key)
{
	return hash_find(hash, key, strlen(key))->key;
}

const struct hash_entry *hash_next(const struct hash *hash, size_t *position)
{
	while (*position < hash->entry_count) {
		const struct hash_entry *entry = &hash->entries[(*position)++];

		if (entry->key)
			return entry;
	}
	return NULL;
}

/* Removed entries sort last; only hash_rebuild, which follows, may move entries with slots. */
static int hash_entry_order(const void *left, const void *right)
{
	const struct hash_entry *a = left, *b = right;
	int order;

	if (!a->key || !b->key)
		return !a->key - !b->key;
	order = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
	return order ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

void hash_sort(struct hash *hash)
{
	if (hash->entry_count == 0)
		return;
	qsort(hash->entries, hash->entry_count, sizeof(*hash->entries), hash_entry_order);
	hash_rebuild(hash);
}

void hash_clear(struct hash *hash, void (*free_value)(void *value))
{
	for (size_t i = 0; i < hash->entry_count; i++) {
		if (hash->entries[i].key && free_value)
			free_value(hash->entries[i].value);
		free(hash->entries[i].key);
	}
	free(hash->entries);
	free(hash->slots);
	*hash = (struct hash){0};
}

void hash_cleanup(struct hash *hash)
{
	hash_clear(hash, NULL);
}
