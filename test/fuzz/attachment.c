/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record of an attachment as a file holds it, read by the agent and compiled to rows. Where the
 * first byte is odd the rest is filled up to a record of the right size and number.
 */
#include "fuzz.h"

#include "agent/attachments.h"
#include "base/log.h"
#include "base/mem.h"
#include "compile/pod.h"

#include <fcntl.h>
#include <stdlib.h>

static char directory[] = "/tmp/podwire-fuzz-XXXXXX";
static int file = -1;

static void attachment_remove(void)
{
	_free_ char *path = mem_format("%s/c1:eth0", directory);

	unlink(path);
	rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	_free_ char *path = NULL;

	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	if (!mkdtemp(directory))
		abort();
	path = mem_format("%s/c1:eth0", directory);
	file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	atexit(attachment_remove);
	return file < 0;
}

static int attachment_write(const uint8_t *data, size_t size)
{
	static const __u32 head[] = {ATTACHMENT_MAGIC, sizeof(struct attachment)};

	if (ftruncate(file, 0) < 0 || pwrite(file, data, size, 0) != (ssize_t)size)
		return -1;
	if (size == 0 || !(data[0] & 1))
		return 0;
	if (ftruncate(file, sizeof(struct attachment)) < 0 ||
		pwrite(file, head, sizeof(head), 0) != sizeof(head))
		return -1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attachments attachments = {0};
	struct rows rows = {0};

	if (attachment_write(data, size) < 0 || attachments_read(directory, &attachments, NULL) < 0)
		abort();
	for (size_t i = 0; i < attachments.count; i++) {
		const struct attachment *a = &attachments.item[i];

		if (attachments_find(&attachments, a->container, a->ifname) != a)
			abort();
		compile_attachment(a, NULL, &rows);
	}
	rows_clear(&rows);
	attachments_clear(&attachments);
	return 0;
}
