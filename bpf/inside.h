/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/frontend.h"

/* What pods send to frontends: translated on the spot, on their own node. */

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

/*
 * From a pod: translated on the spot. VERDICT_NEXT: where to is for the next step, which sees
 * the backend as the target.
 */
static __noinline enum verdict inside_from_pod(struct packet *p, const struct settings_row *now)
{
	const struct service_row *row = inside_frontend(p);
	struct session_plan plan = {};
	const struct backend_row *backend;
	struct session_row *session;
	struct session_key key;

	if (!row)
		return frontend_none(p, now);
	if (!service_admits(row, &p->source))
		return VERDICT_DROP_SERVICE_SOURCE;
	session_key_of(p, &key);
	session = session_find(p, row, &key);
	if (!session) {
		backend = service_choose(row, &row->inside, &p->source, session_hash(&key));
		if (!backend)
			return frontend_refuse(p, &row->inside);
		session_plan_set(&plan, FLOW_OPENER_POD, row, backend);
		if (session_begin(&key, &plan) < 0)
			return VERDICT_DROP_SERVICE_PORTS;
		hint_set(p->skb->ifindex, HINT_CLIENT | HINT_BACKEND);
		session = bpf_map_lookup_elem(&pw_session, &key);
		if (!session)
			return VERDICT_DROP_INTERNAL;
	}
	p->translated = PACKET_TRANSLATED_FORTH;
	return session_rewrite(p, session) < 0 ? VERDICT_DROP_INTERNAL : VERDICT_NEXT;
}
