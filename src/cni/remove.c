/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include "abi/attachment.h"
#include "abi/pod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * DEL while no agent is there. The order is the agent's: the rows first, so that nobody sends to
 * the pod any more, then the link, and the record last: what breaks off in between is done again
 * by the next DEL. A row or a link is removed only if it is the one that the record speaks of; the
 * address may have a new owner since.
 */

/* False where there is no record: nothing is attached, or it was removed already. */
static bool record_read(const char *path, struct attachment *ret)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t size;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return false;
	if (fd < 0)
		cni_fail(CNI_IO, "%s: %s", path, strerror(errno));
	memset(ret, 0, sizeof(*ret));
	size = read(fd, ret, sizeof(*ret));
	close(fd);
	if (!attachment_is_whole(ret, size) || !memchr(ret->link, '\0', sizeof(ret->link)))
		cni_fail(CNI_TRY_AGAIN,
			"%s is no record that this plugin can read; the podwire agent must remove "
			"it",
			path);
	return true;
}

static long bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static void table_remove_row(int table, const struct addr *addr, unsigned int ifindex)
{
	struct pod_row row = {0};
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.map_fd = (unsigned int)table;
	attributes.key = (uintptr_t)addr;
	attributes.value = (uintptr_t)&row;
	if (bpf(BPF_MAP_LOOKUP_ELEM, &attributes) < 0 && errno != ENOENT)
		cni_fail(CNI_IO, "reading the pod table: %s", strerror(errno));
	if (row.ifindex != ifindex)
		return;
	attributes.value = 0;
	if (bpf(BPF_MAP_DELETE_ELEM, &attributes) < 0 && errno != ENOENT)
		cni_fail(CNI_IO, "removing a row of the pod table: %s", strerror(errno));
}

static bool table_has_our_form(int table)
{
	struct bpf_map_info info = {0};
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.info.bpf_fd = (unsigned int)table;
	attributes.info.info_len = sizeof(info);
	attributes.info.info = (uintptr_t)&info;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) < 0)
		cni_fail(CNI_IO, "asking for the form of the pod table: %s", strerror(errno));
	return info.key_size == sizeof(struct addr) && info.value_size == sizeof(struct pod_row);
}

static void table_remove(const char *path, const struct attachment *attachment)
{
	union bpf_attr attributes;
	int table;

	memset(&attributes, 0, sizeof(attributes));
	attributes.pathname = (uintptr_t)path;
	table = (int)bpf(BPF_OBJ_GET, &attributes);
	if (table < 0 && (errno == ENOENT || errno == ENOTDIR))
		return; /* not a layout's directory: the kernel puts files of its own there */
	if (table < 0)
		cni_fail(CNI_IO, "%s: %s", path, strerror(errno));
	if (table_has_our_form(table))
		for (unsigned int i = 0; i < attachment->address_count; i++)
			table_remove_row(table, &attachment->addresses[i], attachment->ifindex);
	close(table);
}

/* Each layout of the tables has its own directory; during an upgrade there are two. */
static void tables_remove(const char *run_directory, const struct attachment *attachment)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *layouts;

	snprintf(path, sizeof(path), "%s/bpf", run_directory);
	layouts = opendir(path);
	if (!layouts && errno == ENOENT)
		return;
	if (!layouts)
		cni_fail(CNI_IO, "%s: %s", path, strerror(errno));
	while ((errno = 0, entry = readdir(layouts))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/bpf/%s/pw_pod", run_directory, entry->d_name);
		table_remove(path, attachment);
	}
	if (errno)
		cni_fail(CNI_IO, "reading %s/bpf: %s", run_directory, strerror(errno));
	closedir(layouts);
}

void remove_attachment(const struct cni_request *request)
{
	struct attachment attachment;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/attachments/%s:%s", request->run_directory,
		request->container, request->ifname);
	if (!record_read(path, &attachment))
		return;
	tables_remove(request->run_directory, &attachment);
	link_remove(request, &attachment);
	if (unlink(path) < 0 && errno != ENOENT)
		cni_fail(CNI_IO, "%s: %s", path, strerror(errno));
}
