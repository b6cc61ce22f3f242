/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/addr.h"
#include "abi/verdict.h"

/*
 * The parser, the only place that reads headers. It walks what the kernel would walk and no more:
 * what it does not understand ends in a named drop and is never guessed at. It takes no length
 * from a header without comparing it with the packet.
 */

/* Bytes before the IP header: 14, or 0 on a device without Ethernet. Set before load. */
const volatile __u32 packet_l2 = ETH_HLEN;

enum packet_fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

#define IPV4_MAY_NOT_FRAGMENT 0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET_MASK 0x1fff
#define IPV6_EXTENSIONS_MAX 6
#define IPPROTO_HOPOPTS_ 0
#define TCP_FLAG_SYN_ 0x02
#define TCP_FLAG_RST_ 0x04
#define TCP_FLAG_ACK_ 0x10

/* What has been done to its addresses here. */
enum packet_translated {
	PACKET_TRANSLATED_NOT,
	PACKET_TRANSLATED_FORTH, /* from a frontend to a backend */
	PACKET_TRANSLATED_BACK,
};

struct packet {
	struct __sk_buff *skb;
	struct addr source;
	struct addr target;
	__u32 l4; /* offset of the transport header */
	__u32 end; /* of what the IP header counts; behind it is padding */
	__u32 fragment_id;
	int action; /* what the kernel is told; a redirect sets it */
	__u32 redirect; /* the device that a redirect leads to, for tests and traces */
	__be16 source_port; /* 0 where the protocol has none */
	__be16 target_port;
	__u8 hook; /* enum hook */
	__u8 family; /* 4 or 6; 0: not IP */
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type; /* of ICMP or ICMPv6 */
	__u8 fragment; /* enum packet_fragment */
	__u8 has_options; /* IPv4 options or an IPv6 routing header */
	__u8 has_fragment_header; /* IPv6 */
	__u16 fragment_offset; /* in bytes */
	__u8 translated; /* enum packet_translated */
	__u8 may_not_fragment; /* IPv4: DF is set */
};

/* Makes the first `length` bytes readable in place. */
static __always_inline bool packet_has(struct __sk_buff *skb, __u32 length)
{
	if ((void *)(long)skb->data + length <= (void *)(long)skb->data_end)
		return true;
	return bpf_skb_pull_data(skb, length) == 0 &&
	       (void *)(long)skb->data + length <= (void *)(long)skb->data_end;
}

static __always_inline enum verdict packet_parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	__u32 length, header;
	struct iphdr *ip;
	__u16 fragment;

	if (!packet_has(skb, packet_l2 + sizeof(*ip)))
		return VERDICT_DROP_MALFORMED;
	ip = (void *)(long)skb->data + packet_l2;
	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return VERDICT_DROP_MALFORMED;
	header = ip->ihl * 4;
	length = bpf_ntohs(ip->tot_len);
	if (length == 0 && skb->gso_size) /* IPv4 BIG TCP */
		length = skb->len - packet_l2;
	if (ip->version != 4 || header < sizeof(*ip) || length < header ||
		length > skb->len - packet_l2)
		return VERDICT_DROP_MALFORMED;
	addr_set_v4(&p->source, ip->saddr);
	addr_set_v4(&p->target, ip->daddr);
	p->family = 4;
	p->protocol = ip->protocol;
	p->has_options = header > sizeof(*ip);
	p->l4 = packet_l2 + header;
	p->end = packet_l2 + length;
	p->fragment_id = ip->id;
	fragment = bpf_ntohs(ip->frag_off);
	p->may_not_fragment = !!(fragment & IPV4_MAY_NOT_FRAGMENT);
	p->fragment_offset = (fragment & IPV4_OFFSET_MASK) * 8;
	if (p->fragment_offset)
		p->fragment = FRAGMENT_LATER;
	else if (fragment & IPV4_MORE_FRAGMENTS)
		p->fragment = FRAGMENT_FIRST;
	return ip->ttl ? VERDICT_NEXT : VERDICT_DROP_MALFORMED;
}

struct packet_extension {
	__u8 next;
	__u8 length;
	__be16 fragment; /* of a fragment header: offset in bytes, flags in its last three bits */
	__be32 id;
};

/* A fragment of a fragment is nobody's doing but an attacker's. */
static __always_inline enum verdict packet_step_fragment(
	struct packet *p, const struct packet_extension *extension)
{
	__u16 fragment = bpf_ntohs(extension->fragment);

	if (p->has_fragment_header)
		return VERDICT_DROP_HEADERS;
	p->has_fragment_header = 1;
	p->fragment_id = extension->id;
	p->fragment_offset = fragment & 0xfff8;
	if (p->fragment_offset)
		p->fragment = FRAGMENT_LATER;
	else if (fragment & 1)
		p->fragment = FRAGMENT_FIRST;
	return VERDICT_NEXT;
}

/*
 * Steps over one extension header; VERDICT_ACCEPT says that the transport header is reached. Hop by
 * hop options stand first or nowhere (RFC 8200 4.1).
 */
