/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/objects.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#define OBJECTS_FILE_MAX (64L << 20)
#define OBJECTS_TRIM_MIN (1U << 20) /* bytes read, beyond which memory is worth giving back */
#define OBJECTS_SETTLE_NS CLOCK_NS_PER_S /* far beyond the grain of a file's times */
#define OBJECTS_EVENTS                                                                             \
	(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |   \
		IN_MOVE_SELF | IN_ATTRIB) /* IN_CREATE: of links, which nobody writes to */

/* What a file was like when it was read, and in which reading it was seen last. */
struct objects_file {
	struct stat stat;
	bool settled; /* had not changed for a while: whatever changes it will show */
	uint32_t read, seen;
};

/*
 * The directory that has the name now, watched before it is read. By descriptor, because its name
 * may be another's a moment later; a second watch of the same is none.
 */
static int objects_watch(struct objects *objects, int *ret_directory, struct err *err)
{
	_close_ int directory = open(objects->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_free_ char *path = mem_format("/proc/self/fd/%d", directory);
	struct stat stat;
	int watch;

	if (directory < 0 || fstat(directory, &stat) < 0)
		return err_system(err, errno, "%s", objects->directory);
	watch = inotify_add_watch(objects->inotify, path, OBJECTS_EVENTS | IN_ONLYDIR);
	if (watch < 0)
		return err_system(err, errno, "watching the objects in %s", objects->directory);
	if (objects->watch >= 0 && objects->watch != watch)
		inotify_rm_watch(objects->inotify, objects->watch);
	objects->watch = watch;
	objects->device = stat.st_dev;
	objects->inode = stat.st_ino;
	*ret_directory = TAKE_FD(directory);
	return 0;
}

int objects_open(struct objects *objects, const char *directory, struct err *err)
{
	_close_ int fd = -1;

	objects->watch = -1;
	objects->settle_ns = OBJECTS_SETTLE_NS;
	objects->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (objects->inotify < 0)
		return err_system(err, errno, "inotify");
	snprintf(objects->directory, sizeof(objects->directory), "%s", directory);
	return objects_watch(objects, &fd, err);
}

void objects_close(struct objects *objects)
{
	mem_close(&objects->inotify);
	store_clear(&objects->store);
	hash_clear(&objects->files, free);
	load_result_clear(&objects->result);
}

bool objects_are_elsewhere(const struct objects *objects)
{
	struct stat found;

	return stat(objects->directory, &found) == 0 &&
	       (found.st_dev != objects->device || found.st_ino != objects->inode);
}

void objects_drain(struct objects *objects)
{
	char events[4096];

	while (read(objects->inotify, events, sizeof(events)) > 0)
		;
}

static bool file_is_of_objects(const char *name)
{
	const char *end = strrchr(name, '.');

	return name[0] != '.' && end &&
	       (strcmp(end, ".yaml") == 0 || strcmp(end, ".yml") == 0 || strcmp(end, ".json") == 0);
}

static int file_filter(const struct dirent *entry)
{
	return file_is_of_objects(entry->d_name);
}

static int file_read(int directory, const char *name, struct text *text)
{
	_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char buffer[65536];
	struct stat stat;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode))
		return -EINVAL;
	if (stat.st_size > OBJECTS_FILE_MAX)
		return -EFBIG;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		text_append_bytes(text, buffer, (size_t)n);
		if (text->length > OBJECTS_FILE_MAX) /* it grows */
			return -EFBIG;
	}
	return n < 0 ? -errno : 0;
}

static void objects_tell(
	struct objects *objects, const struct object *old, const struct object *new)
{
	if (objects->changed)
		objects->changed(objects->context, old, new);
}

/* Is the object in a file that this reading has seen? */
static bool objects_still_hold(const struct objects *objects, const struct object *object)
{
	const struct objects_file *file;

	if (object->place.reading == objects->reading)
		return true;
	file = hash_get(&objects->files, object->place.source);
	return file && file->seen == objects->reading && file->read == object->place.reading;
}

