/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define STATE_VERSION 2
#define NAME_MAX_LENGTH 40
#define LOCK_TRY_NS (20 * 1000 * 1000)
#define LOCK_QUIET_TRIES 25
#define NODE_DIRECTORY_LENGTH 28

int lab_name_check(const char *name, struct err *err)
{
	size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789-_.");

	if (*name && *name != '.' && !name[good] && good <= NAME_MAX_LENGTH)
		return 0;
	return err_set(err, EINVAL,
		"--name \"%s\": a lab's name has 1 to %d letters, digits, '-', '_' and '.', and "
		"does not begin with '.'",
		name, NAME_MAX_LENGTH);
}

char *file_read(const char *path)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0, capacity = 0;
	char *text = NULL;
	ssize_t count = 1;

	if (fd < 0)
		return NULL;
	while (count > 0) {
		text = mem_grow(text, &capacity, used + 4096, 1);
		count = read(fd, text + used, capacity - used - 1);
		if (count > 0)
			used += (size_t)count;
	}
	if (count < 0) {
		free(text);
		return NULL;
	}
	text[used] = '\0';
	return text;
}

int file_write(const char *path, const char *text, mode_t mode, struct err *err)
{
	_free_ char *old = file_read(path), *temporary = NULL;
	const char *base = strrchr(path, '/') + 1;
	size_t length = strlen(text);
	_close_ int fd = -1;

	if (old && strcmp(old, text) == 0)
		return 0;
	/* A leading dot: whoever watches the directory passes it over. */
	temporary = mem_format("%.*s.%s", (int)(base - path), path, base);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0)
		return err_system(err, errno, "%s", temporary);
	for (size_t done = 0; done < length;) {
		ssize_t count = write(fd, text + done, length - done);

		if (count < 0 && errno != EINTR)
			return err_system(err, errno, "%s", temporary);
		if (count > 0)
			done += (size_t)count;
	}
	if (rename(temporary, path) < 0)
		return err_system(err, errno, "%s", path);
	return 0;
}

char *lab_path(const struct lab *lab, const char *format, ...)
{
	_free_ char *rest = NULL;
	va_list arguments;

	va_start(arguments, format);
	rest = mem_vformat(format, arguments);
	va_end(arguments);
	return mem_format("%s/%s", lab->directory, rest);
}

char *lab_namespace_path(const struct lab *lab, const char *name)
{
	return lab_path(lab, "ns/%s", name);
}

char *lab_pod_namespace_path(const struct lab *lab, const json_t *pod)
{
	/* '+' is in no name of Kubernetes, so no pod is taken for a node. */
	return json_is_true(tree_at(pod, "spec.hostNetwork"))
		       ? lab_namespace_path(lab, tree_text(pod, "spec.nodeName"))
		       : lab_path(lab, "ns/%s+%s", tree_namespace(pod), tree_name(pod));
}

/* Sockets lie in it, whose paths have at most 107 bytes: long names are cut and made unique. */
char *lab_node_directory(const struct lab *lab, const char *node)
{
	json_t *text = json_string(node);
	unsigned int hash = (unsigned int)tree_hash(text);

	json_decref(text);
	return strlen(node) <= NODE_DIRECTORY_LENGTH
		       ? lab_path(lab, "nodes/%s", node)
		       : lab_path(lab, "nodes/%.*s-%08x", NODE_DIRECTORY_LENGTH - 9, node, hash);
}

