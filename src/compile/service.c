/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/service.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* One Service in one family. */
struct service_plan {
	struct plan *plan;
	const struct service *service;
	const struct slices *slices;
	const struct service_view *view;
	enum family family;
	size_t sources; /* of the addresses of load balancers */
	size_t cluster; /* the claim of the cluster address, or PLAN_NO_CLAIM */
	bool is_routed; /* the node sends to the cluster address by the tunnel's device */
};

#define PLAN_NO_CLAIM SIZE_MAX

/* What a port's frontends lead to: inside and outside differ by kind of frontend. */
struct targets {
	size_t cluster, local, serving;
	bool any;
	const struct service_port *port;
	size_t port_index;
	size_t at; /* in the plan */
};

static void list_of(struct service_list *list, size_t *set, const struct targets *targets,
	enum traffic_policy policy)
{
	*set = policy == TRAFFIC_LOCAL ? targets->local : targets->cluster;
	list->answer = SERVICE_REFUSE;
	if (*set == PLAN_NO_SET && policy == TRAFFIC_LOCAL && targets->any)
		list->answer = SERVICE_DROP;
}

/* The frontend leads where the cluster address leads, whose packets are translated one by one. */
static void row_set_cluster(
	const struct service_plan *p, const struct targets *targets, struct plan_row *planned)
{
	if (targets->port->protocol != PROTOCOL_UDP || !p->is_routed)
		return;
	planned->cluster = p->cluster;
	planned->row.cluster_port = htons(targets->port->port);
}

static struct plan_row row_of(const struct service_plan *p, const struct targets *targets)
{
	const struct service *service = p->service;
	struct plan_row planned = {.target = targets->at,
		.serving = PLAN_NO_SET,
		.sources = PLAN_NO_SET,
		.list = {PLAN_NO_SET, PLAN_NO_SET, targets->local}};

	planned.row.port = p->plan->targets.list[targets->at].name;
	planned.key.port = htons(targets->port->port);
	planned.key.protocol = protocol_number(targets->port->protocol);
	if (targets->port->protocol == PROTOCOL_UDP)
		planned.serving = targets->serving;
	if (service->session_affinity == AFFINITY_CLIENT_IP)
		planned.row.affinity_seconds = service->affinity_seconds;
	return planned;
}

/* The cluster address, whose port is judged by internalTrafficPolicy, wherever one comes from. */
static void plan_cluster_port(struct service_plan *p, const struct targets *targets)
{
	struct plan_row planned = row_of(p, targets);
	enum traffic_policy policy = p->service->internal_policy;

	planned.claim = p->cluster;
	planned.key.addr = p->plan->claims.list[p->cluster].key.addr;
	row_set_cluster(p, targets, &planned);
	list_of(&planned.row.inside, &planned.list[LIST_INSIDE], targets, policy);
	list_of(&planned.row.outside, &planned.list[LIST_OUTSIDE], targets, policy);
	plan_row(p->plan, &planned);
}

/*
 * What is there for clients outside: those inside always have the whole cluster's endpoints, those
 * outside by externalTrafficPolicy.
 */
static struct plan_row external_row(const struct service_plan *p, const struct targets *targets)
{
	struct plan_row planned = row_of(p, targets);

	planned.maglev = true;
	if (p->service->internal_policy == TRAFFIC_CLUSTER)
		row_set_cluster(p, targets, &planned);
	list_of(&planned.row.inside, &planned.list[LIST_INSIDE], targets, TRAFFIC_CLUSTER);
	list_of(&planned.row.outside, &planned.list[LIST_OUTSIDE], targets,
		p->service->external_policy);
	return planned;
}

static struct addr addr_any(enum family family)
{
	struct addr any = {0};

	if (family == FAMILY_IPV4)
		addr_set_v4(&any, 0);
	return any;
}

