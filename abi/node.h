/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"

enum node_flag {
	NODE_OWN = 1 << 0, /* this node */
	NODE_UNDERLAY = 1 << 1, /* tunnelled packets may come from this address */
	/*
	 * The address that a node keeps of its pod range. Of another node: one that is a neighbor,
	 * at `next` on the device `ifindex`, and may ask and be asked by probes (probe.h).
	 */
	NODE_ROUTER = 1 << 2,
	NODE_PORTS = 1 << 3, /* node ports are on this address */
	NODE_TAKEN = 1 << 4, /* what its pods send directly is taken, from the device `ifindex` */
	NODE_INVITED = 1 << 5, /* of a ROUTER: and told so, by answers to its probes */
};

enum node_route {
	NODE_ROUTE_STACK, /* this node itself, or left to the kernel's routes */
	NODE_ROUTE_TUNNEL,
	NODE_ROUTE_WIRE,
};

/*
 * Table pw_node: an address of a node -> how it is reached.
 * Table pw_range: the first address of a node's pod range -> how its pods are reached.
 */
struct node_row {
	struct addr underlay; /* the node's end of the tunnel; the same in all its rows: who it is */
	struct addr next; /* of WIRE, TAKEN and another's ROUTER: the neighbor */
	__u32 ifindex; /* and the device where it is */
	__u32 flags; /* enum node_flag */
	__u32 route; /* enum node_route */
	__u32 pad;
};
_Static_assert(sizeof(struct node_row) == 48, "no padding");

/* A range's key is its first address and its length, so that two lengths never meet. */
struct range_key {
	struct addr first;
	__u32 length; /* bits of 128 */
	__u32 pad;
};
_Static_assert(sizeof(struct range_key) == 24, "no padding");
