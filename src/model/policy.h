/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/object.h"
#include "model/selector.h"

/* networking.k8s.io/v1 NetworkPolicy. */

enum direction { DIRECTION_INGRESS, DIRECTION_EGRESS, DIRECTION_MAX };

struct ip_block {
	struct prefix range;
	struct prefixes except; /* each inside range, of its family */
};

/* Either a block, or one or both selectors (then both must match). */
struct policy_peer {
	struct selector *pods; /* NULL: not given */
	struct selector *namespaces; /* NULL: the policy's own */
	struct ip_block *block;
};

struct policy_port {
	enum protocol protocol;
	struct port_ref port; /* not given: all ports of the protocol */
	uint16_t end_port; /* 0: only `port`; else >= port.number */
};

struct policy_rule {
	struct {
		struct policy_port *list;
		size_t count;
	} ports; /* none: all ports of all protocols */
	struct {
		struct policy_peer *list;
		size_t count;
	} peers; /* none: everybody */
};

struct policy_rules {
	struct policy_rule *list;
	size_t count;
};

struct network_policy {
	struct object object;
	struct selector pods;
	bool isolates[DIRECTION_MAX]; /* policyTypes, with the API server's default */
	struct policy_rules rules[DIRECTION_MAX];
	/* As read; only `isolates` is for use. */
	struct {
		enum direction *list;
		size_t count;
	} types;
};

struct network_policy *object_network_policy(struct object *object);
const struct network_policy *object_network_policy_const(const struct object *object);
