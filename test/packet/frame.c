// SPDX-License-Identifier: Apache-2.0
#include "frame.h"

#include <endian.h>

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#define SCTP_HEADER_SIZE 12
#define SCTP_CHECKSUM_AT 8
#define DHCP_PAYLOAD 240

static uint32_t sum_bytes(uint32_t sum, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* The checksum of a transport segment under its pseudo header. ICMP over IPv4 has none. */
static uint16_t sum_transport(
	const struct frame_ends *ends, uint8_t protocol, const void *segment, size_t length)
{
	uint32_t sum = 0;

	if (protocol != IPPROTO_ICMP) {
		size_t skip = ends->family == 4 ? 12 : 0;

		sum = sum_bytes(sum, ends->source.bytes + skip, 16 - skip);
		sum = sum_bytes(sum, ends->target.bytes + skip, 16 - skip);
		sum += (uint32_t)length + protocol;
	}
	return sum_fold(sum_bytes(sum, segment, length));
}

static uint8_t protocol_of(const struct frame_spec *spec, int family)
{
	switch (spec->kind) {
	case FRAME_TCP:
		return IPPROTO_TCP;
	case FRAME_UDP:
	case FRAME_DHCP_REQUEST:
	case FRAME_DHCP_OFFER:
	case FRAME_PROBE:
		return IPPROTO_UDP;
	case FRAME_SCTP:
		return IPPROTO_SCTP;
	case FRAME_IPIP:
		return family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	default:
		return family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	}
}

static size_t tcp_options_size(const struct frame_spec *spec)
{
	return spec->mss ? (spec->mss_at + TCPOLEN_MAXSEG + 3U) / 4 * 4 : 0;
}

static void write_tcp_options(const struct frame_spec *spec, uint8_t *at)
{
	uint16_t mss = htons(spec->mss);

	if (!spec->mss)
		return;
	memset(at, TCPOPT_NOP, tcp_options_size(spec));
	at += spec->mss_at;
	at[0] = TCPOPT_MAXSEG;
	at[1] = TCPOLEN_MAXSEG;
	memcpy(at + 2, &mss, sizeof(mss));
}

static size_t write_tcp(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at)
{
	size_t header = sizeof(struct tcphdr) + tcp_options_size(spec);
	size_t length = header + spec->payload;
	struct tcphdr *tcp = (void *)at;

	tcp->source = htons(spec->source_port);
	tcp->dest = htons(spec->target_port);
	tcp->seq = htonl(spec->sequence);
	tcp->ack_seq = htonl(spec->acknowledged);
	tcp->doff = (header / 4) & 0xf;
	tcp->th_flags = spec->tcp_flags;
	tcp->window = htons(1000);
	write_tcp_options(spec, at + sizeof(*tcp));
	tcp->check = sum_transport(ends, IPPROTO_TCP, at, length);
	return length;
}

static size_t write_udp(const struct frame_ends *ends, uint16_t source_port, uint16_t target_port,
	size_t payload, uint8_t *at)
{
	size_t length = sizeof(struct udphdr) + payload;
	struct udphdr *udp = (void *)at;

	udp->source = htons(source_port);
	udp->dest = htons(target_port);
	udp->len = htons((uint16_t)length);
	udp->check = sum_transport(ends, IPPROTO_UDP, at, length);
	return length;
}

static size_t write_dhcp(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at)
{
	uint16_t server = ends->family == 4 ? 67 : 547, client = ends->family == 4 ? 68 : 546;

	if (spec->kind == FRAME_DHCP_OFFER)
		return write_udp(ends, server, client, DHCP_PAYLOAD, at);
	return write_udp(ends, client, server, DHCP_PAYLOAD, at);
}

static size_t write_probe(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at)
{
	struct probe probe = spec->probe;

	probe.magic += htonl(PROBE_MAGIC);
	probe.version = (uint8_t)(probe.version + PROBE_VERSION);
	memcpy(at + sizeof(struct udphdr), &probe, sizeof(probe));
	return write_udp(ends, spec->source_port, spec->target_port,
		sizeof(probe) + spec->payload, at);
}

static uint8_t ttl_of(const struct frame_spec *spec)
{
	if (spec->dead)
		return 0;
	return (uint8_t)((spec->kind == FRAME_PROBE ? PROBE_TTL : 64) + spec->ttl);
}

/* RFC 9260 appendix A, bit by bit; the field itself counts as zero. */
static uint32_t sctp_checksum(const uint8_t *at, size_t length)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < length; i++) {
		crc ^= i >= SCTP_CHECKSUM_AT && i < SCTP_CHECKSUM_AT + 4U ? 0 : at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78U : crc >> 1;
	}
	return ~crc;
}

