/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/* Who can talk in a lab: the client outside, a node, a Pod. */

enum party_kind { PARTY_OUTSIDE, PARTY_NODE, PARTY_POD };

struct party {
	enum party_kind kind;
	const json_t *object; /* borrowed from the store; NULL for the client outside */
	char *title;	      /* "outside", "node1", "demo/web-0" */
};

struct parties {
	struct party *list;
	size_t count, capacity;
};

#define _parties_ _cleanup_(parties_clear)

/*
 * Whom a text means: "outside", a node, "NAMESPACE/NAME" with NAME a Pod or a workload (then all
 * its Pods); without a namespace the Pod is looked for in "default". '*' and '?' match any names,
 * of nodes too. None found is an error.
 */
int parties_find(
	const struct lab *lab, const char *text, struct parties *ret_parties, struct err *err);
void parties_add(struct parties *parties, enum party_kind kind, const json_t *object);
void parties_clear(struct parties *parties);

/* The file of its network namespace. The caller frees it. */
char *party_namespace(const struct lab *lab, const struct party *party);
/* Its address of the family, or "". The outside client has one per family of the nodes. The caller
 * frees it. */
char *party_address(const struct lab *lab, const struct party *party, enum family family);
/* The name of the workload that the Pod belongs to (of the Deployment, not its ReplicaSet). */
const char *pod_workload(const struct lab *lab, const json_t *pod);
