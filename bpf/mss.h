/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <linux/tcp.h>

#include "bpf/packet.h"

/*
 * The largest segment that one end of a TCP connection says it takes (RFC 9293 3.7.1). Where the
 * packets of a connection go through the tunnel and neither end knows, both ends are told what fits:
 * this is cheaper than to find it out, and an IPv6 underlay fragments nothing.
 */

#define MSS_OPTION 2
#define MSS_OPTION_LENGTH 4
#define MSS_OPTIONS_MAX 8 /* that are looked at; it is the first one nearly always */

struct mss_option {
	__u8 kind;
	__u8 length;
	__be16 most;
};

static __always_inline int mss_write(
	struct __sk_buff *skb, __u32 l4, __u32 at, __be16 was, __be16 will)
{
	__be16 from = was, to = will;

	/* At an odd offset each byte is the other one of a word of the checksum. */
	if ((at - l4) % 2) {
		from = (__be16)__builtin_bswap16(was);
		to = (__be16)__builtin_bswap16(will);
	}
	if (bpf_l4_csum_replace(
		    skb, l4 + offsetof(struct tcphdr, check), from, to, sizeof(to)) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, at, &will, sizeof(will), 0) < 0 ? -1 : 0;
}

/* Not static: verified once. What the verifier knows of *p ends here, p->skb too. */
__noinline int mss_apply(struct __sk_buff *skb, struct packet *p, __u16 most)
{
	struct mss_option option;
	__u32 at, end;
	__u8 offset;
	int i;

	if (!p || bpf_skb_load_bytes(skb, p->l4 + 12, &offset, sizeof(offset)) < 0)
		return -1;
	at = p->l4 + sizeof(struct tcphdr);
	end = p->l4 + (offset >> 4) * 4;
	for (i = 0; i < MSS_OPTIONS_MAX && at + sizeof(option) <= end; i++) {
		if (bpf_skb_load_bytes(skb, at, &option, sizeof(option)) < 0 || !option.kind)
			return 0;
		if (option.kind == MSS_OPTION && option.length == MSS_OPTION_LENGTH)
			return bpf_ntohs(option.most) <= most
				       ? 0
				       : mss_write(skb, p->l4, at + 2, option.most,
						 bpf_htons(most));
		if (option.kind != 1 && option.length < 2)
			return 0;
		at += option.kind == 1 ? 1 : option.length;
	}
	return 0;
}

/* Of a SYN, from either end: no more than fits into packets of `mtu` bytes. */
static __always_inline int mss_clamp(struct packet *p, __u16 mtu)
{
	__u32 headers = sizeof(struct tcphdr) +
			(p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	struct __sk_buff *skb = p->skb;
	int r;

	if (p->protocol != IPPROTO_TCP || p->fragment == FRAGMENT_LATER ||
		!(p->tcp_flags & TCP_FLAG_SYN_) || mtu <= headers)
		return 0;
	r = mss_apply(skb, p, (__u16)(mtu - headers));
	p->skb = skb;
	return r;
}
