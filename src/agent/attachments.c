/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attachments.h"

#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Text from a file is not trusted to end. */
static bool attachment_has_texts(const struct attachment *a)
{
	return memchr(a->container, 0, sizeof(a->container)) &&
	       memchr(a->ifname, 0, sizeof(a->ifname)) && memchr(a->link, 0, sizeof(a->link)) &&
	       memchr(a->pod_namespace, 0, sizeof(a->pod_namespace)) &&
	       memchr(a->pod_name, 0, sizeof(a->pod_name)) &&
	       memchr(a->pod_uid, 0, sizeof(a->pod_uid)) &&
	       memchr(a->network, 0, sizeof(a->network)) &&
	       memchr(a->labels, 0, sizeof(a->labels));
}

static int attachment_read(int directory, const char *name, struct attachment *ret)
{
	_close_ int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		return -errno;
	*ret = (struct attachment){0};
	size = read(fd, ret, sizeof(*ret));
	if (size < 0)
		return -errno;
	return attachment_is_whole(ret, size) && attachment_has_texts(ret) ? 0 : -EINVAL;
}

static void attachments_append(
	struct attachments *attachments, const struct attachment *attachment)
{
	attachments->item = mem_grow(attachments->item, &attachments->capacity,
		attachments->count + 1, sizeof(*attachments->item));
	attachments->item[attachments->count++] = *attachment;
}

static void attachments_close(DIR **entries)
{
	if (*entries)
		closedir(*entries);
}

/* What will never be one, as against what cannot be read just now. */
static bool attachment_is_none(int r)
{
	return r == -EINVAL || r == -ELOOP || r == -EISDIR || r == -EACCES;
}

/*
 * Half of the records would be worse than none: what has no record loses its link and its address.
 * So what cannot be read just now is an error of the whole.
 */
int attachments_read(const char *directory, struct attachments *ret_attachments, struct err *err)
{
	_cleanup_(attachments_close) DIR *entries = opendir(directory);
	struct attachment attachment;
	struct dirent *entry;
	int r;

	if (!entries)
		return err_system(err, errno, "%s", directory);
	while ((errno = 0, entry = readdir(entries))) {
		if (entry->d_name[0] == '.') {
			unlinkat(dirfd(entries), entry->d_name, 0); /* written half way */
			continue;
		}
		r = attachment_read(dirfd(entries), entry->d_name, &attachment);
		if (r == 0)
			attachments_append(ret_attachments, &attachment);
		else if (attachment_is_none(r))
			log_warning("%s/%s is no record of an attachment and is ignored",
				directory, entry->d_name);
		else
			return err_system(err, -r, "%s/%s", directory, entry->d_name);
	}
	return errno ? err_system(err, errno, "reading %s", directory) : 0;
}

void attachments_clear(struct attachments *attachments)
{
	free(attachments->item);
	*attachments = (struct attachments){0};
}

struct attachment *attachments_find(
	struct attachments *attachments, const char *container, const char *ifname)
{
	for (size_t i = 0; i < attachments->count; i++) {
		struct attachment *a = &attachments->item[i];

		if (strcmp(a->container, container) == 0 && strcmp(a->ifname, ifname) == 0)
			return a;
	}
	return NULL;
}

static char *attachment_path(const char *directory, const struct attachment *a, const char *dot)
{
	return mem_format("%s/%s%s:%s", directory, dot, a->container, a->ifname);
}

int attachments_add(struct attachments *attachments, const char *directory,
	const struct attachment *attachment, struct err *err)
{
	_free_ char *path = attachment_path(directory, attachment, "");
	_free_ char *fresh = attachment_path(directory, attachment, ".");
	_close_ int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_system(err, errno, "%s", fresh);
	errno = ENOSPC; /* what a short write means */
	if (write(fd, attachment, sizeof(*attachment)) != (ssize_t)sizeof(*attachment) ||
		rename(fresh, path) < 0) {
		int code = errno;

		unlink(fresh);
		return err_system(err, code, "%s", path);
	}
	attachments_append(attachments, attachment);
	return 0;
}

void attachments_remove(
	struct attachments *attachments, const char *directory, struct attachment *attachment)
{
	_free_ char *path = attachment_path(directory, attachment, "");
	size_t at = (size_t)(attachment - attachments->item);

	if (unlink(path) < 0 && errno != ENOENT)
		attachments->stale = true;
	attachments->count--;
	attachments->item[at] = attachments->item[attachments->count];
}

void attachments_sweep(struct attachments *attachments, const char *directory)
{
	_cleanup_(attachments_close) DIR *entries = opendir(directory);
	struct attachment attachment;
	struct dirent *entry;

	if (!entries)
		return;
	attachments->stale = false;
	while ((entry = readdir(entries)))
		if (entry->d_name[0] != '.' &&
			attachment_read(dirfd(entries), entry->d_name, &attachment) == 0 &&
			!attachments_find(attachments, attachment.container, attachment.ifname) &&
			unlinkat(dirfd(entries), entry->d_name, 0) < 0)
			attachments->stale = true;
}
