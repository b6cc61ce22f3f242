/* SPDX-License-Identifier: Apache-2.0 */
#include "model/namespace.h"

#include "base/text.h"
#include "base/word.h"
#include "model/field.h"

#include <string.h>

#define NAMESPACE_NAME_LABEL "kubernetes.io/metadata.name"

static const struct string_rule namespace_name_rule = {
	name_is_label, "no name of a Namespace; use at most 63 of a-z 0-9 '-'"};

static int namespace_check(void *value, const struct json_at *at, struct err *err)
{
	struct object *object = value;
	struct labels *labels = &object->labels;
	size_t place = 0;

	if (labels_get(labels, NAMESPACE_NAME_LABEL))
		return 0;
	labels->list = mem_grow(
		labels->list, &(size_t){labels->count}, labels->count + 1, sizeof(*labels->list));
	while (place < labels->count && strcmp(labels->list[place].key, NAMESPACE_NAME_LABEL) < 0)
		place++;
	memmove(&labels->list[place + 1], &labels->list[place],
		(labels->count - place) * sizeof(*labels->list));
	labels->list[place] = (struct label){
		.key = word_take(NAMESPACE_NAME_LABEL), .value = word_take(object->name)};
	labels->count++;
	return 0;
}

static const struct field namespace_fields[] = {
	FIELD(namespace, object, "metadata", 1, FIELD_STRUCT, .table = &meta_table,
		.flags = FIELD_REQUIRED),
};
static const struct field_table namespace_table = {
	.fields = namespace_fields,
	.count = ARRAY_SIZE(namespace_fields),
	.size = sizeof(struct namespace),
	.check = namespace_check,
};

const struct kind_rule namespace_kind = {
	.name = "Namespace",
	.api_version = "v1",
	.name_rule = &namespace_name_rule,
	.table = &namespace_table,
};

const struct namespace *object_namespace_const(const struct object *object)
{
	return object->kind == KIND_NAMESPACE ? (const struct namespace *)object : NULL;
}
