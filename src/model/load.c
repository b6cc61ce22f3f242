/* SPDX-License-Identifier: Apache-2.0 */
#include "model/load.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/word.h"
#include "base/yaml.h"

#include <errno.h>
#include <string.h>

/* Where an object stood. */
struct place {
	const char *source;
	size_t document, line;
	size_t before; /* how many refusals other sources have left */
};

static const char *tree_string(const json_t *tree, const char *key)
{
	return json_string_value(json_object_get(tree, key));
}

static void load_refuse(struct load_result *result, const struct place *place, const json_t *tree,
	const char *reason)
{
	const json_t *meta = json_object_get(tree, "metadata");
	struct refusal refusal = {
		.source = mem_string(place->source),
		.document = place->document,
		.kind = mem_string_or_null(tree_string(tree, "kind")),
		.namespace = mem_string_or_null(tree_string(meta, "namespace")),
		.name = mem_string_or_null(tree_string(meta, "name")),
		.reason = mem_string(reason),
	};

	result->refusals.list = mem_grow(result->refusals.list, &result->refusals.capacity,
		result->refusals.count + 1, sizeof(*result->refusals.list));
	result->refusals.list[result->refusals.count++] = refusal;
}

static void load_refuse_twice(struct load_result *result, const struct place *place,
	const json_t *tree, const struct object *first)
{
	_free_ char *reason = mem_format("is given twice; the one in %s, document %u stays in force",
		first->place.source, first->place.document);

	load_refuse(result, place, tree, reason);
}

void loaded_refuse_twice(
	struct load_result *result, const struct loaded *loaded, const struct object *first)
{
	const struct place place = {
		.source = loaded->object->place.source, .document = loaded->document};

	load_refuse_twice(result, &place, loaded->tree, first);
}

static struct loaded loaded_make(const struct place *place, json_t *tree, struct object *object)
{
	const json_t *meta = json_object_get(tree, "metadata");

	return (struct loaded){
		.object = object,
		.tree = json_incref(tree),
		.api_version = mem_string(tree_string(tree, "apiVersion")),
		.kind = mem_string(tree_string(tree, "kind")),
		.namespace = mem_string_or_null(
			object ? object->namespace : tree_string(meta, "namespace")),
		.name = mem_string_or_null(tree_string(meta, "name")),
		.document = place->document,
		.line = place->line,
	};
}

static void load_ignored(struct load_result *result, const struct place *place, json_t *tree)
{
	struct loaded loaded = loaded_make(place, tree, NULL);
	_free_ char *title = mem_format("%s/%s", loaded.api_version, loaded.kind);

	if (!hash_get(&result->ignored, title))
		hash_put(&result->ignored, title, result);
	result->others.list = mem_grow(result->others.list, &result->others.capacity,
		result->others.count + 1, sizeof(*result->others.list));
	result->others.list[result->others.count++] = loaded;
}

static void load_object(struct load_result *result, const struct place *place, json_t *tree)
{
	_cleanup_(object_free) struct object *object = NULL;
	_free_ char *title = NULL;
	const struct object *first;
	struct err err = {0};
	int r = object_parse(tree, &object, &err);

	if (r == -ENOENT) {
		load_ignored(result, place, tree);
		return;
	}
	if (r < 0) {
		load_refuse(result, place, tree, err.text);
		return;
	}
	object->place.source = word_take(place->source);
	object->place.document = (uint32_t)place->document;
	title = object_title(object);
	first = hash_get(&result->seen, title);
	if (first) {
		load_refuse_twice(result, place, tree, first);
		return;
	}
	hash_put(&result->seen, title, object);
	result->objects.list = mem_grow(result->objects.list, &result->objects.capacity,
		result->objects.count + 1, sizeof(*result->objects.list));
	result->objects.list[result->objects.count++] = loaded_make(place, tree, TAKE_PTR(object));
}

/*
 * "List", or "PodList" and the like as the API server answers, whose items need not say what they
 * are. NULL: no list.
 */
static json_t *tree_list_items(const json_t *tree, bool *ret_untyped)
{
	const char *kind = tree_string(tree, "kind");
	size_t size = kind ? strlen(kind) : 0;
	json_t *items = json_object_get(tree, "items");

	if (size < 4 || strcmp(kind + size - 4, "List") != 0 || !json_is_array(items))
		return NULL;
	*ret_untyped = size > 4;
	return items;
}

