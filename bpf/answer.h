/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <linux/tcp.h>

#include "bpf/packet.h"
#include "bpf/tables.h"

/*
 * Answers made here: a TCP reset or an ICMP error takes the place of the packet and goes back by
 * the device that it came from. Checksums are written whole. A packet from a virtual device may
 * count on an offload (CHECKSUM_PARTIAL); its answer returns by that device, which verifies none.
 *
 * The answer is built on the stack in one buffer, pseudo header first, so that one sum over the
 * buffer is the transport checksum.
 */

struct answer_pseudo {
	struct addr source;
	struct addr target;
	__be32 length;
	__be32 protocol;
};

struct answer_icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 mtu; /* of a packet that is too big; IPv4: its upper half is unused */
};

#define ICMP_UNREACHABLE 3
#define ICMP_HOST 1
#define ICMP_PORT 3
#define ICMP_TOO_BIG 4
#define ICMPV6_TOO_BIG 2
#define ICMPV6_UNREACHABLE 1
#define ICMPV6_ADDRESS 3
#define ICMPV6_PORT 4
#define ANSWER_TTL 64
#define ANSWER_QUOTED 8 /* bytes of the transport header, RFC 792 */

static __always_inline __u16 checksum_fold(__s64 sum)
{
	__u32 folded = (__u32)sum;

	folded = (folded & 0xffff) + (folded >> 16);
	folded = (folded & 0xffff) + (folded >> 16);
	return (__u16)~folded;
}

static __always_inline __s64 answer_pseudo_sum(const struct packet *p, __u8 protocol, __u32 length)
{
	struct answer_pseudo pseudo;

	if (p->family == 4) {
		__be32 header[3] = {p->source.words[3], p->target.words[3],
			bpf_htonl((__u32)protocol << 16 | length)};

		return bpf_csum_diff(NULL, 0, header, sizeof(header), 0);
	}
	pseudo.source = p->source;
	pseudo.target = p->target;
	pseudo.length = bpf_htonl(length);
	pseudo.protocol = bpf_htonl(protocol);
	return bpf_csum_diff(NULL, 0, (__be32 *)&pseudo, sizeof(pseudo), 0);
}

/* The IP header of the answer, from the packet's target to its source. */
static __always_inline int answer_write_ip(
	struct __sk_buff *skb, const struct packet *p, __u8 protocol, __u16 length)
{
	if (p->family == 4) {
		struct iphdr ip = {
			.version = 4,
			.ihl = 5,
			.tot_len = bpf_htons(sizeof(ip) + length),
			.ttl = ANSWER_TTL,
			.protocol = protocol,
			.saddr = p->target.words[3],
			.daddr = p->source.words[3],
		};

		ip.check = checksum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&ip, sizeof(ip), 0));
		return (int)bpf_skb_store_bytes(skb, packet_l2, &ip, sizeof(ip), 0);
	}
	struct ipv6hdr ip = {
		.version = 6,
		.payload_len = bpf_htons(length),
		.nexthdr = protocol,
		.hop_limit = ANSWER_TTL,
	};

	__builtin_memcpy(&ip.saddr, &p->target, sizeof(ip.saddr));
	__builtin_memcpy(&ip.daddr, &p->source, sizeof(ip.daddr));
	return (int)bpf_skb_store_bytes(skb, packet_l2, &ip, sizeof(ip), 0);
}

/* Back to where it came from; the caller has written what the frame holds. */
static __always_inline int answer_swap_macs(struct __sk_buff *skb)
{
	__u8 macs[2 * ETH_ALEN], swapped[2 * ETH_ALEN];

	if (!packet_l2)
		return 0;
	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)) < 0)
		return -1;
	__builtin_memcpy(swapped, macs + ETH_ALEN, ETH_ALEN);
	__builtin_memcpy(swapped + ETH_ALEN, macs, ETH_ALEN);
	return (int)bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0);
}

