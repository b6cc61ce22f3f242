/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * The rows of Services in the kernel. What an object's change makes of them is applied at once;
 * that the kernel still has what it was given is seen by the sum of all rows' digests, without
 * making any of them anew. Where it has not, and at the start, everything is compared.
 *
 * Sets are written before the frontend that leads to them. A frontend whose sets found no room
 * keeps what it had, or is closed if it is new; it alone, and with a problem in the status.
 */
int services_keep(struct agent *agent, struct err *err);

/* What Services are compiled from. */
struct services_input services_input(const struct agent *agent);

/* All rows of Services as objects want them, made from nothing, and as the kernel has them. */
void services_wanted(struct agent *agent, struct rows *rows);
int services_held(struct agent *agent, struct rows *rows, struct err *err);
