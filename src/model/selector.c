/* SPDX-License-Identifier: Apache-2.0 */
#include "model/selector.h"

#include "base/mem.h"
#include "base/text.h"
#include "model/field.h"

#include <string.h>

static const char *const selector_operators[] = {
	[SELECTOR_IN] = "In",
	[SELECTOR_NOT_IN] = "NotIn",
	[SELECTOR_EXISTS] = "Exists",
	[SELECTOR_DOES_NOT_EXIST] = "DoesNotExist",
};
_Static_assert(ARRAY_SIZE(selector_operators) == SELECTOR_OPERATOR_MAX, "a name for each operator");
static const struct enum_names selector_operator_names = {
	"operator of a selector", selector_operators, SELECTOR_OPERATOR_MAX};

static int requirement_check(void *value, const struct json_at *at, struct err *err)
{
	const struct requirement *requirement = value;
	const char *name = selector_operators[requirement->operator];
	struct json_at values = json_member(at, "values");
	bool wants = requirement->operator== SELECTOR_IN || requirement->operator== SELECTOR_NOT_IN;

	if (wants && requirement->values.count == 0)
		return json_error(&values, err, "is missing; %s wants one or more", name);
	if (!wants && requirement->values.count > 0)
		return json_error(&values, err, "must not be given; %s wants none", name);
	return 0;
}

static const struct field requirement_fields[] = {
	FIELD(requirement, key, "key", 1, FIELD_STRING, .flags = FIELD_REQUIRED,
		.rule = &label_key_rule),
	FIELD(requirement, operator, "operator", 2, FIELD_ENUM, .flags = FIELD_REQUIRED,
		.names = &selector_operator_names),
	FIELD(requirement, values, "values", 3, FIELD_STRING, .flags = FIELD_LIST,
		.rule = &label_value_rule),
};
static const struct field_table requirement_table = {
	.fields = requirement_fields,
	.count = ARRAY_SIZE(requirement_fields),
	.size = sizeof(struct requirement),
	.check = requirement_check,
};

static const struct field selector_fields[] = {
	FIELD(selector, match_labels, "matchLabels", 1, FIELD_MAP, .rule = &label_value_rule),
	FIELD(selector, requirements, "matchExpressions", 2, FIELD_STRUCT, .flags = FIELD_LIST,
		.table = &requirement_table),
};
const struct field_table selector_table = {
	.fields = selector_fields,
	.count = ARRAY_SIZE(selector_fields),
	.size = sizeof(struct selector),
};

static bool requirement_holds(const struct requirement *requirement, const struct labels *labels)
{
	const char *value = labels_get(labels, requirement->key);
	bool found = false;

	for (size_t i = 0; i < requirement->values.count && value && !found; i++)
		found = strcmp(requirement->values.list[i], value) == 0;
	switch (requirement->operator) {
	case SELECTOR_IN:
		return found;
	case SELECTOR_NOT_IN:
		return !found;
	case SELECTOR_EXISTS:
		return value != NULL;
	default:
		return value == NULL;
	}
}

bool selector_matches(const struct selector *selector, const struct labels *labels)
{
	if (!labels_contain(labels, &selector->match_labels))
		return false;
	for (size_t i = 0; i < selector->requirements.count; i++)
		if (!requirement_holds(&selector->requirements.list[i], labels))
			return false;
	return true;
}
