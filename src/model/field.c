/* SPDX-License-Identifier: Apache-2.0 */
#include "model/field.h"

#include <errno.h>
#include <string.h>

/*
 * Walks the tables. A list in an object is `struct { T *list; size_t count; }` for any T; here it
 * is a `struct items`, moved by memcpy because the types of the pointers differ.
 */
struct items {
	void *list;
	size_t count;
};
_Static_assert(sizeof(struct items) == sizeof(struct strings), "lists look alike");
_Static_assert(sizeof(struct items) == sizeof(struct addrs), "lists look alike");

static int field_struct_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err);
static int field_pointer_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err);

static struct items items_load(const void *value)
{
	struct items items;

	memcpy(&items, value, sizeof(items));
	return items;
}

static void *pointer_load(const void *value)
{
	void *pointer;

	memcpy(&pointer, value, sizeof(pointer));
	return pointer;
}

static void field_struct_clear(const struct field *field, void *value)
{
	field_table_clear(field->table, value);
}

static bool field_struct_equal(const struct field *field, const void *a, const void *b)
{
	return field_table_equal(field->table, a, b);
}

static void field_pointer_clear(const struct field *field, void *value)
{
	void *target = pointer_load(value);

	if (target)
		field_table_clear(field->table, target);
	free(target);
	memset(value, 0, sizeof(target));
}

static bool field_pointer_equal(const struct field *field, const void *a, const void *b)
{
	const void *left = pointer_load(a), *right = pointer_load(b);

	if (!left || !right)
		return left == right;
	return field_table_equal(field->table, left, right);
}

static const struct field_operations *field_operations_of(const struct field *field)
{
	static const struct field_operations structure = {
		.read = field_struct_read,
		.clear = field_struct_clear,
		.equal = field_struct_equal,
	};
	static const struct field_operations pointer = {
		.size = sizeof(void *),
		.read = field_pointer_read,
		.clear = field_pointer_clear,
		.equal = field_pointer_equal,
	};

	if (field->type == FIELD_STRUCT)
		return &structure;
	if (field->type == FIELD_POINTER)
		return &pointer;
	return &field_scalar_operations[field->type];
}

static size_t field_size(const struct field *field)
{
	size_t size = field_operations_of(field)->size;

	return size ? size : field->table->size;
}

void field_table_preset(const struct field_table *table, void *value)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		char *place = (char *)value + field->offset;

		if (field->flags & FIELD_LIST)
			continue;
		if (field->type == FIELD_STRUCT)
			field_table_preset(field->table, place);
		else if (field->type == FIELD_BOOL && field->preset)
			*(bool *)place = true;
		else if (field->type == FIELD_NUMBER)
			memcpy(place, &field->preset, sizeof(field->preset));
	}
}

static int field_struct_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	return field_table_read(field->table, at, value, err);
}

static int field_pointer_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	void *target = mem_new(1, field->table->size);

	memcpy(value, &target, sizeof(target));
	field_table_preset(field->table, target);
	return field_table_read(field->table, at, target, err);
}

/* The count goes up before an element is read, so that what a failure leaves is freed. */
static int field_list_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	size_t size = field_size(field), count = json_array_size(at->value);
	struct items items = {0};

	if (!json_is_array(at->value)) {
		char shown[JSON_SHOW_SIZE];

		return json_error(at, err, "%s is no list", json_show(at->value, shown));
	}
	if (count == 0)
		return 0;
	items.list = mem_new(count, size);
	for (size_t i = 0; i < count; i++) {
		struct json_at element = json_element(at, i);
		char *place = (char *)items.list + i * size;
		int r;

		items.count = i + 1;
		memcpy(value, &items, sizeof(items));
		if (field->type == FIELD_STRUCT)
			field_table_preset(field->table, place);
		r = field_operations_of(field)->read(field, &element, place, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The others are no bad ones either. */
static int field_first_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	const struct field_operations *operations = field_operations_of(field);
	struct items items = {0};
	int r = field_list_read(field, at, &items, err);

	if (r == 0 && items.count == 0)
		r = json_error(at, err, "is empty; use one");
	for (size_t i = 0; i < items.count; i++) {
		char *element = (char *)items.list + i * field_size(field);

		if (r == 0 && i == 0)
			memcpy(value, element, field_size(field));
		else if (operations->clear)
			operations->clear(field, element);
	}
	free(items.list);
	return r;
}

static bool json_is_empty_string(const json_t *value)
{
	return json_is_string(value) && json_string_length(value) == 0;
}

static int field_read(
	const struct field *field, const struct json_at *object, void *value, struct err *err)
{
	struct json_at at = json_member(object, field->name);
	bool absent = !at.value || json_is_null(at.value);

	/* A port named "" is no port; the API server refuses it too. */
	if (field->type != FIELD_PORT_REF || field->flags & FIELD_ZERO)
		absent = absent || json_is_empty_string(at.value);
	if (absent) {
		if (field->flags & FIELD_REQUIRED)
			return json_error(&at, err, "is missing");
		return 0;
	}
	if (field->flags & FIELD_LIST)
		return field_list_read(field, &at, value, err);
	if (field->flags & FIELD_FIRST)
		return field_first_read(field, &at, value, err);
	return field_operations_of(field)->read(field, &at, value, err);
}

int field_table_read(
	const struct field_table *table, const struct json_at *at, void *value, struct err *err)
{
	if (!json_is_object(at->value)) {
		char shown[JSON_SHOW_SIZE];

		return json_error(at, err, "%s is no object", json_show(at->value, shown));
	}
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		int r = field_read(field, at, (char *)value + field->offset, err);

		if (r < 0)
			return r;
	}
	return table->check ? table->check(value, at, err) : 0;
}

static void field_list_clear(const struct field *field, void *value)
{
	const struct field_operations *operations = field_operations_of(field);
	struct items items = items_load(value);

	for (size_t i = 0; i < items.count && operations->clear; i++)
		operations->clear(field, (char *)items.list + i * field_size(field));
	free(items.list);
	memset(value, 0, sizeof(items));
}

void field_table_clear(const struct field_table *table, void *value)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		const struct field_operations *operations = field_operations_of(field);
		void *place = (char *)value + field->offset;

		if (field->flags & FIELD_LIST)
			field_list_clear(field, place);
		else if (operations->clear)
			operations->clear(field, place);
	}
}

static bool field_list_equal(const struct field *field, const void *a, const void *b)
{
	const struct field_operations *operations = field_operations_of(field);
	struct items left = items_load(a), right = items_load(b);
	size_t size = field_size(field);

	if (left.count != right.count)
		return false;
	for (size_t i = 0; i < left.count; i++)
		if (!operations->equal(field, (const char *)left.list + i * size,
			    (const char *)right.list + i * size))
			return false;
	return true;
}

bool field_table_equal(const struct field_table *table, const void *a, const void *b)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct field *field = &table->fields[i];
		const void *left = (const char *)a + field->offset;
		const void *right = (const char *)b + field->offset;
		bool equal = field->flags & FIELD_LIST
				     ? field_list_equal(field, left, right)
				     : field_operations_of(field)->equal(field, left, right);

		if (!equal)
			return false;
	}
	return true;
}
