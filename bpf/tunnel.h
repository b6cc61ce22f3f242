/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "abi/wire.h"
#include "bpf/answer.h"
#include "bpf/flow.h"
#include "bpf/guard.h"
#include "bpf/packet.h"
#include "bpf/route.h"
#include "bpf/tables.h"

/*
 * What comes out of the tunnel, given who sent it and the network identifier. The program reads
 * both from the tunnel key; a test run, in which the kernel sets no key, gives them itself.
 */

static __always_inline bool tunnel_is_known(__u32 vni)
{
	__u32 version = vni & WIRE_VERSION_MASK;

	return version >= WIRE_VERSION_FIRST && version <= WIRE_VERSION_LAST &&
	       vni - version == WIRE_VNI(WIRE_KIND_POD, 0) - WIRE_VERSION;
}

static __always_inline enum verdict from_tunnel_to_own(
	struct packet *p, const struct settings_row *now, const struct node_row *sender)
{
	const struct pod_row *pod = bpf_map_lookup_elem(&pw_pod, &p->target);
	enum verdict verdict;

	if (pod) {
		flow_open_by_peer(p, false);
		return route_deliver(p, pod);
	}
	verdict = answer_nobody(p);
	return verdict >= VERDICT_DROP_FIRST || route_tunnel(p, now, sender) == VERDICT_TUNNEL
		       ? verdict
		       : VERDICT_DROP_INTERNAL;
}

static __always_inline enum verdict from_tunnel_steps(
	struct packet *p, struct __sk_buff *skb, const struct addr *outer, __u32 vni)
{
	const struct settings_row *now = settings();
	const struct node_row *sender, *own;
	enum verdict verdict = packet_parse(p, skb, HOOK_FROM_TUNNEL);

	if (!now || !now->ready)
		return VERDICT_DROP_INTERNAL;
	if (verdict != VERDICT_NEXT)
		return verdict;
	sender = bpf_map_lookup_elem(&pw_node, outer);
	if (!sender || (sender->flags & (NODE_UNDERLAY | NODE_OWN)) != NODE_UNDERLAY)
		return VERDICT_DROP_TUNNEL_NODE;
	if (!tunnel_is_known(vni))
		return VERDICT_DROP_TUNNEL_VERSION;
	verdict = guard_from_tunnel(p, now, sender);
	if (verdict == VERDICT_NEXT)
		verdict = flow_fragment(p);
	if (verdict != VERDICT_NEXT)
		return verdict;
	own = bpf_map_lookup_elem(&pw_node, &p->target);
	if (own && own->flags & NODE_OWN) {
		if (p->protocol == IPPROTO_UDP && p->target_port == now->tunnel_port)
			return VERDICT_DROP_TUNNEL_PORT;
		bpf_skb_change_type(skb, PACKET_HOST);
		return VERDICT_STACK;
	}
	if (range_in_own(now, &p->target))
		return from_tunnel_to_own(p, now, sender);
	return VERDICT_DROP_TUNNEL_TARGET;
}
