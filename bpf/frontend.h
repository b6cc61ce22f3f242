/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/answer.h"
#include "bpf/hint.h"
#include "bpf/mss.h"
#include "bpf/packet.h"
#include "bpf/range.h"
#include "bpf/route.h"
#include "bpf/session.h"

/*
 * What packets do at frontends of Services. What pods and the node itself send is translated on
 * their node. What comes from outside is translated late: the node where it arrives only says whose
 * it is and hands it over unchanged; the backend's node translates, and its replies go back through
 * the node that they came by, whose address the client knows.
 */

/*
 * Through the tunnel a packet is longer, and an IPv6 underlay never fragments: without an answer
 * the sender would never learn. A packet that may be fragmented is, where the underlay does that.
 */
static __always_inline bool frontend_is_too_big(
	const struct packet *p, const struct settings_row *now)
{
	__u32 length = p->end - packet_l2;

	if (p->skb->gso_size)
		length = p->l4 - packet_l2 + sizeof(struct tcphdr) + p->skb->gso_size;
	if (length <= now->tunnel_mtu || !now->tunnel_mtu)
		return false;
	return p->family == 6 || p->may_not_fragment ||
	       addr_is_unspecified(&now->tunnel_source[SETTINGS_IPV4]);
}

/* Through the tunnel, as what a Service sends; `passed_on`: it was sent so to this node already. */
static __always_inline enum verdict frontend_send(struct packet *p, const struct settings_row *now,
	const struct node_row *node, enum wire_kind kind, bool passed_on)
{
	__u32 vni = WIRE_VNI(kind, passed_on ? WIRE_FLAG_FORWARDED : 0);
	enum verdict verdict = route_tunnel_as(p, now, node, vni);

	if (verdict != VERDICT_TUNNEL)
		return verdict;
	return kind == WIRE_KIND_SERVICE ? VERDICT_HAND_OVER : VERDICT_HAND_BACK;
}

/* Back to where the packet came from, which may be the node's own stack. */
static __always_inline enum verdict frontend_answer(
	struct packet *p, const struct settings_row *now)
{
	enum verdict verdict = answer_refusal(p);

	if (p->hook != HOOK_TO_TUNNEL)
		return answer_back(p, verdict);
	if (verdict < VERDICT_DROP_FIRST)
		route_into_stack(p, now);
	return verdict;
}

static __always_inline enum verdict frontend_refuse(
	struct packet *p, const struct settings_row *now, const struct service_list *list)
{
	if (!list->count && list->answer == SERVICE_DROP)
		return VERDICT_DROP_SERVICE_LOCAL;
	return frontend_answer(p, now);
}

/*
 * What no port of a Service takes. VERDICT_NEXT: it is no address of a Service, or this node has it
 * for itself, as a cache of the cluster's DNS has.
 */
static __always_inline enum verdict frontend_none(
	struct packet *p, const struct settings_row *now)
{
	if (!range_in_service(now, &p->target) || bpf_map_lookup_elem(&pw_node, &p->target))
		return VERDICT_NEXT;
	if (!service_at(&p->target, 0, 0, SERVICE_VIRTUAL))
		return VERDICT_DROP_SERVICE_NONE;
	return frontend_answer(p, now);
}

/*
 * The record of a flow to a frontend, which this packet of the backend answers or, as an ICMP error,
 * is about; NULL: none. It is at the sender, the backend, where the peer has opened the flow; else
 * at the receiver, the client. *ret_quote is set for errors.
 */
