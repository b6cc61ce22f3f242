/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/pod.h"

#include "compile/node.h"

#include <string.h>

/* Whoever calls from the pod's namespace does so by these addresses. */
static void compile_netns(const struct attachment *attachment, struct rows *rows)
{
	struct netns_row row = {0};

	for (__u32 i = 0; i < attachment->address_count; i++) {
		const struct addr *addr = &attachment->addresses[i];

		row.client[addr_is_v4(addr) ? SETTINGS_IPV4 : SETTINGS_IPV6] = *addr;
	}
	if (attachment->netns_cookie)
		rows_add(rows, TABLE_NETNS, &attachment->netns_cookie, &row);
}

void compile_attachment(
	const struct attachment *attachment, const struct node *own, struct rows *rows)
{
	struct pod_row pod = {.ifindex = attachment->ifindex, .added_ns = attachment->added_ns};
	struct route_value route = {.kind = ROUTE_KIND_UNICAST, .ifindex = attachment->ifindex};
	struct neighbor_value neighbor = {0};

	if (attachment->limit[DIRECTION_INGRESS].rate)
		pod.flags |= POD_SHAPED;
	memcpy(pod.mac, attachment->mac, sizeof(pod.mac));
	memcpy(pod.host_mac, attachment->host_mac, sizeof(pod.host_mac));
	memcpy(neighbor.mac, attachment->mac, sizeof(neighbor.mac));
	for (__u32 i = 0; i < attachment->address_count; i++) {
		const struct addr *addr = &attachment->addresses[i];
		struct route_key route_key = {.first = *addr, .length = 128};
		struct neighbor_key neighbor_key = {.addr = *addr, .ifindex = attachment->ifindex};

		route.source = own_source(own, addr_family(addr));
		rows_add(rows, TABLE_NEIGHBOR, &neighbor_key, &neighbor);
		rows_add(rows, TABLE_ROUTE, &route_key, &route);
		rows_add(rows, TABLE_POD, addr, &pod);
	}
	compile_netns(attachment, rows);
}
