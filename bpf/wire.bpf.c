// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The devices that carry node traffic. What is not for a pod is none of our business here. */
#include "bpf/answer.h"
#include "bpf/flow.h"
#include "bpf/guard.h"
#include "bpf/outside.h"
#include "bpf/packet.h"
#include "bpf/probe.h"
#include "bpf/route.h"
#include "bpf/tables.h"
#include "bpf/trace.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Is the peer outside the cluster, so that the opener of the flow decides about its replies? */
static __always_inline bool from_wire_is_outside(
	const struct packet *p, const struct settings_row *now)
{
	return !range_in_cluster(now, &p->source) &&
	       !range_lookup(now, p->family, &p->source) &&
	       !bpf_map_lookup_elem(&pw_node, &p->source);
}

/*
 * What a pod of another node sends to this node itself enters the stack by the tunnel's device,
 * whichever way it came. So the firewall, the reverse-path filter and the route back are the same
 * before, during and after a change of the way.
 */
static __always_inline void from_wire_mark(
	struct packet *p, const struct settings_row *now, const struct node_row *node)
{
	p->skb->mark &= ~now->mark_mask;
	if (packet_l2 && node && node->flags & NODE_OWN && range_lookup(now, p->family, &p->source))
		p->skb->mark |= now->mark_mask & ~now->mark;
}

/* What is kept in the mark until here the verifier need not follow through all that lies between. */
static __always_inline enum verdict from_wire_to_stack(
	struct packet *p, const struct settings_row *now)
{
	if (!route_is_judged(p->skb, now))
		return VERDICT_ACCEPT;
	route_into_stack_as_marked(p, now);
	return VERDICT_STACK;
}

/*
 * To a pod itself, past any frontend, from a client outside. Where the pod could not tell the flow
 * from one to a frontend of its, it gets another client port: the later one of the two always does.
 */
static __noinline int from_wire_past_frontends(struct packet *p)
{
	struct session_plan plan = {.opener = FLOW_OPENER_PEER, .backend = p->target};
	const struct session_row *session = NULL;
	const struct flow_row *held;
	struct session_key key;
	struct flow_key back;

	session_key_of(p, &key);
	if (packet_opens_tcp(p))
		bpf_map_delete_elem(&pw_session, &key); /* of an earlier connection */
	else
		session = bpf_map_lookup_elem(&pw_session, &key);
	if (!session) {
		flow_key_of_receiver(p, &back);
		held = bpf_map_lookup_elem(&pw_flow, &back);
		if (!held || !held->frontend_port || session_owns(held, back.peer_port, &key) ||
			(p->protocol == IPPROTO_TCP && !packet_opens_tcp(p)))
			return 0;
		plan.backend_port = p->target_port;
		if (session_begin(&key, &plan) < 0)
			return -1;
		session = bpf_map_lookup_elem(&pw_session, &key);
		if (!session)
			return -1;
	}
	p->translated = PACKET_TRANSLATED_FORTH;
	return session_rewrite(p, session);
}

static __always_inline enum verdict from_wire_to_own(
	struct packet *p, const struct settings_row *now)
{
	const struct pod_row *pod = bpf_map_lookup_elem(&pw_pod, &p->target);
	const struct node_row *node;
	enum verdict verdict;

	if (pod) {
		bool outside = from_wire_is_outside(p, now);

		if (outside && hint_has(pod->ifindex, HINT_BACKEND) && from_wire_past_frontends(p) < 0)
			return VERDICT_DROP_SERVICE_PORTS;
		if (!p->translated)
			flow_open_by_peer(p, outside);
		/* A device without Ethernet: the stack's route to the pod makes the frame. */
		return packet_l2 ? frontend_deliver(p, pod) : VERDICT_STACK;
	}
	node = bpf_map_lookup_elem(&pw_node, &p->target);
	if (node) {
		verdict = frontend_to_node(p, now);
		if (verdict != VERDICT_NEXT)
			return verdict;
		from_wire_mark(p, now, node);
		from_wire_to_stack(p, now);
		return VERDICT_STACK;
	}
	return answer_back(p, answer_nobody(p));
}

/* To this node itself, to a Service, or through this node to who knows where. */
static __always_inline enum verdict from_wire_to_others(
	struct packet *p, const struct settings_row *now)
{
	const struct node_row *node = bpf_map_lookup_elem(&pw_node, &p->target);
	enum verdict verdict;

