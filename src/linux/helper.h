/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/*
 * A short-lived child for what would block the loop or change the process (another namespace).
 * Its answer comes through a pipe: `answer` is readable once it has ended, also by a crash.
 *
 * The child has the standard descriptors and `keep` and nothing else, so that it holds no lock,
 * listening socket or namespace beyond the agent's life; it dies with its parent.
 */
typedef int (*helper_function)(void *context, struct err *err);

struct helper {
	pid_t pid;
	int answer; /* for the loop; -1: no helper */
};
#define HELPER_NONE {.pid = 0, .answer = -1}

/* `keep`: a descriptor that the function uses, or -1. */
int helper_start(helper_function function, void *context, int keep, struct helper *ret_helper,
	struct err *err);
/* Waits where need be, reaps the child, closes `answer`. Returns what the function returned. */
int helper_finish(struct helper *helper, struct err *err);
