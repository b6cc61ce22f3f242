/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/endpoints.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <string.h>

enum topology { TOPOLOGY_NONE, TOPOLOGY_SAME_NODE, TOPOLOGY_SAME_ZONE };

static const struct {
	const char *name, *text;
} fates[] = {
	[ENDPOINT_USED] = {"used", "used"},
	[ENDPOINT_OTHER_FAMILY] = {"other-family", "the Service has no address of its family"},
	[ENDPOINT_FOREIGN] = {"foreign", "a label of its slice says that it is somebody else's"},
	[ENDPOINT_NO_PORT] = {"no-port", "its slice has no port of that name and protocol"},
	[ENDPOINT_DUPLICATE] = {"duplicate", "another one has the same address and port, and counts"},
	[ENDPOINT_NOT_READY] = {"not-ready", "not ready"},
	[ENDPOINT_TERMINATING] = {"terminating", "terminating, and others are ready"},
	[ENDPOINT_OTHER_NODE] = {"other-node", "its hints name other nodes"},
	[ENDPOINT_OTHER_ZONE] = {"other-zone", "its hints name other zones"},
	[ENDPOINT_ELSEWHERE] = {"elsewhere", "not on this node, and the policy is Local"},
	[ENDPOINT_BEYOND] = {"beyond", "more endpoints than are used; those before it by address are"},
};
_Static_assert(ARRAY_SIZE(fates) == ENDPOINT_FATE_MAX, "a name and a sentence for each fate");

const char *endpoint_fate_name(enum endpoint_fate fate)
{
	return fates[fate].name;
}

const char *endpoint_fate_text(enum endpoint_fate fate)
{
	return fates[fate].text;
}

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
	for (enum endpoint_list list = 0; list < ENDPOINTS_LISTS; list++)
		free(choice->list[list].list);
	free(choice->serving.list);
	*choice = (struct choice){0};
}

void candidates_clear(struct candidates *candidates)
{
	free(candidates->list);
	*candidates = (struct candidates){0};
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
		.slice = slice,
		.local = endpoint->node_name && strcmp(endpoint->node_name, view->node) == 0};
	candidate->backend = (struct backend_row){
		.addr = endpoint->address.addr, .port = htons(port)};
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

static bool port_is_meant(const struct endpoint_port *port, const struct endpoint_wish *wish)
{
	return port->port && port->protocol == wish->protocol &&
	       port_names_match(port->name, wish->name);
}

enum endpoint_fate slice_fate(const struct endpoint_slice *slice, const struct endpoint_wish *wish)
{
	enum address_type type =
		wish->family == FAMILY_IPV4 ? ADDRESS_TYPE_IPV4 : ADDRESS_TYPE_IPV6;

	if (endpoint_slice_is_foreign(slice))
		return ENDPOINT_FOREIGN;
	if (slice->address_type != type)
		return ENDPOINT_OTHER_FAMILY;
	for (size_t i = 0; i < slice->ports.count; i++)
		if (port_is_meant(&slice->ports.list[i], wish))
			return ENDPOINT_USED;
	return ENDPOINT_NO_PORT;
}

static void candidates_of_slice(struct candidates *candidates, const struct endpoint_slice *slice,
	const struct endpoint_wish *wish, const struct service_view *view)
{
	if (slice_fate(slice, wish) != ENDPOINT_USED)
		return;
	for (size_t i = 0; i < slice->ports.count; i++)
		for (size_t j = 0; j < slice->endpoints.count; j++)
			if (port_is_meant(&slice->ports.list[i], wish))
				candidates_add(candidates, slice, &slice->endpoints.list[j],
					slice->ports.list[i].port, view);
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
		order = strcmp(a->slice->object.name, b->slice->object.name);
	return order ? order : (a->endpoint > b->endpoint) - (a->endpoint < b->endpoint);
}

static bool is_duplicate(const struct candidate *candidate)
{
	return candidate->fate[ENDPOINTS_CLUSTER] == ENDPOINT_DUPLICATE;
}

static void candidates_sort(struct candidates *candidates)
{
	const struct backend_row *last = NULL;

	if (candidates->count)
		qsort(candidates->list, candidates->count, sizeof(*candidates->list),
			candidate_order);
	for (size_t i = 0; i < candidates->count; i++) {
		struct candidate *candidate = &candidates->list[i];

		if (last && last->port == candidate->backend.port &&
			addr_equal(&last->addr, &candidate->backend.addr))
			for (unsigned int list = 0; list < ENDPOINTS_LISTS; list++)
				candidate->fate[list] = ENDPOINT_DUPLICATE;
		else
			last = &candidate->backend;
	}
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
	const struct endpoint_hints *hints = endpoint->hints;

	return hints && hints_name(hints->for_nodes.list, hints->for_nodes.count, view->node);
}

