/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/frontend.h"
#include "bpf/kernel.h"

/*
 * What clients on this node send to frontends, pods and the node's own processes: translated on the
 * spot, packet by packet, so that each datagram finds an endpoint that lives.
 */

static __always_inline const struct service_row *inside_frontend(const struct packet *p)
{
	const struct service_row *row =
		service_at(&p->target, p->target_port, p->protocol, SERVICE_VIRTUAL);
	const struct node_row *node;

	if (row)
		return row;
	node = bpf_map_lookup_elem(&pw_node, &p->target);
	return node ? service_of_node(&p->target, p->target_port, p->protocol, node) : NULL;
}

/* Where answers will be looked for: on the way to the client, from a backend that he is himself. */
static __always_inline void inside_hint(const struct packet *p, const struct session_plan *plan)
{
	bool hairpin = addr_equal(&p->source, &plan->backend);

	hint_set(p->hook == HOOK_TO_TUNNEL ? HINT_NODE : p->skb->ifindex,
		hairpin ? HINT_CLIENT | HINT_BACKEND : HINT_CLIENT);
}

/* May this be TCP to a Service that is no more? Only where packets to Services were ever seen. */
static __always_inline bool inside_may_outlive(const struct packet *p)
{
	__u32 device = p->hook == HOOK_TO_TUNNEL ? HINT_NODE : p->skb->ifindex;

	return p->protocol == IPPROTO_TCP && hint_has(device, HINT_CLIENT);
}

/*
 * To a node, from a pod: is it the answer to a process there, whose connection has the number of a
 * node port? Of TCP the pod's end has a record, of the rest this node's kernel knows its own.
 */
static __noinline bool inside_is_answer(struct packet *p)
{
	const struct node_row *node = bpf_map_lookup_elem(&pw_node, &p->target);
	struct kernel_flow kernel;
	const struct flow_row *flow;
	struct flow_key key;

	if (!node || packet_opens_tcp(p))
		return false;
	flow_key_of_sender(p, &key);
	flow = bpf_map_lookup_elem(&pw_flow, &key);
	if (flow)
		return flow->opener == FLOW_OPENER_PEER && !flow->frontend_port;
	if (!(node->flags & NODE_OWN))
		return false;
	__builtin_memset(&kernel, 0, sizeof(kernel));
	kernel.peer = p->source;
	kernel.own = p->target;
	kernel.peer_port = p->source_port;
	kernel.own_port = p->target_port;
	kernel.protocol = p->protocol;
	return kernel_has(p->skb, &kernel);
}

/* A pod of this node that has gone, and its endpoint has not yet. */
static __always_inline bool inside_has_gone(
	const struct settings_row *now, const struct session_row *session)
{
	return range_in_own(now, &session->backend) &&
	       !bpf_map_lookup_elem(&pw_pod, &session->backend);
}

/*
 * VERDICT_NEXT: where to is for the next step, which sees the backend as the target; or it is for
 * no frontend.
 */
static __noinline enum verdict inside_translate(struct packet *p, const struct settings_row *now)
{
	const struct service_row *row = inside_frontend(p);
	struct session_plan plan = {};
	const struct backend_row *backend;
	struct session_row *session;
	struct session_key key;

	if (row && !service_admits(row, &p->source))
		return VERDICT_DROP_SERVICE_SOURCE;
	session_key_of(p, &key);
	session = row || inside_may_outlive(p) ? session_find(p, row, &key) : NULL;
	if (!session && !row)
		return frontend_none(p, now);
	if (!session) {
		if (inside_is_answer(p))
			return VERDICT_NEXT;
		backend = service_choose(row, &row->inside, &p->source, session_hash(&key));
		if (!backend)
			return frontend_refuse(p, now, &row->inside);
		session_plan_set(&plan, FLOW_OPENER_POD, row, backend);
		if (session_begin(&key, &plan) < 0)
			return VERDICT_DROP_SERVICE_PORTS;
		inside_hint(p, &plan);
		session = bpf_map_lookup_elem(&pw_session, &key);
		if (!session)
			return VERDICT_DROP_INTERNAL;
	}
	if (inside_has_gone(now, session))
		return frontend_answer(p, now);
	p->translated = PACKET_TRANSLATED_FORTH;
	return session_rewrite(p, session) < 0 ? VERDICT_DROP_INTERNAL : VERDICT_NEXT;
}

/*
 * What a client sends to a backend itself, past any frontend. Where the backend could not tell it from
 * those of a flow to a frontend, that one gives way: its next packet gets another client port.
 */
static __noinline __attribute__((unused)) void inside_past_frontends(const struct packet *p)
{
	struct session_key key;
	struct flow_row *flow;
	struct flow_key back;

	flow_key_of_sender(p, &back);
	flow = bpf_map_lookup_elem(&pw_flow, &back);
	if (!flow || flow->opener != FLOW_OPENER_POD || !flow->frontend_port)
		return;
	__builtin_memset(&key, 0, sizeof(key));
	key.client = p->source;
	key.client_port = flow->client_port ? flow->client_port : p->source_port;
	key.frontend = flow->frontend;
	key.frontend_port = flow->frontend_port;
	key.protocol = p->protocol;
	bpf_map_delete_elem(&pw_session, &key);
	flow_record(&back, FLOW_OPENER_POD);
}

/* TCP of a pod leaves a record with each connection that it opens; the node's own needs none. */
static __always_inline void inside_past_frontends_by_node(const struct packet *p)
{
	if ((p->protocol == IPPROTO_UDP || packet_opens_tcp(p)) &&
		hint_has(HINT_NODE, HINT_CLIENT))
		inside_past_frontends(p);
}
