/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/*
 * Tells that links, addresses, routes or qdiscs of this namespace have changed, by whomever. What
 * has changed is not told: whoever listens compares everything, so a lost message costs nothing.
 */
int monitor_open(int *ret_fd, struct err *err);
/* Takes what is there off the descriptor. */
void monitor_drain(int fd);