/* What the store has of it may be another version now, or the first one. */
static void objects_put(struct objects *objects, struct loaded *loaded)
{
	_cleanup_(object_free) struct object *old = NULL;
	const struct object *new = loaded->object, *held;

	held = store_get(&objects->store, new->kind, new->namespace, new->name);
	if (held && objects_still_hold(objects, held)) {
		loaded_refuse_twice(&objects->result, loaded, held);
		return;
	}
	loaded->object->place.reading = objects->reading;
	if (store_put(&objects->store, &loaded->object, &old) == STORE_UNCHANGED)
		return;
	objects_tell(objects, old, new);
	objects->touched = true;
}

/*
 * What cannot be read is refused as a whole: what it said before stays in force. The text's trees
 * are many times as large as its objects, so they go before the next file is read.
 */
static void objects_read_file(struct objects *objects, int directory, const char *name)
{
	struct load_result *result = &objects->result;
	_text_ struct text text = {0};
	int r = file_read(directory, name, &text);

	objects->read_bytes += text.length;
	if (r == -EFBIG)
		objects_refuse(name, "is larger than 64 MiB; use several files", result);
	else if (r < 0 && r != -ENOENT) /* gone since the directory was listed */
		objects_refuse(name, r == -EINVAL ? "is no file" : strerror(-r), result);
	else if (r == 0)
		objects_load(text_string(&text), text.length, name, result);
	for (size_t i = 0; i < result->objects.count; i++)
		objects_put(objects, &result->objects.list[i]);
	load_result_clear_objects(result);
}
_Static_assert(OBJECTS_FILE_MAX == 64L << 20, "as the text says");

static bool stat_is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Its time is that of the file system, so the clock of the day is right here. */
static bool stat_is_settled(const struct stat *stat, uint64_t settle_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)(now.tv_sec - stat->st_ctim.tv_sec) * CLOCK_NS_PER_S + now.tv_nsec -
		       stat->st_ctim.tv_nsec >=
	       settle_ns;
}

/* True where it is not as it was when it was read, so that it is to be read in this reading. */
static bool objects_look_at(struct objects *objects, int directory, const char *name)
{
	struct objects_file *file = hash_get(&objects->files, name);
	struct stat stat = {0};
	bool known = fstatat(directory, name, &stat, 0) == 0;

	if (!file) {
		file = mem_new(1, sizeof(*file));
		hash_put(&objects->files, name, file);
	}
	file->seen = objects->reading;
	if (!objects->whole && known && file->settled && stat_is_same(&file->stat, &stat))
		return false;
	file->stat = stat;
	file->settled = known && stat_is_settled(&stat, objects->settle_ns);
	file->read = objects->reading;
	return true;
}

/*
 * Returns how many files there are. First it is known which will be read: an object of one of these
 * may be another's as well, which is as it was.
 */
