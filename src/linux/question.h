/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/probe.h"
#include "base/err.h"
#include "compile/path.h"

#include <stdbool.h>

/*
 * Questions of this node to others, see abi/probe.h. The packet path sends each over the right
 * wire and keeps the answer in the table pw_probe; no socket stays open, and nothing listens.
 */

/* `directory` holds the pins of one layout. */
int question_open(const char *directory, int *ret_table, struct err *err);
/* From `own`, the address that this node keeps of its pod range, to the router of the path. */
int question_ask(int table, const struct path *path, const struct addr *own, struct err *err);
/* Has the last question been answered, and does the other node say that it takes what comes? */
bool question_is_answered(int table, const struct addr *router, bool *ret_taken);
/* No answer counts any more, and the way of the path is kept for the agent that comes next. */
void question_keep(int table, const struct path *path);
/* The way that was kept, PATH_TUNNEL where there is none or the neighbor is another one now. */
enum path_way question_way(int table, const struct addr *router, const struct addr *next);
void question_forget(int table, const struct addr *router);
