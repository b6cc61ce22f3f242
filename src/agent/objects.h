/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/hash.h"
#include "model/load.h"
#include "model/store.h"

#include <limits.h>
#include <sys/types.h>

/*
 * The directory of objects: *.yaml, *.yml and *.json. When something in it changes, the files that
 * have changed are read anew; all of them where anything was refused, because what is wrong with one
 * file may depend on another. An object or a file that is refused does not take away what it said before: its last
 * good version stays in force, and the refusal is shown until it is mended. The same goes for the
 * directory: where it has gone, or an empty one is in its place, all stays in force. Who wants to
 * remove everything deletes the files.
 */

struct objects {
	char directory[PATH_MAX];
	int inotify, watch; /* -1: none */
	dev_t device; /* of the directory that is watched, which may be another than its name's */
	ino_t inode;
	struct store store;
	struct load_result result; /* of the last reading; its objects have gone to the store */
	struct hash files; /* name -> struct objects_file */
	bool read_once, touched; /* the store, by this reading */
	bool whole; /* no file is passed over in this reading */
	uint64_t settle_ns; /* what has changed within this time is read again */
	size_t read_bytes; /* in this reading */
	uint32_t reading;
	/* Is told of each change, if it is there; of the first version `old` is NULL, of none any more
	   `new`. */
	void (*changed)(void *context, const struct object *old, const struct object *new);
	void *context;
};

/* Starts to watch, reads nothing yet. */
int objects_open(struct objects *objects, const char *directory, struct err *err);
void objects_close(struct objects *objects);
/*
 * Whether another directory has the name now, which no event tells: where a symbolic link on the
 * way to it was exchanged, or something was mounted over it.
 */
bool objects_are_elsewhere(const struct objects *objects);
/* Takes the events off the descriptor. */
void objects_drain(struct objects *objects);
/* Reads all files. Returns 1 where the store changed, 0 where not, or a negative errno. */
int objects_read(struct objects *objects, struct err *err);
