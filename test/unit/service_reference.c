/* SPDX-License-Identifier: Apache-2.0 */
#include "service_reference.h"

#include "base/mem.h"
#include "model/endpoints.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/service.h"

#include <string.h>

/* What a query meets: a Service's port in one of its ways to be reached, or a pod's host port. */
enum way { AS_NOTHING, AS_CLUSTER, AS_BALANCER, AS_EXTERNAL, AS_NODE_PORT, AS_HOST_PORT };

struct meeting {
	const struct service *service;
	const struct service_port *port;
	const struct pod *pod;
	const struct container_port *host_port;
	enum way as;
	bool whole; /* the address is somebody's, the port is not */
};

/* --- who is whose --- */

static bool older(const struct object *a, const struct object *b)
{
	_free_ char *left = object_key(a), *right = object_key(b);

	return a->created != b->created ? a->created < b->created : strcmp(left, right) < 0;
}

static bool is_served(const struct service *service, enum family family)
{
	return service->type != SERVICE_EXTERNAL_NAME && !service->headless &&
	       !service_is_foreign(service) && service_cluster_ip(service, family);
}

static const struct service_port *port_of(
	const struct service *service, const struct reference_query *query, bool node_port)
{
	for (size_t i = 0; i < service->ports.count; i++) {
		const struct service_port *port = &service->ports.list[i];

		if (port->protocol == query->protocol &&
			(node_port ? port->node_port : port->port) == query->port)
			return port;
	}
	return NULL;
}

static bool in_ranges(const struct settings_ranges *ranges, const struct addr *addr)
{
	for (unsigned int i = 0; i < ranges->count; i++)
		if (prefix_contains(&ranges->range[i], addr))
			return true;
	return false;
}

/* A node's, a pod's, in a Service range, or the API server's (none in these scenes). */
static bool is_reserved(
	struct store *store, const struct settings *settings, const struct addr *addr)
{
	const struct object *object;
	size_t position = 0;

	if (in_ranges(&settings->pod_ranges, addr) || in_ranges(&settings->service_ranges, addr))
		return true;
	while ((object = store_next(store, KIND_NODE, &position))) {
		const struct node *node = object_node_const(object);

		for (size_t i = 0; i < node->addresses.count; i++)
			if (addr_equal(&node->addresses.list[i].addr, addr))
				return true;
	}
	return false;
}

static bool is_balanced(const struct service *service, const struct addr *addr)
{
	for (size_t i = 0; i < service->load_balancer.count; i++)
		if (service->type == SERVICE_LOAD_BALANCER &&
			service->load_balancer.list[i].mode == LOAD_BALANCER_VIP &&
			addr_equal(&service->load_balancer.list[i].addr, addr))
			return true;
	return false;
}

static bool is_external(const struct service *service, const struct addr *addr)
{
	for (size_t i = 0; i < service->external_ips.count; i++)
		if (addr_equal(&service->external_ips.list[i], addr))
			return true;
	return false;
}

/* Takes the Service where it goes before the one that was met first. */
static void meet(struct meeting *meeting, const struct service *service,
	const struct service_port *port, enum way as)
{
	if (meeting->service && meeting->as == as && !meeting->whole &&
		older(&meeting->service->object, &service->object))
		return;
	meeting->service = service;
	meeting->port = port;
	meeting->as = as;
	meeting->whole = false;
}

static void meet_cluster(
	struct store *store, const struct reference_query *query, struct meeting *meeting)
{
	const struct object *object;
	size_t position = 0;

	while ((object = store_next(store, KIND_SERVICE, &position))) {
		const struct service *service = object_service_const(object);

		if (is_served(service, query->family) &&
			addr_equal(service_cluster_ip(service, query->family), &query->addr))
			meet(meeting, service, NULL, AS_CLUSTER);
	}
	if (!meeting->service)
		return;
	meeting->port = port_of(meeting->service, query, false);
	meeting->whole = !meeting->port;
}

/* Load balancers go before external addresses, whoever is older. */
static void meet_external(struct store *store, const struct settings *settings,
	const struct reference_query *query, enum way as, struct meeting *meeting)
{
	const struct object *object;
	size_t position = 0;
	bool whole = false;

	if (is_reserved(store, settings, &query->addr) ||
		(as == AS_EXTERNAL && !in_ranges(&settings->external_ranges, &query->addr)))
		return;
	while ((object = store_next(store, KIND_SERVICE, &position))) {
		const struct service *service = object_service_const(object);
		const struct service_port *port = port_of(service, query, false);

		if (!is_served(service, query->family) ||
			!(as == AS_BALANCER ? is_balanced : is_external)(service, &query->addr))
			continue;
		whole = whole || as == AS_BALANCER;
		if (port)
			meet(meeting, service, port, as);
	}
	meeting->whole = !meeting->service && whole;
}

