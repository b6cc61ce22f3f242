/* SPDX-License-Identifier: Apache-2.0 */
#include "model/store.h"

#include "base/mem.h"
#include "base/word.h"

#include <string.h>

static char *store_key(const char *namespace, const char *name)
{
	return namespace ? mem_format("%s/%s", namespace, name) : mem_string(name);
}

/* Mostly one, of as many as there are Services: so no larger than it must be. */
struct store_slices {
	size_t count;
	const struct endpoint_slice *list[];
};

static char *slice_service_key(const struct endpoint_slice *slice)
{
	const char *service = endpoint_slice_service(slice);

	return service ? mem_format("%s/%s", slice->object.namespace, service) : NULL;
}

static void store_index(struct store *store, const struct object *object)
{
	const struct endpoint_slice *slice = object_endpoint_slice_const(object);
	_free_ char *key = slice ? slice_service_key(slice) : NULL;
	struct store_slices *slices, *old;
	size_t count;

	if (!key)
		return;
	old = hash_get(&store->slices, key);
	count = old ? old->count : 0;
	slices = mem_new(1, sizeof(*slices) + (count + 1) * sizeof(slices->list[0]));
	if (old)
		memcpy(slices->list, old->list, count * sizeof(slices->list[0]));
	slices->list[count] = slice;
	slices->count = count + 1;
	hash_put(&store->slices, key, slices);
	free(old);
}

static void store_forget(struct store *store, const struct object *object)
{
	const struct endpoint_slice *slice = object ? object_endpoint_slice_const(object) : NULL;
	_free_ char *key = slice ? slice_service_key(slice) : NULL;
	struct store_slices *slices = key ? hash_get(&store->slices, key) : NULL;

	for (size_t i = 0; slices && i < slices->count; i++)
		if (slices->list[i] == slice) {
			slices->list[i] = slices->list[--slices->count];
			break;
		}
	if (slices && slices->count == 0)
		free(hash_remove(&store->slices, key));
}

size_t store_slices(const struct store *store, const char *namespace, const char *service,
	const struct endpoint_slice *const **ret_slices)
{
	_free_ char *key = store_key(namespace, service);
	const struct store_slices *slices = hash_get(&store->slices, key);

	*ret_slices = slices ? slices->list : NULL;
	return slices ? slices->count : 0;
}

enum store_change store_put(struct store *store, struct object **object, struct object **ret_old)
{
	struct object *new = TAKE_PTR(*object), *old;
	struct hash *objects = &store->objects[new->kind];
	_free_ char *key = object_key(new);

	old = hash_get(objects, key);
	if (old && object_equal(old, new)) {
		word_release(&old->place.source);
		old->place = new->place;
		new->place = (struct object_place){0};
		object_free(&new);
		return STORE_UNCHANGED;
	}
	hash_put(objects, key, new);
	store_forget(store, old);
	store_index(store, new);
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
	struct object *removed = hash_remove(&store->objects[kind], key);

	store_forget(store, removed);
	return removed;
}

const struct object *store_get(
	const struct store *store, enum kind kind, const char *namespace, const char *name)
{
	_free_ char *key = store_key(namespace, name);

	return store_find(store, kind, key);
}

const struct object *store_find(const struct store *store, enum kind kind, const char *key)
{
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
	hash_clear(&store->slices, free);
}