static void plan_node_port(struct service_plan *p, const struct targets *targets)
{
	struct plan_row planned = external_row(p, targets);
	struct claim claim = {.rank = CLAIM_NODE_PORT,
		.field = "spec.ports",
		.index = targets->port_index,
		.member = ".nodePort"};

	planned.key.addr = addr_any(p->family);
	planned.key.port = htons(targets->port->node_port);
	planned.key.scope = SERVICE_OWN_NODE;
	claim.key = planned.key;
	planned.claim = plan_claim(p->plan, &claim);
	plan_row(p->plan, &planned);
	/* Under Local a packet to another node goes there, and is judged as what comes from outside. */
	if (p->service->external_policy == TRAFFIC_LOCAL)
		return;
	planned.key.scope = SERVICE_OTHER_NODE;
	planned.list[LIST_OUTSIDE] = planned.list[LIST_HERE] = PLAN_NO_SET;
	plan_row(p->plan, &planned);
}

static void plan_external_port(
	struct service_plan *p, const struct targets *targets, const struct claim *of)
{
	struct plan_row planned = external_row(p, targets);
	struct claim claim = *of;

	planned.key.addr = claim.key.addr;
	claim.key = planned.key;
	if (claim.rank == CLAIM_LOAD_BALANCER)
		planned.sources = p->sources;
	planned.claim = plan_claim(p->plan, &claim);
	plan_row(p->plan, &planned);
}

/* What no port of an address takes is refused. */
static size_t plan_address(struct service_plan *p, const struct claim *claim)
{
	struct plan_row planned = {.key = claim->key,
		.target = PLAN_NO_TARGET,
		.list = {PLAN_NO_SET, PLAN_NO_SET, PLAN_NO_SET},
		.serving = PLAN_NO_SET,
		.sources = PLAN_NO_SET};

	planned.claim = plan_claim(p->plan, claim);
	plan_row(p->plan, &planned);
	return planned.claim;
}

static bool addr_is_among(const struct addrs *addrs, const struct addr *addr)
{
	for (size_t i = 0; i < addrs->count; i++)
		if (addr_equal(&addrs->list[i], addr))
			return true;
	return false;
}

static bool ranges_contain(const struct settings_ranges *ranges, const struct addr *addr)
{
	for (unsigned int i = 0; i < ranges->count; i++)
		if (prefix_contains(&ranges->range[i], addr))
			return true;
	return false;
}

/* A cluster address that is on this node itself (a DNS cache's) is served by who put it there. */
static void plan_cluster_address(struct service_plan *p)
{
	const struct addr *addr = service_cluster_ip(p->service, p->family);
	struct claim claim = {.rank = CLAIM_CLUSTER,
		.key.addr = *addr,
		.field = "spec.clusterIPs",
		.index = (size_t)(addr - p->service->cluster_ips.list),
		.member = ""};

	p->cluster = PLAN_NO_CLAIM;
	if (addr_is_among(&p->view->facts->local, addr))
		return;
	p->cluster = plan_address(p, &claim);
	p->is_routed = ranges_contain(&p->view->settings->service_ranges, addr);
}

/* May the Service have this address, as far as it does not depend on other Services? */
static bool address_is_free(
	const struct service_plan *p, const struct claim *claim, const struct addr *addr)
{
	_free_ char *why = reserved_why(p->view->reserved, addr);
	char text[ADDR_TEXT_SIZE];

	if (!why)
		return true;
	problems_add(p->plan->problems, p->plan->owner, true,
		"%s[%zu]: %s %s; use an address that is nobody's", claim->field, claim->index,
		addr_format(addr, text), why);
	return false;
}

static bool address_is_allowed(
	const struct service_plan *p, const struct claim *claim, const struct addr *addr)
{
	char text[ADDR_TEXT_SIZE];

	if (ranges_contain(&p->view->settings->external_ranges, addr))
		return true;
	problems_add(p->plan->problems, p->plan->owner, true,
		"%s[%zu]: %s is in no range of the setting externalCIDRs; "
		"the administrator must allow it",
		claim->field, claim->index, addr_format(addr, text));
	return false;
}

