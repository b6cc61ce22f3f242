/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/place.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "linux/bpffs.h"
#include "linux/sysctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define PLACE_STOP_SECONDS 10

static int file_read_all(const char *path, struct text *text)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char buffer[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		text_append_bytes(text, buffer, (size_t)n);
	return n < 0 ? -errno : 0;
}

int place_read_settings(const char *file, struct settings *ret_settings, struct err *err)
{
	_text_ struct text text = {0};
	struct settings settings;
	int r;

	settings_defaults(&settings);
	if (file) {
		r = file_read_all(file, &text);
		if (r < 0)
			return err_system(err, -r, "settings %s", file);
		r = settings_read(text_string(&text), text.length, &settings, err);
		if (r < 0)
			return err_wrap(err, "settings %s", file);
	}
	if (!*settings.node && gethostname(settings.node, sizeof(settings.node) - 1) < 0)
		return err_system(err, errno, "the host's name");
	*ret_settings = settings;
	return 0;
}

/* --- kernel settings, with what was there before --- */

static int found_append(const char *directory, const char *key, const char *value, struct err *err)
{
	_free_ char *path = mem_format("%s/found", directory);
	_free_ char *line = mem_format("%s=%s\n", key, value);
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		return err_system(err, errno, "%s", path);
	return 0;
}

/* What was found is written down before it is changed, and only the first time. */
static int place_set_sysctl(
	const char *directory, const char *key, const char *value, struct err *err)
{
	char now[SYSCTL_VALUE_SIZE];
	int r = sysctl_read(key, now, err);

	if (r == -ENOENT)
		return 0; /* the family is switched off */
	if (r < 0 || strcmp(now, value) == 0)
		return r;
	r = found_append(directory, key, now, err);
	return r < 0 ? r : sysctl_set(key, value, NULL, err);
}

/*
 * A node that has its own address by router advertisements keeps it: with forwarding on, the
 * kernel listens to them only where accept_ra is 2. Set before forwarding is switched on.
 */
static int place_keep_advertisements(const char *directory, struct err *err)
{
	DIR *devices = opendir("/proc/sys/net/ipv6/conf");
	struct dirent *entry;
	int r = 0;

	if (!devices)
		return 0;
	while (r == 0 && (entry = readdir(devices))) {
		_free_ char *key = mem_format("net/ipv6/conf/%s/accept_ra", entry->d_name);
		char now[SYSCTL_VALUE_SIZE];

		/* Devices to come, ours among them, have no such need. */
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "default") == 0 ||
			sysctl_read(key, now, NULL) < 0 ||
			strcmp(now, "1") != 0)
			continue;
		r = place_set_sysctl(directory, key, "2", err);
	}
	closedir(devices);
	return r;
}

static int place_set_kernel(const char *directory, struct err *err)
{
	int r = place_keep_advertisements(directory, err);

	if (r == 0)
		r = place_set_sysctl(directory, "net/ipv4/ip_forward", "1", err);
	if (r == 0)
		r = place_set_sysctl(directory, "net/ipv6/conf/all/forwarding", "1", err);
	return r;
}

/* Backwards, so that of a key written down twice the first value is the last one set. */
static void place_restore_kernel(const char *directory)
{
	_free_ char *path = mem_format("%s/found", directory);
	_text_ struct text text = {0};
	char *line;

	if (file_read_all(path, &text) < 0 || !text.length)
		return;
	while (text.length && (line = strrchr(text.data, '\n'))) {
		char *equals;

		*line = '\0';
		line = strrchr(text.data, '\n');
		line = line ? line + 1 : text.data;
		equals = strchr(line, '=');
		if (equals) {
			*equals = '\0';
			sysctl_set(line, equals + 1, NULL, NULL);
		}
		if (line == text.data)
			break;
	}
	unlink(path);
}

/* --- directories --- */

