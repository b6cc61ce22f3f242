/* SPDX-License-Identifier: Apache-2.0 */
#include "model/store.h"

#include "base/mem.h"

static char *store_key(const char *namespace, const char *name)
{
	return namespace ? mem_format("%s/%s", namespace, name) : mem_string(name);
}

enum store_change store_put(struct store *store, struct object **object, struct object **ret_old)
{
	struct object *new = TAKE_PTR(*object), *old;
	struct hash *objects = &store->objects[new->kind];
	_free_ char *key = object_key(new);

	old = hash_get(objects, key);
	if (old && object_equal(old, new)) {
		object_free(&new);
		return STORE_UNCHANGED;
	}
	hash_put(objects, key, new);
	if (!old) {
		store->sorted[new->kind] = false;
		return STORE_ADDED;
	}
	if (ret_old)
		*ret_old = old;
	else
		object_free(&old);
	return STORE_CHANGED;
}

struct object *store_remove(
	struct store *store, enum kind kind, const char *namespace, const char *name)
{
	_free_ char *key = store_key(namespace, name);

	return hash_remove(&store->objects[kind], key);
}

const struct object *store_get(
	const struct store *store, enum kind kind, const char *namespace, const char *name)
{
	_free_ char *key = store_key(namespace, name);

	return hash_get(&store->objects[kind], key);
}

size_t store_count(const struct store *store, enum kind kind)
{
	return store->objects[kind].count;
}

/* Removing and replacing keep the order, so sorting is due only after something was added. */
const struct object *store_next(struct store *store, enum kind kind, size_t *position)
{
	const struct hash_entry *entry;

	if (*position == 0 && !store->sorted[kind]) {
		hash_sort(&store->objects[kind]);
		store->sorted[kind] = true;
	}
	entry = hash_next(&store->objects[kind], position);
	return entry ? entry->value : NULL;
}

static void store_free_object(void *value)
{
	struct object *object = value;

	object_free(&object);
}

void store_clear(struct store *store)
{
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		hash_clear(&store->objects[kind], store_free_object);
}
