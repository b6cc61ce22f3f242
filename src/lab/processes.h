/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Processes are found by the network namespace that they live in, compared by inode with the
 * files that hold the namespaces. So no list of pids can be stale, nothing that a user started by
 * `exec` is forgotten, and no process of anybody else is touched.
 */

/* Kills what lives in any of the namespaces in the folder `ns`, and waits until it is gone. */
int processes_kill_all(const char *ns, struct err *err);
/* The same for the namespace that one file holds. */
int processes_kill_in(const char *path, struct err *err);

/* A process for good: a pid alone may be another one's by now. */
struct process {
	pid_t pid;
	unsigned long long start;
};

/* {"pid":, "start":}; anything else is a process that does not live. */
struct process process_load(const json_t *saved);
json_t *process_save(const struct process *process);

bool process_lives(const struct process *process);
/* True if it lives in the namespace that the file holds. */
bool process_is_in(const struct process *process, const char *path);
/* Kills it if it is still the same one. */
void process_kill(const struct process *process);