static __always_inline enum verdict packet_step_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct packet_extension extension;

	/* What follows a later fragment's header is no header. */
	if (p->fragment == FRAGMENT_LATER)
		return VERDICT_ACCEPT;
	switch (p->protocol) {
	case IPPROTO_HOPOPTS_:
		if (p->l4 != packet_l2 + sizeof(struct ipv6hdr))
			return VERDICT_DROP_HEADERS;
		break;
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
		break;
	default:
		return VERDICT_ACCEPT;
	}
	if (bpf_skb_load_bytes(skb, p->l4, &extension, sizeof(extension)) < 0)
		return VERDICT_DROP_MALFORMED;
	if (p->protocol == IPPROTO_FRAGMENT) {
		if (packet_step_fragment(p, &extension) != VERDICT_NEXT)
			return VERDICT_DROP_HEADERS;
		p->l4 += 8;
	} else if (p->protocol == IPPROTO_AH) {
		p->l4 += (extension.length + 2) * 4;
	} else {
		if (p->protocol == IPPROTO_ROUTING)
			p->has_options = 1;
		p->l4 += (extension.length + 1) * 8;
	}
	p->protocol = extension.next;
	if (p->l4 > p->end)
		return VERDICT_DROP_MALFORMED;
	return VERDICT_NEXT;
}

static __always_inline enum verdict packet_parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	enum verdict verdict = VERDICT_NEXT;
	struct ipv6hdr *ip;
	__u32 length;
	int i;

	if (!packet_has(skb, packet_l2 + sizeof(*ip)))
		return VERDICT_DROP_MALFORMED;
	ip = (void *)(long)skb->data + packet_l2;
	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return VERDICT_DROP_MALFORMED;
	length = bpf_ntohs(ip->payload_len) + (__u32)sizeof(*ip);
	/* BIG TCP bears a jumbo header, which counts in no length field. */
	if (length == sizeof(*ip) && skb->gso_size)
		length = skb->len - packet_l2;
	if (ip->version != 6 || length > skb->len - packet_l2)
		return VERDICT_DROP_MALFORMED;
	__builtin_memcpy(&p->source, &ip->saddr, sizeof(p->source));
	__builtin_memcpy(&p->target, &ip->daddr, sizeof(p->target));
	/* Here ::ffff:a.b.c.d is IPv4 and nothing else, so no packet may claim it (RFC 4942 2.2). */
	if (addr_is_v4(&p->source) || addr_is_v4(&p->target))
		return VERDICT_DROP_MALFORMED;
	p->family = 6;
	p->protocol = ip->nexthdr;
	p->l4 = packet_l2 + sizeof(*ip);
	p->end = packet_l2 + length;
	if (!ip->hop_limit)
		return VERDICT_DROP_MALFORMED;
	for (i = 0; i < IPV6_EXTENSIONS_MAX && verdict == VERDICT_NEXT; i++)
		verdict = packet_step_ipv6(skb, p);
	if (verdict == VERDICT_ACCEPT)
		return VERDICT_NEXT;
	return verdict == VERDICT_NEXT ? VERDICT_DROP_HEADERS : verdict;
}

/* The least that a transport header has. */
static __always_inline __u32 packet_transport_size(const struct packet *p)
{
	switch (p->protocol) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_SCTP:
		return 12;
	case IPPROTO_UDP:
		return 8;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 4;
	default:
		return 0;
	}
}

/*
 * A header that is cut off would be filled up from the padding, and no receiver would take it. A
 * later fragment that reaches back into it would rewrite what has been judged (RFC 3128).
 */
static __always_inline enum verdict packet_parse_transport(
	struct __sk_buff *skb, struct packet *p)
{
	__u32 size = packet_transport_size(p);
	__u8 header[14];

	if (p->fragment == FRAGMENT_LATER)
		return p->fragment_offset < size ? VERDICT_DROP_MALFORMED : VERDICT_NEXT;
	if (p->l4 + size > p->end)
		return VERDICT_DROP_MALFORMED;
	switch (p->protocol) {
	case IPPROTO_TCP:
		if (bpf_skb_load_bytes(skb, p->l4, header, 14) < 0)
			return VERDICT_DROP_MALFORMED;
		p->tcp_flags = header[13];
		break;
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (bpf_skb_load_bytes(skb, p->l4, header, 8) < 0)
			return VERDICT_DROP_MALFORMED;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (bpf_skb_load_bytes(skb, p->l4, header, 4) < 0)
			return VERDICT_DROP_MALFORMED;
		p->icmp_type = header[0];
		return VERDICT_NEXT;
	default:
		return VERDICT_NEXT;
	}
	__builtin_memcpy(&p->source_port, header, 2);
	__builtin_memcpy(&p->target_port, header + 2, 2);
	return VERDICT_NEXT;
}

/*
 * Not static, so that the verifier walks it once, and walks what follows once too: not again for
 * each way in which a packet can be parsed. It ends with half a second of loading otherwise.
 */
