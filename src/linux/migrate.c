/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/migrate.h"

#include "base/log.h"
#include "base/mem.h"
#include "compile/rows.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MIGRATE_LAYOUT_LENGTH 12 /* of a layout's name, in hexadecimal digits */
#define MIGRATE_BATCH 4096 /* rows that are read at once; more than any bucket has */

static bool table_is_learned(const char *name)
{
	for (int i = 0; i < TABLE_MAX; i++)
		if (table_infos[i].map && strcmp(table_infos[i].map, name) == 0)
			return false;
	return true;
}

static bool table_is_array(const struct bpf_map_info *info)
{
	return info->type == BPF_MAP_TYPE_ARRAY || info->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

/* An array's rows cannot be told from empty ones, and those of sockets lie in the sockets. */
static bool table_has_rows(const struct bpf_map_info *info)
{
	return !table_is_array(info) && info->type != BPF_MAP_TYPE_SK_STORAGE;
}

/* The table's descriptor, or -1 where there is none of this name. */
static int table_open(const char *directory, const char *name, struct bpf_map_info *ret_info)
{
	_free_ char *path = mem_format("%s/%s", directory, name);
	_close_ int fd = bpf_obj_get(path);
	__u32 size = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, ret_info, &size) < 0)
		return -1;
	return TAKE_FD(fd);
}

/* The path of the next layout that is not ours; NULL at the end. Nothing else has such a name. */
static char *layout_next(DIR *layouts, const char *directory, const char *own)
{
	const struct dirent *entry;

	while ((entry = readdir(layouts))) {
		_free_ char *path = mem_format("%s/%s", directory, entry->d_name);

		if (strlen(entry->d_name) == MIGRATE_LAYOUT_LENGTH &&
			strspn(entry->d_name, "0123456789abcdef") == MIGRATE_LAYOUT_LENGTH &&
			strcmp(path, own) != 0)
			return TAKE_PTR(path);
	}
	return NULL;
}

typedef int (*layout_function)(const char *other, void *context, struct err *err);

static int layouts_each(const char *directory, const char *own, layout_function function,
	void *context, struct err *err)
{
	DIR *layouts = opendir(directory);
	char *other;
	int r = 0;

	if (!layouts)
		return err_system(err, errno, "%s", directory);
	while (r == 0 && (other = layout_next(layouts, directory, own))) {
		r = function(other, context, err);
		free(other);
	}
	closedir(layouts);
	return r;
}

/* --- sharing --- */

struct share {
	const char *own;
	const struct bpf_map_info *form;
};

static bool form_is_same(const struct bpf_map_info *a, const struct bpf_map_info *b)
{
	return a->type == b->type && a->key_size == b->key_size && a->value_size == b->value_size &&
	       a->map_flags == b->map_flags &&
	       (!table_is_array(a) || a->max_entries == b->max_entries);
}

static int layout_share(const char *other, void *context, struct err *err)
{
	const struct share *share = context;
	_free_ char *path = mem_format("%s/%s", share->own, share->form->name);
	struct bpf_map_info found;
	_close_ int fd = table_open(other, share->form->name, &found);

	if (fd < 0 || !form_is_same(&found, share->form))
		return 0;
	if (bpf_obj_pin(fd, path) < 0 && errno != EEXIST)
		return err_system(err, errno, "pinning the former release's table at %s", path);
	return 0;
}

int migrate_share(const char *directory, const char *own, const struct bpf_map_info *form,
	struct err *err)
{
	struct share share = {own, form};

	return table_is_learned(form->name)
		       ? layouts_each(directory, own, layout_share, &share, err)
		       : 0;
}

/* --- copying --- */

struct copy {
	int from, to;
	struct bpf_map_info old, new;
	char *keys, *values; /* a batch of old rows */
	char *key, *value; /* a new row */
};

