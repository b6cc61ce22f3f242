/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/kinds.h"

#include <string.h>
#include <strings.h>

const struct lab_kind_info lab_kinds[LAB_KIND_MAX] = {
	[LAB_NAMESPACE] = {"Namespace", "namespaces", "namespace", "ns", "v1", "", false, true},
	[LAB_NODE] = {"Node", "nodes", "node", "no", "v1", "", false, true},
	[LAB_POD] = {"Pod", "pods", "pod", "po", "v1", "", true, true},
	[LAB_SERVICE] = {"Service", "services", "service", "svc", "v1", "", true, true},
	[LAB_ENDPOINTS] = {"Endpoints", "endpoints", "endpoints", "ep", "v1", "", true, false},
	[LAB_ENDPOINT_SLICE] = {"EndpointSlice", "endpointslices", "endpointslice", "",
		"discovery.k8s.io/v1", "discovery.k8s.io", true, true},
	[LAB_NETWORK_POLICY] = {"NetworkPolicy", "networkpolicies", "networkpolicy", "netpol",
		"networking.k8s.io/v1", "networking.k8s.io", true, true},
	[LAB_DEPLOYMENT] = {"Deployment", "deployments", "deployment", "deploy", "apps/v1", "apps",
		true, false},
	[LAB_REPLICA_SET] = {"ReplicaSet", "replicasets", "replicaset", "rs", "apps/v1", "apps",
		true, false},
	[LAB_REPLICATION_CONTROLLER] = {"ReplicationController", "replicationcontrollers",
		"replicationcontroller", "rc", "v1", "", true, false},
	[LAB_STATEFUL_SET] = {"StatefulSet", "statefulsets", "statefulset", "sts", "apps/v1",
		"apps", true, false},
	[LAB_DAEMON_SET] = {"DaemonSet", "daemonsets", "daemonset", "ds", "apps/v1", "apps", true,
		false},
	[LAB_JOB] = {"Job", "jobs", "job", "", "batch/v1", "batch", true, false},
};

enum lab_kind lab_kind_from_name(const char *name)
{
	enum lab_kind kind;

	for (kind = 0; kind < LAB_KIND_MAX; kind++)
		if (strcmp(lab_kinds[kind].name, name) == 0)
			break;
	return kind;
}

enum lab_kind lab_kind_from_word(const char *word)
{
	enum lab_kind kind;

	for (kind = 0; kind < LAB_KIND_MAX; kind++) {
		const struct lab_kind_info *info = &lab_kinds[kind];

		if (strcasecmp(info->plural, word) == 0 || strcasecmp(info->singular, word) == 0 ||
			(*info->abbreviation && strcasecmp(info->abbreviation, word) == 0))
			break;
	}
	return kind;
}
