/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "check.h"

#include "base/json.h"
#include "base/yaml.h"
#include "model/object.h"

/* Objects for tests, from YAML. */

struct object_case {
	const char *name, *yaml, *error; /* NULL: it is read */
};

static inline int object_read(const char *text, struct object **ret_object, struct err *err)
{
	_json_ json_t *tree = NULL;

	if (yaml_read_one(text, strlen(text), &tree, err) < 0)
		fail_msg("%s", err->text);
	return object_parse(tree, ret_object, err);
}

static inline struct object *object_of(const char *text)
{
	struct object *object = NULL;
	struct err err = {0};

	if (object_read(text, &object, &err) < 0)
		fail_msg("%s", err.text);
	return object;
}

static inline void check_objects(const struct object_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_(object_free) struct object *object = NULL;
		struct err err = {0};
		int r = object_read(cases[i].yaml, &object, &err);

		check_case(cases[i].name, r < 0 ? err.text : NULL, cases[i].error);
	}
}
