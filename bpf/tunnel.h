/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "abi/wire.h"
#include "bpf/answer.h"
#include "bpf/flow.h"
#include "bpf/guard.h"
#include "bpf/handover.h"
#include "bpf/packet.h"
#include "bpf/route.h"
#include "bpf/tables.h"

/*
 * What comes out of the tunnel, given who sent it and the network identifier. The program reads
 * both from the tunnel key; a test run, in which the kernel sets no key, gives them itself.
 */

/* What the inner packet is, 0 where this release does not know. */
static __always_inline enum wire_kind tunnel_kind(__u32 vni)
{
	__u32 version = vni & WIRE_VERSION_MASK;

	if (version < WIRE_VERSION_FIRST || version > WIRE_VERSION_LAST)
		return 0;
	switch (vni - version) {
	case WIRE_VNI(WIRE_KIND_POD, 0) - WIRE_VERSION:
		return WIRE_KIND_POD;
	case WIRE_VNI(WIRE_KIND_SERVICE, 0) - WIRE_VERSION:
	case WIRE_VNI(WIRE_KIND_SERVICE, WIRE_FLAG_FORWARDED) - WIRE_VERSION:
		return WIRE_KIND_SERVICE;
	case WIRE_VNI(WIRE_KIND_SERVICE_RETURN, 0) - WIRE_VERSION:
	case WIRE_VNI(WIRE_KIND_SERVICE_RETURN, WIRE_FLAG_FORWARDED) - WIRE_VERSION:
		return WIRE_KIND_SERVICE_RETURN;
	default:
		return 0;
	}
}

static __always_inline enum verdict from_tunnel_to_own(
	struct packet *p, const struct settings_row *now, const struct node_row *sender)
{
	const struct pod_row *pod = bpf_map_lookup_elem(&pw_pod, &p->target);
	enum verdict verdict;

	if (pod) {
		flow_open_by_peer(p, false);
		return frontend_deliver(p, pod);
	}
	verdict = answer_nobody(p);
	return verdict >= VERDICT_DROP_FIRST || route_tunnel(p, now, sender) == VERDICT_TUNNEL
		       ? verdict
		       : VERDICT_DROP_INTERNAL;
}

/* A pod's packet, or one that a node's own stack sends to a pod or to this node. */
static __always_inline enum verdict from_tunnel_pod(
	struct packet *p, const struct settings_row *now, const struct node_row *sender)
{
	enum verdict verdict = guard_from_tunnel(p, now, sender);
	const struct node_row *own;
	int restored;

	if (verdict == VERDICT_NEXT)
		verdict = flow_fragment(p);
	if (verdict != VERDICT_NEXT)
		return verdict;
	own = bpf_map_lookup_elem(&pw_node, &p->target);
	if (own && own->flags & NODE_OWN) {
		if (p->protocol == IPPROTO_UDP && p->target_port == now->tunnel_port)
			return VERDICT_DROP_TUNNEL_PORT;
		restored = frontend_restore_node(p);
		if (restored < 0)
			return VERDICT_DROP_INTERNAL;
		verdict = restored ? VERDICT_NEXT : outside_arrive(p, now, own);
		if (verdict != VERDICT_NEXT)
			return verdict;
		bpf_skb_change_type(p->skb, PACKET_HOST);
		return VERDICT_STACK;
	}
	if (range_in_own(now, &p->target))
		return from_tunnel_to_own(p, now, sender);
	return VERDICT_DROP_TUNNEL_TARGET;
}

/* Handed over or handed back. */
static __always_inline enum verdict from_tunnel_service(struct packet *p,
	const struct settings_row *now, const struct node_row *sender, __u32 vni)
{
	bool passed_on = vni & WIRE_FLAG_FORWARDED << WIRE_FLAGS_SHIFT;
	enum verdict verdict;

	if (packet_is_neighbor_discovery(p) || addr_is_to_many(&p->target))
		return VERDICT_DROP_TUNNEL_TARGET;
	if (p->has_options)
		return VERDICT_DROP_HEADERS;
	if (tunnel_kind(vni) == WIRE_KIND_SERVICE_RETURN)
		return handover_return(p, now, passed_on);
	verdict = flow_fragment(p);
	return verdict == VERDICT_NEXT ? handover_arrive(p, now, sender, 1 + passed_on) : verdict;
}

static __always_inline enum verdict from_tunnel_steps(
	struct packet *p, struct __sk_buff *skb, const struct addr *outer, __u32 vni)
{
	const struct settings_row *now = settings();
	enum verdict verdict = packet_parse(p, skb, HOOK_FROM_TUNNEL);
	enum wire_kind kind = tunnel_kind(vni);
	const struct node_row *sender;

	if (!now || !now->ready)
		return VERDICT_DROP_INTERNAL;
	if (verdict != VERDICT_NEXT)
		return verdict;
	sender = bpf_map_lookup_elem(&pw_node, outer);
	if (!sender || (sender->flags & (NODE_UNDERLAY | NODE_OWN)) != NODE_UNDERLAY)
		return VERDICT_DROP_TUNNEL_NODE;
	if (!kind)
		return VERDICT_DROP_TUNNEL_VERSION;
	return kind == WIRE_KIND_POD ? from_tunnel_pod(p, now, sender)
				     : from_tunnel_service(p, now, sender, vni);
}
