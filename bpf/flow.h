/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <stdbool.h>

#include "bpf/packet.h"
#include "bpf/tables.h"

/*
 * Who opened a flow. A TCP SYN always leaves a record at the pod, so that whoever needs it later
 * finds it. Nothing is looked up here unless a decision hangs on it: that is the masquerading of
 * what leaves the cluster, which is for flows that the pod opened and for no others.
 */

static __always_inline void flow_key_of_sender(const struct packet *p, struct flow_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->pod = p->source;
	key->peer = p->target;
	key->pod_port = p->source_port;
	key->peer_port = p->target_port;
	key->protocol = p->protocol;
}

static __always_inline void flow_key_of_receiver(const struct packet *p, struct flow_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->pod = p->target;
	key->peer = p->source;
	key->pod_port = p->target_port;
	key->peer_port = p->source_port;
	key->protocol = p->protocol;
}

static __always_inline void flow_record(const struct flow_key *key, enum flow_opener opener)
{
	struct flow_row row = {.opener = opener};

	bpf_map_update_elem(&pw_flow, key, &row, BPF_ANY);
}

/*
 * Of one end of the packet's flow, as its opener says. TCP that opens a connection is always written
 * anew; a look before the rest, because even a refused update takes a row out of a full table. Not
 * inlined: a program's stack has 512 bytes.
 */
static __noinline void flow_note(const struct packet *p, enum flow_opener opener)
{
	struct flow_key key;

	if (opener == FLOW_OPENER_POD)
		flow_key_of_sender(p, &key);
	else
		flow_key_of_receiver(p, &key);
	if (packet_opens_tcp(p) || !bpf_map_lookup_elem(&pw_flow, &key))
		flow_record(&key, opener);
}

/* A new connection from the pod that sends. */
static __always_inline void flow_open_by_pod(const struct packet *p)
{
	if (packet_opens_tcp(p))
		flow_note(p, FLOW_OPENER_POD);
}

/* A new connection to the pod that receives; `outside`: its peer is not of the cluster. */
static __always_inline void flow_open_by_peer(const struct packet *p, bool outside)
{
	if (p->fragment == FRAGMENT_LATER)
		return;
	if (packet_opens_tcp(p) ||
		(outside && (p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP)))
		flow_note(p, FLOW_OPENER_PEER);
}

/*
 * Later fragments borrow ports and protocol of their first, for what they say themselves is not
 * theirs to say: of IPv6 only the first one's next header counts, and between the fragment header
 * and the transport others may stand, which only the first one has (RFC 8200 4.5).
 */
static __noinline enum verdict flow_fragment_ports(struct packet *p)
{
	struct fragment_row *row, fresh;
	struct fragment_key key;

	__builtin_memset(&key, 0, sizeof(key));
	key.source = p->source;
	key.target = p->target;
	key.id = p->fragment_id;
	key.protocol = p->family == 4 ? p->protocol : IPPROTO_FRAGMENT;
	if (p->fragment == FRAGMENT_FIRST) {
		__builtin_memset(&fresh, 0, sizeof(fresh));
		fresh.source_port = p->source_port;
		fresh.target_port = p->target_port;
		fresh.protocol = p->protocol;
		bpf_map_update_elem(&pw_fragment, &key, &fresh, BPF_ANY);
		return VERDICT_NEXT;
	}
	row = bpf_map_lookup_elem(&pw_fragment, &key);
	if (!row)
		return VERDICT_DROP_FRAGMENT;
	p->source_port = row->source_port;
	p->target_port = row->target_port;
	p->protocol = row->protocol;
	return VERDICT_NEXT;
}

static __always_inline enum verdict flow_fragment(struct packet *p)
{
	return p->fragment == FRAGMENT_NONE ? VERDICT_NEXT : flow_fragment_ports(p);
}

/* The flow whose packet, sent to this pod, an ICMP error of the pod quotes. */
static __always_inline bool flow_key_of_quoted(const struct packet *p, struct flow_key *key)
{
	struct packet_quote quote;

	if (packet_quoted(p->skb, p, &quote) < 0)
		return false;
	__builtin_memset(key, 0, sizeof(*key));
	key->peer = quote.source;
	key->pod = quote.target;
	key->peer_port = quote.source_port;
	key->pod_port = quote.target_port;
	key->protocol = quote.protocol;
	return addr_equal(&key->pod, &p->source);
}

static __always_inline bool packet_is_icmp_reply(const struct packet *p)
{
	return p->family == 4 ? p->protocol == IPPROTO_ICMP && p->icmp_type == 0
			      : p->protocol == IPPROTO_ICMPV6 && p->icmp_type == 129;
}

/*
 * Did the outside open the flow to which this packet of a pod belongs? Where nothing is known the
 * answer is no: a flow that the kernel translates has an entry there, which decides by itself.
 */
static __always_inline bool flow_is_of_peer(const struct packet *p)
{
	const struct flow_row *row;
	struct flow_key key;

	if (packet_is_icmp_reply(p))
		return true;
	if (packet_opens_tcp(p))
		return false;
	if (packet_is_icmp_error(p)) {
		if (!flow_key_of_quoted(p, &key))
			return false;
	} else {
		flow_key_of_sender(p, &key);
	}
	row = bpf_map_lookup_elem(&pw_flow, &key);
	if (row)
		return row->opener == FLOW_OPENER_PEER;
	if (p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP)
		flow_record(&key, FLOW_OPENER_POD);
	return false;
}