/* False where the part of the key that we do not know says something: the row is not for us. */
static bool field_convert(const char *old, __u32 old_size, char *new, __u32 new_size)
{
	__u32 common = old_size < new_size ? old_size : new_size;

	memset(new, 0, new_size);
	memcpy(new, old, common);
	for (__u32 i = common; i < old_size; i++)
		if (old[i])
			return false;
	return true;
}

static int copy_batch(const struct copy *copy, __u32 count, struct err *err)
{
	for (__u32 i = 0; i < count; i++) {
		if (!field_convert(copy->keys + i * copy->old.key_size, copy->old.key_size,
			    copy->key, copy->new.key_size))
			continue;
		/* Even an update that BPF_NOEXIST refuses takes an old row out of a full LRU table. */
		if (bpf_map_lookup_elem(copy->to, copy->key, copy->value) == 0)
			continue;
		field_convert(copy->values + i * copy->old.value_size, copy->old.value_size,
			copy->value, copy->new.value_size);
		if (bpf_map_update_elem(copy->to, copy->key, copy->value, BPF_NOEXIST) < 0 &&
			errno != EEXIST)
			return err_system(err, errno, "copying into the table %s", copy->new.name);
	}
	return 0;
}

static int copy_rows(const struct copy *copy, struct err *err)
{
	__u64 place, *from = NULL;
	int read = 0, r = 0;

	while (r == 0 && read == 0) {
		__u32 count = MIGRATE_BATCH;

		read = bpf_map_lookup_batch(
			copy->from, from, &place, copy->keys, copy->values, &count, NULL);
		if (read < 0 && read != -ENOENT)
			return err_system(err, -read, "reading the former table %s", copy->old.name);
		r = copy_batch(copy, count, err);
		from = &place;
	}
	return r;
}

static int table_copy(const char *other, const char *own, const char *name, struct err *err)
{
	struct copy copy;
	_close_ int from = table_open(other, name, &copy.old), to = table_open(own, name, &copy.new);
	_free_ char *keys = NULL, *values = NULL, *key = NULL, *value = NULL;

	if (from < 0 || to < 0 || copy.old.id == copy.new.id || !table_has_rows(&copy.old) ||
		!table_has_rows(&copy.new))
		return 0;
	copy.from = from;
	copy.to = to;
	copy.keys = keys = mem_new(MIGRATE_BATCH, copy.old.key_size);
	copy.values = values = mem_new(MIGRATE_BATCH, copy.old.value_size);
	copy.key = key = mem_new(1, copy.new.key_size);
	copy.value = value = mem_new(1, copy.new.value_size);
	return copy_rows(&copy, err);
}

static int layout_copy(const char *other, void *context, struct err *err)
{
	const char *own = context;
	DIR *tables = opendir(own);
	const struct dirent *entry;
	int r = 0;

	if (!tables)
		return err_system(err, errno, "%s", own);
	while (r == 0 && (entry = readdir(tables)))
		if (entry->d_name[0] != '.' && table_is_learned(entry->d_name))
			r = table_copy(other, own, entry->d_name, err);
	closedir(tables);
	return r;
}

int migrate_copy(const char *directory, const char *own, struct err *err)
{
	return layouts_each(directory, own, layout_copy, (void *)own, err);
}

/* --- the end of a layout --- */

static int layout_remove(const char *other, void *context, struct err *err)
{
	DIR *tables = opendir(other);
	const struct dirent *entry;

	(void)context;
	if (!tables)
		return err_system(err, errno, "%s", other);
	while ((entry = readdir(tables)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(tables), entry->d_name, 0);
	closedir(tables);
	if (rmdir(other) < 0)
		return err_system(err, errno, "removing the former release's tables at %s", other);
	log_info("the tables of %s are taken over, and its pins are removed", other);
	return 0;
}

int migrate_finish(const char *directory, const char *own, struct err *err)
{
	int r = migrate_copy(directory, own, err);

	return r < 0 ? r : layouts_each(directory, own, layout_remove, NULL, err);
}
