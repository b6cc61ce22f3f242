/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/node.h"

/*
 * Addresses of Pods, Services and Nodes must never overlap, and all parts must agree on the
 * primary family (kubernetes.md 1.6, 1.7). What would send a packet to the wrong place is
 * refused; what only looks wrong is a warning.
 */

/* May the range be programmed? If not, a problem of `node` says why. */
bool range_is_usable(struct store *store, const struct settings *settings,
	const struct node *node, const struct prefix *range, struct problems *problems);

/* Is no node in it? Else a route to it would lead away from that node. */
bool service_range_is_usable(struct store *store, const struct prefix *range);

/* What concerns the cluster as a whole: Service ranges, the primary family. */
void check_cluster(struct store *store, const struct settings *settings,
	const struct node *own, struct problems *problems);
