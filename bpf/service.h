/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <stdbool.h>

#include "bpf/tables.h"

/*
 * Which Service an address and port is, and which of its backends a new flow gets. Nothing here
 * sees a packet, so that the socket's call and the packet path choose alike.
 */

#define SERVICE_AFFINITY_TICK_NS 1000000000ULL /* affinity is written again no more often */

static __always_inline const struct service_row *service_at(
	const struct addr *addr, __be16 port, __u8 protocol, enum service_scope scope)
{
	struct service_key key = {.port = port, .protocol = protocol, .scope = scope};

	key.addr = *addr;
	return bpf_map_lookup_elem(&pw_service, &key);
}

/* The unspecified address of the same family, which node ports have in their key. */
static __always_inline void service_any(const struct addr *like, struct addr *ret_any)
{
	if (addr_is_v4(like))
		addr_set_v4(ret_any, 0);
	else
		ret_any->halves[0] = ret_any->halves[1] = 0;
}

/*
 * A port of a node: one that names the address goes before one on all addresses. A pod's host port is
 * on each address of its node, a node port where the row of pw_node says so.
 */
static __always_inline const struct service_row *service_at_node(const struct addr *addr,
	__be16 port, __u8 protocol, const struct node_row *node, enum service_scope scope)
{
	const struct service_row *row = service_at(addr, port, protocol, scope);
	struct addr any;

	if (!row) {
		service_any(addr, &any);
		row = service_at(&any, port, protocol, scope);
	}
	if (!row || row->flags & SERVICE_HOST_PORT || (node && node->flags & NODE_PORTS))
		return row;
	return NULL;
}

/* The same for what is in pw_node: the address that a node keeps of its pod range has no ports. */
static __always_inline const struct service_row *service_of_node(
	const struct addr *addr, __be16 port, __u8 protocol, const struct node_row *node)
{
	if (node->flags & NODE_ROUTER)
		return NULL;
	return service_at_node(addr, port, protocol, node,
		node->flags & NODE_OWN ? SERVICE_OWN_NODE : SERVICE_OTHER_NODE);
}

/* Does the Service let this source in? loadBalancerSourceRanges hold inside the cluster too. */
static __always_inline bool service_admits(
	const struct service_row *row, const struct addr *source)
{
	struct source_key key = {.length = 64 + 128};
	__u64 sources = row->sources;

	if (!sources)
		return true;
	__builtin_memcpy(key.set, &sources, sizeof(key.set));
	__builtin_memcpy(key.addr, source, sizeof(key.addr));
	return bpf_map_lookup_elem(&pw_source, &key);
}

static __always_inline const struct backend_row *service_backend(
	const struct service_list *list, __u32 index)
{
	struct backend_key key = {.set = list->set, .index = index};

	return bpf_map_lookup_elem(&pw_backend, &key);
}

/* The same choice on every node whose view is the same, where the set has slots for that. */
static __always_inline __u32 service_index(const struct service_list *list, __u32 hash)
{
	struct maglev_key key = {.set = list->set};
	const struct maglev_row *row;
	__u32 slot;

	if (!list->count)
		return 0;
	if (!list->maglev)
		return hash % list->count;
	slot = hash % list->maglev;
	key.chunk = slot / MAGLEV_CHUNK;
	row = bpf_map_lookup_elem(&pw_maglev, &key);
	return row ? row->index[slot % MAGLEV_CHUNK] : hash % list->count;
}

/* The backend that the client had before, while it is in the list and not forgotten. */
static __always_inline const struct backend_row *service_before(const struct service_row *row,
	const struct service_list *list, const struct affinity_row *affinity, __u64 now_ns)
{
	struct member_key key = {.set = list->set, .port = affinity->backend_port};
	const struct member_row *member;

	if (now_ns - affinity->last_ns > row->affinity_seconds * 1000000000ULL)
		return NULL;
	key.addr = affinity->backend;
	member = bpf_map_lookup_elem(&pw_member, &key);
	return member ? service_backend(list, member->index) : NULL;
}

static const struct usage_row service_unused; /* not on the stack, which has no room */

/* A flow begins that this node leads to a backend; `packets`: the first one is rewritten here. */
static __always_inline void service_count(__u64 port, const struct addr *frontend, __u32 packets)
{
	struct usage_key key = {.port = port, .family = addr_is_v4(frontend) ? 4 : 6};
	struct usage_row *usage = bpf_map_lookup_elem(&pw_usage, &key);

	if (!usage) {
		bpf_map_update_elem(&pw_usage, &key, &service_unused, BPF_NOEXIST);
		usage = bpf_map_lookup_elem(&pw_usage, &key);
	}
	if (!usage)
		return;
	__sync_fetch_and_add(&usage->connections, 1);
	__sync_fetch_and_add(&usage->packets, packets);
}

/*
 * The backend of a new flow, or NULL: then list->answer says what happens, unless rows are just
 * being changed, which the caller answers like an empty list. `client` matters for affinity only.
 */
static __noinline const struct backend_row *service_choose(const struct service_row *row,
	const struct service_list *list, const struct addr *client, __u32 hash)
{
	struct affinity_key key = {.port = row->port};
	struct affinity_row *affinity, fresh = {};
	const struct backend_row *backend = NULL;
	__u64 now_ns;

	if (!list->count)
		return NULL;
	if (!row->affinity_seconds)
		return service_backend(list, service_index(list, hash));
	key.client = *client;
	now_ns = bpf_ktime_get_ns();
	affinity = bpf_map_lookup_elem(&pw_affinity, &key);
	if (affinity)
		backend = service_before(row, list, affinity, now_ns);
	if (backend && now_ns - affinity->last_ns < SERVICE_AFFINITY_TICK_NS)
		return backend;
	if (!backend)
		backend = service_backend(list, service_index(list, hash));
	if (!backend)
		return NULL;
	fresh.backend = backend->addr;
	fresh.backend_port = backend->port;
	fresh.last_ns = now_ns;
	bpf_map_update_elem(&pw_affinity, &key, &fresh, BPF_ANY);
	return backend;
}
