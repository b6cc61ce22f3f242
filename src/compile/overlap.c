/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/overlap.h"

#include "base/mem.h"

#include <stdarg.h>
#include <string.h>

void problems_add(
	struct problems *problems, const char *object, bool refused, const char *format, ...)
{
	struct problem *problem;
	va_list arguments;

	if (!problems)
		return;
	problems->item = mem_grow(
		problems->item, &problems->capacity, problems->count + 1, sizeof(*problem));
	problem = &problems->item[problems->count++];
	problem->object = mem_string(object);
	problem->refused = refused;
	va_start(arguments, format);
	problem->text = mem_vformat(format, arguments);
	va_end(arguments);
}

void problems_clear(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		free(problems->item[i].object);
		free(problems->item[i].text);
	}
	free(problems->item);
	*problems = (struct problems){0};
}

/* Of two nodes whose ranges overlap one keeps it: this node itself, else the first by name. */
static bool node_goes_first(const struct settings *settings, const struct node *a,
	const struct node *b)
{
	if (strcmp(a->object.name, settings->node) == 0)
		return true;
	return strcmp(b->object.name, settings->node) != 0 && strcmp(a->object.name, b->object.name) < 0;
}

static const struct node *range_other_owner(struct store *store,
	const struct settings *settings, const struct node *node, const struct prefix *range)
{
	const struct object *object;
	size_t position = 0;

	while ((object = store_next(store, KIND_NODE, &position))) {
		const struct node *other = object_node_const(object);

		if (other == node || !node_goes_first(settings, other, node))
			continue;
		for (size_t i = 0; i < other->ranges.count; i++)
			if (prefix_overlaps(&other->ranges.list[i], range))
				return other;
	}
	return NULL;
}

static const struct node *range_node_inside(struct store *store, const struct prefix *range,
	struct addr *ret_addr)
{
	const struct object *object;
	size_t position = 0;

	while ((object = store_next(store, KIND_NODE, &position))) {
		const struct node *node = object_node_const(object);

		for (size_t i = 0; i < node->addresses.count; i++)
			if (prefix_contains(range, &node->addresses.list[i].addr)) {
				*ret_addr = node->addresses.list[i].addr;
				return node;
			}
	}
	return NULL;
}

const struct node *store_own_node(struct store *store, const struct settings *settings)
{
	const struct object *object = store_get(store, KIND_NODE, NULL, settings->node);

	return object ? object_node_const(object) : NULL;
}

bool range_is_usable(struct store *store, const struct settings *settings,
	const struct node *node, const struct prefix *range, struct problems *problems)
{
	_free_ char *name = object_title(&node->object);
	char text[PREFIX_TEXT_SIZE], other_text[PREFIX_TEXT_SIZE];
	const struct node *other;
	struct addr addr;

	prefix_format(range, text);
	for (unsigned int i = 0; i < settings->service_ranges.count; i++)
		if (prefix_overlaps(&settings->service_ranges.range[i], range)) {
			problems_add(problems, name, true,
				"spec.podCIDRs: %s overlaps the Service range %s; "
				"give the node a range outside of it",
				text, prefix_format(&settings->service_ranges.range[i], other_text));
			return false;
		}
	other = range_other_owner(store, settings, node, range);
	if (other) {
		problems_add(problems, name, true,
			"spec.podCIDRs: %s overlaps a range of Node %s, which keeps it; "
			"give each node a range of its own",
			text, other->object.name);
		return false;
	}
	other = range_node_inside(store, range, &addr);
	if (other) {
		problems_add(problems, name, true,
			"spec.podCIDRs: %s holds the address %s of Node %s; "
			"give pods a range in which no node is",
			text, addr_format(&addr, other_text), other->object.name);
		return false;
	}
	return true;
}

const struct prefix *node_usable_range(struct store *store, const struct settings *settings,
	enum family family, struct problems *problems)
{
	const struct node *own = store_own_node(store, settings);

	for (size_t i = 0; own && i < own->ranges.count; i++)
		if (prefix_family(&own->ranges.list[i]) == family &&
			range_is_usable(store, settings, own, &own->ranges.list[i], problems))
			return &own->ranges.list[i];
	return NULL;
}

bool service_range_is_usable(struct store *store, const struct prefix *range)
{
	struct addr addr;

	return !range_node_inside(store, range, &addr);
}

static void check_service_ranges(
	struct store *store, const struct settings *settings, struct problems *problems)
{
	char text[PREFIX_TEXT_SIZE], addr_text[ADDR_TEXT_SIZE];
	const struct node *node;
	struct addr addr;

	for (unsigned int i = 0; i < settings->service_ranges.count; i++) {
		const struct prefix *range = &settings->service_ranges.range[i];

		node = range_node_inside(store, range, &addr);
		if (node)
			problems_add(problems, "settings", false,
				"serviceCIDRs: %s holds the address %s of Node %s; "
				"Services need a range in which no node is; this node's own "
				"processes have no route to it",
				prefix_format(range, text), addr_format(&addr, addr_text),
				node->object.name);
	}
}

static void check_inside_cluster(
	const struct settings *settings, const struct node *own, struct problems *problems)
{
	_free_ char *name = object_title(&own->object);
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < own->ranges.count && settings->pod_ranges.count; i++) {
		bool inside = false;

		for (unsigned int j = 0; j < settings->pod_ranges.count; j++)
			if (prefix_contains(&settings->pod_ranges.range[j], &own->ranges.list[i].addr))
				inside = true;
		if (!inside)
			problems_add(problems, name, false,
				"spec.podCIDRs[%zu]: %s is in none of the cluster's podCIDRs of "
				"the settings",
				i, prefix_format(&own->ranges.list[i], text));
	}
}

/* The primary family is that of the first entry, everywhere (kubernetes.md 1.7). */
void check_cluster(struct store *store, const struct settings *settings,
	const struct node *own, struct problems *problems)
{
	_free_ char *name = object_title(&own->object);
	enum family pods = FAMILY_NONE, nodes = FAMILY_NONE, services = FAMILY_NONE;

	if (own->ranges.count)
		pods = prefix_family(&own->ranges.list[0]);
	else
		problems_add(problems, name, true,
			"spec.podCIDRs is empty; no pod can have an address until the node is "
			"given a range");
	for (size_t i = 0; i < own->addresses.count && nodes == FAMILY_NONE; i++)
		if (own->addresses.list[i].type == NODE_ADDRESS_INTERNAL_IP)
			nodes = addr_family(&own->addresses.list[i].addr);
	if (nodes == FAMILY_NONE)
		problems_add(problems, name, true,
			"status.addresses has no InternalIP; other nodes cannot reach this one");
	if (settings->service_ranges.count)
		services = prefix_family(&settings->service_ranges.range[0]);
	if ((pods && services && pods != services) || (pods && nodes && pods != nodes) ||
		(nodes && services && nodes != services))
		problems_add(problems, name, false,
			"the primary family is not the same everywhere: spec.podCIDRs begins with "
			"%s, status.addresses with %s, serviceCIDRs with %s",
			family_name(pods), family_name(nodes), family_name(services));
	check_service_ranges(store, settings, problems);
	check_inside_cluster(settings, own, problems);
}
