/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/addr.h"
#include "abi/probe.h"

/*
 * Frames for the packet tests. A row of a test table says who sends what to whom, without a
 * family; frame_build() writes that as IPv4 or IPv6 with right checksums, so that each row runs
 * in both. What a row gets wrong on purpose is a field of its own.
 */

#define FRAME_SIZE_MAX 2048
#define FRAME_MAC_SIZE 6

enum frame_kind {
	FRAME_TCP,
	FRAME_UDP,
	FRAME_SCTP,
	FRAME_ECHO,
	FRAME_ECHO_REPLY,
	FRAME_PORT_UNREACHABLE, /* quotes a UDP datagram from `target` to `source`, ports reversed */
	FRAME_ICMP, /* of the type in .icmp_type, with eight bytes behind */
	FRAME_DHCP_REQUEST, /* to the server's port */
	FRAME_DHCP_OFFER, /* to the client's port */
	FRAME_ARP, /* IPv4 only */
	FRAME_ETHERTYPE, /* of the type in .ethertype, with zeroes behind */
	FRAME_IPIP, /* IP in IP of the same family */
	FRAME_PROBE, /* by UDP, with the highest TTL */
};

enum frame_fragment { FRAME_WHOLE, FRAME_FIRST, FRAME_LATER };

enum frame_flag { FRAME_FIN = 0x01, FRAME_SYN = 0x02, FRAME_RST = 0x04, FRAME_ACK = 0x10 };

struct frame_spec {
	enum frame_kind kind;
	int source, target; /* enum role, see scene.h */
	uint16_t source_port, target_port;
	uint8_t tcp_flags;
	uint8_t icmp_type;
	uint16_t ethertype;
	uint16_t payload; /* bytes behind the transport header */
	enum frame_fragment fragment;
	uint32_t fragment_id;
	uint16_t fragment_offset; /* of a later fragment, in bytes; default 800 */
	bool may_not_fragment; /* IPv4: DF */
	bool source_route; /* IPv4 option LSRR, IPv6 routing header */
	uint8_t option; /* IPv4: an option of this type; IPv6: ignored */
	int extensions; /* IPv6: so many destination options headers; IPv4: ignored */
	bool fragment_header; /* IPv6: an atomic fragment; IPv4: ignored */
	bool extension_behind; /* IPv6: destination options between fragment header and transport */
	bool fragment_twice; /* IPv6: a second fragment header behind the first */
	bool dead; /* TTL or hop limit 0 */
	int foreign_mac; /* the sender's MAC is somebody else's */
	bool not_for_us; /* the frame is for another MAC */
	bool foreign_quote; /* the datagram that an error quotes went from `source` to `target` */
	bool quotes_fragment; /* the datagram that an error quotes is a later fragment */
	bool for_many; /* the frame is for a group's MAC */
	int cut; /* bytes taken off the end */
	int claim; /* added to the length field of the IP header */
	int version; /* added to the version field */
	bool bad_header_length; /* IPv4: IHL 4 */
	uint32_t sequence, acknowledged;
	uint16_t mss; /* TCP: an option that says so, */
	uint8_t mss_at; /* behind so many that say nothing */
	struct probe probe; /* its magic number and version are added to what is right */
	int ttl; /* added to the right TTL */
};

/* The addresses and MACs of one frame; the scene fills them from the row's hosts. */
struct frame_ends {
	int family; /* 4 or 6 */
	struct addr source, target;
	uint8_t source_mac[FRAME_MAC_SIZE], target_mac[FRAME_MAC_SIZE];
};

/* Writes the frame and returns its length. */
size_t frame_build(const struct frame_spec *spec, const struct frame_ends *ends, uint8_t *frame);

/* What a frame says, read without any of podwire's code. */
struct frame_read {
	struct frame_ends ends;
	uint8_t protocol;
	uint8_t tcp_flags;
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_mtu;
	uint16_t source_port, target_port;
	uint32_t sequence, acknowledged;
	uint16_t mss; /* 0: not said */
	bool checksums_right;
	struct addr quoted_source, quoted_target; /* of an ICMP error */
	uint16_t quoted_source_port, quoted_target_port;
	bool quote_right; /* the quoted header's own checksum */
};

/* false where the frame is no whole IP packet without extension headers. */
bool frame_parse(const uint8_t *frame, size_t length, struct frame_read *ret_read);
