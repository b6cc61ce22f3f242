/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "linux/helper.h"

#include <stdint.h>

/* Network namespaces by descriptor. */

/* -EINVAL unless `fd` is a network namespace other than the caller's own. `name` is for reasons. */
int netns_check(int fd, const char *name, struct err *err);
/* Opens the path and checks. */
int netns_open(const char *path, int *ret_fd, struct err *err);
/* Which one it is, among those that live. 0 where `fd` cannot be asked. */
uint64_t netns_inode(int fd);

/*
 * Runs the function in the namespace, in a child of its own, and waits for its result and reason.
 * What it opens is gone when it returns. Needs CAP_SYS_ADMIN.
 */
int netns_run(int netns, helper_function function, void *context, struct err *err);
