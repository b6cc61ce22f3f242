/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "net/prefix.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

/* Between podwire's one address type and the kernel's two. */

/* AF_INET or AF_INET6. */
uint8_t family_number(const struct addr *addr);
/* A length in bits of 128, as the address's own family counts it. */
uint8_t family_length(const struct addr *addr, unsigned int length);

/* The attribute with 4 or 16 bytes. */
void family_put_addr(struct nlmsghdr *message, uint16_t type, const struct addr *addr);
/* False, and nothing read, where the attribute has neither 4 nor 16 bytes. */
bool family_read_addr(const struct nlattr *attribute, struct addr *ret_addr);
/* The first address of a family, and its length in bits of 128. */
void family_read_default(uint8_t family, struct addr *ret_addr);
unsigned int family_read_length(uint8_t family, unsigned int length);
