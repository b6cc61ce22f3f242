/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * What the controllers do: Deployments to ReplicaSets, and ReplicaSets, ReplicationControllers,
 * StatefulSets, DaemonSets and Jobs to Pods, named as kubectl's users expect. Pods that are to go
 * leave the store at once; their network is known by their uid (pods.h) and goes later.
 */
void workloads_sync(struct lab *lab);

/* Writes the counters of each workload's status. */
void workloads_count(struct lab *lab);

/* Defaults of the API server that the lab relies on. */
void pod_default(json_t *pod);
