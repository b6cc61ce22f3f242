/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/processes.h"

#include "base/mem.h"
#include "lab/jobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

#define ROUNDS 500 /* of 10 ms: a process that does not die by SIGKILL hangs in the kernel */

struct inode {
	dev_t device;
	ino_t number;
};

struct inodes {
	struct inode *list;
	size_t count, capacity;
};

static void inodes_add(struct inodes *inodes, int directory, const char *name)
{
	struct stat info;

	if (fstatat(directory, name, &info, 0) < 0)
		return;
	inodes->list = mem_grow(
		inodes->list, &inodes->capacity, inodes->count + 1, sizeof(*inodes->list));
	inodes->list[inodes->count++] = (struct inode){info.st_dev, info.st_ino};
}

static bool inodes_hold(const struct inodes *inodes, const struct stat *info)
{
	for (size_t i = 0; i < inodes->count; i++)
		if (inodes->list[i].device == info->st_dev && inodes->list[i].number == info->st_ino)
			return true;
	return false;
}

/* One walk over /proc. Returns how many were found (and killed). */
static size_t kill_once(const struct inodes *inodes)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	size_t found = 0;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		char path[64];
		struct stat info;

		if (pid <= 0 || pid == getpid())
			continue;
		snprintf(path, sizeof(path), "%d/ns/net", pid);
		if (fstatat(dirfd(proc), path, &info, 0) < 0 || !inodes_hold(inodes, &info))
			continue;
		kill(pid, SIGKILL);
		found++;
	}
	if (proc)
		closedir(proc);
	return found;
}

static int inodes_kill(struct inodes *inodes, struct err *err)
{
	size_t left = 0;

	/* Again until none is left: one may have been forking. */
	for (unsigned int round = 0; round < ROUNDS && inodes->count > 0; round++) {
		left = kill_once(inodes);
		if (left == 0)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	free(inodes->list);
	return left == 0 ? 0
			 : err_set(err, EBUSY, "%zu processes do not end although killed", left);
}

int processes_kill_all(const char *ns, struct err *err)
{
	struct inodes inodes = {0};
	DIR *directory = opendir(ns);
	struct dirent *entry;

	if (!directory)
		return errno == ENOENT ? 0 : err_system(err, errno, "%s", ns);
	while ((entry = readdir(directory)))
		if (entry->d_type == DT_REG)
			inodes_add(&inodes, dirfd(directory), entry->d_name);
	closedir(directory);
	return inodes_kill(&inodes, err);
}

int processes_kill_in(const char *path, struct err *err)
{
	struct inodes inodes = {0};

	inodes_add(&inodes, AT_FDCWD, path);
	return inodes_kill(&inodes, err);
}

struct process process_load(const json_t *saved)
{
	return (struct process){
		.pid = (pid_t)json_integer_value(json_object_get(saved, "pid")),
		.start = (unsigned long long)json_integer_value(json_object_get(saved, "start")),
	};
}

json_t *process_save(const struct process *process)
{
	return json_pack("{s:i, s:I}", "pid", (int)process->pid, "start",
		(json_int_t)process->start);
}

bool process_lives(const struct process *process)
{
	return process->pid > 0 && process->start > 0 &&
	       process_start_time(process->pid) == process->start;
}

bool process_is_in(const struct process *process, const char *path)
{
	char own[64];
	struct stat here, there;

	snprintf(own, sizeof(own), "/proc/%d/ns/net", process->pid);
	return process_lives(process) && stat(own, &here) == 0 && stat(path, &there) == 0 &&
	       here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

void process_kill(const struct process *process)
{
	/* The descriptor holds the process, so that no other can get the pid between the looks. */
	_close_ int fd = pidfd_open(process->pid, 0);

	if (fd >= 0 && process_lives(process))
		pidfd_send_signal(fd, SIGKILL, NULL, 0);
}
