/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * The container runtime: a namespace per Pod, the real CNI plugin in it, a responder per container.
 * What runs is in the runtime's "pods", by the Pod's uid, so that a Pod and its successor of the
 * same name are two: {UID: {"title", "node", "container", "path", "responders": [process]}}.
 */

/* Starts every Pod that has a node and does not run; writes its status. A Pod that fails keeps its
 * reason in its status, the others go on; the first reason is returned at the end. */
int pods_start(struct lab *lab, struct err *err);

enum pods_which {
	PODS_IN_THE_WAY, /* those whose name a Pod that is to start has */
	PODS_GONE,	 /* all that are in the store no more */
};
int pods_stop(struct lab *lab, enum pods_which which, struct err *err);

/* Host-network Pods have the addresses of their nodes, also after a renumbering. */
void pods_host_addresses(struct lab *lab);
