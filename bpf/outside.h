/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/frontend.h"

/*
 * Clients outside, translated late (frontend.h). The node where a packet arrives keeps nothing
 * that matters: which backend a flow has follows from its addresses and ports alone, and
 * pw_session only remembers it for the time when nodes see different endpoints.
 */

/* `node`: the address is a node's. */
static __always_inline const struct service_row *outside_frontend(
	const struct session_key *key, const struct node_row *node)
{
	if (node)
		return service_at_node(
			&key->frontend, key->frontend_port, key->protocol, node, SERVICE_OWN_NODE);
	return service_at(&key->frontend, key->frontend_port, key->protocol, SERVICE_VIRTUAL);
}

/*
 * To a pod of this node; `goes_on`: the flow has a session here. VERDICT_NEXT: the backend is no
 * pod of this node.
 */
static __always_inline enum verdict outside_to_pod(struct packet *p, const struct session_key *key,
	const struct session_plan *plan, bool goes_on)
{
	const struct pod_row *pod = bpf_map_lookup_elem(&pw_pod, &plan->backend);
	const struct session_row *session;

	if (!pod)
		return VERDICT_NEXT;
	if (!goes_on) {
		if (session_begin(key, plan) < 0)
			return VERDICT_DROP_SERVICE_PORTS;
		hint_set(pod->ifindex, HINT_BACKEND);
	}
	session = bpf_map_lookup_elem(&pw_session, key);
	if (!session || session_rewrite(p, session) < 0)
		return VERDICT_DROP_INTERNAL;
	p->translated = PACKET_TRANSLATED_FORTH;
	/* A device without Ethernet: the stack's route to the pod makes the frame. */
	return packet_l2 ? route_deliver(p, pod) : VERDICT_STACK;
}

/*
 * To this node's own stack: a backend of the host network or, `beyond`, one that is on no node, to
 * which the client must look like this node. What comes back meets to_wire or to_tunnel.
 */
static __always_inline enum verdict outside_to_stack(struct packet *p,
	const struct settings_row *now, const struct session_key *key,
	const struct session_plan *plan, bool goes_on, bool beyond)
{
	const struct session_row *session;

	if (!goes_on && session_begin(key, plan) < 0)
		return VERDICT_DROP_SERVICE_PORTS;
	hint_set(HINT_NODE, HINT_BACKEND);
	session = bpf_map_lookup_elem(&pw_session, key);
	if (!session || session_rewrite(p, session) < 0)
		return VERDICT_DROP_INTERNAL;
	bpf_skb_change_type(p->skb, PACKET_HOST);
	if (!beyond)
		return VERDICT_STACK;
	p->skb->mark = (p->skb->mark & ~now->mark_mask) | now->mark;
	return VERDICT_MASQUERADE;
}

static __always_inline const struct node_row *outside_node_of(
	const struct packet *p, const struct settings_row *now, const struct addr *backend)
{
	const struct node_row *node = range_lookup(now, p->family, backend);

	return node ? node : bpf_map_lookup_elem(&pw_node, backend);
}

/*
 * Through the tunnel a packet is longer, and an IPv6 underlay never fragments: without an answer
 * the sender would never learn. A packet that may be fragmented is, where the underlay does that.
 */