static size_t write_sctp(const struct frame_spec *spec, uint8_t *at)
{
	uint16_t ports[2] = {htons(spec->source_port), htons(spec->target_port)};
	size_t length = SCTP_HEADER_SIZE + spec->payload;
	uint32_t checksum;

	memcpy(at, ports, sizeof(ports));
	memset(at + SCTP_HEADER_SIZE, 0xab, spec->payload);
	checksum = htole32(sctp_checksum(at, length));
	memcpy(at + SCTP_CHECKSUM_AT, &checksum, sizeof(checksum));
	return length;
}

static size_t write_icmp(
	const struct frame_ends *ends, uint8_t type, uint8_t code, size_t payload, uint8_t *at)
{
	uint8_t protocol = ends->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	size_t length = sizeof(struct icmp6_hdr) + payload;
	struct icmp6_hdr *icmp = (void *)at; /* type, code, checksum: as in IPv4 */
	uint16_t sum;

	icmp->icmp6_type = type;
	icmp->icmp6_code = code;
	sum = sum_transport(ends, protocol, at, length);
	icmp->icmp6_cksum = sum;
	return length;
}

static size_t write_ip(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at);

/* The quoted datagram went the other way: from this packet's target to its source. */
static size_t write_error(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at)
{
	struct frame_spec quoted = {.kind = FRAME_UDP, .source_port = spec->target_port,
		.target_port = spec->source_port,
		.fragment = spec->quotes_fragment ? FRAME_LATER : FRAME_WHOLE};
	struct frame_ends turned = {.family = ends->family, .source = ends->target,
		.target = ends->source};
	size_t length = write_ip(&quoted, spec->foreign_quote ? ends : &turned, at + sizeof(struct icmp6_hdr));

	if (ends->family == 4)
		return write_icmp(ends, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, length, at);
	return write_icmp(ends, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, length, at);
}

static size_t write_transport(
	const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at)
{
	struct frame_spec inner = {.kind = FRAME_UDP, .source_port = 1, .target_port = 2};
	bool v4 = ends->family == 4;

	switch (spec->kind) {
	case FRAME_TCP:
		return write_tcp(spec, ends, at);
	case FRAME_UDP:
		return write_udp(ends, spec->source_port, spec->target_port, spec->payload, at);
	case FRAME_SCTP:
		return write_sctp(spec, at);
	case FRAME_ECHO:
		return write_icmp(ends, v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0, spec->payload, at);
	case FRAME_ECHO_REPLY:
		return write_icmp(ends, v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY, 0, spec->payload, at);
	case FRAME_PORT_UNREACHABLE:
		return write_error(spec, ends, at);
	case FRAME_ICMP:
		return write_icmp(ends, spec->icmp_type, 0, spec->payload + 8U, at);
	case FRAME_IPIP:
		return write_ip(&inner, ends, at);
	case FRAME_PROBE:
		return write_probe(spec, ends, at);
	default:
		return write_dhcp(spec, ends, at);
	}
}

#define IPV4_OPTIONS_SIZE 8
#define LATER_OFFSET 800

