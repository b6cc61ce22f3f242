/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * The network between the nodes: a namespace with a bridge for each subnet, which is the switch,
 * and forwarding between them, which is the router. Nodes and the client outside hang on it by a
 * veth pair, `eth0` on their side, with a default route through it.
 *
 * All functions here move the calling process into other namespaces: for forked children only.
 */

/* Makes the namespace that the calling process then is in. */
int namespace_make(const char *path, struct err *err);
/* Ends what lives in it and takes the file away. */
int namespace_remove(const char *path, struct err *err);

int fabric_make(const struct lab *lab, struct err *err);

/*
 * Makes the wiring of a member (a node's name or "outside") agree with its addresses: joins it to
 * the subnet's bridge, gives eth0 these addresses and no others, and the default routes. Address
 * "" is none. Leaves the calling process in the member's namespace.
 */
int fabric_join(const struct lab *lab, const char *member, unsigned int subnet,
	const char *const addresses[FAMILY_MAX], struct err *err);
/* Takes the member's pair away. */
int fabric_leave(const struct lab *lab, const char *member, struct err *err);

/*
 * With --route direct between several subnets the network has to know the nodes' pod ranges, as a
 * cloud's route table does: makes the router's routes agree with the Nodes.
 */
int fabric_routes(const struct lab *lab, struct err *err);
