/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * The scheduler: each Pod without a node goes to the node with the fewest Pods of its owner, then
 * with the fewest Pods, then to the first by name, among those that its nodeSelector and required
 * node affinity allow. Taints are tolerated. A Pod that fits nowhere stays Pending and says why.
 */
void pods_spread(struct lab *lab);

/* Whether the Pod spec's nodeSelector and required node affinity allow the node. */
bool node_suits(const json_t *node, const json_t *spec);
