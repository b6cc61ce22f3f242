/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "linux/netlink.h"
#include "net/addr.h"

/* Addresses of devices. The scope follows from the address: host, link or global. */

enum address_flag {
	ADDRESS_NO_DAD = 1 << 0, /* IPv6: usable at once; nothing is sent to the link */
	ADDRESS_NO_PREFIX_ROUTE = 1 << 1, /* the kernel adds no route to the prefix */
};

struct address {
	struct addr addr; /* with its host bits */
	unsigned int length; /* bits of 128: 96 + n in IPv4 */
	unsigned int ifindex;
	unsigned int flags; /* enum address_flag */
};

void address_add(struct netlink_batch *batch, const struct address *address); /* may exist */
void address_delete(struct netlink_batch *batch, const struct address *address); /* may be gone */

/* Both families; `ifindex` 0: of all devices. */
typedef int (*address_each)(const struct address *address, void *context);
int address_dump(struct netlink *netlink, unsigned int ifindex, address_each each, void *context,
	struct err *err);
