/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/endpoints.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <string.h>

struct candidate {
	const struct endpoint *endpoint;
	const char *slice; /* its name */
	struct backend_row backend;
	bool local;
};

struct candidates {
	struct candidate *list;
	size_t count, capacity;
};

enum topology { TOPOLOGY_NONE, TOPOLOGY_SAME_NODE, TOPOLOGY_SAME_ZONE };

void backends_add(struct backends *backends, const struct backend_row *backend)
{
	backends->list = mem_grow(backends->list, &backends->capacity, backends->count + 1,
		sizeof(*backends->list));
	backends->list[backends->count++] = *backend;
}

bool backends_equal(const struct backends *a, const struct backends *b)
{
	return a->count == b->count &&
	       (a->count == 0 || memcmp(a->list, b->list, a->count * sizeof(*a->list)) == 0);
}

void choice_clear(struct choice *choice)
{
	free(choice->cluster.list);
	free(choice->local.list);
	free(choice->serving.list);
	*choice = (struct choice){0};
}

static bool is_ending(const struct endpoint *endpoint)
{
	return endpoint->serving && endpoint->terminating;
}

static void candidates_add(struct candidates *candidates, const struct endpoint_slice *slice,
	const struct endpoint *endpoint, uint16_t port, const struct service_view *view)
{
	struct candidate *candidate;

	candidates->list = mem_grow(candidates->list, &candidates->capacity,
		candidates->count + 1, sizeof(*candidates->list));
	candidate = &candidates->list[candidates->count++];
	*candidate = (struct candidate){.endpoint = endpoint,
		.slice = slice->object.name,
		.local = endpoint->node_name && strcmp(endpoint->node_name, view->node) == 0};
	candidate->backend = (struct backend_row){
		.addr = endpoint->addresses.list[0].addr, .port = htons(port)};
	if (candidate->local)
		candidate->backend.flags |= BACKEND_HERE;
	if (!endpoint->ready && is_ending(endpoint))
		candidate->backend.flags |= BACKEND_TERMINATING;
}

