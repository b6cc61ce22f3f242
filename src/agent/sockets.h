/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * Puts the programs that translate calls on sockets onto the cgroup of the settings, else onto the
 * root of the hierarchy. After the rows. Where that cannot be, it is a problem and no failure: the
 * packet path translates what has not been.
 */
void sockets_attach(struct agent *agent);