static uint16_t later_offset(const struct frame_spec *spec)
{
	return spec->fragment_offset ? spec->fragment_offset : LATER_OFFSET;
}

static size_t write_ipv4(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at)
{
	static const uint8_t one_address[IPV4_OPTIONS_SIZE] = {IPOPT_LSRR, 7, 4, 192, 0, 2, 77, 0};
	size_t header = sizeof(struct iphdr), length;
	struct iphdr *ip = (void *)at;

	if (spec->source_route || spec->option) {
		memcpy(at + header, one_address, sizeof(one_address));
		if (spec->option)
			at[header] = spec->option;
		header += sizeof(one_address);
	}
	length = header + write_transport(spec, ends, at + header);
	ip->version = (unsigned int)(4 + spec->version) & 0xf;
	ip->ihl = spec->bad_header_length ? 4 : (header / 4) & 0xf;
	ip->tot_len = htons((uint16_t)((int)length + spec->claim));
	ip->id = htons((uint16_t)spec->fragment_id);
	if (spec->may_not_fragment)
		ip->frag_off = htons(IP_DF);
	if (spec->fragment == FRAME_FIRST)
		ip->frag_off = htons(IP_MF);
	else if (spec->fragment == FRAME_LATER)
		ip->frag_off = htons(later_offset(spec) / 8);
	ip->ttl = ttl_of(spec);
	ip->protocol = protocol_of(spec, 4);
	ip->saddr = ends->source.words[3];
	ip->daddr = ends->target.words[3];
	ip->check = sum_fold(sum_bytes(0, at, header));
	return length;
}

static size_t write_routing_header(uint8_t next, uint8_t *at)
{
	at[0] = next;
	at[1] = 2; /* one address: 8 + 16 bytes */
	at[2] = 0; /* type 0, RFC 5095 */
	at[3] = 1; /* one segment left */
	return 24;
}

static size_t write_options_header(uint8_t next, uint8_t *at)
{
	static const uint8_t pad_of_six[8] = {0, 0, 1, 4, 0, 0, 0, 0};

	memcpy(at, pad_of_six, sizeof(pad_of_six));
	at[0] = next;
	return sizeof(pad_of_six);
}

static size_t write_fragment_header(const struct frame_spec *spec, uint8_t next, uint8_t *at)
{
	struct ip6_frag *fragment = (void *)at;

	fragment->ip6f_nxt = next;
	fragment->ip6f_ident = htonl(spec->fragment_id);
	if (spec->fragment == FRAME_FIRST)
		fragment->ip6f_offlg = IP6F_MORE_FRAG;
	else if (spec->fragment == FRAME_LATER)
		fragment->ip6f_offlg = htons(later_offset(spec));
	return sizeof(*fragment);
}

/* A chain: each header names the next, so the name of the first goes to the IPv6 header. */
static size_t write_extensions(const struct frame_spec *spec, uint8_t *first, uint8_t *at)
{
	bool fragment = spec->fragment != FRAME_WHOLE || spec->fragment_header;
	const struct frame_spec atomic = {.fragment_id = spec->fragment_id + 1};
	uint8_t last = protocol_of(spec, 6);
	size_t length = 0, behind = spec->fragment_twice ? 8 : 0;

	*first = last;
	if (spec->source_route) {
		*first = IPPROTO_ROUTING;
		length += write_routing_header(last, at);
	}
	for (int i = 0; i < spec->extensions; i++) {
		bool more = i + 1 < spec->extensions || fragment;

		*first = IPPROTO_DSTOPTS;
		length += write_options_header(
			i + 1 < spec->extensions ? IPPROTO_DSTOPTS : more ? IPPROTO_FRAGMENT : last,
			at + length);
	}
	if (!fragment)
		return length;
	if (!spec->extensions)
		*first = IPPROTO_FRAGMENT;
	if (spec->extension_behind) {
		write_options_header(last, at + length + 8 + behind);
		last = IPPROTO_DSTOPTS;
		behind += 8;
	}
	if (spec->fragment_twice) {
		write_fragment_header(&atomic, last, at + length + 8);
		last = IPPROTO_FRAGMENT;
	}
	return length + write_fragment_header(spec, last, at + length) + behind;
}

