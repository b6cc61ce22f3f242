/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/* Whether this machine can run podwire. */

/* `release` as uname(2) has it, "6.12.0-3-amd64". -ENOTSUP below 6.6, with what would be right. */
int probe_kernel_release(const char *release, struct err *err);
int probe_kernel(struct err *err);
