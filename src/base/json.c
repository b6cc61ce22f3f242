/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void *json_new(size_t size)
{
	return mem_new(1, size);
}

void json_guard_memory(void)
{
	json_set_alloc_funcs(json_new, free);
}

static int json_refuse(const char *text, size_t at, struct err *err, int most, const char *what)
{
	return err_set(err, EINVAL, "line %zu: more than %d %s", text_line_at(text, at), most, what);
}

/*
 * What jansson does not refuse, found before it starts: NUL (it would end a string for whoever
 * reads it as C), depth and number. Strings are skipped by their quotes; bad ones are jansson's to
 * name. Each value but the first stands behind a comma or an opening bracket.
 */
static int json_scan(const char *text, size_t length, struct err *err)
{
	unsigned int depth = 0, values = 1;
	bool in_string = false;

	for (size_t at = 0; at < length; at++) {
		char c = text[at];

		if (c == '\0')
			return err_set(err, EINVAL, "line %zu: a NUL byte", text_line_at(text, at));
		if (in_string) {
			if (c == '\\')
				at++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > JSON_DEPTH_MAX)
				return json_refuse(text, at, err, JSON_DEPTH_MAX, "levels");
		} else if (c == ',') {
			values++;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
		if (values > JSON_VALUES_MAX)
			return json_refuse(text, at, err, JSON_VALUES_MAX, "values");
	}
	return 0;
}

int json_read(const char *text, size_t length, json_t **ret_tree, struct err *err)
{
	json_error_t error;
	json_t *tree;
	int r;

	if (length > JSON_SIZE_MAX)
		return err_set(err, EINVAL, "%zu bytes of JSON; at most %lu are read", length,
			JSON_SIZE_MAX);
	r = json_scan(text, length, err);
	if (r < 0)
		return r;
	tree = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!tree)
		return err_set(err, EINVAL, "line %d, column %d: %s", error.line, error.column,
			error.text);
	*ret_tree = tree;
	return 0;
}

/* With the fewest digits that read back as the same number: 0.6 and not 0.59999999999999998. */
static char *json_write_real(const json_t *real)
{
	size_t digits = 15;

	for (;; digits++) {
		char *text = json_dumps(real, JSON_REAL_PRECISION(digits) | JSON_ENCODE_ANY);

		if (!text || digits == 17 || strtod(text, NULL) == json_real_value(real))
			return text ? text : mem_string("null");
		free(text);
	}
}

char *json_write(const json_t *tree)
{
	char *text;

	if (json_is_real(tree))
		return json_write_real(tree);
	text = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
	return text ? text : mem_string("null");
}

char *json_write_pretty(const json_t *tree)
{
	char *text = json_dumps(tree, JSON_INDENT(2) | JSON_ENCODE_ANY);

	return text ? text : mem_string("null");
}

void json_cleanup(json_t **tree)
{
	json_decref(*tree);
	*tree = NULL;
}

struct json_at json_root(json_t *tree)
{
	return (struct json_at){.value = tree};
}

struct json_at json_member(const struct json_at *object, const char *key)
{
	return (struct json_at){
		.above = object, .key = key, .value = json_object_get(object->value, key)};
}

struct json_at json_element(const struct json_at *array, size_t index)
{
	return (struct json_at){
		.above = array, .index = index, .value = json_array_get(array->value, index)};
}

/* Keys that would be misread behind a dot, such as those of labels, stand in brackets. */
static void json_path_append(struct text *text, const struct json_at *at)
{
	if (!at || !at->above)
		return;
	json_path_append(text, at->above);
	if (!at->key) {
		text_printf(text, "[%zu]", at->index);
	} else if (strpbrk(at->key, "./[] ") || !*at->key) {
		text_append(text, "[");
		text_append_safe(text, at->key);
		text_append(text, "]");
	} else {
		if (text->length)
			text_append(text, ".");
		text_append_safe(text, at->key);
	}
}

char *json_path(const struct json_at *at)
{
	struct text text = {0};

	json_path_append(&text, at);
	return text_take(&text);
}

int json_error(const struct json_at *at, struct err *err, const char *format, ...)
{
	_free_ char *path = json_path(at);
	_free_ char *reason = NULL;
	va_list arguments;

	va_start(arguments, format);
	reason = mem_vformat(format, arguments);
	va_end(arguments);
	return err_set(err, EINVAL, "%s%s%s", path, *path ? ": " : "", reason);
}

const char *json_type_name(const json_t *value)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "a list",
		[JSON_STRING] = "a string",
		[JSON_INTEGER] = "an integer",
		[JSON_REAL] = "a number with a fraction",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};

	return value ? names[json_typeof(value)] : "nothing";
}

