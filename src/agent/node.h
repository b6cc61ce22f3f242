/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * What podwire has on the node beside the pods' links: the tunnel device, the anchor that keeps
 * the shared blocks alive, the programs' attachments, the masquerading table.
 */

#define NODE_TUNNEL_LINK "pw-tunnel"
/*
 * Frames out of the tunnel may have sources whose route is elsewhere. Not 0: the kernel takes the
 * larger of this and conf/all, so 2 (loose) is the one value that a strict conf/all does not alter.
 */
#define NODE_TUNNEL_RP_FILTER "2"
#define NODE_ANCHOR_LINK "pw-anchor"
#define NODE_INGRESS_BLOCK 6083
#define NODE_EGRESS_BLOCK 6084
#define NODE_GROUP_PODS 0x70770000U /* IFLA_GROUP of pods' links */
#define NODE_GROUP_DYING 0x70771000U /* and of removed ones; a few hundred groups from here on */

/* Finds the wires and the MTU. `own` may be NULL: then only what default routes say. */
int node_find_facts(struct agent *agent, const struct node *own, struct err *err);
void node_forget_facts(struct agent *agent);
/* The tunnel and the anchor; each is made or taken over. */
int node_make_links(struct agent *agent, struct err *err);
/*
 * Puts this agent's programs on the blocks and the tunnel. After the rows: programs of another
 * layout read tables of their own, which must be full before the first packet asks them.
 */
int node_attach(struct agent *agent, struct err *err);
/* Attaches to each wire of the facts, and detaches from devices that are none now. */
int node_attach_wires(struct agent *agent, struct err *err);
