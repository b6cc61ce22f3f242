/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/outside.h"

/* What one node has handed over to another one, and the replies that are handed back. */

/* Handed over by another node: the client's own packet, so its source is nobody of the cluster. */
static __always_inline enum verdict handover_guard(
	const struct packet *p, const struct settings_row *now, const struct node_row *sender)
{
	const struct node_row *row = outside_node_of(p, now, &p->source);

	if (addr_is_local_only(&p->source) || addr_is_to_many(&p->source) ||
		range_in_own(now, &p->source))
		return VERDICT_DROP_TUNNEL_SOURCE;
	if (row ? !addr_equal(&row->underlay, &sender->underlay)
		: range_in_cluster(now, &p->source))
		return VERDICT_DROP_TUNNEL_SOURCE;
	return VERDICT_NEXT;
}

/* Back to the node that has handed over: by answer_back() it would be a pod's packet. */
static __always_inline enum verdict handover_refuse(struct packet *p,
	const struct settings_row *now, const struct node_row *sender)
{
	enum verdict verdict = answer_refusal(p), sent;

	if (verdict >= VERDICT_DROP_FIRST)
		return verdict;
	sent = frontend_send(p, now, sender, WIRE_KIND_SERVICE_RETURN, false);
	return sent == VERDICT_HAND_BACK ? verdict : sent;
}

/*
 * What the other node has chosen, where the views are alike; else one of this node's own, terminating
 * ones included: it was sent here because there is, or was, one. Where there is none any more, one of
 * another node's, unless this node was somebody's second choice itself.
 */
static __always_inline const struct backend_row *handover_choose(
	const struct packet *p, const struct service_row *row, __u32 hash, __u32 hops)
{
	const struct backend_row *backend = NULL;

	if (!row->affinity_seconds && row->outside.count)
		backend = service_backend(&row->outside, service_index(&row->outside, hash));
	if (backend && backend->flags & BACKEND_HERE)
		return backend;
	if (row->here.count || hops >= OUTSIDE_HOPS_MAX)
		return service_choose(row, &row->here, &p->source, hash);
	return service_choose(row, &row->outside, &p->source, hash);
}

static __noinline enum verdict handover_flow(struct packet *p, const struct settings_row *now,
	const struct node_row *sender, __u32 hops)
{
	const struct node_row *node = bpf_map_lookup_elem(&pw_node, &p->target);
	const struct backend_row *backend;
	const struct service_row *row;
	struct session_plan plan = {};
	struct session_key key;
	enum verdict verdict;
	bool goes_on;

	session_key_of(p, &key);
	row = outside_frontend(&key, node);
	plan.via = sender->underlay;
	goes_on = outside_goes_on(&plan, p, row, &key);
	if (!goes_on && !row)
		return VERDICT_DROP_TUNNEL_TARGET;
	if (!goes_on) {
		backend = handover_choose(p, row, session_hash(&key), hops);
		if (!backend)
			return handover_refuse(p, now, sender);
		session_plan_set(&plan, FLOW_OPENER_PEER, row, backend);
	}
	if (mss_clamp(p, now->tunnel_mtu) < 0)
		return VERDICT_DROP_INTERNAL;
	verdict = outside_to_pod(p, &key, &plan, goes_on);
	if (verdict != VERDICT_NEXT)
		return verdict;
	node = outside_node_of(p, now, &plan.backend);
	if (node && node->flags & NODE_OWN)
		return outside_to_stack(p, now, &key, &plan, goes_on, false);
	if (!node || hops >= OUTSIDE_HOPS_MAX)
		return handover_refuse(p, now, sender);
	if (!goes_on)
		outside_remember(&key, &plan);
	return frontend_send(p, now, node, WIRE_KIND_SERVICE, true);
}

/* `hops`: how many nodes have handed it over. */
static __always_inline enum verdict handover_arrive(struct packet *p,
	const struct settings_row *now, const struct node_row *sender, __u32 hops)
{
	enum verdict verdict = handover_guard(p, now, sender);

	if (verdict != VERDICT_NEXT)
		return verdict;
	if (!packet_is_icmp_error(p))
		return handover_flow(p, now, sender, hops);
	verdict = outside_error(p, now, bpf_map_lookup_elem(&pw_node, &p->target), hops);
	return verdict == VERDICT_NEXT ? VERDICT_DROP_TUNNEL_TARGET : verdict;
}

/*
 * A reply that comes back to the node that its client knows: out by the way to the client. Of a flow
 * that this node has passed on, the client may know another node's address, and the reply goes there.
 */
static __noinline enum verdict handover_return(
	struct packet *p, const struct settings_row *now, bool passed_on)
{
	const struct node_row *from = bpf_map_lookup_elem(&pw_node, &p->source), *node;

	if (range_in_own(now, &p->source) || range_in_cluster(now, &p->source) ||
		addr_is_local_only(&p->source))
		return VERDICT_DROP_TUNNEL_SOURCE;
	if (range_in_own(now, &p->target))
		return VERDICT_DROP_TUNNEL_TARGET;
	if (from && !(from->flags & NODE_OWN))
		return passed_on ? VERDICT_DROP_TUNNEL_SOURCE
				 : frontend_send(p, now, from, WIRE_KIND_SERVICE_RETURN, true);
	p->translated = PACKET_TRANSLATED_BACK;
	node = outside_node_of(p, now, &p->target);
	if (node)
		return node->flags & NODE_OWN ? VERDICT_DROP_TUNNEL_TARGET
					      : route_to_node(p, now, node);
	return route_past_stack(p);
}