static void meet_node_port(
	struct store *store, const struct reference_query *query, struct meeting *meeting)
{
	const struct object *object;
	size_t position = 0;

	while ((object = store_next(store, KIND_SERVICE, &position))) {
		const struct service *service = object_service_const(object);
		const struct service_port *port = port_of(service, query, true);

		if (is_served(service, query->family) && port)
			meet(meeting, service, port, AS_NODE_PORT);
	}
}

static void meet_container(const struct pod *pod, const struct container *container,
	const struct reference_query *query, struct meeting *meeting)
{
	for (size_t i = 0; i < container->ports.count; i++) {
		const struct container_port *port = &container->ports.list[i];
		bool here = addr_is_given(&port->host_ip) && !addr_is_unspecified(&port->host_ip)
				    ? addr_equal(&port->host_ip, &query->addr)
				    : addr_is_unspecified(&query->addr);

		if (port->host_port != query->port || port->protocol != query->protocol || !here ||
			(meeting->pod && meeting->pod != pod &&
				older(&meeting->pod->object, &pod->object)) ||
			meeting->pod == pod)
			continue;
		meeting->pod = pod;
		meeting->host_port = port;
		meeting->as = AS_HOST_PORT;
	}
}

static void meet_host_port(struct store *store, const struct settings *settings,
	const struct reference_query *query, struct meeting *meeting)
{
	const struct object *object;
	size_t position = 0;

	while ((object = store_next(store, KIND_POD, &position))) {
		const struct pod *pod = object_pod_const(object);

		if (pod->node_name && strcmp(pod->node_name, settings->node) == 0 &&
			!pod->host_network && !pod_is_over(pod) && pod_address(pod, query->family))
			for (size_t i = 0; i < pod->containers.count; i++)
				meet_container(pod, &pod->containers.list[i], query, meeting);
	}
}

static struct meeting reference_meet(struct store *store, const struct settings *settings,
	const struct reference_query *query)
{
	struct meeting meeting = {0};

	if (query->target == TO_ADDRESS) {
		meet_cluster(store, query, &meeting);
		if (!meeting.service)
			meet_external(store, settings, query, AS_BALANCER, &meeting);
		if (!meeting.service) {
			bool whole = meeting.whole;

			meet_external(store, settings, query, AS_EXTERNAL, &meeting);
			meeting.whole = !meeting.service && whole;
		}
		return meeting;
	}
	meet_node_port(store, query, &meeting);
	/* On one address alone there are host ports; a node port of the number is on all of them. */
	if (meeting.service && !addr_is_unspecified(&query->addr))
		meeting = (struct meeting){0};
	else if (!meeting.service && query->target == TO_THIS_NODE)
		meet_host_port(store, settings, query, &meeting);
	if (query->target == TO_ANOTHER_NODE && meeting.service &&
		meeting.service->external_policy == TRAFFIC_LOCAL)
		meeting = (struct meeting){0};
	return meeting;
}

/* --- endpoints --- */

struct known {
	const struct endpoint *endpoint;
	const char *slice;
	uint16_t port;
};

#define KNOWN_MAX 512

struct all {
	struct known list[KNOWN_MAX];
	size_t count;
	const char *node, *zone;
};

static bool is_here(const struct all *all, const struct endpoint *endpoint)
{
	return endpoint->node_name && strcmp(endpoint->node_name, all->node) == 0;
}

/* Of two that name the same address and port, which counts. */
static bool counts_more(const struct all *all, const struct known *a, const struct known *b)
{
	const struct endpoint *x = a->endpoint, *y = b->endpoint;

	if (x->terminating != y->terminating)
		return !x->terminating;
	if (x->ready != y->ready)
		return x->ready;
	if (x->serving != y->serving)
		return x->serving;
	if (is_here(all, x) != is_here(all, y))
		return is_here(all, x);
	if (strcmp(a->slice, b->slice) != 0)
		return strcmp(a->slice, b->slice) < 0;
	return x < y;
}

static void know(struct all *all, struct known known)
{
	for (size_t i = 0; i < all->count; i++)
		if (addr_equal(&all->list[i].endpoint->address.addr,
			    &known.endpoint->address.addr) &&
			all->list[i].port == known.port) {
			if (counts_more(all, &known, &all->list[i]))
				all->list[i] = known;
			return;
		}
	if (all->count < KNOWN_MAX)
		all->list[all->count++] = known;
}

