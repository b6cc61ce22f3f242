/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"

#include <stddef.h>

/*
 * YAML to JSON trees as sigs.k8s.io/yaml (so kubectl) reads it: plain scalars are typed by YAML
 * 1.1's table, so NO is false, 0777 is 511, 012 is 10, ~ is null; quoted ones are strings. Unlike
 * it, a key given twice is refused. Keys that are no strings become strings ("8080", "true").
 * JSON text is read by the JSON reader.
 */

#define YAML_SIZE_MAX (64UL << 20) /* bytes of text */
#define YAML_VALUES_MAX JSON_VALUES_MAX /* in one text, aliases expanded, keys and documents counted */

struct yaml_document {
	json_t *tree; /* owned; NULL where the document was refused */
	char *reason; /* why it was refused, with line; else NULL */
	size_t line; /* where it begins, from 1 */
};

struct yaml_documents {
	struct yaml_document *list;
	size_t count;
};

/*
 * All documents of a text; empty ones (nothing but comments) are left out, so none may be left.
 * What concerns one document (a key twice, depth, a tag) is in its `reason`; what breaks the text
 * (syntax, no UTF-8, NUL, size, number of values) returns -EINVAL with the line.
 */
int yaml_read(const char *text, size_t length, struct yaml_documents *ret_documents,
	struct err *err);
void yaml_documents_clear(struct yaml_documents *documents);

/* A text of one document, for settings. An empty text is an empty object. */
int yaml_read_one(const char *text, size_t length, json_t **ret_tree, struct err *err);

/* In block style, ends with a line break; yaml_read gives the same tree. For free(). */
char *yaml_write(const json_t *tree);
