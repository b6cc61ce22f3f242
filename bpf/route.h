/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "abi/wire.h"
#include "bpf/flow.h"
#include "bpf/packet.h"
#include "bpf/range.h"
#include "bpf/tables.h"

/* Where a packet goes. Each step ends in one redirect, or hands the packet to the node's stack. */

#define TUNNEL_TTL 64
#define AF_INET_ 2
#define AF_INET6_ 10

static __always_inline enum verdict route_by_queue(struct packet *p, const struct pod_row *pod)
{
	struct bpf_redir_neigh next = {};

	if (p->family == 4) {
		next.nh_family = AF_INET_;
		next.ipv4_nh = p->target.words[3];
	} else {
		next.nh_family = AF_INET6_;
		__builtin_memcpy(next.ipv6_nh, &p->target, sizeof(next.ipv6_nh));
	}
	p->redirect = pod->ifindex;
	p->action = (int)bpf_redirect_neigh(pod->ifindex, &next, sizeof(next), 0);
	return VERDICT_DELIVER;
}

/*
 * Into a pod of this node, past its egress hook: what must be decided there is decided before. One
 * with a limit is reached through the queue of its link; the MACs are those of the neighbor entry
 * that the agent made.
 */
static __always_inline enum verdict route_deliver(struct packet *p, const struct pod_row *pod)
{
	/* A frame out of the tunnel is for the tunnel's own MAC and would be dropped as foreign. */
	bpf_skb_change_type(p->skb, PACKET_HOST);
	if (pod->flags & POD_SHAPED)
		return route_by_queue(p, pod);
	p->redirect = pod->ifindex;
	p->action = bpf_redirect_peer(pod->ifindex, 0);
	return VERDICT_DELIVER;
}

/* The mark of what was judged where it was sent to the tunnel's device; not that to masquerade. */
static __always_inline bool route_is_judged(
	const struct __sk_buff *skb, const struct settings_row *now)
{
	return now && now->ready && (skb->mark & now->mark_mask) == (now->mark_mask & ~now->mark);
}

static __noinline int route_set_tunnel_key(struct __sk_buff *skb,
	const struct settings_row *now, const struct addr *remote, __u32 vni)
{
	struct bpf_tunnel_key key = {.tunnel_id = vni, .tunnel_ttl = TUNNEL_TTL};

	if (addr_is_v4(remote)) {
		key.remote_ipv4 = bpf_ntohl(remote->words[3]);
		key.local_ipv4 = bpf_ntohl(now->tunnel_source[SETTINGS_IPV4].words[3]);
		return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX);
	}
	__builtin_memcpy(key.remote_ipv6, remote, sizeof(key.remote_ipv6));
	__builtin_memcpy(
		key.local_ipv6, &now->tunnel_source[SETTINGS_IPV6], sizeof(key.local_ipv6));
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6);
}

static __always_inline enum verdict route_tunnel_as(struct packet *p,
	const struct settings_row *now, const struct node_row *node, __u32 vni)
{
	if (route_set_tunnel_key(p->skb, now, &node->underlay, vni) < 0)
		return VERDICT_DROP_INTERNAL;
	/* Tells to_tunnel that the key is there already. */
	p->skb->mark = (p->skb->mark & ~now->mark_mask) | (now->mark_mask & ~now->mark);
	p->redirect = now->tunnel_ifindex;
	p->action = bpf_redirect(now->tunnel_ifindex, 0);
	return VERDICT_TUNNEL;
}

static __always_inline enum verdict route_tunnel(
	struct packet *p, const struct settings_row *now, const struct node_row *node)
{
	return route_tunnel_as(p, now, node, WIRE_VNI(WIRE_KIND_POD, 0));
}

static __always_inline enum verdict route_wire(struct packet *p, const struct node_row *node)
{
	struct bpf_redir_neigh next = {};

	if (addr_is_v4(&node->next)) {
		next.nh_family = AF_INET_;
		next.ipv4_nh = node->next.words[3];
	} else {
		next.nh_family = AF_INET6_;
		__builtin_memcpy(next.ipv6_nh, &node->next, sizeof(next.ipv6_nh));
	}
	p->redirect = node->ifindex;
	p->action = bpf_redirect_neigh(node->ifindex, &next, sizeof(next), 0);
	return VERDICT_WIRE;
}

static __always_inline enum verdict route_to_node(
	struct packet *p, const struct settings_row *now, const struct node_row *node)
{
	if (node->route == NODE_ROUTE_TUNNEL)
		return route_tunnel(p, now, node);
	if (node->route == NODE_ROUTE_WIRE)
		return route_wire(p, node);
	return VERDICT_STACK;
}