static __always_inline const struct flow_row *frontend_flow(
	const struct packet *p, enum flow_opener opener, struct packet_quote *ret_quote)
{
	const bool sends = opener == FLOW_OPENER_PEER;
	const struct flow_row *flow;
	struct flow_key key;

	if (packet_is_icmp_error(p)) {
		if (packet_quoted(p->skb, p, ret_quote) < 0)
			return NULL;
		__builtin_memset(&key, 0, sizeof(key));
		key.pod = sends ? ret_quote->target : ret_quote->source;
		key.peer = sends ? ret_quote->source : ret_quote->target;
		key.pod_port = sends ? ret_quote->target_port : ret_quote->source_port;
		key.peer_port = sends ? ret_quote->source_port : ret_quote->target_port;
		key.protocol = ret_quote->protocol;
	} else if (sends) {
		flow_key_of_sender(p, &key);
	} else {
		flow_key_of_receiver(p, &key);
	}
	flow = bpf_map_lookup_elem(&pw_flow, &key);
	return flow && flow->opener == opener && flow->frontend_port ? flow : NULL;
}

static __always_inline int frontend_rewrite_back(
	struct packet *p, const struct packet_quote *quote, const struct flow_row *flow)
{
	return packet_is_icmp_error(p) ? session_rewrite_error_back(p, quote, flow)
				       : session_rewrite_back(p, flow);
}

/*
 * A backend's reply, where its flow came to a frontend from outside, or from the pod itself.
 * VERDICT_NEXT: no such reply, or routed like any other packet to its client.
 */
static __noinline __attribute__((unused)) enum verdict frontend_reply(
	struct packet *p, const struct settings_row *now)
{
	struct packet_quote quote = {};
	const struct flow_row *flow;
	const struct node_row *node;
	struct addr via;

	flow = frontend_flow(p, FLOW_OPENER_PEER, &quote);
	if (!flow)
		return VERDICT_NEXT;
	via = flow->via;
	if (!addr_is_unspecified(&via) && frontend_is_too_big(p, now))
		return answer_back(p, answer_too_big(p, now->tunnel_mtu));
	if (frontend_rewrite_back(p, &quote, flow) < 0)
		return VERDICT_DROP_INTERNAL;
	p->translated = PACKET_TRANSLATED_BACK;
	if (addr_is_unspecified(&via))
		return VERDICT_NEXT;
	node = bpf_map_lookup_elem(&pw_node, &via);
	if (!node)
		return VERDICT_DROP_NO_NODE;
	if (mss_clamp(p, now->tunnel_mtu) < 0)
		return VERDICT_DROP_INTERNAL;
	return frontend_send(p, now, node, WIRE_KIND_SERVICE_RETURN, false);
}

/*
 * On its way to a client on this node: what answers a flow of his to a frontend comes from there.
 * 1: it did; 0: it answers none.
 */
static __noinline int frontend_restore_flow(struct packet *p)
{
	struct packet_quote quote = {};
	const struct flow_row *flow = frontend_flow(p, FLOW_OPENER_POD, &quote);

	if (!flow)
		return 0;
	p->translated = PACKET_TRANSLATED_BACK;
	return frontend_rewrite_back(p, &quote, flow) < 0 ? -1 : 1;
}

static __always_inline int frontend_restore(struct packet *p, __u32 device)
{
	return p->translated || !hint_has(device, HINT_CLIENT) ? 0 : frontend_restore_flow(p);
}

/* The same for processes of the node itself. */
static __always_inline int frontend_restore_node(struct packet *p)
{
	return hint_has(HINT_NODE, HINT_CLIENT) ? frontend_restore_flow(p) : 0;
}

/*
 * And into its stack by the tunnel's device, where they have sent it: so firewall, connection
 * tracking and reverse-path filter see one device both ways. VERDICT_NEXT: it answers no such flow.
 */
static __always_inline enum verdict frontend_to_node(
	struct packet *p, const struct settings_row *now)
{
	int restored = frontend_restore_node(p);

	if (restored == 0)
		return VERDICT_NEXT;
	if (restored < 0)
		return VERDICT_DROP_INTERNAL;
	if (packet_l2) /* else there is no frame for that device */
		route_into_stack(p, now);
	return VERDICT_STACK;
}

static __always_inline enum verdict frontend_deliver(struct packet *p, const struct pod_row *pod)
{
	return frontend_restore(p, pod->ifindex) < 0 ? VERDICT_DROP_INTERNAL : route_deliver(p, pod);
}
