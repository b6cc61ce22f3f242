// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The one VXLAN device, in external mode: the key says where to and where from. */
#include "bpf/inside.h"
#include "bpf/probe.h"
#include "bpf/trace.h"
#include "bpf/tunnel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Who sent it, by the outer header. 0, or -1 where there is no key. */
static __noinline int from_tunnel_key(
	struct __sk_buff *skb, struct addr *ret_outer, __u32 *ret_vni)
{
	struct bpf_tunnel_key key;

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0) == 0) {
		addr_set_v4(ret_outer, bpf_htonl(key.remote_ipv4));
	} else if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6) == 0) {
		__builtin_memcpy(ret_outer, key.remote_ipv6, sizeof(*ret_outer));
	} else {
		return -1;
	}
	*ret_vni = key.tunnel_id;
	return 0;
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	const struct settings_row *now = settings();
	struct addr outer = {};
	enum verdict verdict;
	struct packet p;
	__u32 vni = 0;

	if (from_tunnel_key(skb, &outer, &vni) < 0) {
		/* By from_wire. What came through the tunnel has a key, whatever its mark is. */
		if (route_is_judged(skb, now)) {
			skb->mark &= ~now->mark_mask;
			bpf_skb_change_type(skb, PACKET_HOST);
			return TC_ACT_UNSPEC;
		}
		outer.halves[0] = outer.halves[1] = 0; /* of no node: dropped by that name */
	}
	verdict = from_tunnel_steps(&p, skb, &outer, vni);
	return packet_end(&p, verdict);
}

static __always_inline bool to_tunnel_is_own(const struct addr *addr)
{
	const struct node_row *node = bpf_map_lookup_elem(&pw_node, addr);

	return node && node->flags & NODE_OWN;
}

static __always_inline enum verdict to_tunnel_to_pods(
	struct packet *p, const struct settings_row *now, const struct node_row *node)
{
	if (node->route == NODE_ROUTE_WIRE)
		return route_wire(p, node);
	if (route_set_tunnel_key(p->skb, now, &node->underlay, WIRE_VNI(WIRE_KIND_POD, 0)) < 0)
		return VERDICT_DROP_INTERNAL;
	return VERDICT_ACCEPT;
}

/* To a Service: on to its backend, which may be anywhere. */
static __always_inline enum verdict to_tunnel_service(
	struct packet *p, const struct settings_row *now)
{
	enum verdict verdict = inside_translate(p, now);
	const struct node_row *node;
	const struct pod_row *pod;

	if (verdict != VERDICT_NEXT)
		return verdict;
	pod = bpf_map_lookup_elem(&pw_pod, &p->target);
	if (pod) {
		route_mark_judged(p->skb, now);
		return route_by_queue(p, pod);
	}
	node = range_lookup(now, p->family, &p->target);
	if (node)
		return to_tunnel_to_pods(p, now, node);
	if (!p->translated || range_in_cluster(now, &p->target))
		return VERDICT_DROP_NO_NODE;
	if (to_tunnel_is_own(&p->target)) {
		route_into_stack(p, now);
		return VERDICT_STACK;
	}
	verdict = route_past_stack(p);
	return verdict == VERDICT_STACK ? VERDICT_DROP_NO_ROUTE : verdict;
}

/*
 * From the node's own stack to pods of another node and to Services, whose routes all lead here:
 * what goes directly is sent on from here, and so is a question whether it might. What from_pod
 * sent has its key.
 */
static __always_inline enum verdict to_tunnel_steps(struct packet *p, struct __sk_buff *skb)
{
	const struct settings_row *now = settings();
	enum verdict verdict = packet_parse(p, skb, HOOK_TO_TUNNEL);
	const struct node_row *node;

	if (!now || !now->ready)
		return VERDICT_DROP_INTERNAL;
	if (verdict == VERDICT_NEXT)
		verdict = flow_fragment(p);
	if (verdict == VERDICT_NEXT && hint_has(HINT_NODE, HINT_BACKEND))
		verdict = frontend_reply(p, now);
	if (verdict != VERDICT_NEXT)
		return verdict;
	/* A process of the node has answered another one, or itself. */
	if (p->translated && to_tunnel_is_own(&p->target)) {
		route_into_stack(p, now);
		return VERDICT_STACK;
	}
	if (!range_in_own(now, &p->source) && !to_tunnel_is_own(&p->source))
		return VERDICT_DROP_TO_TUNNEL;
	node = probe_to_neighbor(p);
	if (node)
		return route_wire(p, node);
	node = range_lookup(now, p->family, &p->target);
	if (!node)
		return to_tunnel_service(p, now);
	if (!p->translated)
		inside_past_frontends_by_node(p);
	return to_tunnel_to_pods(p, now, node);
}

SEC("tc")
int to_tunnel(struct __sk_buff *skb)
{
	const struct settings_row *now = settings();
	enum verdict verdict;
	struct packet p;

	if (route_is_judged(skb, now))
		return TC_ACT_UNSPEC;
	verdict = to_tunnel_steps(&p, skb);
	return packet_end(&p, verdict);
}
