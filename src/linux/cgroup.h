/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* Control groups of the second version, which processes and their sockets belong to. */

/*
 * Where the hierarchy is mounted: /sys/fs/cgroup, or on hosts that have both versions
 * /sys/fs/cgroup/unified. -ENOENT where it is not. The caller frees the path.
 */
int cgroup_find(char **ret_path, struct err *err);

/* The same from another table of mounts. */
int cgroup_find_in(const char *mounts, char **ret_path, struct err *err);

/* Opens a directory of the hierarchy for attaching to it. Needs no privilege. */
int cgroup_open(const char *path, int *ret_fd, struct err *err);
/* The number by which the kernel knows it; 0 where unknown. */
uint64_t cgroup_id(int fd);
