/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/manifest.h"

#include "base/json.h"
#include "base/mem.h"
#include "lab/defaults.h"
#include "lab/plan.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const suffixes[] = {".yaml", ".yml", ".json"};

static int is_manifest(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t suffix = strlen(suffixes[i]);

		if (entry->d_name[0] != '.' && length > suffix &&
			strcmp(entry->d_name + length - suffix, suffixes[i]) == 0)
			return 1;
	}
	return 0;
}

static int file_load(const char *path, struct load_result *result, struct err *err)
{
	_free_ char *text = file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path);

	if (!text)
		return err_system(err, errno, "-f %s", path);
	objects_load(text, strlen(text), path, result);
	return 0;
}

static int folder_load(const char *path, struct load_result *result, struct err *err)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, is_manifest, alphasort), r = 0;

	if (count < 0)
		return err_system(err, errno, "-f %s", path);
	if (count == 0)
		r = err_set(err, ENOENT, "-f %s: the folder holds no *.yaml, *.yml or *.json", path);
	for (int i = 0; i < count; i++) {
		_free_ char *file = mem_format("%s/%s", path, entries[i]->d_name);

		if (r == 0)
			r = file_load(file, result, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int manifests_read(
	const char *const *paths, size_t count, struct load_result *result, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		struct stat info;
		bool is_folder = stat(paths[i], &info) == 0 && S_ISDIR(info.st_mode);
		int r = is_folder ? folder_load(paths[i], result, err)
				  : file_load(paths[i], result, err);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < result->refusals.count; i++) {
		_free_ char *text = refusal_text(&result->refusals.list[i]);

		fprintf(stderr, "%s\n", text);
	}
	if (result->refusals.count > 0)
		return err_set(err, EINVAL, "%zu object%s refused; nothing was changed",
			result->refusals.count, result->refusals.count > 1 ? "s were" : " was");
	return 0;
}

static void namespace_make(struct lab *lab, const char *name)
{
	json_t *object;

	if (lab_find(lab, LAB_NAMESPACE, "", name))
		return;
	object = tree_new(LAB_NAMESPACE, "", name);
	json_object_set_new(json_object_get(object, "metadata"), "labels",
		json_pack("{s:s}", "kubernetes.io/metadata.name", name));
	json_object_set_new(object, "status", json_pack("{s:s}", "phase", "Active"));
	lab_put(lab, object);
}

void basics_make(struct lab *lab)
{
	json_t *service = tree_new(LAB_SERVICE, "default", "kubernetes");
	_free_ char *address =
		plan_service_address(plan_primary(&lab->settings), PLAN_SERVICE_API);

	namespace_make(lab, "default");
	namespace_make(lab, "kube-system");
	json_object_set_new(service, "spec",
		json_pack("{s:s, s:s, s:[{s:s, s:s, s:i, s:i}], s:s}", "type", "ClusterIP",
			"clusterIP", address, "ports",
			"name", "https", "protocol", "TCP", "port", 443, "targetPort", 6443,
			"sessionAffinity", "None"));
	lab_put(lab, service);
}

/* Says once that an object of this kind and name is no concern of the network. */
static void ignored_note(struct lab *lab, const json_t *tree, json_t *counts)
{
	_free_ char *key = tree_key(tree);
	const char *kind = tree_text(tree, "kind");

	if (json_object_get(lab->ignored, key))
		return;
	json_object_set_new(lab->ignored, key, json_true());
	json_object_set_new(
		counts, kind, json_integer(json_integer_value(json_object_get(counts, kind)) + 1));
}

static void ignored_say(const struct lab *lab, const json_t *counts)
{
	_free_ char *list = mem_string("");
	json_t *count;
	const char *kind;

	json_object_foreach((json_t *)counts, kind, count)
	{
		_free_ char *before = TAKE_PTR(list);
		json_int_t n = json_integer_value(count);

		list = n > 1 ? mem_format("%s%s%lld %s", before, *before ? ", " : "", (long long)n,
				       kind)
			     : mem_format("%s%s%s", before, *before ? ", " : "", kind);
	}
	if (*list)
		lab_say(lab, "ignored, as no concern of the network: %s", list);
}

static int object_apply(struct lab *lab, const json_t *given, struct err *err)
{
	_json_ json_t *tree = json_deep_copy(given);
	const struct lab_kind_info *info = &lab_kinds[tree_kind(tree)];
	json_t *metadata = tree_child(tree, "metadata"), *old;
	_free_ char *title = NULL;
	bool is_changed;

	if (info->namespaced)
		tree_default_text(metadata, "namespace", "default");
	else
		json_object_del(metadata, "namespace");
	title = tree_title(tree);
	old = lab_find(lab, tree_kind(tree), tree_namespace(tree), tree_name(tree));
	if (object_prepare(lab, tree, old, err) < 0)
		return err_wrap(err, "%s %s", info->name, title);
	if (info->namespaced && !lab_find(lab, LAB_NAMESPACE, "", tree_namespace(tree))) {
		lab_say(lab, "namespace/%s created, as %s %s is in it", tree_namespace(tree),
			info->name, title);
		namespace_make(lab, tree_namespace(tree));
	}
	is_changed = !old || !json_equal(old, tree);
	lab_say(lab, "%s%s%s/%s %s", info->singular, *info->group ? "." : "", info->group,
		tree_name(tree), !old ? "created" : is_changed ? "configured" : "unchanged");
	if (is_changed)
		lab_put(lab, json_incref(tree));
	return 0;
}

static bool is_kind(const struct loaded *loaded, enum lab_kind kind)
{
	return strcmp(loaded->kind, lab_kinds[kind].name) == 0;
}

/*
 * Kinds in the order of the table, so that a Namespace comes before what is in it, whatever the
 * order of the documents.
 */
int manifests_apply(struct lab *lab, struct load_result *result, struct err *err)
{
	_json_ json_t *counts = json_object();

	for (enum lab_kind kind = 0; kind < LAB_KIND_MAX; kind++) {
		for (size_t i = 0; i < result->objects.count; i++)
			if (is_kind(&result->objects.list[i], kind) &&
				object_apply(lab, result->objects.list[i].tree, err) < 0)
				return -err->code;
		for (size_t i = 0; i < result->others.count; i++)
			if (is_kind(&result->others.list[i], kind) &&
				object_apply(lab, result->others.list[i].tree, err) < 0)
				return -err->code;
	}
	for (size_t i = 0; i < result->others.count; i++)
		if (tree_kind(result->others.list[i].tree) == LAB_KIND_MAX)
			ignored_note(lab, result->others.list[i].tree, counts);
	ignored_say(lab, counts);
	return 0;
}

static void namespace_empty(struct lab *lab, const char *name)
{
	json_t *tree;
	const char *key;
	void *next;

	json_object_foreach_safe(lab->objects, next, key, tree)
	{
		if (strcmp(tree_namespace(tree), name) == 0)
			json_object_del(lab->objects, key);
	}
}

int object_delete(struct lab *lab, json_t *tree, struct err *err)
{
	enum lab_kind kind = tree_kind(tree);
	const char *name = tree_name(tree);

	if (kind == LAB_NAMESPACE) {
		if (strcmp(name, "default") == 0 || strcmp(name, "kube-system") == 0)
			return err_set(err, EPERM, "Namespace %s: a cluster always has it", name);
		namespace_empty(lab, name);
	}
	lab_say(lab, "%s%s%s \"%s\" deleted", lab_kinds[kind].singular,
		*lab_kinds[kind].group ? "." : "", lab_kinds[kind].group, name);
	lab_remove(lab, tree);
	return 0;
}

static int loaded_delete(struct lab *lab, const struct loaded *loaded, struct err *err)
{
	enum lab_kind kind = tree_kind(loaded->tree);
	const char *name_space = tree_namespace(loaded->tree);
	json_t *tree;

	if (kind == LAB_KIND_MAX)
		return 0;
	tree = lab_find(lab, kind, *name_space ? name_space : "default", tree_name(loaded->tree));
	if (!tree) {
		lab_say(lab, "%s \"%s\" not found", lab_kinds[kind].singular,
			tree_name(loaded->tree));
		return 0;
	}
	/* What the lab's own caller holds is borrowed from the store: keep it for the message. */
	json_incref(tree);
	if (object_delete(lab, tree, err) < 0) {
		json_decref(tree);
		return -err->code;
	}
	json_decref(tree);
	return 0;
}

/* Namespaces last, so that what was in them is named too. */
int manifests_delete(struct lab *lab, const struct load_result *result, struct err *err)
{
	for (enum lab_kind kind = LAB_KIND_MAX; kind-- > 0;) {
		for (size_t i = 0; i < result->others.count; i++)
			if (is_kind(&result->others.list[i], kind) &&
				loaded_delete(lab, &result->others.list[i], err) < 0)
				return -err->code;
		for (size_t i = 0; i < result->objects.count; i++)
			if (is_kind(&result->objects.list[i], kind) &&
				loaded_delete(lab, &result->objects.list[i], err) < 0)
				return -err->code;
	}
	return 0;
}
