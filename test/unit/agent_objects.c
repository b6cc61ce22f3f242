/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/objects.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
	char directory[64];
	struct objects objects;
};

#define NODE(name, range)                                                                          \
	"apiVersion: v1\nkind: Node\nmetadata: {name: " name "}\n"                                 \
	"spec: {podCIDR: " range ", podCIDRs: [" range "]}\n---\n"

static void scene_write(struct scene *scene, const char *name, const char *text)
{
	_free_ char *path = mem_format("%s/%s", scene->directory, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void scene_remove(struct scene *scene, const char *name)
{
	_free_ char *path = mem_format("%s/%s", scene->directory, name);

	assert_int_equal(unlink(path), 0);
}

static int scene_read(struct scene *scene)
{
	struct err err;

	return objects_read(&scene->objects, &err);
}

static bool scene_has(struct scene *scene, const char *node)
{
	return store_get(&scene->objects.store, KIND_NODE, NULL, node) != NULL;
}

static int scene_open(void **state)
{
	struct scene *scene = mem_new(1, sizeof(*scene));
	struct err err;

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(scene->directory, sizeof(scene->directory), "/tmp/podwire-objects-XXXXXX");
	assert_non_null(mkdtemp(scene->directory));
	assert_int_equal(objects_open(&scene->objects, scene->directory, &err), 0);
	*state = scene;
	return 0;
}

static int scene_close(void **state)
{
	struct scene *scene = *state;
	static const char *const names[] = {"a.yaml", "b.json", "c.yml", ".d.yaml", "e.txt"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_free_ char *path = mem_format("%s/%s", scene->directory, names[i]);

		unlink(path);
	}
	assert_int_equal(rmdir(scene->directory), 0);
	objects_close(&scene->objects);
	free(scene);
	return 0;
}

static void test_files_that_count(void **state)
{
	struct scene *scene = *state;

	scene_write(scene, "a.yaml", NODE("alpha", "10.1.0.0/24"));
	scene_write(scene, "b.json",
		"{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"beta\"}}");
	scene_write(scene, "c.yml", NODE("gamma", "10.1.1.0/24"));
	scene_write(scene, ".d.yaml", NODE("delta", "10.1.2.0/24"));
	scene_write(scene, "e.txt", NODE("epsilon", "10.1.3.0/24"));
	assert_int_equal(scene_read(scene), 1);
	assert_true(scene_has(scene, "alpha"));
	assert_true(scene_has(scene, "beta"));
	assert_true(scene_has(scene, "gamma"));
	assert_false(scene_has(scene, "delta"));
	assert_false(scene_has(scene, "epsilon"));
	assert_int_equal(scene_read(scene), 0);
	scene_remove(scene, "c.yml");
	assert_int_equal(scene_read(scene), 1);
	assert_false(scene_has(scene, "gamma"));
}

/* What is passed over is there as before; what changes, moves, goes or is given twice is seen. */
static void test_files_that_are_passed_over(void **state)
{
	struct scene *scene = *state;

	scene->objects.settle_ns = 0;
	scene_write(scene, "a.yaml", NODE("alpha", "10.1.0.0/24"));
	scene_write(scene, "c.yml", NODE("gamma", "10.1.2.0/24") NODE("delta", "10.1.3.0/24"));
	assert_int_equal(scene_read(scene), 1);
	assert_int_equal(scene_read(scene), 0);
	assert_int_equal(scene->objects.read_bytes, 0);
	scene_write(scene, "a.yaml", NODE("alpha", "10.1.9.0/24") NODE("beta", "10.1.1.0/24"));
	assert_int_equal(scene_read(scene), 1);
	assert_in_range(scene->objects.read_bytes, 1, 2 * sizeof(NODE("alpha", "10.1.9.0/24")));
	assert_true(scene_has(scene, "beta") && scene_has(scene, "gamma"));
	/* Another file's object: refused, and by the order of the files. */
	scene_write(scene, "a.yaml", NODE("alpha", "10.1.9.0/24") NODE("gamma", "10.1.8.0/24"));
	assert_int_equal(scene_read(scene), 1);
	assert_int_equal(scene->objects.result.refusals.count, 1);
	assert_string_equal(scene->objects.result.refusals.list[0].source, "c.yml");
	assert_false(scene_has(scene, "beta"));
	scene_write(scene, "a.yaml", NODE("alpha", "10.1.9.0/24"));
	assert_int_equal(scene_read(scene), 1);
	assert_int_equal(scene->objects.result.refusals.count, 0);
	assert_true(scene_has(scene, "gamma") && scene_has(scene, "delta"));
	scene_remove(scene, "c.yml");
	assert_int_equal(scene_read(scene), 1);
	assert_true(scene_has(scene, "alpha"));
	assert_false(scene_has(scene, "gamma"));
	assert_int_equal(scene->objects.files.count, 1);
}

static void test_a_bad_object_keeps_its_last_good_version(void **state)
{
	struct scene *scene = *state;

	scene_write(scene, "a.yaml", NODE("alpha", "10.1.0.0/24") NODE("beta", "10.1.1.0/24"));
	assert_int_equal(scene_read(scene), 1);
	scene_write(scene, "a.yaml", NODE("alpha", "10.1.0.0/99") NODE("beta", "10.1.9.0/24"));
	assert_int_equal(scene_read(scene), 1);
	assert_int_equal(scene->objects.result.refusals.count, 1);
	assert_string_equal(scene->objects.result.refusals.list[0].name, "alpha");
	assert_non_null(strstr(scene->objects.result.refusals.list[0].reason, "podCIDR"));
	assert_true(scene_has(scene, "alpha"));
	assert_true(scene_has(scene, "beta"));
}

static void test_a_broken_file_takes_nothing_away(void **state)
{
	struct scene *scene = *state;

	scene_write(scene, "a.yaml", NODE("alpha", "10.1.0.0/24"));
	scene_write(scene, "c.yml", NODE("gamma", "10.1.1.0/24"));
	assert_int_equal(scene_read(scene), 1);
	scene_write(scene, "a.yaml", "apiVersion: v1\nkind: {Node\n");
	assert_int_equal(scene_read(scene), 0);
	assert_int_equal(scene->objects.result.refusals.count, 1);
	assert_true(scene_has(scene, "alpha"));
	assert_true(scene_has(scene, "gamma"));
	scene_write(scene, "a.yaml", "");
	assert_int_equal(scene_read(scene), 1);
	assert_false(scene_has(scene, "alpha"));
	assert_true(scene_has(scene, "gamma"));
}

static void test_of_two_the_first_stays(void **state)
{
	struct scene *scene = *state;

	scene_write(scene, "a.yaml", NODE("alpha", "10.1.0.0/24"));
	scene_write(scene, "c.yml", NODE("alpha", "10.9.0.0/24"));
	assert_int_equal(scene_read(scene), 1);
	assert_int_equal(scene->objects.result.refusals.count, 1);
	assert_int_equal(store_count(&scene->objects.store, KIND_NODE), 1);
}

/* Whether there was an event since the last time. */
static bool scene_told(struct scene *scene)
{
	struct pollfd wait = {.fd = scene->objects.inotify, .events = POLLIN};
	bool told = poll(&wait, 1, 0) > 0;

	objects_drain(&scene->objects);
	return told;
}

static void scene_link(struct scene *scene, const char *target, const char *name)
{
	_free_ char *path = mem_format("%s/%s", scene->directory, name);

	assert_int_equal(symlink(target, path), 0);
}

static void scene_rename(struct scene *scene, const char *from, const char *to)
{
	_free_ char *old = mem_format("%s/%s", scene->directory, from);
	_free_ char *new = mem_format("%s/%s", scene->directory, to);

	assert_int_equal(rename(old, new), 0);
}

static void scene_make_directory(struct scene *scene, const char *name)
{
	_free_ char *path = mem_format("%s/%s", scene->directory, name);

	assert_int_equal(mkdir(path, 0700), 0);
}

static void scene_remove_directory(struct scene *scene, const char *name)
{
	_free_ char *path = mem_format("%s/%s", scene->directory, name);

	assert_int_equal(rmdir(path), 0);
}

/* As the kubelet changes a ConfigMap's files: all at once, by one link that they lead through. */
static void test_files_behind_one_link(void **state)
{
	struct scene *scene = *state;

	scene_make_directory(scene, "..one");
	scene_make_directory(scene, "..two");
	scene_write(scene, "..one/a.yaml", NODE("alpha", "10.1.0.0/24"));
	scene_write(scene, "..two/a.yaml", NODE("beta", "10.1.0.0/24"));
	scene_link(scene, "..one", "..data");
	scene_link(scene, "..data/a.yaml", "a.yaml");
	assert_int_equal(scene_read(scene), 1);
	assert_true(scene_has(scene, "alpha"));
	scene_told(scene);
	scene_link(scene, "..two", "..next");
	scene_rename(scene, "..next", "..data");
	assert_true(scene_told(scene));
	assert_int_equal(scene_read(scene), 1);
	assert_true(scene_has(scene, "beta"));
	assert_false(scene_has(scene, "alpha"));
	/* What `ln -sf` does: between the two steps the file is read, and is not there. */
	scene_remove(scene, "a.yaml");
	assert_true(scene_told(scene));
	assert_int_equal(scene_read(scene), 1);
	scene_link(scene, "..one/a.yaml", "a.yaml");
	assert_true(scene_told(scene));
	assert_int_equal(scene_read(scene), 1);
	assert_true(scene_has(scene, "alpha"));
	scene_remove(scene, "..data");
	scene_remove(scene, "..one/a.yaml");
	scene_remove(scene, "..two/a.yaml");
	scene_remove_directory(scene, "..one");
	scene_remove_directory(scene, "..two");
}

/* A directory whose name leads elsewhere now: by a link, of which no event tells, or by rename. */
static void test_another_directory(void **state)
{
	struct scene *scene = *state;
	struct objects *objects = &scene->objects;
	struct err err;

	scene_make_directory(scene, "one");
	scene_make_directory(scene, "two");
	scene_make_directory(scene, "empty");
	scene_write(scene, "one/a.yaml", NODE("alpha", "10.1.0.0/24"));
	scene_write(scene, "two/a.yaml", NODE("beta", "10.1.0.0/24"));
	scene_link(scene, "one", "current");
	objects_close(objects);
	*objects = (struct objects){0};
	_free_ char *current = mem_format("%s/current", scene->directory);
	assert_int_equal(objects_open(objects, current, &err), 0);
	assert_int_equal(scene_read(scene), 1);
	assert_false(objects_are_elsewhere(objects));
	scene_link(scene, "two", "next");
	scene_rename(scene, "next", "current");
	assert_true(objects_are_elsewhere(objects));
	assert_int_equal(scene_read(scene), 1);
	assert_false(objects_are_elsewhere(objects));
	assert_true(scene_has(scene, "beta"));
	assert_false(scene_has(scene, "alpha"));
	scene_told(scene);
	scene_write(scene, "one/a.yaml", "");
	assert_false(scene_told(scene)); /* the old one is nobody's now */
	scene_write(scene, "two/a.yaml", NODE("gamma", "10.1.0.0/24"));
	assert_true(scene_told(scene));
	/* Without a file it takes nothing away, and is taken up with its first. */
	scene_link(scene, "empty", "next");
	scene_rename(scene, "next", "current");
	assert_int_equal(scene_read(scene), -ENOENT);
	assert_true(scene_has(scene, "beta"));
	scene_told(scene);
	scene_write(scene, "empty/a.yaml", NODE("delta", "10.1.0.0/24"));
	assert_true(scene_told(scene));
	assert_int_equal(scene_read(scene), 1);
	assert_true(scene_has(scene, "delta"));
	assert_false(scene_has(scene, "beta"));
	/* The last file of the same directory may go: that is what deleting means. */
	scene_remove(scene, "empty/a.yaml");
	assert_int_equal(scene_read(scene), 1);
	assert_false(scene_has(scene, "delta"));
	scene_remove(scene, "current");
	scene_remove(scene, "one/a.yaml");
	scene_remove(scene, "two/a.yaml");
	scene_remove_directory(scene, "one");
	scene_remove_directory(scene, "two");
	scene_remove_directory(scene, "empty");
}

/* More events than the kernel keeps: the last state is read, and the next change is told. */
static void test_events_are_lost(void **state)
{
	struct scene *scene = *state;

	scene_write(scene, "a.yaml", NODE("alpha", "10.1.0.0/24"));
	for (int i = 0; i < 20000; i++) {
		scene_rename(scene, "a.yaml", "b.json");
		scene_rename(scene, "b.json", "a.yaml");
	}
	assert_true(scene_told(scene));
	assert_int_equal(scene_read(scene), 1);
	assert_true(scene_has(scene, "alpha"));
	assert_false(scene_told(scene));
	scene_remove(scene, "a.yaml");
	assert_true(scene_told(scene));
	assert_int_equal(scene_read(scene), 1);
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_open, scene_close)
	const struct CMUnitTest tests[] = {
		SCENE(test_files_that_count),
		SCENE(test_files_that_are_passed_over),
		SCENE(test_a_bad_object_keeps_its_last_good_version),
		SCENE(test_a_broken_file_takes_nothing_away),
		SCENE(test_of_two_the_first_stays),
		SCENE(test_files_behind_one_link),
		SCENE(test_another_directory),
		SCENE(test_events_are_lost),
	};

	return cmocka_run_group_tests_name("agent/objects", tests, NULL, NULL);
}
