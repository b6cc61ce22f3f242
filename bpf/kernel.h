/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/packet.h"

/*
 * Whether a flow is the kernel's own: of a connection that a process of this node has, or one that
 * the kernel translates. A port of a Service may be the port that the kernel chose for such a flow,
 * whose packets are none of the Service's.
 */

/* linux/netfilter/nf_conntrack_bpf.h; the kernel has them or not, as it was built. */
struct nf_conn {
	int opaque;
};

struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};
#define KERNEL_CONNTRACK_REPLY 1 /* IP_CT_DIR_REPLY */

struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple,
	__u32 tuple_size, struct bpf_ct_opts *options, __u32 options_size) __weak __ksym;
void bpf_ct_release(struct nf_conn *entry) __weak __ksym;

/* From a peer to this node. */
struct kernel_flow {
	struct addr peer;
	struct addr own;
	__be16 peer_port;
	__be16 own_port;
	__u8 protocol;
	__u8 pad[3];
};

static __always_inline __u32 kernel_tuple(
	const struct kernel_flow *flow, struct bpf_sock_tuple *ret_tuple)
{
	if (addr_is_v4(&flow->peer)) {
		ret_tuple->ipv4.saddr = flow->peer.words[3];
		ret_tuple->ipv4.daddr = flow->own.words[3];
		ret_tuple->ipv4.sport = flow->peer_port;
		ret_tuple->ipv4.dport = flow->own_port;
		return sizeof(ret_tuple->ipv4);
	}
	__builtin_memcpy(ret_tuple->ipv6.saddr, &flow->peer, sizeof(flow->peer));
	__builtin_memcpy(ret_tuple->ipv6.daddr, &flow->own, sizeof(flow->own));
	ret_tuple->ipv6.sport = flow->peer_port;
	ret_tuple->ipv6.dport = flow->own_port;
	return sizeof(ret_tuple->ipv6);
}

/* A connection of a process. One that only listens has to give way to the Service. */
static __always_inline bool kernel_has_socket(struct __sk_buff *skb,
	const struct kernel_flow *flow, struct bpf_sock_tuple *tuple, __u32 size)
{
	struct bpf_sock *sock;
	bool connected;

	if (flow->protocol == IPPROTO_TCP)
		sock = bpf_sk_lookup_tcp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		sock = bpf_sk_lookup_udp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return false;
	connected = sock->state != BPF_TCP_LISTEN && sock->dst_port == flow->peer_port;
	bpf_sk_release(sock);
	return connected;
}

/* An answer: the flow was opened from here, by a process or by a pod whose address it bears not. */
static __always_inline bool kernel_has_entry(struct __sk_buff *skb,
	const struct kernel_flow *flow, struct bpf_sock_tuple *tuple, __u32 size)
{
	struct bpf_ct_opts options = {.netns_id = -1, .l4proto = flow->protocol};
	struct nf_conn *entry;

	if (!bpf_skb_ct_lookup || !bpf_ct_release)
		return false;
	entry = bpf_skb_ct_lookup(skb, tuple, size, &options, sizeof(options));
	if (!entry)
		return false;
	bpf_ct_release(entry);
	return options.dir == KERNEL_CONNTRACK_REPLY;
}

/* Not static: verified once. */
__noinline int kernel_has(struct __sk_buff *skb, const struct kernel_flow *flow)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size;

	if (!flow || (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP))
		return 0;
	size = kernel_tuple(flow, &tuple);
	return kernel_has_entry(skb, flow, &tuple, size) ||
	       kernel_has_socket(skb, flow, &tuple, size);
}