static void know_slice(struct all *all, const struct endpoint_slice *slice,
	const struct meeting *meeting, enum family family)
{
	if (slice->address_type != (family == FAMILY_IPV4 ? ADDRESS_TYPE_IPV4 : ADDRESS_TYPE_IPV6) ||
		endpoint_slice_is_foreign(slice) || !endpoint_slice_service(slice) ||
		strcmp(endpoint_slice_service(slice), meeting->service->object.name) != 0 ||
		strcmp(slice->object.namespace, meeting->service->object.namespace) != 0)
		return;
	for (size_t i = 0; i < slice->ports.count; i++) {
		const struct endpoint_port *port = &slice->ports.list[i];
		const char *name = port->name ? port->name : "";

		if (!port->port || port->protocol != meeting->port->protocol ||
			strcmp(name, meeting->port->name ? meeting->port->name : "") != 0)
			continue;
		for (size_t j = 0; j < slice->endpoints.count; j++)
			know(all, (struct known){
				&slice->endpoints.list[j], slice->object.name, port->port});
	}
}

static void know_all(struct store *store, const struct settings *settings,
	const struct meeting *meeting, enum family family, struct all *ret_all)
{
	const struct object *object = store_get(store, KIND_NODE, NULL, settings->node);
	size_t position = 0;

	ret_all->count = 0;
	ret_all->node = settings->node;
	ret_all->zone = object ? labels_get(&object->labels, "topology.kubernetes.io/zone") : NULL;
	while ((object = store_next(store, KIND_ENDPOINT_SLICE, &position)))
		know_slice(ret_all, object_endpoint_slice_const(object), meeting, family);
}

