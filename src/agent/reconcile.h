/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * Wanted rows against held ones. Pure compile makes the first, the kernel has the second; only
 * the difference is applied, make before break. What the kernel refuses is logged, shown in the
 * status and tried again.
 */
void reconcile(struct agent *agent);

/* Both sets without the rows of Services (agent/services.h), sorted; for tables, diff and itself. */
void reconcile_wanted(struct agent *agent, struct rows *rows, struct problems *problems);
int reconcile_held(struct agent *agent, struct rows *rows, struct err *err);

/* Applies rows of one attachment at once (ADD), or takes them away (DEL). */
int reconcile_add(struct agent *agent, const struct rows *rows, struct err *err);
int reconcile_remove(struct agent *agent, const struct rows *rows, struct err *err);