static __always_inline __u32 answer_ip_size(const struct packet *p)
{
	return p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/*
 * RFC 9293 3.5.2: the reset of a connection that does not exist. Neither this nor the next one is
 * static: verified once. What the verifier knows of *p ends there, p->skb too.
 */
__noinline int answer_write_reset(struct __sk_buff *skb, struct packet *p)
{
	struct tcphdr was, tcp = {};
	__u32 l4, data;

	if (!p)
		return VERDICT_DROP_INTERNAL;
	l4 = packet_l2 + answer_ip_size(p);
	if (bpf_skb_load_bytes(skb, p->l4, &was, sizeof(was)) < 0)
		return VERDICT_DROP_MALFORMED;
	tcp.source = was.dest;
	tcp.dest = was.source;
	tcp.doff = sizeof(tcp) / 4;
	tcp.rst = 1;
	if (was.ack) {
		tcp.seq = was.ack_seq;
	} else {
		data = skb->len - p->l4 - was.doff * 4 + was.syn + was.fin;
		tcp.ack = 1;
		tcp.ack_seq = bpf_htonl(bpf_ntohl(was.seq) + data);
	}
	tcp.check = checksum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&tcp, sizeof(tcp),
		(__wsum)answer_pseudo_sum(p, IPPROTO_TCP, sizeof(tcp))));
	if (bpf_skb_change_tail(skb, l4 + sizeof(tcp), 0) < 0 ||
		answer_write_ip(skb, p, IPPROTO_TCP, sizeof(tcp)) < 0 ||
		bpf_skb_store_bytes(skb, l4, &tcp, sizeof(tcp), 0) < 0 ||
		answer_swap_macs(skb) < 0)
		return VERDICT_DROP_INTERNAL;
	return VERDICT_ANSWER_RESET;
}

struct answer_quote {
	struct answer_icmp icmp;
	__u8 quoted[sizeof(struct ipv6hdr) + ANSWER_QUOTED];
};

/* An ICMP error about the packet takes its place. 0, or the verdict that drops it. */
__noinline int answer_write_error(
	struct __sk_buff *skb, struct packet *p, __u8 type, __u8 code, __u16 mtu)
{
	struct answer_quote answer = {.icmp = {.type = type, .code = code}};
	__u32 quoted, length;
	__s64 sum = 0;

	if (!p)
		return VERDICT_DROP_INTERNAL;
	quoted = answer_ip_size(p) + ANSWER_QUOTED;
	length = sizeof(struct answer_icmp) + quoted;
	if (p->l4 != packet_l2 + answer_ip_size(p))
		return VERDICT_DROP_HEADERS;
	answer.icmp.mtu = bpf_htonl(mtu);
	if (p->family == 4) {
		if (bpf_skb_load_bytes(skb, packet_l2, answer.quoted,
			    sizeof(struct iphdr) + ANSWER_QUOTED) < 0)
			return VERDICT_DROP_MALFORMED;
	} else {
		if (bpf_skb_load_bytes(skb, packet_l2, answer.quoted,
			    sizeof(struct ipv6hdr) + ANSWER_QUOTED) < 0)
			return VERDICT_DROP_MALFORMED;
		sum = answer_pseudo_sum(p, IPPROTO_ICMPV6, length);
	}
	/* What the buffer holds beyond an IPv4 quotation is zero and adds nothing. */
	answer.icmp.checksum = checksum_fold(
		bpf_csum_diff(NULL, 0, (__be32 *)&answer, sizeof(answer), (__wsum)sum));
	if (bpf_skb_change_tail(skb, packet_l2 + quoted, 0) < 0 ||
		bpf_skb_adjust_room(skb, (__s32)(length - ANSWER_QUOTED), BPF_ADJ_ROOM_MAC, 0) <
			0)
		return VERDICT_DROP_INTERNAL;
	if (answer_write_ip(skb, p, p->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, (__u16)length) < 0 ||
		bpf_skb_store_bytes(skb, packet_l2 + answer_ip_size(p), &answer,
			p->family == 4 ? sizeof(answer) - 20 : sizeof(answer), 0) < 0 ||
		answer_swap_macs(skb) < 0)
		return VERDICT_DROP_INTERNAL;
	return VERDICT_NEXT;
}

