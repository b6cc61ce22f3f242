/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Work that needs another network namespace is done in forked children, several at a time: a
 * process that never calls setns cannot be left in the wrong namespace. A child answers with one
 * JSON value through a pipe.
 */

/* Runs in the child. Returns a new reference, the answer. */
typedef json_t *job_work(void *context, size_t index);
/* Runs in the parent. `answer` is borrowed, NULL when the child died without one. */
typedef void job_done(void *context, size_t index, const json_t *answer);

#define JOBS_WIDTH 8

/* Does `work` for 0..count-1, at most `width` at a time, and hands over the answers as they come. */
void jobs_run(size_t count, size_t width, job_work *work, job_done *done, void *context);

/* {"error": text}: the usual answer for what failed. */
json_t *job_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The text of such an answer, also for NULL; NULL for a good answer. */
const char *job_error_text(const json_t *answer);

/*
 * Makes the calling (forked) process a daemon of its own: new session, /dev/null for input and
 * output, no descriptor but `keep`, which moves to the returned number. Without this a daemon
 * would hold the lab's lock and the pipes of whoever ran the command.
 */
int process_detach(int keep);

/* Forks a grandchild that nobody waits for. Returns 0 in it, its pid in the caller or -errno. */
pid_t process_fork_orphan(void);

/* Start time in clock ticks: with the pid it names a process for good. 0: no such process. */
unsigned long long process_start_time(pid_t pid);
