/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/packet.h"
#include "bpf/tables.h"

/* The only way out of a program: every packet is counted under its verdict, and drops are named. */

static __noinline void trace_drop(const struct packet *p, enum verdict verdict)
{
	struct drop_key key = {
		.source = p->source,
		.target = p->target,
		.ifindex = p->skb->ifindex,
		.target_port = p->target_port,
		.protocol = p->protocol,
		.verdict = verdict,
		.hook = p->hook,
	};
	struct drop_row fresh = {}, *row = bpf_map_lookup_elem(&pw_drop, &key);

	if (row) {
		__sync_fetch_and_add(&row->packets, 1);
		row->last_ns = bpf_ktime_get_ns();
		row->source_port = p->source_port;
		return;
	}
	fresh.packets = 1;
	fresh.last_ns = bpf_ktime_get_ns();
	fresh.source_port = p->source_port;
	bpf_map_update_elem(&pw_drop, &key, &fresh, BPF_NOEXIST);
}

static __always_inline int packet_end(const struct packet *p, enum verdict verdict)
{
	__u32 index = COUNT_INDEX(p->hook, verdict);
	struct count_row *count = bpf_map_lookup_elem(&pw_count, &index);

	if (count) {
		count->packets++;
		count->bytes += p->skb->len;
	}
	/* Test runs read these back; nothing in the kernel reads them after us. */
	p->skb->cb[0] = verdict;
	p->skb->cb[1] = p->redirect;
	if (verdict < VERDICT_DROP_FIRST)
		return p->action;
	trace_drop(p, verdict);
	return TC_ACT_SHOT;
}
