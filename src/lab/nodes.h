/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * The machinery of a Node object: its namespace on the fabric, its run directory, its agent. What
 * runs is in the runtime's "nodes": {NAME: {"resolver": process, "wired": [IPv4, IPv6]}}.
 */

/* Starts what is missing and rewires what has other addresses, all nodes at once. */
int nodes_sync(struct lab *lab, struct err *err);
/* Stops the machinery of Nodes that are no more; their Pods have gone before. */
int nodes_prune(struct lab *lab, struct err *err);