/* By descriptor: what is judged is what is changed. What others have made is not trusted. */
static int place_make_directory(
	const char *path, mode_t mode, unsigned int owner, struct err *err)
{
	_close_ int fd = -1;
	struct stat stat;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_system(err, errno, "%s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat) < 0)
		return err_system(err, errno, "%s", path);
	if ((stat.st_uid != 0 && stat.st_uid != owner) || stat.st_mode & 0022)
		return err_set(err, EPERM,
			"%s belongs to user %u with mode %04o, so others may have put anything into "
			"it; choose another directory, or remove this one",
			path, stat.st_uid, stat.st_mode & 07777);
	if (fchown(fd, owner, owner) < 0 || fchmod(fd, mode) < 0)
		return err_system(err, errno, "%s", path);
	return 0;
}

/* Who may write a directory may replace what is in it, unless it is sticky. */
static int place_check_parent(const char *path, struct err *err)
{
	struct stat found;

	if (stat(path, &found) < 0)
		return err_system(err, errno, "%s", path);
	if (found.st_uid == 0 && (!(found.st_mode & 0022) || found.st_mode & S_ISVTX))
		return 0;
	return err_set(err, EPERM,
		"%s belongs to user %u with mode %04o, so others may replace what is in it; choose "
		"another directory",
		path, found.st_uid, found.st_mode & 07777);
}

static int place_make_parents(const char *directory, struct err *err)
{
	_free_ char *path = mem_string(directory);
	int r = 0;

	for (char *slash = strchr(path + 1, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_system(err, errno, "%s", path);
		r = place_check_parent(path, err);
		*slash = '/';
	}
	return r;
}

int place_make(const char *directory, const struct settings *settings, struct err *err)
{
	_free_ char *attachments = mem_format("%s/attachments", directory);
	_free_ char *bpf = mem_format("%s/bpf", directory);
	int r = place_make_parents(directory, err);

	if (r == 0)
		r = place_make_directory(directory, 0755, 0, err);
	if (r == 0)
		r = place_make_directory(attachments, 0700, settings->user, err);
	if (r == 0 && mkdir(bpf, 0700) < 0 && errno != EEXIST)
		r = err_system(err, errno, "%s", bpf);
	if (r == 0)
		r = bpffs_mount(bpf, settings->user, settings->user, err);
	if (r == 0)
		r = place_set_kernel(directory, err);
	return r;
}

static void place_empty(const char *directory, const char *name)
{
	_free_ char *path = mem_format("%s/%s", directory, name);
	DIR *entries = opendir(path);
	struct dirent *entry;

	if (!entries)
		return;
	while ((entry = readdir(entries)))
		unlinkat(dirfd(entries), entry->d_name, 0);
	closedir(entries);
	rmdir(path);
}

int place_remove(const char *directory, struct err *err)
{
	static const char *const files[] = {"agent.sock", "status.sock", "lock"};
	_free_ char *bpf = mem_format("%s/bpf", directory);
	int r = bpffs_unmount(bpf, err);

	if (r < 0 && r != -ENOENT)
		return r;
	rmdir(bpf);
	place_restore_kernel(directory);
	place_empty(directory, "attachments");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_free_ char *path = mem_format("%s/%s", directory, files[i]);

		unlink(path);
	}
	rmdir(directory); /* stays where somebody else keeps something in it */
	return 0;
}

/* --- the lock --- */

static int place_open_lock(const char *directory, int flags, int *ret_fd, struct err *err)
{
	_free_ char *path = mem_format("%s/lock", directory);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	if (fd < 0)
		return err_system(err, errno, "%s", path);
	*ret_fd = fd;
	return 0;
}

int place_lock(const char *directory, int *ret_lock, struct err *err)
{
	char pid[16] = "";
	struct stat stat;
	_close_ int fd = -1;
	int r = place_open_lock(directory, O_CREAT, &fd, err);

	if (r < 0)
		return r;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (read(fd, pid, sizeof(pid) - 1) > 0)
			pid[strcspn(pid, "\n")] = '\0';
		return err_set(err, EBUSY,
			"an agent runs here already, with process id %s; a node has one, and "
			"another node needs a --run-dir of its own",
			pid);
	}
	if (fstat(fd, &stat) < 0 || stat.st_nlink == 0)
		return err_set(err, EBUSY, "%s was uninstalled while the agent started", directory);
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return err_system(err, errno, "%s/lock", directory);
	*ret_lock = TAKE_FD(fd);
	return 0;
}

/* Asks the holder to end, once; one that has just begun may not have written its number yet. */
static int lock_end_holder(int fd, int *ended, struct err *err)
{
	char text[16] = "";
	int pid;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0 || sscanf(text, "%d", &pid) != 1 || pid < 2 ||
		pid == *ended)
		return 0;
	if (kill(pid, SIGTERM) < 0 && errno != ESRCH)
		return err_system(err, errno, "ending the agent, process %d", pid);
	*ended = pid;
	return 0;
}

int place_stop_agent(const char *directory, int *ret_lock, struct err *err)
{
	uint64_t end = clock_monotonic_ns() + PLACE_STOP_SECONDS * CLOCK_NS_PER_S;
	_close_ int fd = -1;
	int pid = 0, r = place_open_lock(directory, 0, &fd, err);

	if (r == -ENOENT)
		return 0;
	/* Again and again: whoever starts the agent anew may be quicker than we. */
	while (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (clock_monotonic_ns() > end)
			return err_set(err, ETIMEDOUT, "%s/lock is held by process %d, which does not end",
				directory, pid);
		r = lock_end_holder(fd, &pid, err);
		poll(NULL, 0, 5);
	}
	if (r == 0)
		*ret_lock = TAKE_FD(fd);
	return r;
}
