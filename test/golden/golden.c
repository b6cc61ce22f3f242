/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests in, rows out. Each case is a folder with objects.yaml, settings.yaml and the expected
 * text in rows: what compile makes of them, then what it complains about. The facts of the node
 * are the same in all cases, but for what probes have told: a file `paths` has lines of "ROUTER
 * NEIGHBOR WAY" (path.h). `golden --update DIR` writes what it got.
 */
#include "base/mem.h"
#include "base/text.h"
#include "compile/node.h"
#include "compile/pod.h"
#include "compile/print.h"
#include "compile/services.h"
#include "model/load.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static int file_read(const char *path, struct text *text)
{
	FILE *file = fopen(path, "r");
	char buffer[4096];
	size_t n;

	if (!file)
		return -1;
	while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		text_append_bytes(text, buffer, n);
	fclose(file);
	return 0;
}

/* Cluster addresses that a DNS cache of the node itself answers at. */
static struct addr golden_local[2];

/* -1 where the file is there and a line of it makes no sense. */
static int golden_paths(const char *directory, struct paths *paths)
{
	_free_ char *file_path = mem_format("%s/paths", directory);
	char router[ADDR_TEXT_SIZE], next[ADDR_TEXT_SIZE], name[16];
	_text_ struct text text = {0};
	int taken, count;

	if (file_read(file_path, &text) < 0)
		return 0;
	for (const char *at = text_string(&text); *at; at += taken) {
		struct path path = {.way = PATH_TUNNEL};

		count = sscanf(at, "%45s %45s %15s %n", router, next, name, &taken);
		if (count != 3 || addr_parse(router, &path.router) < 0 ||
			addr_parse(next, &path.next) < 0)
			return -1;
		while (path.way < PATH_WAY_MAX && strcmp(path_way_name(path.way), name) != 0)
			path.way++;
		if (path.way == PATH_WAY_MAX)
			return -1;
		paths_add(paths, &path);
	}
	return 0;
}

static struct facts golden_facts(void)
{
	struct facts facts = {.tunnel_ifindex = 9, .pod_mtu = 1450, .wire_count = 1, .netns_cookie = 4711};

	facts.wire[0] = (struct wire){.ifindex = 2, .mtu = 1500, .ethernet = true, .name = "eth0"};
	prefix_parse("10.89.1.0/24", &facts.wire[0].subnet[0], NULL);
	prefix_parse("fd89:0:0:1::/64", &facts.wire[0].subnet[1], NULL);
	facts.wire[0].subnet_count = 2;
	addr_parse("10.96.0.99", &golden_local[0]);
	addr_parse("fd96::99", &golden_local[1]);
	facts.local = (struct addrs){golden_local, ARRAY_SIZE(golden_local)};
	return facts;
}

static void golden_print_refusals(const struct load_result *result, struct text *out)
{
	for (size_t i = 0; i < result->refusals.count; i++) {
		_free_ char *text = refusal_text(&result->refusals.list[i]);

		text_printf(out, "refused %s\n", text);
	}
}

static void golden_compile(struct store *store, const struct settings *settings,
	const struct paths *paths, struct text *out)
{
	struct facts facts = golden_facts();
	struct problems problems = {0};
	struct services services = {0};
	struct services_input input = {.store = store, .settings = settings, .facts = &facts};
	struct rows rows = {0};

	facts.paths = paths;
	compile_nodes(store, settings, &facts, &rows, &problems);
	services_compile(&services, &input, &rows);
	services_problems(&services, &problems);
	rows_sort(&rows);
	rows_print(&rows, out);
	for (size_t i = 0; i < problems.count; i++)
		text_printf(out, "%s %s: %s\n", problems.item[i].refused ? "closed" : "warning",
			problems.item[i].object, problems.item[i].text);
	services_clear(&services);
	rows_clear(&rows);
	problems_clear(&problems);
}

static int golden_run(const char *directory, struct text *out)
{
	_free_ char *objects_path = mem_format("%s/objects.yaml", directory);
	_free_ char *settings_path = mem_format("%s/settings.yaml", directory);
	_text_ struct text objects = {0}, settings_text = {0};
	struct load_result result = {0};
	_cleanup_(paths_clear) struct paths paths = {0};
	struct settings settings;
	struct store store = {0};
	struct err err;

	if (file_read(objects_path, &objects) < 0 || file_read(settings_path, &settings_text) < 0) {
		fprintf(stderr, "%s: needs objects.yaml and settings.yaml\n", directory);
		return -1;
	}
	if (golden_paths(directory, &paths) < 0) {
		fprintf(stderr, "%s/paths: use lines of \"ROUTER NEIGHBOR WAY\"\n", directory);
		return -1;
	}
	if (settings_read(text_string(&settings_text), settings_text.length, &settings, &err) < 0) {
		text_printf(out, "refused settings.yaml: %s\n", err.text);
		return 0;
	}
	objects_load(text_string(&objects), objects.length, "objects.yaml", &result);
	golden_print_refusals(&result, out);
	for (size_t i = 0; i < result.objects.count; i++)
		store_put(&store, &result.objects.list[i].object, NULL);
	golden_compile(&store, &settings, &paths, out);
	store_clear(&store);
	load_result_clear(&result);
	return 0;
}

/* 0 where the case gives what it should. */
static int golden_case(const char *cases, const char *name, int update)
{
	_free_ char *directory = mem_format("%s/%s", cases, name);
	_free_ char *rows_path = mem_format("%s/rows", directory);
	_text_ struct text got = {0}, wanted = {0};
	FILE *file;

	if (golden_run(directory, &got) < 0)
		return -1;
	if (update) {
		file = fopen(rows_path, "w");
		if (!file || fputs(text_string(&got), file) < 0)
			return -1;
		fclose(file);
		return 0;
	}
	file_read(rows_path, &wanted);
	if (strcmp(text_string(&got), text_string(&wanted)) == 0)
		return 0;
	printf("%s: wanted:\n%s%s: got:\n%s", name, text_string(&wanted), name, text_string(&got));
	return -1;
}

int main(int argc, char **argv)
{
	int update = argc == 3 && strcmp(argv[1], "--update") == 0, passed = 0, failed = 0;
	const char *cases = argv[argc - 1];
	struct dirent **entries;
	int count = scandir(cases, &entries, NULL, alphasort);

	if (argc < 2 || count < 0) {
		fprintf(stderr, "usage: golden [--update] CASES\n");
		return 2;
	}
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.') {
			int r = golden_case(cases, entries[i]->d_name, update);

			printf("%s %s\n", r ? "FAILED" : "ok", entries[i]->d_name);
			*(r ? &failed : &passed) += 1;
		}
		free(entries[i]);
	}
	free(entries);
	printf("%d passed, %d failed\n", passed, failed);
	return failed ? 1 : 0;
}
