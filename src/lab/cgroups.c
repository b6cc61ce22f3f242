/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/cgroups.h"

#include "base/mem.h"
#include "linux/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ROUNDS 500 /* of 10 ms: a process that does not die by SIGKILL hangs in the kernel */
#define MOUNT_USUAL "/sys/fs/cgroup" /* names a place even where nothing is mounted */

static char *mount_path(void)
{
	char *path;

	return cgroup_find(&path, NULL) == 0 ? path : mem_string(MOUNT_USUAL);
}

static char *lab_cgroup(const char *lab)
{
	_free_ char *mount = mount_path();

	return mem_format("%s/podwire-lab-%s", mount, lab);
}

char *cgroup_path(const struct lab *lab, const char *node)
{
	_free_ char *above = lab_cgroup(lab->name);

	return mem_format("%s/%s", above, node);
}

char *cgroup_pod_name(const char *name_space, const char *pod)
{
	return mem_format("%s+%s", name_space, pod);
}

/* Writes "0", which means the writer. */
static int cgroup_join(const char *path)
{
	_free_ char *processes = mem_format("%s/cgroup.procs", path);
	_close_ int fd = open(processes, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "0", 1) != 1 ? -errno : 0;
}

int cgroups_make(const struct lab *lab, struct err *err)
{
	_free_ char *path = NULL, *found = NULL;
	int r = cgroup_find(&found, err);

	if (r < 0)
		return r;
	path = lab_cgroup(lab->name);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_system(err, errno, "%s", path);
	return 0;
}

void cgroup_enter(const struct lab *lab, const char *node, const char *pod)
{
	_free_ char *path = cgroup_path(lab, node);
	_free_ char *below = pod ? mem_format("%s/%s", path, pod) : NULL;

	mkdir(path, 0755);
	if (below)
		mkdir(below, 0755);
	cgroup_join(below ? below : path);
}

/* Whoever takes a lab away from inside goes out before it is gone. */
static void processes_end(const char *path)
{
	_free_ char *processes = mem_format("%s/cgroup.procs", path), *mount = NULL;
	FILE *list = fopen(processes, "re");
	int pid;

	while (list && fscanf(list, "%d", &pid) == 1) {
		if (pid == getpid()) {
			mount = mount_path();
			cgroup_join(mount);
		} else if (pid > 0) { /* 0: of another namespace of process ids */
			kill(pid, SIGKILL);
		}
	}
	if (list)
		fclose(list);
}

static int directory_end(const char *path, struct err *err)
{
	for (unsigned int round = 0; rmdir(path) < 0; round++) {
		if (errno == ENOENT)
			return 0;
		if (errno != EBUSY || round == ROUNDS)
			return err_system(err, errno, "remove %s", path);
		processes_end(path);
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	return 0;
}

static int tree_end(const char *path, struct err *err)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!directory)
		return errno == ENOENT ? 0 : err_system(err, errno, "%s", path);
	while (r == 0 && (entry = readdir(directory))) {
		_free_ char *below = mem_format("%s/%s", path, entry->d_name);

		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			r = tree_end(below, err);
	}
	closedir(directory);
	return r < 0 ? r : directory_end(path, err);
}

int cgroups_remove(const char *lab, struct err *err)
{
	_free_ char *path = lab_cgroup(lab);

	return tree_end(path, err);
}

int cgroup_remove(const struct lab *lab, const char *node, const char *pod, struct err *err)
{
	_free_ char *path = cgroup_path(lab, node);
	_free_ char *below = pod ? mem_format("%s/%s", path, pod) : NULL;

	return tree_end(below ? below : path, err);
}
