/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "linux/link.h"

/*
 * A switch: no spanning tree, no snooping (nobody here asks, so groups would time out and neighbor
 * discovery with them), and a hardware address of its own, or it would take over one of a port.
 */
void bridge_add(struct netlink_batch *batch, const char *name, const unsigned char mac[LINK_MAC_SIZE]);
void bridge_join(struct netlink_batch *batch, unsigned int port, unsigned int bridge);
