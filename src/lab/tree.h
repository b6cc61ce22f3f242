/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/kinds.h"

#include <jansson.h>
#include <stdint.h>

/*
 * Kubernetes objects as JSON trees, in the form in which the API server would hand them out. The
 * lab has no structs for them: it defaults, completes and prints what users wrote, and leaves the
 * judging to the model.
 */

/* Follows keys that are separated by dots; NULL where one is missing. Borrowed. */
json_t *tree_at(const json_t *value, const char *path);
/* The text there, or "" where there is none. */
const char *tree_text(const json_t *value, const char *path);
/* The object under `key`, made if missing. Borrowed. */
json_t *tree_child(json_t *object, const char *key);
/* Sets `key` where it is missing or null; takes over `value`. */
void tree_default(json_t *object, const char *key, json_t *value);
void tree_default_text(json_t *object, const char *key, const char *text);
/* Key by key equal, null and missing alike. */
bool tree_same(const json_t *a, const json_t *b);
/* A hash of the value, the same for the same value on any machine. */
uint64_t tree_hash(const json_t *value);

enum lab_kind tree_kind(const json_t *object);
const char *tree_name(const json_t *object);
const char *tree_namespace(const json_t *object); /* "" for what has none */
const char *tree_uid(const json_t *object);
/* "Kind/namespace/name", unique in a lab. The caller frees it. */
char *tree_key(const json_t *object);
char *tree_key_format(enum lab_kind kind, const char *name_space, const char *name);
/* "namespace/name" or "name", for sentences. The caller frees it. */
char *tree_title(const json_t *object);

/* A new object with kind, apiVersion, name, namespace, uid and creationTimestamp. */
json_t *tree_new(enum lab_kind kind, const char *name_space, const char *name);
/* Gives uid and creationTimestamp where missing. */
void tree_stamp(json_t *object);
/* Now, as Kubernetes writes time. */
json_t *time_new(void);

/* True if each entry of `selector` ({} and null: all) is among `labels`. */
bool tree_labels_match(const json_t *selector, const json_t *labels);
/* metav1.LabelSelector: matchLabels and matchExpressions. */
bool tree_selector_match(const json_t *selector, const json_t *labels);

/* ownerReferences of one controller. A new reference. */
json_t *owner_new(const json_t *owner);
/* The uid of the controller that owns the object, or "". */
const char *tree_owner(const json_t *object);

/* `count` characters of the alphabet that Kubernetes makes names of. */
char *name_suffix(uint64_t hash, unsigned int count);
