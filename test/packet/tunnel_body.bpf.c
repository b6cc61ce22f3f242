// SPDX-License-Identifier: Apache-2.0
/*
 * A test run has no tunnel key, so this program hands the steps of from_tunnel a sender and an
 * identifier from the test instead; the steps are those that ship, and so are the tables.
 */
#include "bpf/trace.h"
#include "bpf/tunnel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct addr body_outer;
__u32 body_vni;

SEC("tc")
int from_tunnel_body(struct __sk_buff *skb)
{
	struct addr outer = body_outer;
	struct packet p;
	enum verdict verdict = from_tunnel_steps(&p, skb, &outer, body_vni);

	return packet_end(&p, verdict);
}
