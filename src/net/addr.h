/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/addr.h"

#include <stdbool.h>
#include <stddef.h>

enum family { FAMILY_NONE, FAMILY_IPV4, FAMILY_IPV6, FAMILY_MAX };

#define ADDR_TEXT_SIZE 46 /* INET6_ADDRSTRLEN */

/*
 * Reads an address as Kubernetes reads its stored objects (KEP-4858, ParseIPSloppy): leading
 * zeros are decimal, never octal; ::ffff:a.b.c.d is the IPv4 address; a zone id is refused.
 * Returns 0 or -EINVAL; *ret_addr is set only on success.
 */
int addr_parse(const char *text, struct addr *ret_addr);

/* IPv4 dotted, IPv6 as RFC 5952. Returns `text`, which has ADDR_TEXT_SIZE bytes. */
const char *addr_format(const struct addr *addr, char text[ADDR_TEXT_SIZE]);

enum family addr_family(const struct addr *addr);
const char *family_name(enum family family); /* "IPv4", "IPv6", "none" */

bool addr_is_unspecified(const struct addr *addr); /* 0.0.0.0 or :: */
bool addr_is_loopback(const struct addr *addr);
bool addr_is_link_local(const struct addr *addr);
bool addr_is_multicast(const struct addr *addr);
bool addr_is_broadcast(const struct addr *addr); /* 255.255.255.255 */

/* <0, 0, >0 by bytes, so IPv4 sorts before IPv6 beyond ::ffff:0:0/96. */
int addr_compare(const struct addr *a, const struct addr *b);

/* addr + n, carried through all 128 bits. */
struct addr addr_add(const struct addr *addr, unsigned long n);
