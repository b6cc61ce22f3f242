/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/down.h"

#include "base/mem.h"
#include "lab/cgroups.h"
#include "lab/processes.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void mount_unescape(char *path)
{
	char *out = path;

	for (char *in = path; *in; in++) {
		if (in[0] == '\\' && in[1] && in[2] && in[3]) {
			*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
}

static bool path_is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return strncmp(path, directory, length) == 0 && (path[length] == '/' || !path[length]);
}

/* Unmounts what is mounted last first, so that what lies upon another goes before it. */
static int mounts_clear(const char *directory, struct err *err)
{
	FILE *table = fopen("/proc/self/mountinfo", "re");
	_free_ char **found = NULL;
	_free_ char *line = NULL;
	size_t count = 0, capacity = 0, size = 0;
	int r = 0;

	if (!table)
		return err_system(err, errno, "/proc/self/mountinfo");
	while (getline(&line, &size, table) > 0) {
		char path[4096];

		if (sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1)
			continue;
		mount_unescape(path);
		if (!path_is_below(path, directory))
			continue;
		found = mem_grow(found, &capacity, count + 1, sizeof(*found));
		found[count++] = mem_string(path);
	}
	fclose(table);
	while (count-- > 0) {
		if (r == 0 && umount2(found[count], MNT_DETACH) < 0 && errno != EINVAL)
			r = err_system(err, errno, "unmount %s", found[count]);
		free(found[count]);
	}
	return r;
}

static int entry_remove(const char *path, const struct stat *info, int type, struct FTW *place)
{
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

int directory_clear(const char *directory, struct err *err)
{
	if (mounts_clear(directory, err) < 0)
		return -err->code;
	if (nftw(directory, entry_remove, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 &&
		errno != ENOENT)
		return err_system(err, errno, "remove %s", directory);
	return 0;
}

int lab_directory_clear(const char *directory, struct err *err)
{
	_free_ char *ns = mem_format("%s/ns", directory);

	if (processes_kill_all(ns, err) < 0 ||
		cgroups_remove(strrchr(directory, '/') + 1, err) < 0 ||
		directory_clear(directory, err) < 0)
		return -err->code;
	/* Gone only when this was the last lab. */
	rmdir(LAB_ROOT);
	return 0;
}

int lab_take_down(const char *name, struct err *err)
{
	_free_ char *directory = mem_format(LAB_ROOT "/%s", name);
	_close_ int lock = -1;

	if (lab_name_check(name, err) < 0)
		return -err->code;
	if (access(directory, F_OK) < 0)
		return err_set(err, ENOENT,
			"there is no lab \"%s\"; `podwire lab list` shows those that are up", name);
	if (lab_lock(directory, &lock, err) < 0)
		return -err->code;
	return lab_directory_clear(directory, err);
}
