/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/frontend.h"
#include "bpf/kernel.h"

/*
 * Clients outside, translated late (frontend.h). The node where a packet arrives keeps nothing
 * that matters: which backend a flow has follows from its addresses and ports alone, and
 * pw_session only remembers it for the time when nodes see different endpoints.
 */

#define OUTSIDE_HOPS_MAX 2 /* nodes that hand a packet over: the first one, and one that was mistaken */

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
		return p->hook == HOOK_FROM_TUNNEL ? route_into_stack_by_wire(p, now)
						   : VERDICT_STACK;
	p->skb->mark = (p->skb->mark & ~now->mark_mask) | now->mark;
	return VERDICT_MASQUERADE;
}

static __always_inline const struct node_row *outside_node_of(
	const struct packet *p, const struct settings_row *now, const struct addr *backend)
{
	const struct node_row *node = range_lookup(now, p->family, backend);

	return node ? node : bpf_map_lookup_elem(&pw_node, backend);
}

/* For the time when nodes see different endpoints. */
static __always_inline void outside_remember(
	const struct session_key *key, const struct session_plan *plan)
{
	struct session_row session = {.serving = plan->serving,
		.backend_port = plan->backend_port,
		.client_port = key->client_port,
		.last_ns = bpf_ktime_get_coarse_ns(),
		.packets = 1,
		.via = plan->via};

	session.backend = plan->backend;
	bpf_map_update_elem(&pw_session, key, &session, BPF_ANY);
}

/*
 * Replies go back by the node by which the client's packets come. That may change in mid-flow, where
 * several nodes attract an address: one dies, or a router upstream spreads flows anew.
 */
static __noinline void outside_follow(
	const struct session_key *key, struct session_row *session, const struct addr *via)
{
	struct flow_row *flow;
	struct flow_key back;

	session->via = *via;
	__builtin_memset(&back, 0, sizeof(back));
	back.pod = session->backend;
	back.pod_port = session->backend_port;
	back.peer = key->client;
	back.peer_port = session->client_port;
	back.protocol = key->protocol;
	flow = bpf_map_lookup_elem(&pw_flow, &back);
	if (flow && session_owns(flow, back.peer_port, key))
		flow->via = *via;
}

/* The backend of a flow that goes on here; plan->via says by which node this packet has come. */
static __always_inline bool outside_goes_on(struct session_plan *plan, const struct packet *p,
	const struct service_row *row, const struct session_key *key)
{
	struct session_row *session = session_find(p, row, key);

	if (!session)
		return false;
	if (!addr_equal(&session->via, &plan->via))
		outside_follow(key, session, &plan->via);
	plan->backend = session->backend;
	plan->backend_port = session->backend_port;
	return true;
}

/* Is this, which seems to be for a port of this node, really of a flow of the kernel's own? */
static __always_inline bool outside_is_kernels(
	struct packet *p, const struct session_key *key)
{
	struct kernel_flow flow = {.peer = key->client,
		.own = key->frontend,
		.peer_port = key->client_port,
		.own_port = key->frontend_port,
		.protocol = key->protocol};

	return !packet_opens_tcp(p) && kernel_has(p->skb, &flow);
}

/*
 * An ICMP error about a reply of a Service: for the backend that has sent it. VERDICT_NEXT: about
 * something else. `hops`: how many nodes have handed it over.
 */
static __noinline enum verdict outside_error(
	struct packet *p, const struct settings_row *now, const struct node_row *own, __u32 hops)
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
	} else if (own && outside_is_kernels(p, &key)) {
		return VERDICT_NEXT;
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
	if (pod || hops >= OUTSIDE_HOPS_MAX || !node || node->flags & NODE_OWN)
		return VERDICT_NEXT;
	return frontend_send(p, now, node, WIRE_KIND_SERVICE, hops > 0);
}

/*
 * A port that no Service has, at an address of a load balancer: refused, or routers and this node
 * would pass the packet to and fro; but where the node's stack has the address, as some clouds put it
 * there to ask whether the node is well, the stack knows. Else by what frontend_none() says.
 */
static __always_inline enum verdict outside_none(struct packet *p, const struct settings_row *now)
{
	if (service_at(&p->target, 0, 0, SERVICE_VIRTUAL))
		return route_is_local(p) ? VERDICT_NEXT : answer_back(p, answer_refusal(p));
	return frontend_none(p, now);
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
	if (row && !service_admits(row, &p->source))
		return VERDICT_DROP_SERVICE_SOURCE;
	/* Of a Service that is no more, only where there ever was one. */
	goes_on = (row || hint_has(HINT_NODE, HINT_FRONTEND)) &&
		  outside_goes_on(&plan, p, row, &key);
	if (!goes_on) {
		if (!row)
			return own ? VERDICT_NEXT : outside_none(p, now);
		if (own && outside_is_kernels(p, &key))
			return VERDICT_NEXT;
		backend = service_choose(row, &row->outside, &p->source, session_hash(&key));
		if (!backend)
			return frontend_refuse(p, now, &row->outside);
		session_plan_set(&plan, FLOW_OPENER_PEER, row, backend);
		hint_set(HINT_NODE, HINT_FRONTEND);
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
	if (frontend_is_too_big(p, now))
		return answer_back(p, answer_too_big(p, now->tunnel_mtu));
	if (!goes_on)
		outside_remember(&key, &plan);
	return frontend_send(p, now, node, WIRE_KIND_SERVICE, false);
}

/* `own`: the target is an address of this node. VERDICT_NEXT: it is for no Service. */
static __always_inline enum verdict outside_arrive(
	struct packet *p, const struct settings_row *now, const struct node_row *own)
{
	return packet_is_icmp_error(p) ? outside_error(p, now, own, 0)
				       : outside_flow(p, now, own);
}