/* The port without a name has NULL or, where another client wrote it, empty text. */
static bool port_names_match(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static void candidates_of_slice(struct candidates *candidates, const struct endpoint_slice *slice,
	const struct endpoint_wish *wish, const struct service_view *view)
{
	enum address_type type =
		wish->family == FAMILY_IPV4 ? ADDRESS_TYPE_IPV4 : ADDRESS_TYPE_IPV6;

	if (slice->address_type != type || endpoint_slice_is_foreign(slice))
		return;
	for (size_t i = 0; i < slice->ports.count; i++) {
		const struct endpoint_port *port = &slice->ports.list[i];

		if (!port->port || port->protocol != wish->protocol ||
			!port_names_match(port->name, wish->name))
			continue;
		for (size_t j = 0; j < slice->endpoints.count; j++)
			candidates_add(candidates, slice, &slice->endpoints.list[j], port->port,
				view);
	}
}

/*
 * Of an address and port that is named twice, the one that counts comes first: an address that is
 * in use again while its last holder is still ending is its new holder's. Beyond that any order
 * will do that all nodes share and that no order of slices changes.
 */
static int candidate_order(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int order = addr_compare(&a->backend.addr, &b->backend.addr);

	if (order == 0)
		order = (int)ntohs(a->backend.port) - (int)ntohs(b->backend.port);
	if (order == 0)
		order = (int)a->endpoint->terminating - (int)b->endpoint->terminating;
	if (order == 0)
		order = (int)b->endpoint->ready - (int)a->endpoint->ready;
	if (order == 0)
		order = (int)b->endpoint->serving - (int)a->endpoint->serving;
	if (order == 0)
		order = (int)b->local - (int)a->local;
	if (order == 0)
		order = strcmp(a->slice, b->slice);
	return order ? order : (a->endpoint > b->endpoint) - (a->endpoint < b->endpoint);
}

static void candidates_unite(struct candidates *candidates)
{
	size_t kept = 0;

	if (candidates->count)
		qsort(candidates->list, candidates->count, sizeof(*candidates->list),
			candidate_order);
	for (size_t i = 0; i < candidates->count; i++) {
		const struct backend_row *backend = &candidates->list[i].backend;

		if (kept && candidates->list[kept - 1].backend.port == backend->port &&
			addr_equal(&candidates->list[kept - 1].backend.addr, &backend->addr))
			continue;
		candidates->list[kept++] = candidates->list[i];
	}
	candidates->count = kept;
}

static bool hints_name(const struct endpoint_zone *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (name && strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

static bool is_for_node(const struct endpoint *endpoint, const struct service_view *view)
{
	return hints_name(endpoint->for_nodes.list, endpoint->for_nodes.count, view->node);
}

static bool is_for_zone(const struct endpoint *endpoint, const struct service_view *view)
{
	return hints_name(endpoint->for_zones.list, endpoint->for_zones.count, view->zone);
}

/* Hints count only where every ready endpoint has some, and one of them names this node or zone. */
static enum topology topology_of(
	const struct candidates *candidates, const struct service_view *view)
{
	bool all_nodes = true, all_zones = true, node = false, zone = false;

	for (size_t i = 0; i < candidates->count; i++) {
		const struct endpoint *endpoint = candidates->list[i].endpoint;

		if (!endpoint->ready)
			continue;
		all_nodes = all_nodes && endpoint->for_nodes.count > 0;
		all_zones = all_zones && endpoint->for_zones.count > 0;
		node = node || is_for_node(endpoint, view);
		zone = zone || is_for_zone(endpoint, view);
	}
	if (all_nodes && node)
		return TOPOLOGY_SAME_NODE;
	return all_zones && zone ? TOPOLOGY_SAME_ZONE : TOPOLOGY_NONE;
}

static bool is_near(const struct endpoint *endpoint, enum topology topology,
	const struct service_view *view)
{
	if (topology == TOPOLOGY_SAME_NODE)
		return is_for_node(endpoint, view);
	return topology == TOPOLOGY_NONE || is_for_zone(endpoint, view);
}

static void choose_cluster(const struct candidates *candidates, const struct service_view *view,
	struct backends *cluster)
{
	enum topology topology = topology_of(candidates, view);

	for (size_t i = 0; i < candidates->count; i++)
		if (candidates->list[i].endpoint->ready &&
			is_near(candidates->list[i].endpoint, topology, view))
			backends_add(cluster, &candidates->list[i].backend);
	if (cluster->count)
		return;
	for (size_t i = 0; i < candidates->count; i++)
		if (is_ending(candidates->list[i].endpoint))
			backends_add(cluster, &candidates->list[i].backend);
}

static void choose_local(const struct candidates *candidates, struct backends *local)
{
	for (size_t i = 0; i < candidates->count; i++)
		if (candidates->list[i].local && candidates->list[i].endpoint->ready)
			backends_add(local, &candidates->list[i].backend);
	if (local->count)
		return;
	for (size_t i = 0; i < candidates->count; i++)
		if (candidates->list[i].local && is_ending(candidates->list[i].endpoint))
			backends_add(local, &candidates->list[i].backend);
}

void endpoints_choose(const struct slices *slices, const struct endpoint_wish *wish,
	const struct service_view *view, struct choice *ret_choice)
{
	struct candidates candidates = {0};

	*ret_choice = (struct choice){0};
	for (size_t i = 0; i < slices->count; i++)
		candidates_of_slice(&candidates, slices->list[i], wish, view);
	candidates_unite(&candidates);
	choose_cluster(&candidates, view, &ret_choice->cluster);
	choose_local(&candidates, &ret_choice->local);
	for (size_t i = 0; i < candidates.count; i++) {
		const struct endpoint *endpoint = candidates.list[i].endpoint;

		if (endpoint->ready || endpoint->serving)
			backends_add(&ret_choice->serving, &candidates.list[i].backend);
		ret_choice->any = ret_choice->any || endpoint->ready || is_ending(endpoint);
	}
	free(candidates.list);
}
