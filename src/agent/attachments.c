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
static bool attachment_is_sound(const struct attachment *a)
{
	return a->magic == ATTACHMENT_MAGIC && a->address_count <= ATTACHMENT_ADDRESSES &&
	       memchr(a->container, 0, sizeof(a->container)) &&
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

	if (fd < 0)
		return -errno;
	if (read(fd, ret, sizeof(*ret)) != (ssize_t)sizeof(*ret) || !attachment_is_sound(ret))
		return -EINVAL;
	return 0;
}

static void attachments_append(
	struct attachments *attachments, const struct attachment *attachment)
{
	attachments->item = mem_grow(attachments->item, &attachments->capacity,
		attachments->count + 1, sizeof(*attachments->item));
	attachments->item[attachments->count++] = *attachment;
}

int attachments_read(const char *directory, struct attachments *ret_attachments, struct err *err)
{
	DIR *entries = opendir(directory);
	struct attachment attachment;
	struct dirent *entry;

	if (!entries)
		return err_system(err, errno, "%s", directory);
	while ((entry = readdir(entries))) {
		if (entry->d_name[0] == '.')
			continue;
		if (attachment_read(dirfd(entries), entry->d_name, &attachment) < 0)
			log_warning("%s/%s is no record of an attachment and is ignored",
				directory, entry->d_name);
		else
			attachments_append(ret_attachments, &attachment);
	}
	closedir(entries);
	return 0;
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
	if (write(fd, attachment, sizeof(*attachment)) != (ssize_t)sizeof(*attachment) ||
		rename(fresh, path) < 0) {
		int code = errno ? errno : ENOSPC;

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

	unlink(path);
	attachments->count--;
	attachments->item[at] = attachments->item[attachments->count];
}
