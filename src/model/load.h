/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/hash.h"
#include "model/object.h"

/*
 * Texts (files) to objects. One bad object never stops the others: what is wrong is in a list of
 * refusals, and what podwire does not read in a list of others, which is no error.
 */

/* One object that was read, with where it stood. */
struct loaded {
	struct object *object; /* owned; NULL in `others`. TAKE_PTR it to keep it */
	json_t *tree; /* owned; as it was written */
	char *api_version, *kind, *namespace, *name; /* namespace and name may be NULL in `others` */
	size_t document; /* in the file, from 1 */
	size_t line; /* where the document begins, from 1 */
};

struct refusal {
	char *source;
	size_t document; /* 0: the whole file */
	char *kind, *namespace, *name; /* each may be NULL */
	char *reason;
};

struct load_result {
	struct {
		struct loaded *list;
		size_t count, capacity;
	} objects, others;
	struct {
		struct refusal *list;
		size_t count, capacity;
	} refusals;
	struct hash ignored; /* "apiVersion/kind", in order of appearance */
	struct hash seen; /* "Kind ns/name" -> object; how duplicates across sources are found */
};

#define LOAD_REFUSALS_MAX 1000 /* of one text; what is behind them is not read */

/*
 * Adds what a text holds to *result (all zero at first): YAML or JSON, one or more documents,
 * Lists expanded. A name seen before, in this or an earlier text, is refused: the first stays.
 * A text that breaks off or is malformed is refused as a whole. Returns how many refusals it added.
 */
size_t objects_load(const char *text, size_t length, const char *source, struct load_result *result);
/* The same for a text that cannot be had at all. */
size_t objects_refuse(const char *source, const char *reason, struct load_result *result);
void load_result_clear(struct load_result *result);
/* Frees objects and others, and forgets which there were. What was refused and ignored stays. */
void load_result_clear_objects(struct load_result *result);
/* Adds a refusal: `first` is of the same name. */
void loaded_refuse_twice(
	struct load_result *result, const struct loaded *loaded, const struct object *first);
/* "alpha.yaml, document 2: Service shop/web: spec.ports[0].port: ...". For free(). */
char *refusal_text(const struct refusal *refusal);
