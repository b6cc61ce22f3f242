/* SPDX-License-Identifier: Apache-2.0 */
#include "model/field.h"

#include "check.h"

/*
 * Every table of every kind, walked: what the tables must be so that both decoders can use them.
 * The numbers themselves are those of the API's .proto files; that they are right is shown by
 * objects in both encodings, when protobuf is read.
 */

static void check_table(const struct field_table *table, unsigned int depth);

static void check_field(const struct field_table *table, size_t index, unsigned int depth)
{
	const struct field *field = &table->fields[index];
	bool nested = field->type == FIELD_STRUCT || field->type == FIELD_POINTER;

	assert_non_null(field->name);
	assert_true(field->number > 0);
	assert_true(field->type < FIELD_TYPE_MAX);
	assert_int_equal(field->table != NULL, nested);
	assert_int_equal(field->names != NULL, field->type == FIELD_ENUM);
	assert_int_equal(field->entry != NULL, field->type == FIELD_MAP_TIME);
	if (!nested)
		assert_non_null(field_scalar_operations[field->type].read);
	if (field->type == FIELD_NUMBER)
		assert_true(field->minimum <= field->preset && field->preset <= field->maximum);
	/* The elements of a list and what a pointer points to need a size. */
	if (nested && (field->type == FIELD_POINTER || field->flags & FIELD_LIST))
		assert_true(field->table->size > 0);
	for (size_t i = 0; i < index; i++) {
		assert_string_not_equal(table->fields[i].name, field->name);
		assert_int_not_equal(table->fields[i].number, field->number);
	}
	if (nested)
		check_table(field->table, depth + 1);
}

static void check_table(const struct field_table *table, unsigned int depth)
{
	assert_true(depth < 10);
	for (size_t i = 0; i < table->count; i++)
		check_field(table, i, depth);
}

static void test_tables(void **state)
{
	static const struct kind_rule *const rules[] = {&node_kind, &namespace_kind, &pod_kind,
		&service_kind, &endpoint_slice_kind, &network_policy_kind};

	_Static_assert(ARRAY_SIZE(rules) == KIND_MAX, "all kinds");
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		assert_true(rules[i]->table->size >= sizeof(struct object));
		assert_string_equal(rules[i]->table->fields[0].name, "metadata");
		check_table(rules[i]->table, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
