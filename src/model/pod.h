/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/object.h"

enum pod_phase {
	POD_PENDING,
	POD_RUNNING,
	POD_SUCCEEDED,
	POD_FAILED,
	POD_UNKNOWN,
	POD_PHASE_MAX
};

enum restart_policy { RESTART_UNSET, RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER, RESTART_MAX };

struct container_port {
	char *name; /* may be NULL */
	uint16_t container_port;
	uint16_t host_port; /* 0: none */
	struct addr host_ip; /* all zero: every address of the node */
	enum protocol protocol;
};

struct container {
	char *name;
	enum restart_policy restart_policy; /* an init container with RESTART_ALWAYS is a sidecar */
	struct {
		struct container_port *list;
		size_t count;
	} ports;
};

struct containers {
	struct container *list;
	size_t count;
};

struct pod {
	struct object object;
	char *node_name; /* NULL: not scheduled */
	bool host_network;
	struct containers containers, init_containers;
	enum pod_phase phase;
	struct addrs pod_ips; /* at most one of each family; the first is the primary */
	struct addrs host_ips;
	/* As read; only the lists are for use. */
	struct addr pod_ip, host_ip;
};

struct pod *object_pod(struct object *object);
const struct pod *object_pod_const(const struct object *object);

/* The address of a family, NULL where it has none. */
const struct addr *pod_address(const struct pod *pod, enum family family);
/* Succeeded or Failed: its addresses may be another pod's already, no policy or Service sees it. */
bool pod_is_over(const struct pod *pod);
/* A port by name and protocol among containers and sidecars; 0 where it has none such. */
uint16_t pod_named_port(const struct pod *pod, const char *name, enum protocol protocol);