/*
 * Into the node's own stack by the tunnel's device, where its routes to pods and Services lead, of
 * what is marked as judged.
 */
static __always_inline void route_into_stack_as_marked(
	struct packet *p, const struct settings_row *now)
{
	p->redirect = now->tunnel_ifindex;
	p->action = (int)bpf_redirect(now->tunnel_ifindex, BPF_F_INGRESS);
}

/* Not inlined, so that clang does not fold the mark into a pointer that the verifier refuses. */
static __noinline __attribute__((unused)) void route_mark_judged(
	struct __sk_buff *skb, const struct settings_row *now)
{
	skb->mark = (skb->mark & ~now->mark_mask) | (now->mark_mask & ~now->mark);
}

static __always_inline void route_into_stack(struct packet *p, const struct settings_row *now)
{
	route_mark_judged(p->skb, now);
	route_into_stack_as_marked(p, now);
}

/* What the kernel's routes say of a packet between these two, which are of the family of *p. */
static __always_inline long route_find(const struct packet *p, const struct addr *from,
	const struct addr *to, struct bpf_fib_lookup *found)
{
	found->ifindex = p->skb->ifindex;
	found->l4_protocol = p->protocol;
	if (p->family == 4) {
		found->family = AF_INET_;
		found->ipv4_src = from->words[3];
		found->ipv4_dst = to->words[3];
	} else {
		found->family = AF_INET6_;
		__builtin_memcpy(found->ipv6_src, from, sizeof(found->ipv6_src));
		__builtin_memcpy(found->ipv6_dst, to, sizeof(found->ipv6_dst));
	}
	return bpf_fib_lookup(p->skb, found, sizeof(*found), BPF_FIB_LOOKUP_SKIP_NEIGH);
}

/*
 * The way that the kernel's routes say, past its stack: for the reply to a client outside who came
 * directly, and for what was translated behind the stack. The kernel's connection tracking has not
 * seen the one's request and would call it invalid, and has seen the other with other ends.
 */
static __noinline enum verdict route_past_stack(struct packet *p)
{
	struct bpf_redir_neigh next = {};
	struct bpf_fib_lookup found = {};

	if (route_find(p, &p->source, &p->target, &found) != BPF_FIB_LKUP_RET_SUCCESS)
		return VERDICT_STACK;
	next.nh_family = found.family;
	__builtin_memcpy(next.ipv6_nh, found.ipv6_dst, sizeof(next.ipv6_nh));
	p->redirect = found.ifindex;
	p->action = bpf_redirect_neigh(found.ifindex, &next, sizeof(next), 0);
	return VERDICT_WIRE;
}

/* Has the node's own stack this address, though no Node object says so? */
static __always_inline bool route_is_local(const struct packet *p)
{
	struct bpf_fib_lookup found = {};
	long r = route_find(p, &p->source, &p->target, &found);

	return r == BPF_FIB_LKUP_RET_NOT_FWDED || r == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/*
 * Out of the tunnel into the node's own stack, from a client outside: by the device by which the
 * stack would answer him. Firewalls, connection tracking and reverse-path filters expect him there.
 * from_wire, which is there too, takes off the mark and lets it pass.
 */
static __noinline __attribute__((unused)) enum verdict route_into_stack_by_wire(
	struct packet *p, const struct settings_row *now)
{
	struct bpf_fib_lookup found = {};

	if (route_find(p, &p->target, &p->source, &found) == BPF_FIB_LKUP_RET_SUCCESS) {
		route_mark_judged(p->skb, now);
		p->redirect = found.ifindex;
		p->action = (int)bpf_redirect(found.ifindex, BPF_F_INGRESS);
	}
	return VERDICT_STACK;
}

/* What leaves the cluster: masqueraded where the pod opened the flow. */
static __always_inline enum verdict route_outside(
	struct packet *p, const struct settings_row *now)
{
	if (p->protocol == IPPROTO_UDP && p->target_port == now->tunnel_port)
		return VERDICT_DROP_TUNNEL_PORT;
	if (p->translated == PACKET_TRANSLATED_BACK || flow_is_of_peer(p))
		return route_past_stack(p);
	if (!now->masquerade || range_keeps_source(now, &p->target))
		return VERDICT_STACK;
	p->skb->mark = (p->skb->mark & ~now->mark_mask) | now->mark;
	return VERDICT_MASQUERADE;
}
