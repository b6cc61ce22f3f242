/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include "bpf/packet.h"
#include "bpf/range.h"
#include "bpf/tables.h"

/*
 * Who may send what from where. A pod's interface is known by the device that the kernel says,
 * never by anything in the packet.
 */

#define ICMP_REDIRECT_ 5
#define ICMP_ROUTER_ADVERTISEMENT 9
#define ICMPV6_ROUTER_SOLICITATION 133
#define ICMPV6_REDIRECT_ 137
#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define DHCPV6_CLIENT_PORT 546
#define DHCPV6_SERVER_PORT 547

/* RFC 4861; of IPv4 its redirect (RFC 792) and router advertisement (RFC 1256). */
static __always_inline bool packet_is_neighbor_discovery(const struct packet *p)
{
	if (p->family == 4)
		return p->protocol == IPPROTO_ICMP && (p->icmp_type == ICMP_REDIRECT_ ||
							      p->icmp_type == ICMP_ROUTER_ADVERTISEMENT);
	return p->family == 6 && p->protocol == IPPROTO_ICMPV6 &&
	       p->icmp_type >= ICMPV6_ROUTER_SOLICITATION && p->icmp_type <= ICMPV6_REDIRECT_;
}

static __always_inline bool packet_is_dhcp(const struct packet *p)
{
	__u16 port = bpf_ntohs(p->target_port);

	if (p->protocol != IPPROTO_UDP)
		return false;
	if (p->family == 4)
		return port == DHCP_SERVER_PORT || port == DHCP_CLIENT_PORT;
	return port == DHCPV6_CLIENT_PORT || port == DHCPV6_SERVER_PORT;
}

/*
 * An ICMP error speaks of a packet that came to its sender. One that quotes another's packet, say
 * of this node's tunnel, would bend the path MTU of traffic that is none of the pod's.
 */
static __always_inline bool guard_quotes_own(const struct packet *p)
{
	struct addr target;
	__be32 v4;

	if (p->family == 4) {
		if (bpf_skb_load_bytes(p->skb, p->l4 + 8 + offsetof(struct iphdr, daddr), &v4,
			    sizeof(v4)) < 0)
			return false;
		addr_set_v4(&target, v4);
	} else if (bpf_skb_load_bytes(p->skb, p->l4 + 8 + offsetof(struct ipv6hdr, daddr), &target,
			   sizeof(target)) < 0) {
		return false;
	}
	return addr_equal(&target, &p->source);
}

/* From a pod: its own addresses, its own MAC, and nothing that is for a link with others on it. */
static __always_inline enum verdict guard_from_pod(struct packet *p)
{
	struct __sk_buff *skb = p->skb;
	const struct pod_row *pod;
	const __u16 *sent, *owned;

	if (packet_is_neighbor_discovery(p))
		return VERDICT_DROP_NEIGHBOR;
	if (packet_is_dhcp(p))
		return VERDICT_DROP_DHCP;
	if (p->has_options)
		return VERDICT_DROP_HEADERS;
	pod = bpf_map_lookup_elem(&pw_pod, &p->source);
	if (addr_is_to_many(&p->target))
		return VERDICT_DROP_MULTICAST;
	if (!pod || pod->ifindex != skb->ifindex)
		return VERDICT_DROP_SOURCE;
	if (addr_is_local_only(&p->target))
		return VERDICT_DROP_LOOPBACK;
	if (packet_is_icmp_error(p) && !guard_quotes_own(p))
		return VERDICT_DROP_MALFORMED;
	if (!packet_has(skb, ETH_HLEN))
		return VERDICT_DROP_MALFORMED;
	sent = (void *)(long)skb->data + ETH_ALEN;
	owned = (const __u16 *)pod->mac;
	if ((void *)(sent + 3) > (void *)(long)skb->data_end)
		return VERDICT_DROP_MALFORMED;
	if (sent[0] != owned[0] || sent[1] != owned[1] || sent[2] != owned[2])
		return VERDICT_DROP_MAC;
	return VERDICT_NEXT;
}

/*
 * From the wire: no address that this node would have sent itself, or that the tunnel brings. What
 * pods of a node send directly is taken where that node is a neighbor, and from there alone.
 */
static __always_inline enum verdict guard_from_wire(
	struct packet *p, const struct settings_row *now)
{
	const struct node_row *row;

	if (addr_is_local_only(&p->target) || addr_is_local_only(&p->source))
		return VERDICT_DROP_LOOPBACK;
	if (range_has(&now->own[SETTINGS_IPV4], &p->source) ||
		range_has(&now->own[SETTINGS_IPV6], &p->source))
		return VERDICT_DROP_WIRE_SOURCE;
	row = bpf_map_lookup_elem(&pw_node, &p->source);
	if (row && row->flags & NODE_OWN)
		return VERDICT_DROP_WIRE_SOURCE;
	if (row && !(row->flags & NODE_ROUTER))
		return VERDICT_NEXT;
	row = range_lookup(now, p->family, &p->source);
	if (row)
		return row->flags & NODE_TAKEN && row->ifindex == p->skb->ifindex
			       ? VERDICT_NEXT
			       : VERDICT_DROP_WIRE_SOURCE;
	return range_in_cluster(now, &p->source) ? VERDICT_DROP_NO_NODE : VERDICT_NEXT;
}

/* From the tunnel: the outer source is a node, and the inner source is that node's. */
static __always_inline enum verdict guard_from_tunnel(
	struct packet *p, const struct settings_row *now, const struct node_row *sender)
{
	const struct node_row *row;

	if (packet_is_neighbor_discovery(p) || addr_is_to_many(&p->target))
		return VERDICT_DROP_TUNNEL_TARGET;
	if (p->has_options)
		return VERDICT_DROP_HEADERS;
	row = range_lookup(now, p->family, &p->source);
	if (!row)
		row = bpf_map_lookup_elem(&pw_node, &p->source);
	if (!row || !addr_equal(&row->underlay, &sender->underlay))
		return VERDICT_DROP_TUNNEL_SOURCE;
	return VERDICT_NEXT;
}
