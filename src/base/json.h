/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Thin helpers on jansson; the type stays json_t.
 *
 * A place in a tree is a `struct json_at`: a chain of frames on the stack, each with the key or
 * index by which its value hangs below the frame above. The path is written only when something
 * is wrong: "spec.ports[1].port: 70000 is no port; use 1 to 65535".
 */

#define JSON_DEPTH_MAX 64
#define JSON_SIZE_MAX (64UL << 20) /* bytes of text */
#define JSON_VALUES_MAX 1000000 /* in one text; the smallest ones cost 250 bytes of memory each */

#define _json_ _cleanup_(json_cleanup)

/* Once, first of all: from then on jansson, too, never sees NULL (mem.h). */
void json_guard_memory(void);

/*
 * Refused, with line and column: syntax, NUL, no UTF-8, a key twice in one object, integers over
 * 64 bits, more than JSON_DEPTH_MAX levels or JSON_VALUES_MAX values, anything behind the value. Any value may be the root.
 */
int json_read(const char *text, size_t length, json_t **ret_tree, struct err *err);
/* Compact, keys as they are. For free(). */
char *json_write(const json_t *tree);
/* With an indent of 2. For free(). */
char *json_write_pretty(const json_t *tree);
void json_cleanup(json_t **tree);

struct json_at {
	const struct json_at *above; /* NULL: the root */
	const char *key; /* NULL: an element, by index */
	size_t index;
	json_t *value; /* borrowed */
};

struct json_at json_root(json_t *tree);
/* Frames below one; their value is NULL where the tree has nothing there. */
struct json_at json_member(const struct json_at *object, const char *key);
struct json_at json_element(const struct json_at *array, size_t index);

enum json_presence { JSON_OPTIONAL, JSON_REQUIRED };

/*
 * Getters of a member of `object`. Absent and null are the same: with JSON_OPTIONAL they return 0
 * and leave *ret alone, which holds the caller's default; with JSON_REQUIRED they are an error.
 * -EINVAL with path and what would be right. What they give is borrowed from the tree.
 */
int json_get_string(const struct json_at *object, const char *key, enum json_presence presence,
	const char **ret_string, struct err *err);
int json_get_bool(const struct json_at *object, const char *key, enum json_presence presence,
	bool *ret_bool, struct err *err);
int json_get_int(const struct json_at *object, const char *key, enum json_presence presence,
	int64_t minimum, int64_t maximum, int64_t *ret_int, struct err *err);
/* A number 1 to 65535. */
int json_get_port(const struct json_at *object, const char *key, enum json_presence presence,
	uint16_t *ret_port, struct err *err);
/* ret->value is NULL where absent; ret->above points to `object`, which must stay in scope. */
int json_get_object(const struct json_at *object, const char *key, enum json_presence presence,
	struct json_at *ret_object, struct err *err);
int json_get_array(const struct json_at *object, const char *key, enum json_presence presence,
	struct json_at *ret_array, struct err *err);
/* Any type. */
int json_get_any(const struct json_at *object, const char *key, enum json_presence presence,
	struct json_at *ret_value, struct err *err);

/* The value itself, by what is wanted. The same errors. */
int json_as_string(const struct json_at *at, const char **ret_string, struct err *err);
int json_as_int(const struct json_at *at, int64_t minimum, int64_t maximum, int64_t *ret_int,
	struct err *err);

/* -EINVAL with "PATH: " before the text; without a path the text alone. */
int json_error(const struct json_at *at, struct err *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "spec.ports[1].port". For free(). */
char *json_path(const struct json_at *at);

#define JSON_SHOW_SIZE 72
/* A value, short and safe to print in an error. Returns `text`. */
const char *json_show(const json_t *value, char text[JSON_SHOW_SIZE]);
/* "a string", "an object", ... */
const char *json_type_name(const json_t *value);
