/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"

/*
 * Table pw_flow: what is known of a flow, as seen from the pod at one end. A flow between two
 * pods of one node has a record at each. Each TCP SYN leaves one, policy or not, so that a policy
 * that comes later knows who opened; UDP leaves one where its peer is outside the cluster, since
 * there the opener decides about masquerading.
 */
struct flow_key {
	struct addr pod;
	struct addr peer;
	__be16 pod_port;
	__be16 peer_port;
	__u8 protocol;
	__u8 pad[3];
};
_Static_assert(sizeof(struct flow_key) == 40, "no padding");

enum flow_opener { FLOW_OPENER_POD = 1, FLOW_OPENER_PEER = 2 };

struct flow_row {
	struct addr frontend; /* the Service address that was translated; unspecified: none */
	struct addr via; /* the node that it came by, by its end of the tunnel; unspecified: none */
	__u32 generation; /* of the policy that judged it */
	__u32 policy; /* the row that gave the verdict; 0: none */
	__be16 frontend_port;
	__be16 client_port; /* what a client whose port was replaced really uses; 0: it was not */
	__u8 opener; /* enum flow_opener */
	__u8 pad[3];
};
_Static_assert(sizeof(struct flow_row) == 48, "no padding");

/* Table pw_hint: by device number modulo HINTS, what records are worth looking for. */
#define HINTS 4096

enum hint {
	HINT_CLIENT = 1 << 0, /* flows of the pod to frontends are rewritten by packets */
	HINT_BACKEND = 1 << 1, /* flows to frontends lead to the pod */
	HINT_FRONTEND = 1 << 2, /* of the node's stack: flows to frontends came from outside */
};

/* Table pw_fragment: a packet's first fragment -> what its later ones lack. */
struct fragment_key {
	struct addr source;
	struct addr target;
	__u32 id;
	__u32 protocol; /* of IPv4, where it is part of the id; 44 of IPv6, where it is not */
};
_Static_assert(sizeof(struct fragment_key) == 40, "no padding");

struct fragment_row {
	__be16 source_port;
	__be16 target_port;
	__u8 protocol;
	__u8 pad[3];
};
_Static_assert(sizeof(struct fragment_row) == 8, "no padding");
