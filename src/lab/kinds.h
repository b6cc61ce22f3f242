/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * The kinds of Kubernetes objects that the lab keeps. Anything else is no concern of the network
 * and is listed as ignored.
 */

enum lab_kind {
	LAB_NAMESPACE,
	LAB_NODE,
	LAB_POD,
	LAB_SERVICE,
	LAB_ENDPOINTS,
	LAB_ENDPOINT_SLICE,
	LAB_NETWORK_POLICY,
	LAB_DEPLOYMENT,
	LAB_REPLICA_SET,
	LAB_REPLICATION_CONTROLLER,
	LAB_STATEFUL_SET,
	LAB_DAEMON_SET,
	LAB_JOB,
	LAB_KIND_MAX,
};

struct lab_kind_info {
	const char *name;	 /* "NetworkPolicy" */
	const char *plural;	 /* "networkpolicies" */
	const char *singular;	 /* "networkpolicy" */
	const char *abbreviation; /* "netpol", may be empty */
	const char *api_version;
	const char *group; /* as printed by -o name: "deployment.apps"; empty for the core group */
	bool namespaced;
	bool watched; /* the agents get a file for each object */
};

extern const struct lab_kind_info lab_kinds[LAB_KIND_MAX];

/* By the name of a manifest ("NetworkPolicy"). LAB_KIND_MAX: not kept. */
enum lab_kind lab_kind_from_name(const char *name);
/* By what users type: plural, singular or abbreviation, any case. LAB_KIND_MAX: unknown. */
enum lab_kind lab_kind_from_word(const char *word);