static bool address_is_named_before(const struct service *service, enum claim_rank rank, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (rank == CLAIM_EXTERNAL
				? addr_equal(&service->external_ips.list[i],
					  &service->external_ips.list[index])
				: service->load_balancer.list[i].mode == LOAD_BALANCER_VIP &&
					  addr_equal(&service->load_balancer.list[i].addr,
						  &service->load_balancer.list[index].addr))
			return true;
	return false;
}

static bool balancer_is_ours(const struct service_plan *p, size_t index)
{
	const struct load_balancer_address *address = &p->service->load_balancer.list[index];

	return address->mode == LOAD_BALANCER_VIP && addr_is_given(&address->addr) &&
	       addr_family(&address->addr) == p->family &&
	       !address_is_named_before(p->service, CLAIM_LOAD_BALANCER, index);
}

static bool external_is_ours(const struct service_plan *p, size_t index)
{
	return addr_family(&p->service->external_ips.list[index]) == p->family &&
	       !address_is_named_before(p->service, CLAIM_EXTERNAL, index);
}

/* Ranges of this family. One that is everything, or none of this family: no filter. */
static void plan_load_balancer_sources(struct service_plan *p)
{
	const struct prefixes *wanted = &p->service->load_balancer_source_ranges;
	size_t most = wanted->count + p->service->load_balancer.count;
	_free_ struct prefix *list = mem_new(most, sizeof(*list));
	const struct addr *node =
		p->view->own ? node_internal_ip(p->view->own, p->family) : NULL;
	struct prefixes sources = {.list = list};
	bool has_node = false;

	p->sources = PLAN_NO_SET;
	for (size_t i = 0; i < wanted->count; i++) {
		if (prefix_family(&wanted->list[i]) != p->family)
			continue;
		if (prefix_length_shown(&wanted->list[i]) == 0)
			return;
		has_node = has_node || (node && prefix_contains(&wanted->list[i], node));
		list[sources.count++] = wanted->list[i];
	}
	if (!sources.count)
		return;
	/* On a node that has the address itself, what it sends there comes from there. */
	for (size_t i = 0; i < p->service->load_balancer.count && has_node; i++)
		if (balancer_is_ours(p, i))
			list[sources.count++] = (struct prefix){
				.addr = p->service->load_balancer.list[i].addr, .length = 128};
	p->sources = plan_sources(p->plan, &sources);
}

/* The claims on external addresses of one kind, each for all ports. */
static void plan_externals(struct service_plan *p, const struct targets *targets, size_t count)
{
	const struct service *service = p->service;

	for (size_t i = 0; i < service->load_balancer.count; i++) {
		struct claim claim = {.rank = CLAIM_LOAD_BALANCER,
			.key.addr = service->load_balancer.list[i].addr,
			.field = "status.loadBalancer.ingress",
			.index = i,
			.member = ""};

		if (service->type != SERVICE_LOAD_BALANCER || !balancer_is_ours(p, i) ||
			!address_is_free(p, &claim, &claim.key.addr))
			continue;
		plan_address(p, &claim);
		for (size_t j = 0; j < count; j++)
			plan_external_port(p, &targets[j], &claim);
	}
	for (size_t i = 0; i < service->external_ips.count; i++) {
		struct claim claim = {.rank = CLAIM_EXTERNAL,
			.key.addr = service->external_ips.list[i],
			.field = "spec.externalIPs",
			.index = i,
			.member = ""};

		if (!external_is_ours(p, i) || !address_is_free(p, &claim, &claim.key.addr) ||
			!address_is_allowed(p, &claim, &claim.key.addr))
			continue;
		for (size_t j = 0; j < count; j++)
			plan_external_port(p, &targets[j], &claim);
	}
}

