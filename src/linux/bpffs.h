/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/*
 * podwire's own mount of the BPF file system: /sys/fs/bpf is root's alone, and in a container
 * often not there at all.
 */

/* Whether the root of a BPF file system is at `directory`. -ENOENT: no such directory. */
int bpffs_is_mounted(const char *directory, bool *ret_mounted, struct err *err);
/* -EPERM where somebody else than root and `user` can have put a name into one that is mounted. */
int bpffs_check(const char *directory, unsigned int user, struct err *err);
/* Mounts it there for this user alone (mode 0700). One that is there is checked and gets this owner. */
int bpffs_mount(const char *directory, unsigned int user, unsigned int group, struct err *err);
/* With all that is pinned in it. One that is not mounted is no error. */
int bpffs_unmount(const char *directory, struct err *err);
