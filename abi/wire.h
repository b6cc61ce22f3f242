/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

/*
 * The wire format between nodes: VXLAN (RFC 7348) on a UDP port of its own. The 24 bits of the
 * network identifier say what the inner packet is:
 *
 *   23         12 11     8 7         4 3        0
 *  +-------------+--------+-----------+----------+
 *  | 0x70d       | kind   | flags     | version  |
 *  +-------------+--------+-----------+----------+
 *
 * Nodes are upgraded one by one, and nobody tells a node which release another one runs. So a new
 * version takes two releases: the first one takes it (WIRE_VERSION_LAST) and goes on sending the
 * old one, the second one sends it (WIRE_VERSION), and a third one may stop taking the old one
 * (WIRE_VERSION_FIRST). Then each node sends what every node of the releases beside its own takes,
 * forth and back. What has another version, or a kind or flag that is not known, is dropped.
 */
#define WIRE_PORT 6083
#define WIRE_MAGIC 0x70d
#define WIRE_VERSION_MASK 0xf
#define WIRE_VERSION 1 /* is sent */
#define WIRE_VERSION_FIRST 1 /* is taken, and all up to the last */
#define WIRE_VERSION_LAST 1
_Static_assert(WIRE_VERSION_FIRST <= WIRE_VERSION && WIRE_VERSION <= WIRE_VERSION_LAST,
	"a node takes what it sends");

enum wire_kind {
	WIRE_KIND_POD = 1,
	WIRE_KIND_SERVICE = 2, /* a Service packet from outside, unchanged */
	WIRE_KIND_SERVICE_RETURN = 3,
};

enum wire_flag {
	/* Of what a Service sends: passed on once already, because nodes see different things. Whoever
	 * gets it keeps it, or the two would play ball with it. */
	WIRE_FLAG_FORWARDED = 1 << 0,
};

#define WIRE_FLAGS_SHIFT 4
#define WIRE_VNI(kind, flags)                                                                      \
	(WIRE_MAGIC << 12 | (kind) << 8 | (flags) << WIRE_FLAGS_SHIFT | WIRE_VERSION)

/* Bytes that the tunnel adds: Ethernet, IP, UDP, VXLAN. */
#define WIRE_OVERHEAD_IPV4 50
#define WIRE_OVERHEAD_IPV6 70
