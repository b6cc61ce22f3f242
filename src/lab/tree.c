/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/tree.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

json_t *tree_at(const json_t *value, const char *path)
{
	char key[64];

	while (value && *path) {
		size_t length = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		value = json_object_get(value, key);
		path += length + (path[length] == '.');
	}
	return (json_t *)value;
}

const char *tree_text(const json_t *value, const char *path)
{
	const char *text = json_string_value(tree_at(value, path));

	return text ? text : "";
}

json_t *tree_child(json_t *object, const char *key)
{
	json_t *child = json_object_get(object, key);

	if (!json_is_object(child)) {
		child = json_object();
		json_object_set_new(object, key, child);
	}
	return child;
}

void tree_default(json_t *object, const char *key, json_t *value)
{
	json_t *present = json_object_get(object, key);

	if (present && !json_is_null(present))
		json_decref(value);
	else
		json_object_set_new(object, key, value);
}

void tree_default_text(json_t *object, const char *key, const char *text)
{
	tree_default(object, key, json_string(text));
}

bool tree_same(const json_t *a, const json_t *b)
{
	if (json_is_null(a))
		a = NULL;
	if (json_is_null(b))
		b = NULL;
	return (!a && !b) || (a && b && json_equal((json_t *)a, (json_t *)b));
}

static uint64_t text_hash(const char *text, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
	return hash ^ hash >> 29;
}

uint64_t tree_hash(const json_t *value)
{
	_free_ char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	return text ? text_hash(text, strlen(text)) : 0;
}

enum lab_kind tree_kind(const json_t *object)
{
	return lab_kind_from_name(tree_text(object, "kind"));
}

const char *tree_name(const json_t *object)
{
	return tree_text(object, "metadata.name");
}

const char *tree_namespace(const json_t *object)
{
	return tree_text(object, "metadata.namespace");
}

const char *tree_uid(const json_t *object)
{
	return tree_text(object, "metadata.uid");
}

char *tree_key_format(enum lab_kind kind, const char *name_space, const char *name)
{
	return mem_format("%s/%s/%s", lab_kinds[kind].name,
		lab_kinds[kind].namespaced ? name_space : "", name);
}

char *tree_key(const json_t *object)
{
	return mem_format("%s/%s/%s", tree_text(object, "kind"), tree_namespace(object),
		tree_name(object));
}

char *tree_title(const json_t *object)
{
	const char *name_space = tree_namespace(object);

	return mem_format("%s%s%s", name_space, *name_space ? "/" : "", tree_name(object));
}

json_t *time_new(void)
{
	time_t now = time(NULL);
	char text[32];
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return json_string(text);
}

static json_t *uid_new(void)
{
	unsigned char r[16] = {0};
	char text[37];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		abort();
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	snprintf(text, sizeof(text),
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1],
		r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14],
		r[15]);
	return json_string(text);
}

void tree_stamp(json_t *object)
{
	json_t *metadata = tree_child(object, "metadata");

	if (!json_object_get(metadata, "uid"))
		json_object_set_new(metadata, "uid", uid_new());
	if (!json_is_string(json_object_get(metadata, "creationTimestamp")))
		json_object_set_new(metadata, "creationTimestamp", time_new());
}

json_t *tree_new(enum lab_kind kind, const char *name_space, const char *name)
{
	json_t *object = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", lab_kinds[kind].api_version,
		"kind", lab_kinds[kind].name, "metadata", "name", name);

	if (lab_kinds[kind].namespaced)
		json_object_set_new(
			json_object_get(object, "metadata"), "namespace", json_string(name_space));
	tree_stamp(object);
	return object;
}

bool tree_labels_match(const json_t *selector, const json_t *labels)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)selector, key, value)
	{
		json_t *label = json_object_get(labels, key);

		if (!label || !json_equal(label, value))
			return false;
	}
	return true;
}

static bool expression_match(const json_t *expression, const json_t *labels)
{
	const char *operator= tree_text(expression, "operator");
	json_t *label = json_object_get(labels, tree_text(expression, "key"));
	bool found = false;
	json_t *value;
	size_t index;

	if (strcmp(operator, "Exists") == 0)
		return label;
	if (strcmp(operator, "DoesNotExist") == 0)
		return !label;
	json_array_foreach(json_object_get(expression, "values"), index, value)
	{
		found = found || (label && json_equal(label, value));
	}
	return strcmp(operator, "NotIn") == 0 ? !found : found;
}

bool tree_selector_match(const json_t *selector, const json_t *labels)
{
	json_t *expression;
	size_t index;

	if (!tree_labels_match(json_object_get(selector, "matchLabels"), labels))
		return false;
	json_array_foreach(json_object_get(selector, "matchExpressions"), index, expression)
	{
		if (!expression_match(expression, labels))
			return false;
	}
	return true;
}

json_t *owner_new(const json_t *owner)
{
	return json_pack("[{s:s, s:s, s:s, s:s, s:b, s:b}]", "apiVersion",
		tree_text(owner, "apiVersion"), "kind", tree_text(owner, "kind"), "name",
		tree_name(owner), "uid", tree_uid(owner), "controller", 1, "blockOwnerDeletion",
		1);
}

const char *tree_owner(const json_t *object)
{
	json_t *reference;
	size_t index;

	json_array_foreach(tree_at(object, "metadata.ownerReferences"), index, reference)
	{
		if (json_is_true(json_object_get(reference, "controller")))
			return tree_text(reference, "uid");
	}
	return "";
}

char *name_suffix(uint64_t hash, unsigned int count)
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	char *suffix = mem_new(count + 1, 1);

	for (unsigned int i = 0; i < count; i++) {
		suffix[i] = alphabet[hash % (sizeof(alphabet) - 1)];
		hash /= sizeof(alphabet) - 1;
	}
	return suffix;
}