static __always_inline enum verdict answer_reset(struct packet *p)
{
	struct __sk_buff *skb = p->skb;
	enum verdict verdict = (enum verdict)answer_write_reset(skb, p);

	p->skb = skb;
	return verdict;
}

static __always_inline enum verdict answer_error(
	struct packet *p, __u8 type, __u8 code, __u16 mtu)
{
	struct __sk_buff *skb = p->skb;
	enum verdict verdict = (enum verdict)answer_write_error(skb, p, type, code, mtu);

	p->skb = skb;
	return verdict;
}

/* RFC 792, RFC 4443 3.1: a port for UDP, the host for all else. */
static __always_inline enum verdict answer_unreachable(struct packet *p)
{
	bool port = p->protocol == IPPROTO_UDP;
	enum verdict verdict;

	if (p->family == 4)
		verdict = answer_error(p, ICMP_UNREACHABLE, port ? ICMP_PORT : ICMP_HOST, 0);
	else
		verdict = answer_error(
			p, ICMPV6_UNREACHABLE, port ? ICMPV6_PORT : ICMPV6_ADDRESS, 0);
	return verdict == VERDICT_NEXT ? VERDICT_ANSWER_UNREACHABLE : verdict;
}

/* RFC 1191, RFC 4443 3.2. */
static __always_inline enum verdict answer_too_big(struct packet *p, __u16 mtu)
{
	enum verdict verdict = p->family == 4
				       ? answer_error(p, ICMP_UNREACHABLE, ICMP_TOO_BIG, mtu)
				       : answer_error(p, ICMPV6_TOO_BIG, 0, mtu);

	return verdict == VERDICT_NEXT ? VERDICT_ANSWER_TOO_BIG : verdict;
}

/* To whom an answer would do harm or say nothing: errors, resets, many receivers. */
static __always_inline bool answer_is_due(const struct packet *p)
{
	if (p->fragment == FRAGMENT_LATER || addr_is_to_many(&p->source) ||
		addr_is_local_only(&p->source))
		return false;
	if (p->protocol == IPPROTO_TCP)
		return !(p->tcp_flags & TCP_FLAG_RST_);
	if (p->protocol == IPPROTO_ICMP)
		return p->icmp_type == 8;
	if (p->protocol == IPPROTO_ICMPV6)
		return p->icmp_type == 128;
	return p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP;
}

/* For an address of this node's range that no pod holds; the caller sends the answer back. */
static __always_inline enum verdict answer_nobody(struct packet *p)
{
	if (!answer_is_due(p))
		return VERDICT_DROP_NO_NODE;
	return p->protocol == IPPROTO_TCP ? answer_reset(p) : answer_unreachable(p);
}

/*
 * Sends an answer by the device that the packet came from; to what the node's own stack sends it
 * comes in by the device that the packet would leave by.
 */
static __always_inline enum verdict answer_back(struct packet *p, enum verdict verdict)
{
	bool own = p->hook == HOOK_TO_WIRE;

	if (verdict < VERDICT_DROP_FIRST) {
		p->redirect = p->skb->ifindex;
		p->action = (int)bpf_redirect(p->skb->ifindex, own ? BPF_F_INGRESS : 0);
	}
	return verdict;
}

/* For an address and port of a Service that leads nowhere; the caller sends the answer back. */
static __always_inline enum verdict answer_refusal(struct packet *p)
{
	enum verdict verdict;

	if (!answer_is_due(p))
		return VERDICT_DROP_SERVICE_NONE;
	verdict = p->protocol == IPPROTO_TCP ? answer_reset(p) : answer_unreachable(p);
	if (verdict == VERDICT_ANSWER_RESET)
		return VERDICT_REFUSE_RESET;
	return verdict == VERDICT_ANSWER_UNREACHABLE ? VERDICT_REFUSE_UNREACHABLE : verdict;
}