static bool names(const struct endpoint_zone *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (name && strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

static bool ends_well(const struct endpoint *endpoint)
{
	return endpoint->serving && endpoint->terminating;
}

enum near { NEAR_ANY, NEAR_NODE, NEAR_ZONE };

static bool hints_it(const struct all *all, const struct endpoint *e, enum near near)
{
	const struct endpoint_hints *hints = e->hints;

	if (near == NEAR_ANY || !hints)
		return near == NEAR_ANY;
	return near == NEAR_NODE
		       ? names(hints->for_nodes.list, hints->for_nodes.count, all->node)
		       : names(hints->for_zones.list, hints->for_zones.count, all->zone);
}

static enum near nearness(const struct all *all)
{
	for (enum near near = NEAR_NODE; near <= NEAR_ZONE; near++) {
		bool every = true, some = false;

		for (size_t i = 0; i < all->count; i++) {
			const struct endpoint *e = all->list[i].endpoint;

			if (!e->ready)
				continue;
			every = every &&
				e->hints && (near == NEAR_NODE ? e->hints->for_nodes.count
							: e->hints->for_zones.count) > 0;
			some = some || hints_it(all, e, near);
		}
		if (every && some)
			return near;
	}
	return NEAR_ANY;
}

static int known_order(const void *left, const void *right)
{
	const struct known *a = *(const struct known *const *)left;
	const struct known *b = *(const struct known *const *)right;
	int order = addr_compare(
		&a->endpoint->address.addr, &b->endpoint->address.addr);

	return order ? order : (int)a->port - (int)b->port;
}

static void print_known(const struct all *all, const bool *listed, struct text *answer)
{
	const struct known *sorted[KNOWN_MAX];
	char text[ADDR_TEXT_SIZE];
	size_t count = 0;

	for (size_t i = 0; i < all->count; i++)
		if (listed[i])
			sorted[count++] = &all->list[i];
	qsort(sorted, count, sizeof(*sorted), known_order);
	for (size_t i = 0; i < count; i++)
		text_printf(answer, "%s:%u ",
			addr_format(&sorted[i]->endpoint->address.addr, text),
			sorted[i]->port);
}

static void list_cluster(const struct all *all, bool *listed)
{
	enum near near = nearness(all);
	bool some = false;

	for (size_t i = 0; i < all->count; i++) {
		listed[i] = all->list[i].endpoint->ready && hints_it(all, all->list[i].endpoint, near);
		some = some || listed[i];
	}
	for (size_t i = 0; i < all->count && !some; i++)
		listed[i] = ends_well(all->list[i].endpoint);
}

static void list_local(const struct all *all, bool *listed)
{
	bool some = false;

	for (size_t i = 0; i < all->count; i++) {
		listed[i] = all->list[i].endpoint->ready && is_here(all, all->list[i].endpoint);
		some = some || listed[i];
	}
	for (size_t i = 0; i < all->count && !some; i++)
		listed[i] = ends_well(all->list[i].endpoint) && is_here(all, all->list[i].endpoint);
}

/* --- answers --- */

static bool is_local_only(const struct meeting *meeting, enum reference_from from)
{
	if (from == FROM_ANOTHER_NODE)
		return true;
	if (meeting->as == AS_CLUSTER)
		return meeting->service->internal_policy == TRAFFIC_LOCAL;
	return from == FROM_OUTSIDE && meeting->service->external_policy == TRAFFIC_LOCAL;
}

static void answer_service(const struct all *all, const struct meeting *meeting,
	enum reference_from from, struct text *answer)
{
	bool local = is_local_only(meeting, from), listed[KNOWN_MAX] = {0}, any = false;

	(local ? list_local : list_cluster)(all, listed);
	print_known(all, listed, answer);
	if (answer->length)
		return;
	for (size_t i = 0; i < all->count; i++)
		any = any || all->list[i].endpoint->ready || ends_well(all->list[i].endpoint);
	text_append(answer, local && any && from != FROM_ANOTHER_NODE ? "drop" : "refuse");
}

void reference_answer(struct store *store, const struct settings *settings,
	const struct reference_query *query, struct text *answer)
{
	struct meeting meeting = reference_meet(store, settings, query);
	static struct all all;
	char text[ADDR_TEXT_SIZE];

	if (meeting.pod) {
		text_printf(answer, "%s:%u ",
			addr_format(pod_address(meeting.pod, query->family), text),
			meeting.host_port->container_port);
	} else if (meeting.whole) {
		text_append(answer, "refuse");
	} else if (!meeting.service) {
		text_append(answer, "none");
	} else {
		know_all(store, settings, &meeting, query->family, &all);
		answer_service(&all, &meeting, query->from, answer);
	}
}

void reference_serving(struct store *store, const struct settings *settings,
	const struct reference_query *query, struct text *answer)
{
	struct meeting meeting = reference_meet(store, settings, query);
	bool listed[KNOWN_MAX] = {0};
	static struct all all;
	char text[ADDR_TEXT_SIZE];

	if (query->protocol != PROTOCOL_UDP)
		return;
	if (meeting.pod)
		text_printf(answer, "%s:%u ",
			addr_format(pod_address(meeting.pod, query->family), text),
			meeting.host_port->container_port);
	if (!meeting.service || !meeting.port)
		return;
	know_all(store, settings, &meeting, query->family, &all);
	for (size_t i = 0; i < all.count; i++)
		listed[i] = all.list[i].endpoint->serving || all.list[i].endpoint->ready;
	print_known(&all, listed, answer);
}

static void print_range(const struct prefix *range, struct text *answer)
{
	char text[PREFIX_TEXT_SIZE];
	_free_ char *line = mem_format("%s ", prefix_format(range, text));

	if (!strstr(text_string(answer), line))
		text_append(answer, line);
}

void reference_sources(struct store *store, const struct settings *settings,
	const struct reference_query *query, struct text *answer)
{
	struct meeting meeting = reference_meet(store, settings, query);
	const struct object *object = store_get(store, KIND_NODE, NULL, settings->node);
	const struct addr *node = object ? node_internal_ip(object_node_const(object), query->family)
					 : NULL;
	const struct prefixes *ranges;
	bool some = false, everybody = false, with_node = false;

	if (meeting.service && meeting.as == AS_BALANCER) {
		ranges = &meeting.service->load_balancer_source_ranges;
		for (size_t i = 0; i < ranges->count; i++) {
			if (prefix_family(&ranges->list[i]) != query->family)
				continue;
			some = true;
			everybody = everybody || prefix_length_shown(&ranges->list[i]) == 0;
			with_node = with_node || (node && prefix_contains(&ranges->list[i], node));
		}
	}
	if (!some || everybody) {
		text_append(answer, "all");
		return;
	}
	for (size_t i = 0; i < ranges->count; i++)
		if (prefix_family(&ranges->list[i]) == query->family)
			print_range(&ranges->list[i], answer);
	for (size_t i = 0; with_node && i < meeting.service->load_balancer.count; i++) {
		struct prefix own = {meeting.service->load_balancer.list[i].addr, 128};

		if (meeting.service->load_balancer.list[i].mode == LOAD_BALANCER_VIP &&
			prefix_family(&own) == query->family)
			print_range(&own, answer);
	}
}