static size_t write_ipv6(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at)
{
	uint8_t *next = at + sizeof(struct ip6_hdr), first;
	struct ip6_hdr *ip = (void *)at;
	size_t length;

	length = write_extensions(spec, &first, next);
	length += write_transport(spec, ends, next + length);
	ip->ip6_flow = htonl((uint32_t)((6 + spec->version) & 0xf) << 28);
	ip->ip6_plen = htons((uint16_t)((int)length + spec->claim));
	ip->ip6_nxt = first;
	ip->ip6_hlim = ttl_of(spec);
	memcpy(&ip->ip6_src, &ends->source, sizeof(ip->ip6_src));
	memcpy(&ip->ip6_dst, &ends->target, sizeof(ip->ip6_dst));
	return sizeof(*ip) + length;
}

static size_t write_ip(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *at)
{
	return ends->family == 4 ? write_ipv4(spec, ends, at) : write_ipv6(spec, ends, at);
}

/* RFC 826: a reply that claims the source's address for the sender's MAC. */
static size_t write_arp(const struct frame_ends *ends, uint8_t *at)
{
	static const uint8_t ethernet_ipv4_reply[8] = {0, 1, 8, 0, 6, 4, 0, 2};

	memcpy(at, ethernet_ipv4_reply, sizeof(ethernet_ipv4_reply));
	memcpy(at + 8, ends->source_mac, FRAME_MAC_SIZE);
	memcpy(at + 14, ends->source.bytes + 12, 4);
	memcpy(at + 18, ends->target_mac, FRAME_MAC_SIZE);
	memcpy(at + 24, ends->target.bytes + 12, 4);
	return 28;
}

size_t frame_build(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *frame)
{
	struct ether_header *ethernet = (void *)frame;
	uint16_t type = ends->family == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6;
	size_t length = sizeof(*ethernet);

	memset(frame, 0, FRAME_SIZE_MAX);
	memcpy(ethernet->ether_shost, ends->source_mac, FRAME_MAC_SIZE);
	memcpy(ethernet->ether_dhost, ends->target_mac, FRAME_MAC_SIZE);
	ethernet->ether_shost[FRAME_MAC_SIZE - 1] ^= spec->foreign_mac ? 0x55 : 0;
	ethernet->ether_dhost[FRAME_MAC_SIZE - 1] ^= spec->not_for_us ? 0x55 : 0;
	ethernet->ether_dhost[0] |= spec->for_many ? 1 : 0;
	if (spec->kind == FRAME_ARP) {
		type = ETHERTYPE_ARP;
		length += write_arp(ends, frame + length);
	} else if (spec->kind == FRAME_ETHERTYPE) {
		type = spec->ethertype;
		length += 46;
	} else {
		length += write_ip(spec, ends, frame + length);
	}
	ethernet->ether_type = htons(type);
	return length - (size_t)spec->cut;
}

/* The ends of what an ICMP error quotes; whether its IPv4 header still sums up. */
static void parse_quote(struct frame_read *read, const uint8_t *at, size_t length)
{
	const size_t header = read->ends.family == 4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	uint16_t ports[2];

	if (length < header + sizeof(ports))
		return;
	if (read->ends.family == 4) {
		const struct iphdr *ip = (const void *)at;

		addr_set_v4(&read->quoted_source, ip->saddr);
		addr_set_v4(&read->quoted_target, ip->daddr);
		read->quote_right = sum_fold(sum_bytes(0, at, header)) == 0;
	} else {
		const struct ip6_hdr *ip = (const void *)at;

		memcpy(&read->quoted_source, &ip->ip6_src, sizeof(read->quoted_source));
		memcpy(&read->quoted_target, &ip->ip6_dst, sizeof(read->quoted_target));
		read->quote_right = true;
	}
	memcpy(ports, at + header, sizeof(ports));
	read->quoted_source_port = ntohs(ports[0]);
	read->quoted_target_port = ntohs(ports[1]);
}

