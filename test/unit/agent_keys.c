/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No two things share a key (hazards A9): of random legal names, short and of few letters, so that
 * any way of joining them which is not injective joins two pairs to one.
 */
#include "check.h"

#include "agent/attachments.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "model/object.h"
#include "model/store.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define NAMES 3000
#define NAME_SIZE 8

/* Of the letters; a legal one by what `holds` says. */
static void name_make(
	uint64_t *random, const char *letters, bool (*holds)(const char *name), char name[NAME_SIZE])
{
	do {
		size_t length = 1 + check_random(random) % (NAME_SIZE - 2);

		for (size_t i = 0; i < length; i++)
			name[i] = letters[check_random(random) % strlen(letters)];
		name[length] = 0;
	} while (!holds(name));
}

static struct object *object_make(enum kind kind, const char *namespace, const char *name)
{
	_json_ json_t *tree = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion",
		kind_api_version(kind), "kind", kind_name(kind), "metadata", "name", name,
		"namespace", namespace);
	struct object *object = NULL;
	struct err err;

	if (kind == KIND_SERVICE)
		json_object_set_new(tree, "spec", json_pack("{s:[{s:i}]}", "ports", "port", 80));
	if (object_parse(tree, &object, &err) < 0)
		fail_msg("%s", err.text);
	return object;
}

/* What tells two objects apart, put so that nothing can be taken for something else. */
static char *object_identity(const struct object *object)
{
	return mem_format("%d\n%s\n%s", object->kind, object->namespace ? object->namespace : "",
		object->name);
}

static void test_objects(void **state)
{
	static const enum kind kinds[] = {KIND_NODE, KIND_POD, KIND_SERVICE, KIND_NAMESPACE};
	_cleanup_(hash_cleanup) struct hash identities = {0}, titles = {0};
	_cleanup_(store_clear) struct store store = {0};
	uint64_t random = 1;
	size_t stored = 0;

	(void)state;
	for (int i = 0; i < NAMES; i++) {
		enum kind kind = kinds[check_random(&random) % ARRAY_SIZE(kinds)];
		char namespace[NAME_SIZE], name[NAME_SIZE];
		bool dots = kind == KIND_POD || kind == KIND_NODE;
		_free_ char *identity = NULL, *title = NULL;
		struct object *object;

		name_make(&random, "a-", name_is_label, namespace);
		name_make(&random, dots ? "a-." : "a-", dots ? name_is_subdomain : name_is_label, name);
		object = object_make(kind, namespace, name);
		identity = object_identity(object);
		title = object_title(object);
		hash_put(&identities, identity, &store);
		hash_put(&titles, title, &store);
		store_put(&store, &object, NULL);
		assert_non_null(store_get(
			&store, kind, kind_is_namespaced(kind) ? namespace : NULL, name));
	}
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		for (size_t at = 0; store_next(&store, kind, &at);)
			stored++;
	assert_true(identities.count > NAMES / 10 && identities.count < NAMES);
	assert_int_equal(titles.count, identities.count);
	assert_int_equal(stored, identities.count);
}

static bool is_container(const char *name)
{
	return *name != '-' && *name != '.';
}

static bool is_ifname(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static size_t files_count_and_remove(const char *directory)
{
	DIR *entries = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(entries)))
		count += unlinkat(dirfd(entries), entry->d_name, 0) == 0;
	closedir(entries);
	rmdir(directory);
	return count;
}

/* One file each, and what is read back is what was written. */
static void test_attachments(void **state)
{
	_cleanup_(attachments_clear) struct attachments written = {0}, read = {0};
	char directory[] = "/tmp/podwire-keys-XXXXXX";
	uint64_t random = 2;

	(void)state;
	assert_non_null(mkdtemp(directory));
	for (int i = 0; i < NAMES; i++) {
		struct attachment a = {.magic = ATTACHMENT_MAGIC, .size = sizeof(a)};
		char container[NAME_SIZE], ifname[NAME_SIZE];

		name_make(&random, "a-._", is_container, container);
		name_make(&random, "a-._+", is_ifname, ifname);
		if (attachments_find(&written, container, ifname))
			continue;
		snprintf(a.container, sizeof(a.container), "%s", container);
		snprintf(a.ifname, sizeof(a.ifname), "%s", ifname);
		assert_int_equal(attachments_add(&written, directory, &a, NULL), 0);
	}
	assert_int_equal(attachments_read(directory, &read, NULL), 0);
	assert_int_equal(read.count, written.count);
	for (size_t i = 0; i < written.count; i++)
		assert_non_null(attachments_find(
			&read, written.item[i].container, written.item[i].ifname));
	assert_true(written.count > NAMES / 2);
	assert_int_equal(files_count_and_remove(directory), written.count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_attachments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
