/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/attachment.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The records of what is attached, one file each in RUNDIR/attachments: who holds which address,
 * for DEL and GC. With the pinned pod table they are the whole store of addresses.
 */

struct attachments {
	struct attachment *item;
	size_t count;
	size_t capacity;
	bool stale; /* a file could not be removed, as on a file system that is read-only just now */
};

/* Reads all records. What is none is named in the log and left where it is. */
int attachments_read(const char *directory, struct attachments *ret_attachments, struct err *err);
void attachments_clear(struct attachments *attachments);

struct attachment *attachments_find(
	struct attachments *attachments, const char *container, const char *ifname);
/* Writes the record by temporary name and rename, then keeps a copy. */
int attachments_add(struct attachments *attachments, const char *directory,
	const struct attachment *attachment, struct err *err);
/* Forgets it and removes the file; one that has gone already is no error. */
void attachments_remove(
	struct attachments *attachments, const char *directory, struct attachment *attachment);
/* Removes files of what was forgotten meanwhile; `stale` says whether there may be any. */
void attachments_sweep(struct attachments *attachments, const char *directory);
