/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define ROOT_SKIPPED 77 /* what meson takes for a skipped test */

/*
 * For tests that change the kernel: the process enters network and mount namespaces of its own,
 * which end with it. Returns 0, or what main returns.
 */
static inline int root_enter_namespaces(void)
{
	if (geteuid() != 0) {
		printf("skipped: only root can make network namespaces\n");
		return ROOT_SKIPPED;
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "making namespaces: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
