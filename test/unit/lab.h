/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "check.h"

#include "base/json.h"
#include "base/yaml.h"
#include "lab/lab.h"

/* A lab of objects only: nothing is made, nothing runs. `yaml` holds documents. */
static inline struct lab *lab_of(bool has_v4, bool has_v6, const char *yaml)
{
	struct lab *lab = mem_new(1, sizeof(*lab));
	struct yaml_documents documents = {0};
	struct err err = {0};

	lab->name = mem_string("test");
	lab->directory = mem_string("/nonexistent");
	lab->lock = -1;
	lab->quiet = true;
	lab->settings = (struct lab_settings){.subnets = 1};
	lab->settings.pod_families[FAMILY_IPV4] = lab->settings.node_families[FAMILY_IPV4] = has_v4;
	lab->settings.pod_families[FAMILY_IPV6] = lab->settings.node_families[FAMILY_IPV6] = has_v6;
	lab->objects = json_object();
	lab->ignored = json_object();
	lab->runtime = json_object();
	if (yaml_read(yaml, strlen(yaml), &documents, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < documents.count; i++) {
		json_t *tree = documents.list[i].tree;

		if (!tree)
			fail_msg("document %zu: %s", i + 1, documents.list[i].reason);
		tree_stamp(tree);
		lab_put(lab, json_incref(tree));
	}
	yaml_documents_clear(&documents);
	return lab;
}

/* The names of all objects of a kind, with what `describe` adds; joined by spaces. For free(). */
static inline char *lab_names(
	const struct lab *lab, enum lab_kind kind, const char *(*describe)(const json_t *object))
{
	_json_ json_t *list = lab_list(lab, kind);
	char *names = mem_string("");
	json_t *object;
	size_t index;

	json_array_foreach(list, index, object)
	{
		_free_ char *before = names;
		const char *more = describe ? describe(object) : "";

		names = mem_format("%s%s%s%s%s", before, index ? " " : "", tree_name(object),
			*more ? "=" : "", more);
	}
	return names;
}

static inline size_t lab_count(const struct lab *lab, enum lab_kind kind)
{
	_json_ json_t *list = lab_list(lab, kind);

	return json_array_size(list);
}
