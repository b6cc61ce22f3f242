/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"
#include "agent/cni.h"
#include "agent/control.h"

/*
 * CHECK: is all that ADD has made still there, on both sides and in the tables? What a later
 * plugin of the chain may have added or changed is none of our business, as long as packets pass.
 */
int check_run(struct agent *agent, const struct cni_request *request, struct control_request *call,
	struct text *reply, struct cni_error *error);
