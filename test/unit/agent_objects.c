/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/objects.h"

#include "base/log.h"
#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_open, scene_close)
	const struct CMUnitTest tests[] = {
		SCENE(test_files_that_count),
		SCENE(test_a_bad_object_keeps_its_last_good_version),
		SCENE(test_a_broken_file_takes_nothing_away),
		SCENE(test_of_two_the_first_stays),
	};

	return cmocka_run_group_tests_name("agent/objects", tests, NULL, NULL);
}