/* A text of nothing but bad objects must not fill memory and log with what is wrong with them. */
static bool load_is_full(const struct load_result *result, const struct place *place)
{
	return result->refusals.count - place->before >= LOAD_REFUSALS_MAX;
}

static void load_tree(struct load_result *result, const struct place *place, json_t *tree);

static void load_list(struct load_result *result, const struct place *place, const json_t *tree,
	json_t *items, bool untyped)
{
	const char *kind = tree_string(tree, "kind");
	_json_ json_t *item_kind = json_stringn(kind, strlen(kind) - strlen("List"));
	json_t *version = json_object_get(tree, "apiVersion"), *item;
	size_t index;

	json_array_foreach(items, index, item) {
		if (load_is_full(result, place))
			return;
		if (untyped && json_is_object(item) && !json_object_get(item, "kind")) {
			json_object_set(item, "kind", item_kind);
			json_object_set(item, "apiVersion", version);
		}
		load_tree(result, place, item);
	}
}

static void load_tree(struct load_result *result, const struct place *place, json_t *tree)
{
	bool untyped;
	json_t *items = tree_list_items(tree, &untyped);

	if (items)
		load_list(result, place, tree, items, untyped);
	else
		load_object(result, place, tree);
}

size_t objects_refuse(const char *source, const char *reason, struct load_result *result)
{
	const struct place place = {.source = source};

	load_refuse(result, &place, NULL, reason);
	return 1;
}

size_t objects_load(const char *text, size_t length, const char *source, struct load_result *result)
{
	_cleanup_(yaml_documents_clear) struct yaml_documents documents = {0};
	struct place place = {.source = source, .before = result->refusals.count};
	struct err err = {0};

	if (yaml_read(text, length, &documents, &err) < 0)
		load_refuse(result, &place, NULL, err.text);
	for (size_t i = 0; i < documents.count && !load_is_full(result, &place); i++) {
		place.document = i + 1;
		place.line = documents.list[i].line;
		if (documents.list[i].reason)
			load_refuse(result, &place, NULL, documents.list[i].reason);
		else
			load_tree(result, &place, documents.list[i].tree);
	}
	if (load_is_full(result, &place))
		objects_refuse(source, "so many objects are refused that the rest is not read", result);
	return result->refusals.count - place.before;
}

static void loaded_clear(struct loaded *loaded)
{
	object_free(&loaded->object);
	json_cleanup(&loaded->tree);
	free(loaded->api_version);
	free(loaded->kind);
	free(loaded->namespace);
	free(loaded->name);
}

static void refusal_clear(struct refusal *refusal)
{
	free(refusal->source);
	free(refusal->kind);
	free(refusal->namespace);
	free(refusal->name);
	free(refusal->reason);
}

void load_result_clear_objects(struct load_result *result)
{
	for (size_t i = 0; i < result->objects.count; i++)
		loaded_clear(&result->objects.list[i]);
	for (size_t i = 0; i < result->others.count; i++)
		loaded_clear(&result->others.list[i]);
	mem_free_pointer(&result->objects.list);
	mem_free_pointer(&result->others.list);
	result->objects.count = result->objects.capacity = 0;
	result->others.count = result->others.capacity = 0;
	hash_clear(&result->seen, NULL);
}

void load_result_clear(struct load_result *result)
{
	load_result_clear_objects(result);
	for (size_t i = 0; i < result->refusals.count; i++)
		refusal_clear(&result->refusals.list[i]);
	free(result->refusals.list);
	hash_clear(&result->ignored, NULL);
	*result = (struct load_result){0};
}

char *refusal_text(const struct refusal *refusal)
{
	struct text text = {0};

	text_append_safe(&text, refusal->source);
	if (refusal->document)
		text_printf(&text, ", document %zu", refusal->document);
	text_append(&text, ": ");
	if (refusal->kind) {
		text_append_safe(&text, refusal->kind);
		if (refusal->name) {
			text_append(&text, " ");
			text_append_safe(&text, refusal->namespace ? refusal->namespace : "");
			text_append(&text, refusal->namespace ? "/" : "");
			text_append_safe(&text, refusal->name);
		}
		text_append(&text, ": ");
	}
	text_append_safe(&text, refusal->reason);
	return text_take(&text);
}
