/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <linux/tcp.h>
#include <linux/udp.h>

#include "bpf/packet.h"

/*
 * Rewrites the ends of a packet, and keeps *p and all checksums right: by differences, so that the
 * cost does not grow with the packet, and what a device has still to compute stays its own.
 */

#define BPF_F_IPV6_ (1U << 7) /* BPF_F_IPV6, newer than some headers */

struct nat_ends {
	struct addr source;
	struct addr target;
	__be16 source_port;
	__be16 target_port;
	__u32 pad;
};

struct nat_sctp {
	__be16 ports[2];
	__be32 tag;
	__le32 checksum;
};

/* Where the checksum stands that covers addresses and ports; 0: there is none. */
static __always_inline __u32 nat_checksum_at(const struct packet *p)
{
	if (p->fragment == FRAGMENT_LATER)
		return 0;
	switch (p->protocol) {
	case IPPROTO_TCP:
		return p->l4 + offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		return p->l4 + offsetof(struct udphdr, check);
	case IPPROTO_ICMPV6:
		return p->l4 + 2;
	default:
		return 0;
	}
}

/* UDP over IPv4 may do without a checksum, which is then zero and stays so. */
static __always_inline __u64 nat_checksum_flags(const struct packet *p)
{
	return p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

static __always_inline long nat_addr_ipv4(
	struct __sk_buff *skb, const struct packet *p, __u32 at, __be32 from, __be32 to)
{
	__u32 check = nat_checksum_at(p);

	if (check && bpf_l4_csum_replace(skb, check, from, to,
			     nat_checksum_flags(p) | BPF_F_PSEUDO_HDR | sizeof(to)) < 0)
		return -1;
	if (bpf_l3_csum_replace(skb, packet_l2 + offsetof(struct iphdr, check), from, to,
		    sizeof(to)) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, packet_l2 + at, &to, sizeof(to), 0);
}

/*
 * IPv6 has no checksum of its own that would make up for the address, so a sum over the whole
 * packet (CHECKSUM_COMPLETE) must not be touched. Kernels before 6.16 have no flag that says so and
 * touch it: there it is put right again.
 */
static __always_inline long nat_sum_ipv6(
	struct __sk_buff *skb, const struct packet *p, __u32 check, __s64 difference)
{
	__u64 flags = nat_checksum_flags(p) | BPF_F_PSEUDO_HDR;
	long r = bpf_l4_csum_replace(skb, check, 0, (__u64)difference, flags | BPF_F_IPV6_);

	if (r != -22) /* EINVAL: an unknown flag */
		return r;
	r = bpf_l4_csum_replace(skb, check, 0, (__u64)difference, flags);
	if (r == 0)
		bpf_csum_update(skb, (__wsum)difference);
	return r;
}

static __always_inline long nat_addr_ipv6(struct __sk_buff *skb, const struct packet *p, __u32 at,
	const struct addr *was, const struct addr *will)
{
	struct addr from = *was, to = *will;
	__s64 difference =
		bpf_csum_diff(from.words, sizeof(from.words), to.words, sizeof(to.words), 0);
	__u32 check = nat_checksum_at(p);

	if (check && nat_sum_ipv6(skb, p, check, difference) < 0)
		return -1;
	if (!check)
		bpf_csum_update(skb, (__wsum)difference);
	return bpf_skb_store_bytes(skb, packet_l2 + at, &to, sizeof(to), 0);
}

static __always_inline int nat_addr(
	struct __sk_buff *skb, struct packet *p, bool source, const struct addr *to)
{
	struct addr *now = source ? &p->source : &p->target;
	long r;

	if (addr_equal(now, to))
		return 0;
	if (p->family == 4)
		r = nat_addr_ipv4(skb, p,
			source ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr),
			now->words[3], to->words[3]);
	else
		r = nat_addr_ipv6(skb, p,
			source ? offsetof(struct ipv6hdr, saddr)
			       : offsetof(struct ipv6hdr, daddr),
			now, to);
	*now = *to;
	return r < 0 ? -1 : 0;
}

#define NAT_CRC32C 0x82f63b78U /* RFC 9260 appendix A, bits reversed */

/*
 * The remainder of a polynomial times another one, both modulo that of CRC32c. Not static, so that
 * the verifier walks it once for all callers.
 */
__noinline __u32 nat_crc_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;
	int i;

	for (i = 0; i < 32; i++) {
		product ^= -(a >> 31) & b;
		a <<= 1;
		b = (b >> 1) ^ (-(b & 1) & NAT_CRC32C);
	}
	return product;
}

/*
 * CRC32c is linear: what changes in the first four bytes of a message changes its checksum by the
 * remainder of the difference times x to the power of the bits behind. Addresses are not in it.
 */
static __always_inline __u32 nat_crc_shift(__u32 crc, __u32 zeroes)
{
	__u32 power = 0x00800000U; /* x^8: one byte */
	int i;

	for (i = 0; i < 16; i++) {
		if (zeroes & 1U << i)
			crc = nat_crc_multiply(power, crc);
		power = nat_crc_multiply(power, power);
	}
	return crc;
}

static __always_inline int nat_sctp_checksum(
	struct __sk_buff *skb, const struct packet *p, __u32 offset, __be16 from, __be16 to)
{
	__u32 at = p->l4 + offsetof(struct nat_sctp, checksum), length = p->end - p->l4;
	__u32 changed = (__u32)(from ^ to) << (offset * 8), i;
	__be32 was[2] = {from}, will[2] = {to}; /* a card's sum over the packet counts all bytes */
	__le32 checksum;

