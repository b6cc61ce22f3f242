/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/node.h"
#include "compile/reserved.h"

/* What of this node and of the cluster decides about one Service, besides it and its slices. */
struct service_view {
	const char *node; /* this node's name */
	const char *zone; /* its label topology.kubernetes.io/zone; NULL: none */
	const struct node *own; /* NULL while there is none */
	const struct settings *settings;
	const struct facts *facts;
	const struct reserved *reserved;
};
