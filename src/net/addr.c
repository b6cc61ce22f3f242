/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>

/*
 * Text is where the same address has many forms, and where programs that disagree about a form
 * open a hole: 012 is ten in Kubernetes and in octal eight. So IPv4 is read here, digit by digit,
 * and libc only sees IPv6 in hexadecimal.
 */

static bool addr_parse_octet(const char **at, unsigned int *ret_octet)
{
	unsigned int octet = 0;
	const char *p = *at;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		octet = octet * 10 + (unsigned int)(*p - '0');
		if (octet > 255)
			return false;
	}
	*at = p;
	*ret_octet = octet;
	return true;
}

/* All of `text` as a.b.c.d, to 4 bytes in network order. */
static bool addr_parse_v4(const char *text, uint8_t ret_bytes[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned int octet;

		if (i > 0 && *text++ != '.')
			return false;
		if (!addr_parse_octet(&text, &octet))
			return false;
		ret_bytes[i] = (uint8_t)octet;
	}
	return *text == '\0';
}

int addr_parse(const char *text, struct addr *ret_addr)
{
	char hexadecimal[ADDR_TEXT_SIZE];
	const char *colon = strrchr(text, ':');
	struct addr addr;
	uint8_t v4[4];
	__be32 word;

	if (!colon) {
		if (!addr_parse_v4(text, v4))
			return -EINVAL;
		memcpy(&word, v4, sizeof(word));
		addr_set_v4(ret_addr, word);
		return 0;
	}
	if (strchr(colon, '.')) {
		int size;

		if (!addr_parse_v4(colon + 1, v4))
			return -EINVAL;
		size = snprintf(hexadecimal, sizeof(hexadecimal), "%.*s:%02x%02x:%02x%02x",
			(int)(colon - text), text, v4[0], v4[1], v4[2], v4[3]);
		if (size < 0 || (size_t)size >= sizeof(hexadecimal))
			return -EINVAL;
		text = hexadecimal;
	}
	if (inet_pton(AF_INET6, text, addr.bytes) != 1)
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

/* The longest run of zero groups, the first of equals, at least two (RFC 5952 section 4.2). */
static void addr_zero_run(const uint16_t groups[8], int *ret_start, int *ret_length)
{
	int best = -1, best_length = 1;

	for (int i = 0; i < 8; i++) {
		int length = 0;

		while (i + length < 8 && groups[i + length] == 0)
			length++;
		if (length > best_length) {
			best = i;
			best_length = length;
		}
		i += length;
	}
	*ret_start = best;
	*ret_length = best_length;
}

const char *addr_format(const struct addr *addr, char text[ADDR_TEXT_SIZE])
{
	const uint8_t *bytes = addr->bytes;
	uint16_t groups[8];
	int zeros, zero_count;
	size_t used = 0;

	if (addr_is_v4(addr)) {
		snprintf(text, ADDR_TEXT_SIZE, "%u.%u.%u.%u", bytes[12], bytes[13], bytes[14],
			bytes[15]);
		return text;
	}
	for (int i = 0; i < 8; i++)
		groups[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
	addr_zero_run(groups, &zeros, &zero_count);
	for (int i = 0; i < 8; i++) {
		if (i == zeros) {
			used += (size_t)snprintf(text + used, ADDR_TEXT_SIZE - used, "::");
			i += zero_count - 1;
			continue;
		}
		used += (size_t)snprintf(text + used, ADDR_TEXT_SIZE - used, "%s%x",
			i > 0 && i != zeros + zero_count ? ":" : "", groups[i]);
	}
	return text;
}

enum family addr_family(const struct addr *addr)
{
	return addr_is_v4(addr) ? FAMILY_IPV4 : FAMILY_IPV6;
}

const char *family_name(enum family family)
{
	static const char *const names[] = {
		[FAMILY_NONE] = "none",
		[FAMILY_IPV4] = "IPv4",
		[FAMILY_IPV6] = "IPv6",
	};
	_Static_assert(ARRAY_SIZE(names) == FAMILY_MAX, "a name for each family");

	return family < FAMILY_MAX ? names[family] : "none";
}

bool addr_is_unspecified(const struct addr *addr)
{
	if (addr_is_v4(addr))
		return addr->words[3] == 0;
	return addr->halves[0] == 0 && addr->halves[1] == 0;
}

bool addr_is_loopback(const struct addr *addr)
{
	static const struct addr loopback = {.bytes = {[15] = 1}};

	return addr_is_v4(addr) ? addr->bytes[12] == 127 : addr_equal(addr, &loopback);
}

bool addr_is_link_local(const struct addr *addr)
{
	if (addr_is_v4(addr))
		return addr->bytes[12] == 169 && addr->bytes[13] == 254;
	return addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

bool addr_is_multicast(const struct addr *addr)
{
	return addr_is_v4(addr) ? (addr->bytes[12] & 0xf0) == 0xe0 : addr->bytes[0] == 0xff;
}

bool addr_is_broadcast(const struct addr *addr)
{
	return addr_is_v4(addr) && addr->words[3] == UINT32_MAX;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

struct addr addr_add(const struct addr *addr, unsigned long n)
{
	struct addr sum = *addr;

	for (int i = 15; i >= 0 && n; i--) {
		n += sum.bytes[i];
		sum.bytes[i] = (uint8_t)n;
		n >>= 8;
	}
	return sum;
}