	/* Of a fragmented message nobody here knows the length. */
	if (p->fragment != FRAGMENT_NONE ||
		bpf_skb_load_bytes(skb, at, &checksum, sizeof(checksum)) < 0)
		return -1;
	/* Zero: the sender's device, real or not, computes it when the packet has its last form. */
	if (!checksum || length < sizeof(struct nat_sctp))
		return 0;
	for (i = 0; i < 32; i++)
		changed = (changed >> 1) ^ (-(changed & 1) & NAT_CRC32C);
	was[1] = checksum;
	checksum ^= nat_crc_shift(changed, length - 4);
	will[1] = checksum;
	bpf_csum_update(skb, (__wsum)bpf_csum_diff(was, sizeof(was), will, sizeof(will), 0));
	return bpf_skb_store_bytes(skb, at, &checksum, sizeof(checksum), 0) < 0 ? -1 : 0;
}

static __always_inline int nat_port(
	struct __sk_buff *skb, struct packet *p, bool source, __be16 port)
{
	__be16 *now = source ? &p->source_port : &p->target_port, from = *now;
	__u32 offset = source ? 0 : 2, check = nat_checksum_at(p);

	if (from == port)
		return 0;
	*now = port;
	if (p->fragment == FRAGMENT_LATER)
		return 0;
	if (check && bpf_l4_csum_replace(skb, check, from, port,
			     nat_checksum_flags(p) | sizeof(port)) < 0)
		return -1;
	if (p->protocol == IPPROTO_SCTP && nat_sctp_checksum(skb, p, offset, from, port) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, p->l4 + offset, &port, sizeof(port), 0) < 0 ? -1 : 0;
}

/* Not static: verified once. What the verifier knows of *p ends here, p->skb too. */
__noinline int nat_apply(struct __sk_buff *skb, struct packet *p, const struct nat_ends *to)
{
	if (!p || !to)
		return -1;
	if (nat_addr(skb, p, true, &to->source) < 0 || nat_addr(skb, p, false, &to->target) < 0 ||
		nat_port(skb, p, true, to->source_port) < 0 ||
		nat_port(skb, p, false, to->target_port) < 0)
		return -1;
	return 0;
}

static __always_inline int nat_rewrite(struct packet *p, const struct nat_ends *to)
{
	struct __sk_buff *skb = p->skb;
	int r = nat_apply(skb, p, to);

	p->skb = skb;
	return r;
}

static __always_inline void nat_ends_of(const struct packet *p, struct nat_ends *ret_ends)
{
	ret_ends->source = p->source;
	ret_ends->target = p->target;
	ret_ends->source_port = p->source_port;
	ret_ends->target_port = p->target_port;
	ret_ends->pad = 0;
}

/* The quoted packet of an ICMP error. Over IPv4 its own checksum makes up for its addresses. */
static __always_inline int nat_quoted_addr(struct __sk_buff *skb, const struct packet *p,
	bool source, const struct addr *was, const struct addr *will)
{
	__u32 quote = p->l4 + PACKET_QUOTE_AT;
	struct addr from = *was, to = *will;

	if (addr_equal(&from, &to))
		return 0;
	if (p->family == 4) {
		__u32 at = source ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr);

		if (bpf_l3_csum_replace(skb, quote + offsetof(struct iphdr, check), from.words[3],
			    to.words[3], sizeof(__be32)) < 0)
			return -1;
		return (int)bpf_skb_store_bytes(skb, quote + at, &to.words[3], sizeof(__be32), 0);
	}
	if (bpf_l4_csum_replace(skb, p->l4 + 2, 0,
		    (__u64)bpf_csum_diff(from.words, sizeof(from), to.words, sizeof(to), 0), 0) < 0)
		return -1;
	quote += source ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr);
	return (int)bpf_skb_store_bytes(skb, quote, &to, sizeof(to), 0);
}

static __always_inline int nat_quoted_port(
	struct __sk_buff *skb, const struct packet *p, bool source, __be16 from, __be16 to)
{
	__u32 at = p->l4 + PACKET_QUOTE_AT + (source ? 0 : 2);

	at += p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	if (from == to)
		return 0;
	if (bpf_l4_csum_replace(skb, p->l4 + 2, from, to, sizeof(to)) < 0)
		return -1;
	return (int)bpf_skb_store_bytes(skb, at, &to, sizeof(to), 0);
}

/*
 * The quoted packet gets the ends `quoted`; the outer one, whose ports are 0, the addresses `outer`.
 * A quoted transport checksum is left as it is: nobody verifies one of which a part is missing.
 */
__noinline int nat_apply_quoted(struct __sk_buff *skb, struct packet *p,
	const struct nat_ends *outer, const struct nat_ends *quoted)
{
	struct packet_quote now;

	if (!p || !outer || !quoted || packet_quoted(skb, p, &now) < 0)
		return -1;
	if (nat_quoted_addr(skb, p, true, &now.source, &quoted->source) < 0 ||
		nat_quoted_addr(skb, p, false, &now.target, &quoted->target) < 0 ||
		nat_quoted_port(skb, p, true, now.source_port, quoted->source_port) < 0 ||
		nat_quoted_port(skb, p, false, now.target_port, quoted->target_port) < 0)
		return -1;
	return nat_addr(skb, p, true, &outer->source) < 0 ||
			       nat_addr(skb, p, false, &outer->target) < 0
		       ? -1
		       : 0;
}

static __always_inline int nat_rewrite_quoted(
	struct packet *p, const struct nat_ends *outer, const struct nat_ends *quoted)
{
	struct __sk_buff *skb = p->skb;
	int r = nat_apply_quoted(skb, p, outer, quoted);

	p->skb = skb;
	return r;
}
