/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * Deleting one link blocks its caller for 20 ms (RCU), thirty of a group together take 11 ms. So
 * DEL puts the link into a group and answers; a helper process deletes the group a moment later,
 * and no more than about thirty at once, because others wait for RTNL meanwhile.
 */

#define BURY_GROUP_SIZE 30
#define BURY_GROUPS 256
#define BURY_DELAY_MS 20
#define BURY_RETRY_MS 1000

void bury_start(struct agent *agent);
void bury_link(struct agent *agent, unsigned int ifindex);
/* The helper's answer pipe is readable. */
void bury_event(struct loop *loop, const struct loop_ref *ref, uint32_t events);
/* Waits until what is dying is dead; false where nothing was. For who needs a name that it has. */
bool bury_now(struct agent *agent);
/* At start, or when a helper has failed: what is in one of the groups already. */
void bury_leftovers(struct agent *agent);
/* At the end, or in uninstall: waits for the helper. */
void bury_finish(struct agent *agent);
