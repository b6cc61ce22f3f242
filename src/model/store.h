/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/hash.h"
#include "model/endpoints.h"

/* The objects that are in force, by kind and "namespace/name". All zeroes is an empty store. */
struct store {
	struct hash objects[KIND_MAX];
	bool sorted[KIND_MAX];
	struct hash slices; /* by "namespace/service": struct store_slices */
};

enum store_change { STORE_UNCHANGED, STORE_ADDED, STORE_CHANGED };

/*
 * Takes *object (leaves NULL). Unchanged: the stored one stays, in the new one's place, and the
 * new one is freed.
 * Changed: the old one goes to *ret_old, or is freed where that is NULL.
 */
enum store_change store_put(struct store *store, struct object **object, struct object **ret_old);
/* `namespace` is NULL for kinds without. The removed object, now the caller's, or NULL. */
struct object *store_remove(
	struct store *store, enum kind kind, const char *namespace, const char *name);
const struct object *store_get(
	const struct store *store, enum kind kind, const char *namespace, const char *name);
const struct object *store_find(const struct store *store, enum kind kind, const char *key);
size_t store_count(const struct store *store, enum kind kind);

/* Objects of a kind in order of their keys. *position starts at 0; no put meanwhile. */
const struct object *store_next(struct store *store, enum kind kind, size_t *position);

/* The EndpointSlices of a Service, in no order; valid until the next put or removal. */
size_t store_slices(const struct store *store, const char *namespace, const char *service,
	const struct endpoint_slice *const **ret_slices);

void store_clear(struct store *store);
