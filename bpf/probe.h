/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <linux/udp.h>

#include "abi/probe.h"
#include "bpf/answer.h"
#include "bpf/packet.h"
#include "bpf/route.h"
#include "bpf/tables.h"

/*
 * Probes between nodes, see abi/probe.h. They are answered here and not by the agent, so that they
 * take the way that packets of pods take, past the node's firewall and reverse-path filter, and are
 * answered while the agent is away; nothing listens on a port for them, and a flood fills no queue.
 */

#define PROBE_CHANGED offsetof(struct probe, version) /* the word in which an answer differs */

static __always_inline const struct node_row *probe_router(const struct addr *addr, __u32 own)
{
	const struct node_row *row = bpf_map_lookup_elem(&pw_node, addr);

	return row && (row->flags & (NODE_ROUTER | NODE_OWN)) == (NODE_ROUTER | own) ? row : NULL;
}

/* The neighbor that a packet of this node's own stack asks, or NULL where it is no question. */
static __always_inline const struct node_row *probe_to_neighbor(const struct packet *p)
{
	if (p->protocol != IPPROTO_UDP || p->target_port != bpf_htons(PROBE_PORT) ||
		!probe_router(&p->source, NODE_OWN))
		return NULL;
	return probe_router(&p->target, 0);
}

/* Reads what the packet says. A header is where it is without options, or the packet is none. */
static __always_inline bool probe_read(const struct packet *p, struct probe *ret_probe)
{
	__u32 ip = p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr), ttl_at;
	__u8 ttl;

	ttl_at = p->family == 4 ? offsetof(struct iphdr, ttl) : offsetof(struct ipv6hdr, hop_limit);
	if (p->fragment != FRAGMENT_NONE || p->l4 != packet_l2 + ip ||
		p->end - p->l4 != sizeof(struct udphdr) + sizeof(*ret_probe) ||
		bpf_skb_load_bytes(p->skb, packet_l2 + ttl_at, &ttl, sizeof(ttl)) < 0 ||
		bpf_skb_load_bytes(p->skb, p->l4 + sizeof(struct udphdr), ret_probe,
			sizeof(*ret_probe)) < 0)
		return false;
	return ttl == PROBE_TTL && ret_probe->magic == bpf_htonl(PROBE_MAGIC) &&
	       ret_probe->version == PROBE_VERSION;
}

/*
 * Exchanging both ends changes no checksum. The MACs too: to ask for the neighbor's would hold up
 * whatever else goes there, and where its reverse-path filter is strict it answers no ARP request
 * that names this packet's source.
 */
static __always_inline int probe_turn_round(struct packet *p)
{
	__be16 ports[2] = {p->target_port, p->source_port};

	if (p->family == 4) {
		__be32 ends[2] = {p->target.words[3], p->source.words[3]};

		if (bpf_skb_store_bytes(p->skb, packet_l2 + offsetof(struct iphdr, saddr), ends,
			    sizeof(ends), 0) < 0)
			return -1;
	} else {
		struct addr ends[2] = {p->target, p->source};

		if (bpf_skb_store_bytes(p->skb, packet_l2 + offsetof(struct ipv6hdr, saddr), ends,
			    sizeof(ends), 0) < 0)
			return -1;
	}
	if (bpf_skb_store_bytes(p->skb, p->l4, ports, sizeof(ports), 0) < 0)
		return -1;
	return answer_swap_macs(p->skb);
}

static __always_inline enum verdict probe_answer(
	struct packet *p, struct probe *probe, const struct node_row *asker)
{
	__u32 at = p->l4 + sizeof(struct udphdr) + PROBE_CHANGED, was, is;

	__builtin_memcpy(&was, (char *)probe + PROBE_CHANGED, sizeof(was));
	probe->kind = PROBE_ANSWER;
	probe->flags = asker->flags & NODE_INVITED ? PROBE_TAKEN : 0;
	probe->pad = 0;
	__builtin_memcpy(&is, (char *)probe + PROBE_CHANGED, sizeof(is));
	if (bpf_l4_csum_replace(p->skb, p->l4 + offsetof(struct udphdr, check), was, is,
		    BPF_F_MARK_MANGLED_0 | sizeof(is)) < 0 ||
		bpf_skb_store_bytes(p->skb, at, &is, sizeof(is), BPF_F_RECOMPUTE_CSUM) < 0 ||
		probe_turn_round(p) < 0)
		return VERDICT_DROP_INTERNAL;
	p->redirect = p->skb->ifindex;
	p->action = (int)bpf_redirect(p->skb->ifindex, 0);
	return VERDICT_ANSWER_PROBE;
}

/* What answers the question is kept for the agent; each question is answered once. */
static __always_inline enum verdict probe_take(struct packet *p, const struct probe *probe)
{
	struct probe_row *row = bpf_map_lookup_elem(&pw_probe, &p->source);

	if (!row || !row->nonce || row->nonce != probe->nonce)
		return VERDICT_DROP_PROBE;
	row->nonce = 0;
	row->flags = probe->flags;
	row->answered = 1;
	p->action = TC_ACT_SHOT;
	return VERDICT_TAKE_PROBE;
}

/* VERDICT_NEXT: it is between others than a neighbor's own address and this node's. */
static __always_inline enum verdict probe_from_wire(struct packet *p)
{
	const struct node_row *other;
	struct probe probe;

	if (p->protocol != IPPROTO_UDP || p->skb->pkt_type != PACKET_HOST ||
		(p->target_port != bpf_htons(PROBE_PORT) && p->source_port != bpf_htons(PROBE_PORT)))
		return VERDICT_NEXT;
	other = probe_router(&p->source, 0);
	if (!other || other->ifindex != p->skb->ifindex || !probe_router(&p->target, NODE_OWN))
		return VERDICT_NEXT;
	if (!probe_read(p, &probe))
		return VERDICT_DROP_PROBE;
	if (probe.kind == PROBE_QUESTION && p->target_port == bpf_htons(PROBE_PORT))
		return probe_answer(p, &probe, other);
	if (probe.kind == PROBE_ANSWER && p->source_port == bpf_htons(PROBE_PORT))
		return probe_take(p, &probe);
	return VERDICT_DROP_PROBE;
}
