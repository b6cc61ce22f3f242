/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"
#include "model/load.h"

/*
 * Manifests in and out of the store. All or nothing: an object that is refused leaves the store
 * as it was, because the caller does not save it.
 */

/*
 * Reads files and folders (their *.yaml, *.yml and *.json, not below; "-" is standard input) and
 * adds what they hold. Each refusal is printed; then -EINVAL.
 */
int manifests_read(
	const char *const *paths, size_t count, struct load_result *result, struct err *err);

/* Puts all into the store: completed, judged, merged with what is there; says what it did. */
int manifests_apply(struct lab *lab, struct load_result *result, struct err *err);

/* Takes all out of the store, with what belongs to them; says what it did. */
int manifests_delete(struct lab *lab, const struct load_result *result, struct err *err);

/* Takes one object out of the store, a Namespace with all that is in it. */
int object_delete(struct lab *lab, json_t *tree, struct err *err);

/* The Namespaces and Services that every cluster has. */
void basics_make(struct lab *lab);