	/* The tunnel's own packets, the most frequent ones. */
	if (node && p->protocol == IPPROTO_UDP && p->target_port == now->tunnel_port)
		return VERDICT_ACCEPT;
	if (node && !(node->flags & NODE_OWN))
		return VERDICT_ACCEPT;
	/* The stack puts fragments together; where it does not, nothing of ours is lost. */
	from_wire_mark(p, now, node);
	if (flow_fragment(p) != VERDICT_NEXT)
		return from_wire_to_stack(p, now);
	verdict = node ? frontend_to_node(p, now) : VERDICT_NEXT;
	if (verdict == VERDICT_NEXT)
		verdict = outside_arrive(p, now, node);
	return verdict == VERDICT_NEXT ? from_wire_to_stack(p, now) : verdict;
}

/*
 * A tag of VLAN 0 bears a priority and names no VLAN: the stack takes it off, however many there
 * are, and reads on behind our back. So we take it off first. A frame with more than this is nobody's.
 */
#define FROM_WIRE_TAGS_MAX 3

static __always_inline bool from_wire_has_priority_tag(const struct __sk_buff *skb)
{
	return skb->vlan_present && !(skb->vlan_tci & 0x0fff);
}

static __always_inline void from_wire_untag(struct __sk_buff *skb)
{
	int i;

	for (i = 0; i < FROM_WIRE_TAGS_MAX && from_wire_has_priority_tag(skb); i++)
		if (bpf_skb_vlan_pop(skb) < 0)
			return;
}

static __always_inline enum verdict from_wire_steps(struct packet *p, struct __sk_buff *skb)
{
	const struct settings_row *now = settings();
	enum verdict verdict, parsed = packet_parse(p, skb, HOOK_FROM_WIRE);

	if (from_wire_has_priority_tag(skb))
		return VERDICT_DROP_MALFORMED;
	/*
	 * The node's stack judges what is not IP or not whole, and drops what a switch has flooded
	 * here for somebody else's MAC; to us a copy of that would look like a packet for a pod.
	 */
	if (!now || !now->ready || !p->family || skb->pkt_type == PACKET_OTHERHOST)
		return VERDICT_ACCEPT;
	/* What has no address yet asks for one by broadcast or multicast. */
	if (skb->pkt_type != PACKET_HOST && addr_is_unspecified(&p->source))
		return VERDICT_ACCEPT;
	/* What is strange further on has addresses all the same, and the stack might forward it. */
	verdict = parsed == VERDICT_NEXT ? probe_from_wire(p) : VERDICT_NEXT;
	if (verdict == VERDICT_NEXT)
		verdict = guard_from_wire(p, now);
	if (verdict != VERDICT_NEXT)
		return verdict;
	/* The stack forwards no frame that was for many, whatever address is in it. */
	if (skb->pkt_type != PACKET_HOST)
		return VERDICT_ACCEPT;
	if (!range_in_own(now, &p->target))
		return parsed == VERDICT_NEXT ? from_wire_to_others(p, now) : VERDICT_ACCEPT;
	if (parsed != VERDICT_NEXT)
		return parsed;
	verdict = flow_fragment(p);
	return verdict == VERDICT_NEXT ? from_wire_to_own(p, now) : verdict;
}

static __always_inline enum verdict to_wire_steps(struct packet *p, struct __sk_buff *skb)
{
	const struct settings_row *now = settings();
	enum verdict verdict = packet_parse(p, skb, HOOK_TO_WIRE);

	if (verdict != VERDICT_NEXT || !now || !now->ready || flow_fragment(p) != VERDICT_NEXT)
		return VERDICT_ACCEPT;
	verdict = frontend_reply(p, now);
	return verdict == VERDICT_NEXT ? VERDICT_ACCEPT : verdict;
}

/*
 * What the node's stack sends: replies of backends that are processes of this node, or that it has
 * masqueraded for. A node without such has nothing to look for here.
 */
SEC("tc")
int to_wire(struct __sk_buff *skb)
{
	enum verdict verdict;
	struct packet p;

	if (!hint_has(HINT_NODE, HINT_BACKEND))
		return TC_ACT_UNSPEC;
	verdict = to_wire_steps(&p, skb);
	return packet_end(&p, verdict);
}

SEC("tc")
int from_wire(struct __sk_buff *skb)
{
	const struct settings_row *now = settings();
	struct packet p;
	enum verdict verdict;

	/* By from_tunnel, which has taken it for the stack. No frame bears a mark when it arrives. */
	if (route_is_judged(skb, now)) {
		skb->mark &= ~now->mark_mask;
		bpf_skb_change_type(skb, PACKET_HOST);
		return TC_ACT_UNSPEC;
	}
	if (packet_l2)
		from_wire_untag(skb);
	verdict = from_wire_steps(&p, skb);
	return packet_end(&p, verdict);
}