int lab_lock(const char *directory, int *ret_fd, struct err *err)
{
	_free_ char *path = mem_format("%s/lock", directory);
	_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_system(err, errno, "%s", path);
	for (unsigned int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_system(err, errno, "%s", path);
		if (tries == LOCK_QUIET_TRIES)
			fprintf(stderr, "podwire lab: waiting for another command to finish\n");
		nanosleep(&(struct timespec){.tv_nsec = LOCK_TRY_NS}, NULL);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void families_load(const json_t *list, bool families[FAMILY_MAX])
{
	json_t *name;
	size_t index;

	json_array_foreach(list, index, name)
	{
		for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
			if (strcmp(json_string_value(name), family_name(f)) == 0)
				families[f] = true;
	}
}

static json_t *families_save(const bool families[FAMILY_MAX])
{
	json_t *list = json_array();

	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		if (families[f])
			json_array_append_new(list, json_string(family_name(f)));
	return list;
}

static int state_load(struct lab *lab, struct err *err)
{
	_free_ char *path = lab_path(lab, "state");
	json_t *state, *settings;
	json_error_t where;

	if (access(path, F_OK) < 0)
		return err_set(err, ENOENT,
			"there is no lab \"%s\": `podwire lab up` makes one, `podwire lab list` "
			"shows all",
			lab->name);
	state = json_load_file(path, 0, &where);
	if (!state || json_integer_value(json_object_get(state, "version")) != STATE_VERSION) {
		json_decref(state);
		return err_set(err, EINVAL,
			"%s is not a state that this podwire can read: take the lab down and up "
			"again",
			path);
	}
	lab->objects = json_incref(json_object_get(state, "objects"));
	lab->ignored = json_incref(json_object_get(state, "ignored"));
	lab->runtime = json_incref(json_object_get(state, "runtime"));
	settings = json_object_get(state, "settings");
	families_load(json_object_get(settings, "podFamilies"), lab->settings.pod_families);
	families_load(json_object_get(settings, "nodeFamilies"), lab->settings.node_families);
	lab->settings.subnets =
		(unsigned int)json_integer_value(json_object_get(settings, "subnets"));
	lab->settings.route = settings_route_parse(tree_text(settings, "route"));
	lab->settings.hostile = json_is_true(json_object_get(settings, "hostile"));
	lab->settings.plugin = mem_string(tree_text(settings, "plugin"));
	json_decref(state);
	return 0;
}

int lab_save(const struct lab *lab, struct err *err)
{
	_free_ char *path = lab_path(lab, "state"), *text = NULL;
	json_t *state = json_pack("{s:i, s:O, s:O, s:O, s:{s:o, s:o, s:i, s:s, s:b, s:s}}", "version",
		STATE_VERSION, "objects", lab->objects, "ignored", lab->ignored, "runtime",
		lab->runtime, "settings", "podFamilies", families_save(lab->settings.pod_families),
		"nodeFamilies", families_save(lab->settings.node_families), "subnets",
		(int)lab->settings.subnets, "route", settings_route_name(lab->settings.route),
		"hostile", lab->settings.hostile, "plugin", lab->settings.plugin);

	text = json_dumps(state, JSON_COMPACT);
	json_decref(state);
	return file_write(path, text, 0600, err);
}

static int directories_make(const struct lab *lab, struct err *err)
{
	static const char *const below[] = {"objects", "ns", "nodes", "dns", "etc"};

	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		_free_ char *path = lab_path(lab, "%s", below[i]);

		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_system(err, errno, "%s", path);
	}
	return 0;
}

static int lab_create(struct lab *lab, struct err *err)
{
	_free_ char *state = lab_path(lab, "state");

	mkdir("/run/podwire", 0755);
	mkdir(LAB_ROOT, 0755);
	/* Of two commands at once one makes the directory. */
	if (mkdir(lab->directory, 0755) < 0) {
		if (errno != EEXIST)
			return err_system(err, errno, "%s", lab->directory);
		return err_set(err, EEXIST,
			"there is already a lab \"%s\"%s: change it with `podwire lab apply`, or "
			"take it away with `podwire lab down --name %s` first",
			lab->name, access(state, F_OK) == 0 ? "" : " (the rest of one, or one that is being made)", lab->name);
	}
	if (directories_make(lab, err) < 0 || lab_lock(lab->directory, &lab->lock, err) < 0)
		return -err->code;
	lab->objects = json_object();
	lab->ignored = json_object();
	lab->runtime = json_pack("{s:{}, s:{}, s:{}}", "nodes", "pods", "cursors");
	return 0;
}

int lab_open(const char *name, enum lab_mode mode, struct lab **ret_lab, struct err *err)
{
	_lab_ struct lab *lab = NULL;
	int r;

	if (lab_name_check(name, err) < 0)
		return -err->code;
	lab = mem_new(1, sizeof(*lab));
	lab->lock = -1;
	lab->name = mem_string(name);
	lab->directory = mem_format(LAB_ROOT "/%s", name);
	if (mode == LAB_CREATE) {
		r = lab_create(lab, err);
	} else {
		r = access(lab->directory, F_OK) == 0 && mode == LAB_CHANGE
			    ? lab_lock(lab->directory, &lab->lock, err)
			    : 0;
		if (r == 0)
			r = state_load(lab, err);
	}
	if (r < 0)
		return r;
	*ret_lab = TAKE_PTR(lab);
	return 0;
}

void lab_close(struct lab **lab)
{
	struct lab *l = TAKE_PTR(*lab);

	if (!l)
		return;
	mem_close(&l->lock);
	json_decref(l->objects);
	json_decref(l->ignored);
	json_decref(l->runtime);
	free(l->settings.plugin);
	free(l->directory);
	free(l->name);
	free(l);
}

json_t *lab_find(const struct lab *lab, enum lab_kind kind, const char *name_space, const char *name)
{
	_free_ char *key = tree_key_format(kind, name_space, name);

	return json_object_get(lab->objects, key);
}

void lab_put(struct lab *lab, json_t *object)
{
	_free_ char *key = tree_key(object);

	json_object_set_new(lab->objects, key, object);
}

void lab_remove(struct lab *lab, const json_t *object)
{
	_free_ char *key = tree_key(object);

	json_object_del(lab->objects, key);
}

static int tree_compare(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;
	int order = strcmp(tree_namespace(*x), tree_namespace(*y));

	return order ? order : strverscmp(tree_name(*x), tree_name(*y));
}

json_t *lab_list(const struct lab *lab, enum lab_kind kind)
{
	_free_ json_t **found = mem_new(json_object_size(lab->objects) + 1, sizeof(*found));
	json_t *list = json_array(), *object;
	size_t count = 0;
	const char *key;

	json_object_foreach(lab->objects, key, object)
	{
		if (tree_kind(object) == kind)
			found[count++] = object;
	}
	qsort(found, count, sizeof(*found), tree_compare);
	for (size_t i = 0; i < count; i++)
		json_array_append(list, found[i]);
	return list;
}

static char *published_name(const json_t *object)
{
	const char *kind = lab_kinds[tree_kind(object)].singular;
	_free_ char *name = mem_format("%s.%s.%s", kind, tree_namespace(object), tree_name(object));

	if (strlen(name) < 200)
		return mem_format("%s.json", name);
	return mem_format("%.180s.%016llx.json", name,
		(unsigned long long)tree_hash(json_object_get(object, "metadata")));
}

int lab_publish(const struct lab *lab, enum publish publish, struct err *err)
{
	_free_ char *directory = lab_path(lab, "objects");
	json_t *object, *kept = json_object();
	struct dirent *entry;
	const char *key;
	int r = 0;
	DIR *dir;

	json_object_foreach(lab->objects, key, object)
	{
		_free_ char *name = NULL, *path = NULL, *text = NULL;

		if (r < 0 || !lab_kinds[tree_kind(object)].watched)
			continue;
		name = published_name(object);
		path = mem_format("%s/%s", directory, name);
		text = json_dumps(object, JSON_COMPACT);
		r = file_write(path, text, 0644, err);
		json_object_set_new(kept, name, json_true());
	}
	dir = r == 0 && publish == PUBLISH_ALL ? opendir(directory) : NULL;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !json_object_get(kept, entry->d_name))
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	json_decref(kept);
	return r;
}

static double clock_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void lab_say(const struct lab *lab, const char *format, ...)
{
	va_list arguments;
	_free_ char *text = NULL;

	if (lab->quiet)
		return;
	va_start(arguments, format);
	text = mem_vformat(format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s\n", text);
}

void lab_progress(const struct lab *lab, const char *format, ...)
{
	static double last;
	double now = clock_seconds();
	va_list arguments;
	_free_ char *text = NULL;

	if (last == 0)
		last = now;
	if (now - last < 2)
		return;
	last = now;
	va_start(arguments, format);
	text = mem_vformat(format, arguments);
	va_end(arguments);
	lab_say(lab, "%s", text);
}
