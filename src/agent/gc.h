/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"
#include "agent/cni.h"
#include "agent/control.h"

/*
 * GC: of this network, everything that the runtime does not name as valid (agent/valid.h) is
 * removed.
 */
int gc_run(struct agent *agent, const struct cni_request *request, struct control_request *call,
	struct text *reply, struct cni_error *error);
