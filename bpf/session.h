/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/flow.h"
#include "bpf/nat.h"
#include "bpf/packet.h"
#include "bpf/service.h"
#include "bpf/tables.h"

/*
 * Flows to frontends, on the node that rewrites them: the client's own for what a pod sends, the
 * backend's for what comes from outside.
 *
 * A flow leaves two records. pw_session, by what the client wrote: the way there. pw_flow, by what
 * the backend sees: the way back, with the frontend in it. Two flows that the backend could not
 * tell apart (one client port to two frontends, or to a frontend and the backend itself) must not
 * share the second record, so the later one gets another client port, which replies lose again.
 */

#define SESSION_PORT_FIRST 32768 /* for a client port that is replaced */
#define SESSION_PORTS 28000
#define SESSION_PORT_TRIES 8
#define SESSION_TICK_BITS 30 /* of nanoseconds: about a second */

static __always_inline void session_key_of(const struct packet *p, struct session_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->client = p->source;
	key->frontend = p->target;
	key->client_port = p->source_port;
	key->frontend_port = p->target_port;
	key->protocol = p->protocol;
}

/* The same on all nodes: whoever receives a flow later comes to the same choice. */
static __always_inline __u32 session_hash(const struct session_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 hash = 0;
	unsigned int i;

	for (i = 0; i < sizeof(*key) / sizeof(*words); i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return (__u32)hash;
}

/* May a UDP flow stay with its backend? Looked up only after endpoints have changed. */
static __always_inline bool session_still_serves(
	const struct service_row *row, struct session_row *session)
{
	struct member_key key = {.set = row->serving, .port = session->backend_port};

	if (row->serving && session->serving == row->serving)
		return true;
	key.addr = session->backend;
	if (!bpf_map_lookup_elem(&pw_member, &key))
		return false;
	session->serving = row->serving;
	return true;
}

/*
 * A packet more. In the Service's row once a second, for that look costs more than all the rest of
 * the counting.
 */
static __always_inline void session_note(struct session_row *session, const struct addr *frontend)
{
	struct usage_key key = {.port = session->port, .family = addr_is_v4(frontend) ? 4 : 6};
	__u64 now_ns = bpf_ktime_get_coarse_ns();
	bool is_due = (now_ns ^ session->last_ns) >> SESSION_TICK_BITS;
	struct usage_row *usage;

	session->last_ns = now_ns;
	session->packets++;
	if (!is_due || !session->port)
		return;
	usage = bpf_map_lookup_elem(&pw_usage, &key);
	if (usage)
		__sync_fetch_and_add(&usage->packets, session->packets - session->counted);
	session->counted = session->packets;
}

/*
 * The session of a flow that goes on; NULL: it begins, or its backend has gone. TCP stays with its
 * backend to the end, whatever becomes of that one or of the Service, whose row is then NULL; and it
 * chooses anew with each SYN.
 */
static __noinline struct session_row *session_find(
	const struct packet *p, const struct service_row *row, const struct session_key *key)
{
	struct session_row *session;

	/* Of a connection that begins where there is no Service any more, the rest is not one's either. */
	if (packet_opens_tcp(p) && !row)
		bpf_map_delete_elem(&pw_session, key);
	if (packet_opens_tcp(p) || (!row && p->protocol == IPPROTO_UDP))
		return NULL;
	session = bpf_map_lookup_elem(&pw_session, key);
	if (session && row && p->protocol == IPPROTO_UDP && !session_still_serves(row, session))
		return NULL;
	if (session)
		session_note(session, &key->frontend);
	return session;
}

/* Is the record, under this client port, of this very flow? Only then may the flow have it. */
static __always_inline bool session_owns(
	const struct flow_row *flow, __be16 port, const struct session_key *key)
{
	return addr_equal(&flow->frontend, &key->frontend) &&
	       flow->frontend_port == key->frontend_port &&
	       (flow->client_port ? flow->client_port : port) == key->client_port;
}

/*
 * Writes the way back under a client port that is free, the client's own if that can be. Returns
 * the port, or 0 where none was found.
 */
static __always_inline __be16 session_record_back(
	struct flow_key *back, struct flow_row *flow, const struct session_key *key)
{
	bool of_pod = flow->opener == FLOW_OPENER_POD;
	__be16 port = key->client_port;
	int i;

	for (i = 0; i < SESSION_PORT_TRIES; i++) {
		const struct flow_row *held;

		if (of_pod)
			back->pod_port = port;
		else
			back->peer_port = port;
		held = bpf_map_lookup_elem(&pw_flow, back);
		if (!held || session_owns(held, port, key)) {
			flow->client_port = port == key->client_port ? 0 : key->client_port;
			return bpf_map_update_elem(&pw_flow, back, flow, BPF_ANY) ? 0 : port;
		}
		port = bpf_htons(SESSION_PORT_FIRST + bpf_get_prandom_u32() % SESSION_PORTS);
	}
	return 0;
}

/* A flow that begins: to which backend, and whose end is rewritten here. */
struct session_plan {
	struct addr backend;
	struct addr via; /* the node that replies go back through; unspecified: none */
	__u64 serving;
	__u64 port; /* of service_row; 0: the flow is to no frontend */
	__be16 backend_port;
	__u8 opener; /* FLOW_OPENER_POD: a pod of this node; FLOW_OPENER_PEER: the backend is here */
	__u8 pad[5];
};

static __always_inline void session_plan_set(struct session_plan *plan, enum flow_opener opener,
	const struct service_row *row, const struct backend_row *backend)
{
	plan->opener = opener;
	plan->backend = backend->addr;
	plan->backend_port = backend->port;
	plan->serving = row->serving;
	plan->port = row->port;
}

/*
 * The record of the way back, and the port that the backend sees; 0: none was free. A pod that is
 * its own backend sees the frontend as its client, since nobody takes packets from himself.
 */
static __always_inline __be16 session_begin_back(
	const struct session_key *key, const struct session_plan *plan)
{
	bool hairpin = addr_equal(&key->client, &plan->backend);
	struct flow_row flow = {};
	struct flow_key back;

	__builtin_memset(&back, 0, sizeof(back));
	back.protocol = key->protocol;
	if (plan->opener == FLOW_OPENER_POD && !hairpin) {
		back.pod = key->client;
		back.peer = plan->backend;
		back.peer_port = plan->backend_port;
		flow.opener = FLOW_OPENER_POD;
	} else {
		back.pod = plan->backend;
		back.pod_port = plan->backend_port;
		back.peer = hairpin ? key->frontend : key->client;
		flow.opener = FLOW_OPENER_PEER;
	}
	flow.frontend = key->frontend;
	flow.frontend_port = key->frontend_port;
	flow.via = plan->via;
	return session_record_back(&back, &flow, key);
}

static __always_inline int session_begin_forth(
	const struct session_key *key, const struct session_plan *plan, __be16 port)
{
	struct session_row session = {.backend = plan->backend,
		.backend_port = plan->backend_port,
		.client_port = port,
		.serving = plan->serving,
		.last_ns = bpf_ktime_get_coarse_ns(),
		.packets = 1,
		.counted = 1,
		.port = plan->port,
		.via = plan->via};

	return (int)bpf_map_update_elem(&pw_session, key, &session, BPF_ANY);
}

/* Begins a flow; -1 where no client port is free. Not static: verified once. */
__noinline int session_begin(const struct session_key *key, const struct session_plan *plan)
{
	__be16 port = key && plan ? session_begin_back(key, plan) : 0;

	if (!port)
		return -1;
	if (plan->port)
		service_count(plan->port, &key->frontend, 1);
	return session_begin_forth(key, plan, port);
}

/* On the way there: to the backend. */
static __always_inline int session_rewrite(struct packet *p, const struct session_row *session)
{
	struct nat_ends to;

	nat_ends_of(p, &to);
	if (addr_equal(&session->backend, &p->source))
		to.source = p->target;
	to.source_port = session->client_port;
	to.target = session->backend;
	to.target_port = session->backend_port;
	return nat_rewrite(p, &to);
}

/* On the way back: from the frontend. */
static __always_inline int session_rewrite_back(struct packet *p, const struct flow_row *flow)
{
	struct nat_ends to;

	nat_ends_of(p, &to);
	if (addr_equal(&flow->frontend, &p->target))
		to.target = p->source;
	to.source = flow->frontend;
	to.source_port = flow->frontend_port;
	if (flow->client_port)
		to.target_port = flow->client_port;
	return nat_rewrite(p, &to);
}

/*
 * ICMP errors are about packets of flows, and must speak of what their receiver knows. Either way:
 * who gets the error has sent the quoted packet.
 */

/* To a client, about a packet to the backend: it was sent to the frontend. */
static __always_inline int session_rewrite_error_back(
	struct packet *p, const struct packet_quote *quote, const struct flow_row *flow)
{
	struct nat_ends outer, quoted = {};

	nat_ends_of(p, &outer);
	if (addr_equal(&p->source, &quote->target))
		outer.source = flow->frontend;
	quoted.source = quote->source;
	quoted.source_port = flow->client_port ? flow->client_port : quote->source_port;
	quoted.target = flow->frontend;
	quoted.target_port = flow->frontend_port;
	return nat_rewrite_quoted(p, &outer, &quoted);
}

/* To a backend, about a reply: the backend has sent it, from its own address. */
static __always_inline int session_rewrite_error(
	struct packet *p, const struct packet_quote *quote, const struct session_row *session)
{
	struct nat_ends outer, quoted = {};

	nat_ends_of(p, &outer);
	outer.target = session->backend;
	quoted.source = session->backend;
	quoted.source_port = session->backend_port;
	quoted.target = quote->target;
	quoted.target_port = session->client_port;
	return nat_rewrite_quoted(p, &outer, &quoted);
}