__noinline int packet_parse_frame(struct __sk_buff *skb, struct packet *p)
{
	enum verdict verdict;
	__be16 protocol;

	if (!p)
		return VERDICT_DROP_INTERNAL;
	if (packet_l2) {
		struct ethhdr *frame;

		if (!packet_has(skb, ETH_HLEN))
			return VERDICT_DROP_MALFORMED;
		frame = (void *)(long)skb->data;
		if ((void *)(frame + 1) > (void *)(long)skb->data_end)
			return VERDICT_DROP_MALFORMED;
		protocol = frame->h_proto;
	} else {
		protocol = skb->protocol;
	}
	if (skb->vlan_present)
		return VERDICT_DROP_NOT_IP;
	if (protocol == bpf_htons(ETH_P_IP))
		verdict = packet_parse_ipv4(skb, p);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		verdict = packet_parse_ipv6(skb, p);
	else
		return VERDICT_DROP_NOT_IP;
	return verdict == VERDICT_NEXT ? packet_parse_transport(skb, p) : verdict;
}

/* Fills *p. VERDICT_DROP_NOT_IP for what is neither IPv4 nor IPv6; some hooks let that pass. */
static __always_inline enum verdict packet_parse(
	struct packet *p, struct __sk_buff *skb, enum hook hook)
{
	enum verdict verdict;

	__builtin_memset(p, 0, sizeof(*p));
	verdict = (enum verdict)packet_parse_frame(skb, p);
	p->skb = skb; /* of a pointer in there the verifier would not know afterwards */
	p->hook = hook;
	p->action = TC_ACT_UNSPEC;
	return verdict;
}

static __always_inline bool packet_opens_tcp(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && p->fragment != FRAGMENT_LATER &&
	       (p->tcp_flags & (TCP_FLAG_SYN_ | TCP_FLAG_ACK_)) == TCP_FLAG_SYN_;
}

static __always_inline bool packet_is_icmp_error(const struct packet *p)
{
	if (p->fragment == FRAGMENT_LATER)
		return false;
	if (p->family == 4)
		return p->protocol == IPPROTO_ICMP &&
		       (p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12);
	return p->protocol == IPPROTO_ICMPV6 && p->icmp_type < 128;
}

/* What an ICMP error says that it is about. */
struct packet_quote {
	struct addr source;
	struct addr target;
	__be16 source_port;
	__be16 target_port;
	__u8 protocol;
	__u8 pad[3];
};

#define PACKET_QUOTE_AT 8 /* behind the ICMP header */

/*
 * -1 where less is quoted, by the length of the packet and not of the padding behind it; where a
 * later fragment is, which has no ports; or where headers stand between that nobody follows in there.
 */
static __always_inline int packet_quoted(
	struct __sk_buff *skb, const struct packet *p, struct packet_quote *ret_quote)
{
	__u32 at = p->l4 + PACKET_QUOTE_AT;
	__u32 ip_size = p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	__be16 ports[2];

	__builtin_memset(ret_quote, 0, sizeof(*ret_quote));
	if (at + ip_size + sizeof(ports) > p->end)
		return -1;
	if (p->family == 4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) < 0 || ip.ihl != 5 ||
			ip.frag_off & bpf_htons(IPV4_OFFSET_MASK) ||
			bpf_skb_load_bytes(skb, at + sizeof(ip), ports, sizeof(ports)) < 0)
			return -1;
		addr_set_v4(&ret_quote->source, ip.saddr);
		addr_set_v4(&ret_quote->target, ip.daddr);
		ret_quote->protocol = ip.protocol;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) < 0 ||
			bpf_skb_load_bytes(skb, at + sizeof(ip), ports, sizeof(ports)) < 0)
			return -1;
		__builtin_memcpy(&ret_quote->source, &ip.saddr, sizeof(ret_quote->source));
		__builtin_memcpy(&ret_quote->target, &ip.daddr, sizeof(ret_quote->target));
		ret_quote->protocol = ip.nexthdr;
	}
	ret_quote->source_port = ports[0];
	ret_quote->target_port = ports[1];
	return 0;
}

/* 127.0.0.0/8, 0.0.0.0/8, ::1, :: */
static __always_inline bool addr_is_local_only(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->bytes[12] == 127 || a->bytes[12] == 0;
	return a->halves[0] == 0 && a->words[2] == 0 && (a->words[3] & ~bpf_htonl(1)) == 0;
}

/* 0.0.0.0, :: */
static __always_inline bool addr_is_unspecified(const struct addr *a)
{
	return a->words[3] == 0 && (addr_is_v4(a) || (a->halves[0] == 0 && a->words[2] == 0));
}

/* 224.0.0.0/3, which holds the limited broadcast, and ff00::/8 */
static __always_inline bool addr_is_to_many(const struct addr *a)
{
	return addr_is_v4(a) ? a->bytes[12] >= 224 : a->bytes[0] == 0xff;
}
