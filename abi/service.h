/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"

/*
 * Services. A frontend is an address and port that clients use; a backend is where a packet ends.
 * Backends stand in sets, and a set is named by its content: what changes gets another name, is
 * written beside the old one, and the frontend's row then changes over at once. So a reader sees
 * the old set or the new one, never a mixture, and a restart comes to the same rows.
 */

/* Whose address a frontend has, as this node sees it. */
enum service_scope {
	SERVICE_VIRTUAL, /* of a Service: cluster, load balancer, external */
	SERVICE_OWN_NODE, /* a port on addresses of this node */
	SERVICE_OTHER_NODE, /* a port on addresses of other nodes */
	SERVICE_SCOPE_MAX
};

/*
 * Table pw_service. A node port has the unspecified address of its family: pw_node says which
 * addresses it is on. Port 0 of protocol 0 is what no port of a Service's address takes.
 */
struct service_key {
	struct addr addr;
	__be16 port;
	__u8 protocol;
	__u8 scope; /* enum service_scope */
	__u32 pad;
};
_Static_assert(sizeof(struct service_key) == 24, "no padding");

/* What happens where there is no backend to choose. */
enum service_answer {
	SERVICE_REFUSE, /* "connection refused", at once */
	SERVICE_DROP, /* a policy that is Local, on a node without endpoints */
};

struct service_list {
	__u64 set; /* in pw_backend; 0: none */
	__u32 count; /* backends, numbered from 0; 0: `answer` */
	__u16 maglev; /* slots of the set in pw_maglev; 0: none, choose by hash */
	__u8 answer; /* enum service_answer */
	__u8 pad;
};
_Static_assert(sizeof(struct service_list) == 16, "no padding");

enum service_flag {
	SERVICE_HOST_PORT = 1 << 0, /* a pod's: on every address of this node, not only where the
				       row of pw_node says NODE_PORTS */
};

struct service_row {
	struct service_list inside; /* for pods and processes of this node */
	struct service_list outside; /* for what comes over the wire */
	struct service_list here; /* for what another node has handed over: this node's own */
	__u64 port; /* names the Service's port, the same at all its frontends */
	__u64 serving; /* in pw_member: backends that a UDP flow may stay with; 0: none */
	__u64 sources; /* in pw_source: who may come, pods of this node too; 0: everybody */
	__u32 affinity_seconds; /* 0: none */
	__u32 flags; /* enum service_flag */
	/*
	 * Of UDP: where else the node's own processes find what `inside` says, by packets that are
	 * translated one by one. Of a cluster address itself that one. Port 0: nowhere.
	 */
	struct addr cluster;
	__be16 cluster_port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct service_row) == 104, "no padding");

enum backend_flag {
	BACKEND_HERE = 1 << 0, /* on this node */
	BACKEND_TERMINATING = 1 << 1, /* serves only while nothing better is there */
};

/* Table pw_backend. */
struct backend_key {
	__u64 set;
	__u32 index;
	__u32 pad;
};
_Static_assert(sizeof(struct backend_key) == 16, "no padding");

struct backend_row {
	struct addr addr;
	__be16 port;
	__u8 flags; /* enum backend_flag */
	__u8 pad[5];
};
_Static_assert(sizeof(struct backend_row) == 24, "no padding");

/* Table pw_member: is this backend in the set, for who has chosen before (affinity, UDP). */
struct member_key {
	__u64 set;
	struct addr addr;
	__be16 port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct member_key) == 32, "no padding");

struct member_row {
	__u32 index;
	__u32 pad;
};

/*
 * Table pw_maglev: a set's slots -> indices of backends. Nodes with equal views choose alike, and
 * a set that changes moves few flows.
 */
#define MAGLEV_CHUNK 32

struct maglev_key {
	__u64 set;
	__u32 chunk; /* slot / MAGLEV_CHUNK */
	__u32 pad;
};
_Static_assert(sizeof(struct maglev_key) == 16, "no padding");

struct maglev_row {
	__u16 index[MAGLEV_CHUNK];
};

/* Table pw_source, a trie: bits of `set`, then of the range. */
struct source_key {
	__u32 length; /* 64 and the range's bits of 128 */
	__u8 set[8];
	__u8 addr[16];
};
_Static_assert(sizeof(struct source_key) == 28, "no padding");

struct source_row {
	__u32 allowed; /* always 1: a trie has no empty values */
};

/* The programs' own tables: nothing below is compiled from objects. */

/* Table pw_session: a flow to a frontend -> the backend that it has, where packets are rewritten. */
struct session_key {
	struct addr client;
	struct addr frontend; /* as the client wrote it, also of a node port */
	__be16 client_port;
	__be16 frontend_port;
	__u8 protocol;
	__u8 pad[3];
};
_Static_assert(sizeof(struct session_key) == 40, "no padding");

struct session_row {
	struct addr backend;
	__u64 serving; /* as when the backend was last known to serve */
	__u64 last_ns; /* CLOCK_MONOTONIC, of a packet not long before the last one */
	__be16 backend_port;
	__be16 client_port; /* as the backend sees it */
	__u32 packets; /* of the client, the first one too; from the beginning again after 2^32 */
	struct addr via; /* the node by which its packets come, as in flow_row; unspecified: none */
	__u64 port; /* of service_row, in whose row of pw_usage it is counted; 0: in none here */
	__u32 counted; /* of `packets`, which are in pw_usage already */
	__u32 room; /* zeros, for what a later release wants to know */
};
_Static_assert(sizeof(struct session_row) == 72, "no padding");

/* Table pw_usage: a Service's port in one family -> what it has seen. */
struct usage_key {
	__u64 port; /* of service_row */
	__u32 family; /* 4 or 6 */
	__u32 pad;
};
_Static_assert(sizeof(struct usage_key) == 16, "no padding");

struct usage_row {
	__u64 connections; /* flows that this node has led to a backend */
	__u64 packets; /* of their clients, where packets are rewritten; a second behind at most */
};

/* Table pw_affinity: client and Service port -> the backend of its last new flow. */
struct affinity_key {
	struct addr client;
	__u64 port; /* of service_row */
};
_Static_assert(sizeof(struct affinity_key) == 24, "no padding");

struct affinity_row {
	struct addr backend;
	__u64 last_ns; /* CLOCK_MONOTONIC */
	__be16 backend_port;
	__u8 pad[6];
};
_Static_assert(sizeof(struct affinity_row) == 32, "no padding");