const char *json_show(const json_t *value, char text[JSON_SHOW_SIZE])
{
	_text_ struct text safe = {0};
	_free_ char *written = NULL;
	size_t cut = JSON_SHOW_SIZE - 5; /* room for: ..." and NUL */

	if (!value || json_is_object(value) || json_is_array(value)) {
		snprintf(text, JSON_SHOW_SIZE, "%s", json_type_name(value));
		return text;
	}
	written = json_write(value);
	text_append_safe(&safe, written);
	if (safe.length < JSON_SHOW_SIZE) {
		snprintf(text, JSON_SHOW_SIZE, "%s", safe.data);
		return text;
	}
	/* Not in the middle of a character. */
	while (cut > 0 && (safe.data[cut] & 0xc0) == 0x80)
		cut--;
	snprintf(text, JSON_SHOW_SIZE, "%.*s...\"", (int)cut, safe.data);
	return text;
}

static int json_mismatch(const struct json_at *at, const char *wanted, struct err *err)
{
	char shown[JSON_SHOW_SIZE];
	bool scalar = json_is_number(at->value) || json_is_boolean(at->value);

	return json_error(at, err, "%s is no %s%s", json_show(at->value, shown), wanted,
		scalar && strcmp(wanted, "string") == 0 ? "; put it in quotes" : "");
}

int json_as_string(const struct json_at *at, const char **ret_string, struct err *err)
{
	if (!json_is_string(at->value))
		return json_mismatch(at, "string", err);
	*ret_string = json_string_value(at->value);
	return 0;
}

static int json_as_number(const struct json_at *at, const char *what, int64_t minimum,
	int64_t maximum, int64_t *ret_int, struct err *err)
{
	char shown[JSON_SHOW_SIZE];
	int64_t value = json_integer_value(at->value);

	if (!json_is_integer(at->value) || value < minimum || value > maximum)
		return json_error(at, err, "%s is no %s; use %" PRId64 " to %" PRId64,
			json_show(at->value, shown), what, minimum, maximum);
	*ret_int = value;
	return 0;
}

int json_as_int(const struct json_at *at, int64_t minimum, int64_t maximum, int64_t *ret_int,
	struct err *err)
{
	return json_as_number(at, "number that is allowed here", minimum, maximum, ret_int, err);
}

/* 1: it is there; 0: it is not and need not be. */
static int json_find(const struct json_at *object, const char *key, enum json_presence presence,
	struct json_at *ret_at, struct err *err)
{
	*ret_at = json_member(object, key);
	if (ret_at->value && !json_is_null(ret_at->value))
		return 1;
	ret_at->value = NULL;
	if (presence == JSON_REQUIRED)
		return json_error(ret_at, err, "is missing");
	return 0;
}

int json_get_any(const struct json_at *object, const char *key, enum json_presence presence,
	struct json_at *ret_value, struct err *err)
{
	int r = json_find(object, key, presence, ret_value, err);

	return r < 0 ? r : 0;
}

int json_get_string(const struct json_at *object, const char *key, enum json_presence presence,
	const char **ret_string, struct err *err)
{
	struct json_at at;
	int r = json_find(object, key, presence, &at, err);

	return r <= 0 ? r : json_as_string(&at, ret_string, err);
}

int json_get_bool(const struct json_at *object, const char *key, enum json_presence presence,
	bool *ret_bool, struct err *err)
{
	char shown[JSON_SHOW_SIZE];
	struct json_at at;
	int r = json_find(object, key, presence, &at, err);

	if (r <= 0)
		return r;
	if (!json_is_boolean(at.value))
		return json_error(
			&at, err, "%s is neither true nor false", json_show(at.value, shown));
	*ret_bool = json_is_true(at.value);
	return 0;
}

int json_get_int(const struct json_at *object, const char *key, enum json_presence presence,
	int64_t minimum, int64_t maximum, int64_t *ret_int, struct err *err)
{
	struct json_at at;
	int r = json_find(object, key, presence, &at, err);

	return r <= 0 ? r : json_as_int(&at, minimum, maximum, ret_int, err);
}

int json_get_port(const struct json_at *object, const char *key, enum json_presence presence,
	uint16_t *ret_port, struct err *err)
{
	struct json_at at;
	int64_t port = 0;
	int r = json_find(object, key, presence, &at, err);

	if (r <= 0)
		return r;
	r = json_as_number(&at, "port", 1, UINT16_MAX, &port, err);
	if (r == 0)
		*ret_port = (uint16_t)port;
	return r;
}

int json_get_object(const struct json_at *object, const char *key, enum json_presence presence,
	struct json_at *ret_object, struct err *err)
{
	int r = json_find(object, key, presence, ret_object, err);

	if (r <= 0)
		return r;
	return json_is_object(ret_object->value) ? 0 : json_mismatch(ret_object, "object", err);
}

int json_get_array(const struct json_at *object, const char *key, enum json_presence presence,
	struct json_at *ret_array, struct err *err)
{
	int r = json_find(object, key, presence, ret_array, err);

	if (r <= 0)
		return r;
	return json_is_array(ret_array->value) ? 0 : json_mismatch(ret_array, "list", err);
}
