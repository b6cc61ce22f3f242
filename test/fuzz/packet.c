/* SPDX-License-Identifier: Apache-2.0 */
/* The packet programs' parser against the slow one. Two bytes of circumstances, then the frame. */
#include "fuzz.h"

#include "packet_compare.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet_parsed native, plain;
	const char *difference;

	if (size < 2 || size > PACKET_INPUT_MAX)
		return 0;
	struct packet_input input = {.bytes = data + 2,
		.size = size - 2,
		.linear = data[0],
		.gso_size = data[1] & 1 ? 1400 : 0,
		.vlan = (data[1] & 6) == 6};

	packet_parse_native(&input, &native);
	packet_parse_reference(&input, &plain);
	difference = packet_difference(&native, &plain);
	if (difference) {
		fprintf(stderr, "the parsers differ: %s\n", difference);
		abort();
	}
	return 0;
}
