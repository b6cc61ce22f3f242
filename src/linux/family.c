/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/family.h"

#include <string.h>
#include <sys/socket.h>

#define FAMILY_MAPPED_BITS 96 /* before the 32 of an IPv4 address */

uint8_t family_number(const struct addr *addr)
{
	return addr_is_v4(addr) ? AF_INET : AF_INET6;
}

uint8_t family_length(const struct addr *addr, unsigned int length)
{
	return (uint8_t)(addr_is_v4(addr) ? length - FAMILY_MAPPED_BITS : length);
}

void family_put_addr(struct nlmsghdr *message, uint16_t type, const struct addr *addr)
{
	if (addr_is_v4(addr))
		mnl_attr_put(message, type, sizeof(addr->words[3]), &addr->words[3]);
	else
		mnl_attr_put(message, type, sizeof(addr->bytes), addr->bytes);
}

bool family_read_addr(const struct nlattr *attribute, struct addr *ret_addr)
{
	size_t size = mnl_attr_get_payload_len(attribute);

	if (size == sizeof(ret_addr->words[3]))
		addr_set_v4(ret_addr, mnl_attr_get_u32(attribute));
	else if (size == sizeof(ret_addr->bytes))
		memcpy(ret_addr->bytes, mnl_attr_get_payload(attribute), size);
	else
		return false;
	return true;
}

void family_read_default(uint8_t family, struct addr *ret_addr)
{
	memset(ret_addr, 0, sizeof(*ret_addr));
	if (family == AF_INET)
		addr_set_v4(ret_addr, 0);
}

unsigned int family_read_length(uint8_t family, unsigned int length)
{
	return family == AF_INET ? length + FAMILY_MAPPED_BITS : length;
}
