// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The node's side of every pod's veth, by two shared blocks: one program on each block serves all
 * pods, which it tells apart by the device.
 */
#include "bpf/answer.h"
#include "bpf/flow.h"
#include "bpf/guard.h"
#include "bpf/inside.h"
#include "bpf/packet.h"
#include "bpf/route.h"
#include "bpf/tables.h"
#include "bpf/trace.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline enum verdict from_pod_to_own(
	struct packet *p, const struct settings_row *now)
{
	const struct pod_row *pod = bpf_map_lookup_elem(&pw_pod, &p->target);
	enum verdict verdict;

	if (pod) {
		/* A pod that is its own backend has its record from the frontend. */
		if (pod->ifindex != p->skb->ifindex)
			flow_open_by_peer(p, false);
		return frontend_deliver(p, pod);
	}
	if (bpf_map_lookup_elem(&pw_node, &p->target)) {
		if (p->protocol == IPPROTO_UDP && p->target_port == now->tunnel_port)
			return VERDICT_DROP_TUNNEL_PORT;
		verdict = frontend_to_node(p, now);
		return verdict == VERDICT_NEXT ? VERDICT_STACK : verdict;
	}
	return answer_back(p, answer_nobody(p));
}

/* VERDICT_NEXT: the target is of no node's pod range. */
static __noinline enum verdict from_pod_to_pods(struct packet *p, const struct settings_row *now)
{
	const struct node_row *node;

	if (range_in_own(now, &p->target))
		return from_pod_to_own(p, now);
	node = range_lookup(now, p->family, &p->target);
	return node ? route_to_node(p, now, node) : VERDICT_NEXT;
}

/* No address of a pod is one of a Service: what goes to pods pays nothing for Services. */
static __always_inline enum verdict from_pod_route(
	struct packet *p, const struct settings_row *now)
{
	enum verdict verdict = from_pod_to_pods(p, now);
	const struct node_row *node;

	if (verdict == VERDICT_NEXT && !p->translated)
		verdict = frontend_to_node(p, now);
	if (verdict == VERDICT_NEXT && !p->translated)
		verdict = inside_translate(p, now);
	if (verdict == VERDICT_NEXT && p->translated == PACKET_TRANSLATED_FORTH)
		verdict = from_pod_to_pods(p, now);
	if (verdict != VERDICT_NEXT)
		return verdict;
	node = bpf_map_lookup_elem(&pw_node, &p->target);
	if (node) {
		if (p->protocol == IPPROTO_UDP && p->target_port == now->tunnel_port)
			return VERDICT_DROP_TUNNEL_PORT;
		return route_to_node(p, now, node);
	}
	if (range_in_cluster(now, &p->target))
		return VERDICT_DROP_NO_NODE;
	return route_outside(p, now);
}

static __always_inline enum verdict from_pod_steps(struct packet *p, struct __sk_buff *skb)
{
	const struct settings_row *now = settings();
	enum verdict verdict = packet_parse(p, skb, HOOK_FROM_POD);

	if (!now || !now->ready)
		return VERDICT_DROP_INTERNAL;
	if (verdict == VERDICT_NEXT)
		verdict = guard_from_pod(p);
	if (verdict == VERDICT_NEXT)
		verdict = flow_fragment(p);
	if (verdict == VERDICT_NEXT && hint_has(skb->ifindex, HINT_BACKEND))
		verdict = frontend_reply(p, now);
	if (verdict != VERDICT_NEXT)
		return verdict;
	if (!p->translated)
		flow_open_by_pod(p);
	if (!p->translated && p->protocol == IPPROTO_UDP && hint_has(skb->ifindex, HINT_CLIENT))
		inside_past_frontends(p);
	return from_pod_route(p, now);
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct packet p;
	enum verdict verdict = from_pod_steps(&p, skb);

	return packet_end(&p, verdict);
}

/*
 * What the node's own stack sends to a pod: its own packets, and what it has translated. What was
 * sent to a Service comes from to_tunnel, and is marked.
 */
SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct packet p;
	enum verdict verdict = packet_parse(&p, skb, HOOK_TO_POD);

	if (verdict == VERDICT_NEXT)
		flow_open_by_peer(&p, false);
	if (verdict == VERDICT_NEXT && !skb->ingress_ifindex && !route_is_judged(skb, settings()))
		inside_past_frontends_by_node(&p);
	if (verdict == VERDICT_NEXT)
		verdict = frontend_restore(&p, skb->ifindex) < 0 ? VERDICT_DROP_INTERNAL
								 : VERDICT_ACCEPT;
	return packet_end(&p, verdict);
}