static bool is_for_zone(const struct endpoint *endpoint, const struct service_view *view)
{
	const struct endpoint_hints *hints = endpoint->hints;

	return hints && hints_name(hints->for_zones.list, hints->for_zones.count, view->zone);
}

/* Hints count only where every ready endpoint has some, and one of them names this node or zone. */
static enum topology topology_of(
	const struct candidates *candidates, const struct service_view *view)
{
	bool all_nodes = true, all_zones = true, node = false, zone = false;

	for (size_t i = 0; i < candidates->count; i++) {
		const struct endpoint *endpoint = candidates->list[i].endpoint;

		if (!endpoint->ready || is_duplicate(&candidates->list[i]))
			continue;
		all_nodes = all_nodes && endpoint->hints && endpoint->hints->for_nodes.count > 0;
		all_zones = all_zones && endpoint->hints && endpoint->hints->for_zones.count > 0;
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

static enum endpoint_fate fate_of(const struct endpoint *endpoint, enum topology topology,
	const struct service_view *view)
{
	if (!endpoint->ready)
		return is_ending(endpoint) ? ENDPOINT_TERMINATING : ENDPOINT_NOT_READY;
	if (is_near(endpoint, topology, view))
		return ENDPOINT_USED;
	return topology == TOPOLOGY_SAME_NODE ? ENDPOINT_OTHER_NODE : ENDPOINT_OTHER_ZONE;
}

/* Those that serve to their end are used where nobody else is. */
static void fates_settle(struct candidates *candidates, enum endpoint_list list)
{
	size_t used = 0;

	for (size_t i = 0; i < candidates->count; i++)
		used += candidates->list[i].fate[list] == ENDPOINT_USED;
	for (size_t i = 0; i < candidates->count && !used; i++)
		if (candidates->list[i].fate[list] == ENDPOINT_TERMINATING)
			candidates->list[i].fate[list] = ENDPOINT_USED;
	used = 0;
	for (size_t i = 0; i < candidates->count; i++)
		if (candidates->list[i].fate[list] == ENDPOINT_USED && ++used > ENDPOINTS_LIST_MAX)
			candidates->list[i].fate[list] = ENDPOINT_BEYOND;
}

/* Hints are for the whole cluster's list only. */
void endpoints_judge(const struct slices *slices, const struct endpoint_wish *wish,
	const struct service_view *view, struct candidates *ret_candidates)
{
	struct candidates candidates = {0};
	enum topology topology;

	for (size_t i = 0; i < slices->count; i++)
		candidates_of_slice(&candidates, slices->list[i], wish, view);
	candidates_sort(&candidates);
	topology = topology_of(&candidates, view);
	for (size_t i = 0; i < candidates.count; i++) {
		struct candidate *candidate = &candidates.list[i];
		const struct endpoint *endpoint = candidate->endpoint;

		if (is_duplicate(candidate))
			continue;
		candidate->fate[ENDPOINTS_CLUSTER] = fate_of(endpoint, topology, view);
		candidate->fate[ENDPOINTS_LOCAL] =
			candidate->local ? fate_of(endpoint, TOPOLOGY_NONE, view)
					 : ENDPOINT_ELSEWHERE;
	}
	for (enum endpoint_list list = 0; list < ENDPOINTS_LISTS; list++)
		fates_settle(&candidates, list);
	*ret_candidates = candidates;
}

void endpoints_choose(const struct slices *slices, const struct endpoint_wish *wish,
	const struct service_view *view, struct choice *ret_choice)
{
	struct choice choice = {0};
	struct candidates candidates;

	endpoints_judge(slices, wish, view, &candidates);
	for (size_t i = 0; i < candidates.count; i++) {
		const struct candidate *candidate = &candidates.list[i];
		const struct endpoint *endpoint = candidate->endpoint;

		if (is_duplicate(candidate))
			continue;
		for (enum endpoint_list list = 0; list < ENDPOINTS_LISTS; list++)
			if (candidate->fate[list] == ENDPOINT_USED)
				backends_add(&choice.list[list], &candidate->backend);
		if ((endpoint->ready || endpoint->serving) &&
			choice.can_serve++ < ENDPOINTS_LIST_MAX)
			backends_add(&choice.serving, &candidate->backend);
		if (!endpoint->ready && !is_ending(endpoint))
			continue;
		*(endpoint->ready ? &choice.ready : &choice.terminating) += 1;
		choice.here += candidate->local;
	}
	*ret_choice = choice;
	candidates_clear(&candidates);
}