static __always_inline bool outside_is_too_big(
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

/* For the time when nodes see different endpoints. */
static __always_inline void outside_remember(
	const struct session_key *key, const struct session_plan *plan)
{
	struct session_row session = {.serving = plan->serving,
		.backend_port = plan->backend_port,
		.client_port = key->client_port,
		.last_ns = bpf_ktime_get_coarse_ns()};

	session.backend = plan->backend;
	bpf_map_update_elem(&pw_session, key, &session, BPF_ANY);
}

/* The backend of a flow that goes on here. */
static __always_inline bool outside_goes_on(struct session_plan *plan, const struct packet *p,
	const struct service_row *row, const struct session_key *key)
{
	const struct session_row *session = session_find(p, row, key);

	if (!session)
		return false;
	plan->backend = session->backend;
	plan->backend_port = session->backend_port;
	return true;
}

/*
 * An ICMP error about a reply of a Service: for the backend that has sent it. VERDICT_NEXT: about
 * something else. `here`: it was handed over already.
 */
static __noinline enum verdict outside_error(
	struct packet *p, const struct settings_row *now, const struct node_row *own, bool here)
{
	const struct service_row *row;
	const struct session_row *session;
	const struct node_row *node;
	const struct backend_row *backend;
	struct packet_quote quote = {};
	const struct pod_row *pod;
	struct session_key key;
	struct addr to;

	if (packet_quoted(p->skb, p, &quote) < 0 || !addr_equal(&quote.source, &p->target))
		return VERDICT_NEXT;
	__builtin_memset(&key, 0, sizeof(key));
	key.client = quote.target;
	key.client_port = quote.target_port;
	key.frontend = quote.source;
	key.frontend_port = quote.source_port;
	key.protocol = quote.protocol;
	row = outside_frontend(&key, own);
	if (!row)
		return VERDICT_NEXT;
	session = bpf_map_lookup_elem(&pw_session, &key);
	if (session) {
		to = session->backend;
	} else {
		backend = service_choose(row, &row->outside, &key.client, session_hash(&key));
		if (!backend)
			return VERDICT_NEXT;
		to = backend->addr;
	}
	pod = bpf_map_lookup_elem(&pw_pod, &to);
	if (pod && session) {
		p->translated = PACKET_TRANSLATED_FORTH;
		return session_rewrite_error(p, &quote, session) < 0 ? VERDICT_DROP_INTERNAL
								      : route_deliver(p, pod);
	}
	node = outside_node_of(p, now, &to);
	if (pod || here || !node || node->flags & NODE_OWN)
		return VERDICT_NEXT;
	return frontend_send(p, now, node, WIRE_KIND_SERVICE);
}

static __noinline enum verdict outside_flow(
	struct packet *p, const struct settings_row *now, const struct node_row *own)
{
	const struct backend_row *backend;
	const struct service_row *row;
	struct session_plan plan = {};
	const struct node_row *node;
	struct session_key key;
	enum verdict verdict;
	bool goes_on;

	session_key_of(p, &key);
	row = outside_frontend(&key, own);
	if (!row)
		return own ? VERDICT_NEXT : frontend_none(p, now);
	if (!service_admits(row, &p->source))
		return VERDICT_DROP_SERVICE_SOURCE;
	goes_on = outside_goes_on(&plan, p, row, &key);
	if (!goes_on) {
		backend = service_choose(row, &row->outside, &p->source, session_hash(&key));
		if (!backend)
			return frontend_refuse(p, now, &row->outside);
		session_plan_set(&plan, FLOW_OPENER_PEER, row, backend);
	}
	verdict = outside_to_pod(p, &key, &plan, goes_on);
	if (verdict != VERDICT_NEXT)
		return verdict;
	node = outside_node_of(p, now, &plan.backend);
	/* A pod that has gone, and its endpoint has not yet. */
	if (!node && range_in_cluster(now, &plan.backend))
		return answer_back(p, answer_refusal(p));
	if (!node || node->flags & NODE_OWN)
		return outside_to_stack(p, now, &key, &plan, goes_on, !node);
	if (outside_is_too_big(p, now))
		return answer_back(p, answer_too_big(p, now->tunnel_mtu));
	if (!goes_on)
		outside_remember(&key, &plan);
	return frontend_send(p, now, node, WIRE_KIND_SERVICE);
}

/* `own`: the target is an address of this node. VERDICT_NEXT: it is for no Service. */
static __always_inline enum verdict outside_arrive(
	struct packet *p, const struct settings_row *now, const struct node_row *own)
{
	return packet_is_icmp_error(p) ? outside_error(p, now, own, false)
				       : outside_flow(p, now, own);
}