static uint16_t parse_mss(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at == TCPOPT_NOP)
		at++;
	if (end - at < TCPOLEN_MAXSEG || at[0] != TCPOPT_MAXSEG)
		return 0;
	return (uint16_t)(at[2] << 8 | at[3]);
}

static void parse_transport(struct frame_read *read, const uint8_t *at, size_t length)
{
	uint16_t ports[2];

	if (read->protocol == IPPROTO_ICMP || read->protocol == IPPROTO_ICMPV6) {
		read->icmp_type = at[0];
		read->icmp_code = at[1];
		read->icmp_mtu = (uint32_t)at[6] << 8 | at[7];
		parse_quote(read, at + sizeof(struct icmp6_hdr), length - sizeof(struct icmp6_hdr));
	} else {
		memcpy(ports, at, sizeof(ports));
		read->source_port = ntohs(ports[0]);
		read->target_port = ntohs(ports[1]);
	}
	if (read->protocol == IPPROTO_TCP) {
		const struct tcphdr *tcp = (const void *)at;

		read->tcp_flags = tcp->th_flags;
		read->sequence = ntohl(tcp->seq);
		read->acknowledged = ntohl(tcp->ack_seq);
		read->mss = parse_mss(at + sizeof(*tcp), at + tcp->doff * 4);
	}
	if (read->protocol == IPPROTO_SCTP) {
		uint32_t checksum;

		memcpy(&checksum, at + SCTP_CHECKSUM_AT, sizeof(checksum));
		read->checksums_right =
			read->checksums_right && le32toh(checksum) == sctp_checksum(at, length);
		return;
	}
	/* A segment with its checksum in place sums to zero. */
	read->checksums_right = read->checksums_right &&
				sum_transport(&read->ends, read->protocol, at, length) == 0;
}

bool frame_parse(const uint8_t *frame, size_t length, struct frame_read *ret_read)
{
	const struct ether_header *ethernet = (const void *)frame;
	const uint8_t *at = frame + sizeof(*ethernet);
	struct frame_read read = {.checksums_right = true};
	size_t header, rest = length - sizeof(*ethernet);

	memcpy(read.ends.source_mac, ethernet->ether_shost, FRAME_MAC_SIZE);
	memcpy(read.ends.target_mac, ethernet->ether_dhost, FRAME_MAC_SIZE);
	if (ethernet->ether_type == htons(ETHERTYPE_IP)) {
		const struct iphdr *ip = (const void *)at;

		read.ends.family = 4;
		header = ip->ihl * 4U;
		if (rest < header + 8 || ntohs(ip->tot_len) != rest || ip->frag_off & htons(0x3fff))
			return false;
		addr_set_v4(&read.ends.source, ip->saddr);
		addr_set_v4(&read.ends.target, ip->daddr);
		read.protocol = ip->protocol;
		read.checksums_right = sum_fold(sum_bytes(0, at, header)) == 0;
	} else if (ethernet->ether_type == htons(ETHERTYPE_IPV6)) {
		const struct ip6_hdr *ip = (const void *)at;

		read.ends.family = 6;
		header = sizeof(*ip);
		if (rest < header + 8 || ntohs(ip->ip6_plen) != rest - header)
			return false;
		memcpy(&read.ends.source, &ip->ip6_src, sizeof(read.ends.source));
		memcpy(&read.ends.target, &ip->ip6_dst, sizeof(read.ends.target));
		read.protocol = ip->ip6_nxt;
	} else {
		return false;
	}
	parse_transport(&read, at + header, rest - header);
	*ret_read = read;
	return true;
}
