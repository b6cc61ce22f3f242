/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/hash.h"
#include "model/settings.h"
#include "model/store.h"

/*
 * Addresses that no Service gets by naming them (hazards.md D1): those of nodes and of the API
 * server, and all in the ranges of pods and Services.
 */
struct reserved {
	struct hash holders; /* struct addr -> "Node n1", for free() */
	struct {
		struct prefix *list;
		size_t count, capacity;
	} pods, services;
};

void reserved_make(struct store *store, const struct settings *settings, struct reserved *ret);
void reserved_clear(struct reserved *reserved);
/* NULL, or why nobody may have it: "is an address of Node n1". For free(). */
char *reserved_why(const struct reserved *reserved, const struct addr *addr);
/* Do addresses become reserved, or free, with this object? */
bool reserved_by_object(const struct object *object);
