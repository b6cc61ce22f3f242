/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * Each node has a cgroup, podwire-lab-NAME/NODE below the mount of cgroup2, and each Pod one in
 * its node's: the agents attach their socket programs there, so none acts on the machine or on
 * another node. A socket belongs to the cgroup of the process that opens it, so whatever runs in a
 * lab enters first. Where the machine has no cgroup2, a lab is without, and the agents say so.
 */

/* Says why there are none. */
int cgroups_make(const struct lab *lab, struct err *err);

/* Of a node, there or not. The caller frees it. */
char *cgroup_path(const struct lab *lab, const char *node);

/* Moves the calling process into a node's, or that of a Pod (NULL: none) on it, if there are any. */
void cgroup_enter(const struct lab *lab, const char *node, const char *pod);
/* The name of a Pod's in its node's. The caller frees it. */
char *cgroup_pod_name(const char *name_space, const char *pod);

/* End what lives in them and take them away. None is no error. */
int cgroups_remove(const char *lab, struct err *err);
int cgroup_remove(const struct lab *lab, const char *node, const char *pod, struct err *err);
