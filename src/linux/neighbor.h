/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "linux/netlink.h"
#include "net/addr.h"

/* Permanent neighbors: an address whose hardware address is known, so nobody asks for it. */

struct neighbor {
	struct addr addr;
	unsigned int ifindex;
	unsigned char mac[6];
};

void neighbor_replace(struct netlink_batch *batch, const struct neighbor *neighbor);
/* The device and its neighbors may be gone. `mac` is not looked at. */
void neighbor_delete(struct netlink_batch *batch, const struct neighbor *neighbor);

/* The permanent ones of both families that have a 6-byte address; `ifindex` 0: of all devices. */
typedef int (*neighbor_each)(const struct neighbor *neighbor, void *context);
int neighbor_dump(struct netlink *netlink, unsigned int ifindex, neighbor_each each, void *context,
	struct err *err);

/*
 * Is the hardware address of any neighbor known? If not, the kernel begins to ask for it, as a node
 * asks: what it asks for a packet's sake may name that packet's source.
 */
int neighbor_resolve(struct netlink *netlink, const struct addr *addr, unsigned int ifindex,
	bool *ret_known, struct err *err);
