/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "linux/netlink.h"
#include "net/prefix.h"

/*
 * Routes. Ours bear ROUTE_PROTOCOL, so what others made is never counted as ours, changed in a
 * comparison, or removed. (0 to 42, 80, 84, 99, 186 to 199 have other users.)
 */
#define ROUTE_PROTOCOL 83

#define ROUTE_TABLE_MAIN 254

enum route_type {
	ROUTE_UNICAST,
	ROUTE_PROHIBIT, /* the sender is told at once; `unreachable` would tell a UDP socket nothing */
	ROUTE_BLACKHOLE,
	ROUTE_LOCAL,
	ROUTE_OTHER, /* in dumps only */
	ROUTE_TYPE_MAX
};

struct route {
	struct prefix destination;
	enum route_type type;
	unsigned int ifindex; /* 0: none, or the kernel's choice by the gateway */
	struct addr gateway; /* unspecified: none. An IPv4 route may have an IPv6 one (RFC 5549) */
	struct addr source; /* preferred for the node's own packets; unspecified: the kernel's choice */
	bool on_link; /* the gateway is on the link, though no address says so */
	unsigned int mtu; /* 0: the device's */
	unsigned int table; /* 0: main */
	unsigned int protocol; /* 0: ROUTE_PROTOCOL */
	unsigned int metric; /* 0: the kernel's default: 0 in IPv4, 1024 in IPv6 */
};

/* Makes it, or replaces the one of equal destination, table and metric without a gap. */
void route_replace(struct netlink_batch *batch, const struct route *route);
/* The one of equal destination, table, metric (0: any) and protocol; it may be gone. */
void route_delete(struct netlink_batch *batch, const struct route *route);

/* Both families. `protocol` 0 and `table` 0: all. Cached and cloned routes are no part of it. */
typedef int (*route_each)(const struct route *route, void *context);
int route_dump(struct netlink *netlink, unsigned int table, unsigned int protocol, route_each each,
	void *context, struct err *err);
