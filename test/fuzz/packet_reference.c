/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slow parser: RFC 791, 3128, 4302, 7112 and 8200, byte by byte, from numbers and not from the
 * kernel's structs. It sees only the bytes that the IP header counts: padding behind them is no
 * part of the packet, and no port may be read out of it.
 */
#include "packet_compare.h"

#include <string.h>

#define EXTENSIONS_FOLLOWED 5

struct cursor {
	const uint8_t *at;
	size_t left;
};

static uint16_t cursor_u16(const struct cursor *c, size_t offset)
{
	return (uint16_t)(c->at[offset] << 8 | c->at[offset + 1]);
}

static bool cursor_skip(struct cursor *c, size_t size)
{
	if (size > c->left)
		return false;
	c->at += size;
	c->left -= size;
	return true;
}

/* The least that makes a header: RFC 9293, 768, 9260; of ICMP type, code and checksum. */
static size_t transport_size(uint8_t protocol)
{
	switch (protocol) {
	case 6:
		return 20;
	case 17:
		return 8;
	case 132:
		return 12;
	case 1:
	case 58:
		return 4;
	default:
		return 0;
	}
}

/* `offset`: where a later fragment belongs; into a header it must not reach. */
static bool reference_transport(const struct cursor *c, size_t offset, struct packet_parsed *p)
{
	if (p->fragment == 2)
		return offset >= transport_size(p->protocol);
	if (c->left < transport_size(p->protocol))
		return false;
	if (p->protocol == 1 || p->protocol == 58)
		p->icmp_type = c->at[0];
	if (p->protocol != 6 && p->protocol != 17 && p->protocol != 132)
		return true;
	p->source_port = cursor_u16(c, 0);
	p->target_port = cursor_u16(c, 2);
	if (p->protocol == 6)
		p->tcp_flags = c->at[13];
	return true;
}

static void reference_mapped(uint8_t ret[16], const uint8_t *v4)
{
	memset(ret, 0, 10);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, v4, 4);
}

static bool reference_ipv4(struct cursor *c, bool gso, struct packet_parsed *p)
{
	size_t header, total;
	uint16_t fragment;

	if (c->left < 20 || c->at[0] >> 4 != 4)
		return false;
	header = (c->at[0] & 15) * 4U;
	total = cursor_u16(c, 2);
	if (total == 0 && gso)
		total = c->left;
	if (header < 20 || total < header || total > c->left)
		return false;
	c->left = total;
	fragment = cursor_u16(c, 6);
	p->family = 4;
	p->fragment = fragment & 0x1fff ? 2 : fragment & 0x2000 ? 1 : 0;
	if (c->at[8] == 0)
		return false;
	p->protocol = c->at[9];
	p->has_options = header > 20;
	reference_mapped(p->source, c->at + 12);
	reference_mapped(p->target, c->at + 16);
	return cursor_skip(c, header) && reference_transport(c, (fragment & 0x1fff) * 8U, p);
}

static bool reference_is_mapped(const uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(address, mapped, sizeof(mapped)) == 0;
}

/* One extension header, whole. */
static bool reference_extension(struct cursor *c, size_t *offset, struct packet_parsed *p)
{
	uint8_t kind = p->protocol;
	size_t size;

	if (c->left < 8)
		return false;
	size = kind == 44 ? 8 : kind == 51 ? (c->at[1] + 2U) * 4 : (c->at[1] + 1U) * 8;
	if (kind == 43)
		p->has_options = 1;
	if (kind == 44)
		*offset = cursor_u16(c, 2) & 0xfff8U;
	if (kind == 44 && *offset)
		p->fragment = 2;
	else if (kind == 44 && c->at[3] & 1)
		p->fragment = 1;
	p->protocol = c->at[0];
	return cursor_skip(c, size);
}

static bool reference_is_extension(uint8_t protocol)
{
	return protocol == 0 || protocol == 43 || protocol == 44 || protocol == 51 || protocol == 60;
}

static bool reference_ipv6(struct cursor *c, bool gso, struct packet_parsed *p)
{
	size_t length, offset = 0;
	bool fragment_header = false;

	if (c->left < 40 || c->at[0] >> 4 != 6)
		return false;
	length = cursor_u16(c, 4);
	if (length == 0 && gso)
		length = c->left - 40;
	if (length > c->left - 40)
		return false;
	p->family = 6;
	p->protocol = c->at[6];
	memcpy(p->source, c->at + 8, 16);
	memcpy(p->target, c->at + 24, 16);
	if (reference_is_mapped(p->source) || reference_is_mapped(p->target) || c->at[7] == 0)
		return false;
	cursor_skip(c, 40);
	c->left = length;
	for (unsigned int i = 0; p->fragment != 2 && reference_is_extension(p->protocol); i++) {
		/* Hop by hop options stand first or nowhere; one fragment header (RFC 8200, 4.1). */
		if (i == EXTENSIONS_FOLLOWED || (p->protocol == 0 && i > 0) ||
			(p->protocol == 44 && fragment_header))
			return false;
		fragment_header = fragment_header || p->protocol == 44;
		if (!reference_extension(c, &offset, p))
			return false;
	}
	return reference_transport(c, offset, p);
}

void packet_parse_reference(const struct packet_input *input, struct packet_parsed *ret)
{
	struct cursor c = {input->bytes, input->size};
	struct packet_parsed p = {.class = PACKET_PASSES};
	bool gso = input->gso_size != 0, good = false;
	uint16_t type;

	memset(ret, 0, sizeof(*ret));
	ret->class = PACKET_DROPS;
	if (c.left < 14)
		return;
	type = cursor_u16(&c, 12);
	cursor_skip(&c, 14);
	if (input->vlan || (type != 0x0800 && type != 0x86dd))
		ret->class = PACKET_IS_NO_IP;
	else
		good = type == 0x0800 ? reference_ipv4(&c, gso, &p) : reference_ipv6(&c, gso, &p);
	if (good)
		*ret = p;
}

const char *packet_difference(const struct packet_parsed *native, const struct packet_parsed *plain)
{
	if (native->class != plain->class)
		return native->class == PACKET_PASSES ? "verdict: more permissive" : "verdict";
	if (native->family != plain->family || native->protocol != plain->protocol)
		return "family or protocol";
	if (memcmp(native->source, plain->source, 16) != 0 ||
		memcmp(native->target, plain->target, 16) != 0)
		return "addresses";
	if (native->fragment != plain->fragment)
		return "fragment";
	if (native->source_port != plain->source_port || native->target_port != plain->target_port)
		return "ports";
	return memcmp(native, plain, sizeof(*native)) == 0 ? NULL : "flags, type or options";
}
