/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * Somebody else's hands: a link, filter, route, row, nft table or sysctl of ours that was removed
 * or altered. Everything is compared every few seconds, and soon after the kernel says that
 * links, addresses, routes or qdiscs have changed; what differs is repaired, logged and counted.
 */

#define REPAIR_INTERVAL_MS 5000
#define REPAIR_SOON_MS 20 /* after a change: what guards a pod may be gone */
#define REPAIR_GAP_MS 1000 /* the least time between two, so that many changes are one comparison */

int repair_start(struct agent *agent, struct err *err);
void repair_stop(struct agent *agent);
/* The kernel says that something has changed. */
void repair_event(struct loop *loop, const struct loop_ref *ref, uint32_t events);
