/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/*
 * Takes away all that the lab's directory stands for: processes, mounts, files. Needs neither the
 * state nor a lab that came up well. A lab that is not there is an error (-ENOENT).
 */
int lab_take_down(const char *name, struct err *err);
/* The same for a caller that holds the lock. */
int lab_directory_clear(const char *directory, struct err *err);
/* Unmounts all below a directory and removes it. */
int directory_clear(const char *directory, struct err *err);
