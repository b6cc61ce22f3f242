/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/object.h"

enum node_address_type {
	NODE_ADDRESS_INTERNAL_IP,
	NODE_ADDRESS_EXTERNAL_IP,
	NODE_ADDRESS_HOSTNAME,
	NODE_ADDRESS_INTERNAL_DNS,
	NODE_ADDRESS_EXTERNAL_DNS,
	NODE_ADDRESS_MAX
};

struct node_address {
	enum node_address_type type;
	struct addr addr; /* all zero where `name` is set */
	char *name; /* of the types that are names, else NULL */
};

struct node_taint {
	char *key;
};

struct node {
	struct object object;
	struct prefixes ranges; /* podCIDRs: at most one of each family, in the order given */
	bool unschedulable;
	struct {
		struct node_taint *list;
		size_t count;
	} taints;
	struct {
		struct node_address *list;
		size_t count;
	} addresses; /* in the order given; the first of a type and family counts */
	/* As read; only `ranges` is for use. */
	struct prefix first_range; /* podCIDR */
};

struct node *object_node(struct object *object);
const struct node *object_node_const(const struct object *object);

/* The first InternalIP of a family, NULL where there is none. */
const struct addr *node_internal_ip(const struct node *node, enum family family);
/* The pod range of a family, NULL where there is none. */
const struct prefix *node_range(const struct node *node, enum family family);
/* May load balancers send new connections here? Not to a node that is about to go (KEP-3836). */
bool node_is_eligible(const struct node *node);
/* The family of the first pod range, else of the first InternalIP, else FAMILY_NONE. */
enum family node_primary_family(const struct node *node);
