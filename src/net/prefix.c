/* SPDX-License-Identifier: Apache-2.0 */
#include "net/prefix.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PREFIX_V4_BITS 96U /* of ::ffff:0:0, before IPv4 begins */

static bool prefix_parse_length(const char *text, unsigned int *ret_length)
{
	unsigned int length = 0;

	if (*text == '\0')
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		length = length * 10 + (unsigned int)(*text - '0');
		if (length > 128)
			return false;
	}
	*ret_length = length;
	return true;
}

int prefix_parse(const char *text, struct prefix *ret_prefix, bool *ret_had_host_bits)
{
	const char *slash = strchr(text, '/');
	char address[ADDR_TEXT_SIZE];
	struct prefix prefix;
	struct addr masked;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (addr_parse(address, &prefix.addr) < 0 ||
		!prefix_parse_length(slash + 1, &prefix.length))
		return -EINVAL;
	if (!strchr(address, ':'))
		prefix.length += PREFIX_V4_BITS;
	/* A mapped address with fewer bits than its mapping is neither IPv4 nor a range in use. */
	if (prefix.length > 128 || (addr_is_v4(&prefix.addr) && prefix.length < PREFIX_V4_BITS))
		return -EINVAL;
	masked = addr_masked(&prefix.addr, prefix.length);
	if (ret_had_host_bits)
		*ret_had_host_bits = !addr_equal(&masked, &prefix.addr);
	prefix.addr = masked;
	*ret_prefix = prefix;
	return 0;
}

const char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_SIZE])
{
	char address[ADDR_TEXT_SIZE];

	snprintf(text, PREFIX_TEXT_SIZE, "%s/%u", addr_format(&prefix->addr, address),
		prefix_length_shown(prefix) % 1000);
	return text;
}

enum family prefix_family(const struct prefix *prefix)
{
	if (prefix->length >= PREFIX_V4_BITS)
		return addr_family(&prefix->addr);
	return FAMILY_IPV6;
}

unsigned int prefix_length_shown(const struct prefix *prefix)
{
	return prefix_family(prefix) == FAMILY_IPV4 ? prefix->length - PREFIX_V4_BITS
						    : prefix->length;
}

struct addr addr_masked(const struct addr *addr, unsigned int length)
{
	struct addr masked = *addr;

	for (unsigned int i = 0; i < 16; i++) {
		unsigned int kept = length > 8 * i ? length - 8 * i : 0;

		if (kept < 8)
			masked.bytes[i] &= (uint8_t)(0xff00U >> kept);
	}
	return masked;
}

/* The families are worlds apart: ::/0 holds no IPv4 address, though the mapped bytes lie in it. */
bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
	struct addr masked = addr_masked(addr, prefix->length);

	return prefix_family(prefix) == addr_family(addr) && addr_equal(&masked, &prefix->addr);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	const struct prefix *wide = a->length <= b->length ? a : b;
	const struct prefix *narrow = wide == a ? b : a;
	struct addr masked = addr_masked(&narrow->addr, wide->length);

	return prefix_family(a) == prefix_family(b) && addr_equal(&masked, &wide->addr);
}

unsigned long prefix_size(const struct prefix *prefix)
{
	unsigned int bits = 128 - prefix->length;

	return 1UL << (bits < 63 ? bits : 63);
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int order = addr_compare(&a->addr, &b->addr);

	return order ? order : (a->length > b->length) - (a->length < b->length);
}
