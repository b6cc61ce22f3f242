/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * With the route `auto`: asks each neighbor whether the wire to it carries addresses of pods, when
 * it appears and again and again, and has the rows compiled anew when that changes something. What
 * follows from the answers is compile/path.h's.
 */

int probe_start(struct agent *agent, struct err *err);
/*
 * Who is a neighbor now, by the rows `wanted`. One that is new is at first reached as the agent
 * before this one has left it, so that a restart changes nothing. True if `wanted` is to be
 * compiled anew, because the ways that it was made from have changed.
 */
bool probe_meet(struct agent *agent, const struct rows *wanted);
void probe_stop(struct agent *agent);