static int objects_read_all(struct objects *objects, int directory, struct err *err)
{
	struct dirent **entries = NULL;
	int count = scandirat(directory, ".", &entries, file_filter, alphasort);

	if (count < 0)
		return err_system(err, errno, "%s", objects->directory);
	for (int i = 0; i < count; i++)
		if (!objects_look_at(objects, directory, entries[i]->d_name))
			mem_free_pointer(&entries[i]);
	for (int i = 0; i < count; i++) {
		if (entries[i])
			objects_read_file(objects, directory, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return count;
}

static bool objects_are_none(const struct objects *objects)
{
	size_t count = 0;

	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		count += store_count(&objects->store, kind);
	return count == 0;
}

/* An empty directory in the place of another is more likely a mistake than a wish. */
static int objects_read_directory(struct objects *objects, struct err *err)
{
	const dev_t device = objects->device;
	const ino_t inode = objects->inode;
	_close_ int directory = -1;
	int r = objects_watch(objects, &directory, err);

	if (r == 0)
		r = objects_read_all(objects, directory, err);
	if (r != 0 || objects_are_none(objects) ||
		(device == objects->device && inode == objects->inode))
		return r < 0 ? r : 0;
	objects->device = device;
	objects->inode = inode;
	return err_set(err, ENOENT,
		"%s is another directory than before, and has no file of objects; what was read "
		"before stays in force",
		objects->directory);
}

/* Is there a refusal that the stored object, which no file holds any more, must outlive? */
static bool refusal_protects(const struct load_result *result, const struct object *object)
{
	for (size_t i = 0; i < result->refusals.count; i++) {
		const struct refusal *refusal = &result->refusals.list[i];

		if (refusal->document == 0 && strcmp(refusal->source, object->place.source) == 0)
			return true;
		if (refusal->kind && refusal->name &&
			strcmp(refusal->kind, kind_name(object->kind)) == 0 &&
			strcmp(refusal->name, object->name) == 0 &&
			(!object->namespace ||
				strcmp(refusal->namespace ? refusal->namespace : "default",
					object->namespace) == 0))
			return true;
	}
	return false;
}

static void objects_forget_files(struct objects *objects)
{
	const struct hash_entry *entry;
	size_t at = 0;

	while ((entry = hash_next(&objects->files, &at))) {
		const struct objects_file *file = entry->value;

		if (file->seen != objects->reading)
			free(hash_remove(&objects->files, entry->key));
	}
}

/* Takes objects out of the store that no file holds any more. */
static void objects_sweep(struct objects *objects)
{
	objects_forget_files(objects);
	for (enum kind kind = 0; kind < KIND_MAX; kind++) {
		const struct object *object;
		size_t position = 0;

		while ((object = store_next(&objects->store, kind, &position))) {
			struct object *gone;

			if (objects_still_hold(objects, object) ||
				refusal_protects(&objects->result, object))
				continue;
			gone = store_remove(&objects->store, kind, object->namespace, object->name);
			objects_tell(objects, gone, NULL);
			object_free(&gone);
			objects->touched = true;
		}
	}
}

/* Says what is refused and ignored, but not what was said at the last reading. */
static void objects_report(const struct load_result *result, const struct load_result *before)
{
	_cleanup_(hash_cleanup) struct hash known = {0};
	const struct hash_entry *entry;
	size_t at = 0;

	for (size_t i = 0; i < before->refusals.count; i++) {
		_free_ char *text = refusal_text(&before->refusals.list[i]);

		hash_put(&known, text, &known);
	}
	for (size_t i = 0; i < result->refusals.count; i++) {
		_free_ char *text = refusal_text(&result->refusals.list[i]);

		if (!hash_get(&known, text))
			log_warning("refused: %s", text);
	}
	while ((entry = hash_next(&result->ignored, &at)))
		if (!hash_get(&before->ignored, entry->key))
			log_info("ignored: %s does not concern the network", entry->key);
}

/* Kinds in files that were passed over are not found again. */
static void objects_keep_ignored(struct load_result *result, const struct load_result *before)
{
	const struct hash_entry *entry;
	size_t at = 0;

	while ((entry = hash_next(&before->ignored, &at)))
		hash_put(&result->ignored, entry->key, result);
}

static int objects_read_as(struct objects *objects, bool whole, struct err *err)
{
	struct load_result before = objects->result;
	int r;

	objects->reading++;
	objects->whole = whole;
	objects->result = (struct load_result){0};
	r = objects_read_directory(objects, err);
	if (r < 0) {
		load_result_clear(&objects->result);
		objects->result = before;
		return r;
	}
	if (!whole && objects->result.refusals.count) {
		load_result_clear(&objects->result);
		objects->result = before;
		return objects_read_as(objects, true, err);
	}
	if (!whole)
		objects_keep_ignored(&objects->result, &before);
	objects_report(&objects->result, &before);
	objects_sweep(objects);
	load_result_clear(&before);
	return 0;
}

int objects_read(struct objects *objects, struct err *err)
{
	bool whole = !objects->read_once || objects->result.refusals.count;
	int r;

	objects->touched = !objects->read_once;
	objects->read_bytes = 0;
	r = objects_read_as(objects, whole, err);
	if (r < 0)
		return r;
	objects->read_once = true;
	if (objects->read_bytes > OBJECTS_TRIM_MIN)
		malloc_trim(0); /* what the trees took is many pages */
	return objects->touched;
}
