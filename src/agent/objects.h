/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/hash.h"
#include "model/load.h"
#include "model/store.h"

#include <limits.h>

/*
 * The directory of objects: *.yaml, *.yml and *.json, read anew as a whole when something in it
 * changes. An object or a file that is refused does not take away what it said before: its last
 * good version stays in force, and the refusal is shown until it is mended.
 */

struct objects {
	char directory[PATH_MAX];
	int inotify; /* -1: no directory */
	struct store store;
	struct hash sources; /* object_title -> name of its file, for free() */
	struct load_result result; /* of the last reading; its objects have gone to the store */
	bool read_once;
};

/* Starts to watch, reads nothing yet. */
int objects_open(struct objects *objects, const char *directory, struct err *err);
void objects_close(struct objects *objects);
/* Takes the events off the descriptor. */
void objects_drain(struct objects *objects);
/* Reads all files. Returns 1 where the store changed, 0 where not, or a negative errno. */
int objects_read(struct objects *objects, struct err *err);