static void targets_choose(struct service_plan *p, struct targets *targets)
{
	struct plan_target target = {.wish = {.family = p->family,
					     .name = targets->port->name,
					     .protocol = targets->port->protocol},
		.port = targets->port->port};
	struct choice choice;

	endpoints_choose(p->slices, &target.wish, p->view, &choice);
	if (choice.can_serve > ENDPOINTS_LIST_MAX)
		problems_add(p->plan->problems, p->plan->owner, false,
			"spec.ports[%zu]: has %zu %s endpoints; the first %d of them by address are "
			"used",
			targets->port_index, choice.can_serve, family_name(p->family),
			ENDPOINTS_LIST_MAX);
	target.ready = choice.ready;
	target.terminating = choice.terminating;
	target.here = choice.here;
	target.used = choice.list[ENDPOINTS_CLUSTER].count;
	targets->at = plan_target(p->plan, &target);
	targets->any = choice.ready || choice.terminating;
	targets->cluster = plan_set(p->plan, &choice.list[ENDPOINTS_CLUSTER]);
	targets->local = plan_set(p->plan, &choice.list[ENDPOINTS_LOCAL]);
	targets->serving = PLAN_NO_SET;
	if (targets->port->protocol == PROTOCOL_UDP)
		targets->serving = plan_set(p->plan, &choice.serving);
	choice_clear(&choice);
}

/* How many of the ports have room; the others are as ports that the Service does not have. */
static size_t plan_targets(struct service_plan *p, struct targets *targets)
{
	const struct service *service = p->service;
	size_t frontends = 3 + service->load_balancer.count + service->external_ips.count, i;

	for (i = 0; i < service->ports.count; i++) {
		if (p->plan->backends > PLAN_BACKENDS_MAX - 3 * ENDPOINTS_LIST_MAX ||
			p->plan->rows.count + (i + 1) * frontends > PLAN_ROWS_MAX)
			break;
		targets[i].port = &service->ports.list[i];
		targets[i].port_index = i;
		targets_choose(p, &targets[i]);
	}
	if (i < service->ports.count)
		problems_add(p->plan->problems, p->plan->owner, true,
			"spec.ports[%zu] and what follows: more ports, addresses and endpoints than "
			"one Service may have; make several of it",
			i);
	return i;
}

static void plan_count_local(struct service_plan *p, const struct targets *targets)
{
	const struct service *service = p->service;
	bool outside = targets->port->node_port || service_names_addresses(service);

	if (!targets->any || targets->local != PLAN_NO_SET)
		return;
	if (service->internal_policy == TRAFFIC_LOCAL && p->cluster != PLAN_NO_CLAIM)
		p->plan->without_local[POLICY_INTERNAL][p->family]++;
	if (service->external_policy == TRAFFIC_LOCAL && outside)
		p->plan->without_local[POLICY_EXTERNAL][p->family]++;
}

static void plan_family(struct service_plan *p)
{
	const struct service *service = p->service;
	_free_ struct targets *targets = mem_new(service->ports.count, sizeof(*targets));
	size_t count;

	plan_cluster_address(p);
	count = plan_targets(p, targets);
	for (size_t i = 0; i < count; i++) {
		if (p->cluster != PLAN_NO_CLAIM)
			plan_cluster_port(p, &targets[i]);
		if (targets[i].port->node_port)
			plan_node_port(p, &targets[i]);
		plan_count_local(p, &targets[i]);
	}
	plan_load_balancer_sources(p);
	plan_externals(p, targets, count);
}

const char *service_why_not(const struct service *service)
{
	if (service->headless)
		return "headless: DNS leads to its endpoints";
	if (service->type == SERVICE_EXTERNAL_NAME)
		return "of type ExternalName: DNS leads to another name";
	if (service_is_foreign(service))
		return "a label says that somebody else serves it";
	return service->cluster_ips.count ? NULL : "it has no cluster address yet";
}

void plan_service(struct plan *plan, const struct service *service, const struct slices *slices,
	const struct service_view *view)
{
	plan->created = service->object.created;
	if (service_why_not(service))
		return;
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++) {
		struct service_plan p = {.plan = plan,
			.service = service,
			.slices = slices,
			.view = view,
			.family = family};

		if (service_cluster_ip(service, family))
			plan_family(&p);
	}
}

bool service_names_addresses(const struct service *service)
{
	return service->external_ips.count > 0 || service->load_balancer.count > 0;
}
