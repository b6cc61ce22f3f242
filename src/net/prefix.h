/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "net/addr.h"

#define PREFIX_TEXT_SIZE (ADDR_TEXT_SIZE + 4)

/* A range of addresses; no host bit is set. `length` counts bits of the 16 bytes: 96 + n in IPv4. */
struct prefix {
	struct addr addr;
	unsigned int length;
};

/*
 * "10.1.0.0/16", "fd00::/64". Leading zeros as addr_parse. Host bits are cleared, as the API
 * server's old objects may carry them; *ret_had_host_bits, if not NULL, tells. 0 or -EINVAL.
 */
int prefix_parse(const char *text, struct prefix *ret_prefix, bool *ret_had_host_bits);
const char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_SIZE]);

enum family prefix_family(const struct prefix *prefix);
/* As the family writes it: 0..32 or 0..128. */
unsigned int prefix_length_shown(const struct prefix *prefix);
bool prefix_contains(const struct prefix *prefix, const struct addr *addr);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
struct addr addr_masked(const struct addr *addr, unsigned int length);
/* How many addresses, at most 2^63. */
unsigned long prefix_size(const struct prefix *prefix);
int prefix_compare(const struct prefix *a, const struct prefix *b);
