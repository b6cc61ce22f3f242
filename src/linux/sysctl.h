/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Kernel settings under /proc/sys, of the calling thread's network namespace. A key is the path
 * below it, "net/ipv4/ip_forward" (a device's name may contain dots, so dots are none of ours).
 * Symbolic links and ".." are refused: keys are made with names of devices.
 */

#define SYSCTL_VALUE_SIZE 64

/* Without the line's end. -ENOENT: no such key (a family or a device that is not there). */
int sysctl_read(const char *key, char ret_value[SYSCTL_VALUE_SIZE], struct err *err);
int sysctl_write(const char *key, const char *value, struct err *err);

/* Writes only what differs. *ret_found, if not NULL, is the value as it was. */
int sysctl_set(const char *key, const char *value, char ret_found[SYSCTL_VALUE_SIZE],
	struct err *err);
