/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/packet.h in user space. A socket buffer has 32 bits for its pointers, so the bytes lie in a
 * mapping below 4 GiB; they end where a page ends that nobody may read, and what is not linear is
 * not there: one byte read too far is a fault.
 */
#include "packet_compare.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct packet_input *buffer_input;
static char *buffer_end; /* of the readable part of the mapping */

static long buffer_load_bytes(const void *skb, __u32 offset, void *to, __u32 size)
{
	(void)skb;
	if (offset > buffer_input->size || size > buffer_input->size - offset)
		return -1;
	memcpy(to, buffer_input->bytes + offset, size);
	return 0;
}

/* The first `linear` bytes, ending at the end of the page. */
static void buffer_place(struct __sk_buff *skb, size_t linear)
{
	char *start = buffer_end - linear;

	memset(buffer_end - PACKET_INPUT_MAX, 0xa5, PACKET_INPUT_MAX);
	memcpy(start, buffer_input->bytes, linear);
	skb->data = (__u32)(uintptr_t)start;
	skb->data_end = (__u32)(uintptr_t)buffer_end;
}

static long buffer_pull_data(struct __sk_buff *skb, __u32 size)
{
	if (size > skb->len)
		return -1;
	buffer_place(skb, size);
	return 0;
}

#define bpf_skb_load_bytes buffer_load_bytes
#define bpf_skb_pull_data buffer_pull_data

#include "bpf/packet.h"

static void buffer_map(void)
{
	const size_t page = 65536; /* the largest page there is */
	char *at = mmap((void *)0x20000000, 2 * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || (uintptr_t)at + 2 * page > UINT32_MAX ||
		mprotect(at + page, page, PROT_NONE) < 0)
		abort();
	buffer_end = at + page;
}

void packet_parse_native(const struct packet_input *input, struct packet_parsed *ret)
{
	struct __sk_buff skb = {.len = (__u32)input->size,
		.gso_size = input->gso_size,
		.vlan_present = input->vlan};
	enum verdict verdict;
	struct packet p;

	if (!buffer_end)
		buffer_map();
	buffer_input = input;
	buffer_place(&skb, input->linear < input->size ? input->linear : input->size);
	verdict = packet_parse(&p, &skb, HOOK_FROM_POD);
	memset(ret, 0, sizeof(*ret));
	ret->class = verdict == VERDICT_NEXT ? PACKET_PASSES :
		verdict == VERDICT_DROP_NOT_IP ? PACKET_IS_NO_IP : PACKET_DROPS;
	if (verdict != VERDICT_NEXT)
		return;
	memcpy(ret->source, &p.source, sizeof(ret->source));
	memcpy(ret->target, &p.target, sizeof(ret->target));
	ret->source_port = bpf_ntohs(p.source_port);
	ret->target_port = bpf_ntohs(p.target_port);
	ret->family = p.family;
	ret->protocol = p.protocol;
	ret->tcp_flags = p.tcp_flags;
	ret->icmp_type = p.icmp_type;
	ret->fragment = p.fragment;
	ret->has_options = p.has_options;
}
