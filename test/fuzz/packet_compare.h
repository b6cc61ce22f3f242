/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The packet programs' parser compiled for user space, and a slow one written from the RFCs alone,
 * over the same bytes. What the two say has to be equal.
 */

struct packet_input {
	const uint8_t *bytes; /* an Ethernet frame */
	size_t size; /* at most PACKET_INPUT_MAX */
	size_t linear; /* so many are in place at first, the rest only after a pull */
	uint32_t gso_size; /* not 0: one large packet that is cut later */
	bool vlan; /* a tag that the device has taken off */
};

#define PACKET_INPUT_MAX 4096

enum packet_class { PACKET_PASSES, PACKET_IS_NO_IP, PACKET_DROPS };

/* All zero but the class where it does not pass. */
struct packet_parsed {
	uint8_t source[16], target[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t source_port, target_port; /* host order */
	uint8_t class; /* enum packet_class */
	uint8_t family; /* 4 or 6 */
	uint8_t protocol, tcp_flags, icmp_type;
	uint8_t fragment; /* 0: none, 1: the first, 2: a later one */
	uint8_t has_options;
	uint8_t pad;
};

void packet_parse_native(const struct packet_input *input, struct packet_parsed *ret);
void packet_parse_reference(const struct packet_input *input, struct packet_parsed *ret);
/* NULL where they agree, else the name of what differs. */
const char *packet_difference(const struct packet_parsed *native, const struct packet_parsed *plain);
