/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/health.h"

#include "agent/agent.h"
#include "agent/http.h"
#include "agent/metrics.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "compile/local.h"
#include "compile/weight.h"

#include <errno.h>
#include <string.h>

/* One address where a Service's health is served. */
struct health_place {
	struct health_service *service;
	struct addr addr;
	struct http_listener *listener; /* NULL: could not be made */
	bool wanted;
};

struct health_service {
	struct agent *agent;
	const struct service *service; /* as the store has it */
	struct health_place **place;
	size_t place_count, place_capacity;
	unsigned int weight[FAMILY_MAX];
	bool weighed[FAMILY_MAX];
};

/* --- is this node healthy? --- */

void health_queued(struct agent *agent)
{
	if (!agent->health.queued_ns)
		agent->health.queued_ns = clock_monotonic_ns();
	metrics_queued(agent);
}

void health_applied(struct agent *agent)
{
	if (agent->settle.place || *agent->last_error)
		return; /* not all is read, or not all is applied */
	agent->health.queued_ns = 0;
	agent->health.applied_ns = clock_realtime_ns();
}

static bool node_is_healthy(const struct agent *agent)
{
	uint64_t limit = agent->settings.health_timeout_seconds * CLOCK_NS_PER_S;

	return !agent->health.queued_ns ||
	       clock_monotonic_ns() - agent->health.queued_ns < limit;
}

/* Without an object this node is not of the cluster (any more). */
static bool own_node_is_eligible(struct agent *agent)
{
	const struct node *own = store_own_node(&agent->objects.store, &agent->settings);

	return own && node_is_eligible(own);
}

static void answer_tree(struct http_answer *answer, json_t *tree)
{
	_free_ char *text = json_write(tree);

	answer->type = "application/json";
	text_append(&answer->body, text);
	json_decref(tree);
}

/* One reconciliation does both families, so they never differ. */
static void health_answer(struct agent *agent, enum health_page page, struct http_answer *answer)
{
	bool healthy = node_is_healthy(agent), eligible = own_node_is_eligible(agent);
	bool good = healthy && (page == HEALTH_LIVEZ || eligible);
	char now[CLOCK_TEXT_SIZE], applied[CLOCK_TEXT_SIZE];
	json_t *tree;

	clock_format(clock_realtime_ns(), now);
	clock_format(agent->health.applied_ns, applied);
	/* As kube-proxy: "recent" where all is well, whenever there was something to be done. */
	tree = json_pack(
		"{s:s, s:s}", "lastUpdated", good ? now : applied, "currentTime", now);
	if (page == HEALTH_HEALTHZ)
		json_object_set_new(tree, "nodeEligible", json_boolean(eligible));
	json_object_set_new(tree, "healthy", json_boolean(healthy));
	json_object_set_new(tree, "status",
		json_pack("{s:{s:s, s:b}, s:{s:s, s:b}}", "IPv4", "lastUpdated", applied, "healthy",
			healthy, "IPv6", "lastUpdated", applied, "healthy", healthy));
	answer->status = good ? 200 : 503;
	agent->health.answered[page][!good]++;
	answer_tree(answer, tree);
}

static void answer_text(struct http_answer *answer, unsigned int status, const char *text)
{
	answer->status = status;
	text_append(&answer->body, text);
}

static void healthz_serve(void *context, const char *path, struct http_answer *answer)
{
	if (strcmp(path, "/healthz") == 0)
		health_answer(context, HEALTH_HEALTHZ, answer);
	else if (strcmp(path, "/livez") == 0)
		health_answer(context, HEALTH_LIVEZ, answer);
	else
		answer_text(answer, 404, "there are /healthz and /livez\n");
}

static void metrics_serve(void *context, const char *path, struct http_answer *answer)
{
	if (strcmp(path, "/metrics") == 0) {
		answer->type = METRICS_TYPE;
		metrics_print(context, &answer->body);
	} else if (strcmp(path, "/proxyMode") == 0) {
		answer_text(answer, 200, "ebpf");
	} else if (strcmp(path, "/healthz") == 0) {
		answer_text(answer, 200, "ok");
	} else {
		answer_text(answer, 404, "there are /metrics, /proxyMode and /healthz\n");
	}
}

/* --- Services --- */

static unsigned int service_weigh(struct health_service *hs, enum family family)
{
	const struct object *object = &hs->service->object;
	struct slices slices = {0};

	if (!hs->weighed[family]) {
		slices.count = store_slices(&hs->agent->objects.store, object->namespace,
			object->name, &slices.list);
		hs->weight[family] = service_weight(
			hs->service, &slices, family, hs->agent->settings.node);
		hs->weighed[family] = true;
	}
	return hs->weight[family];
}

/* Whatever the path. */
static void service_serve(void *context, const char *path, struct http_answer *answer)
{
	const struct health_place *place = context;
	struct health_service *hs = place->service;
	const struct object *object = &hs->service->object;
	unsigned int weight = service_weigh(hs, addr_family(&place->addr));
	bool healthy = node_is_healthy(hs->agent);

	(void)path;
	answer->status = weight && healthy ? 200 : 503;
	answer->header = "X-Load-Balancing-Endpoint-Weight";
	text_printf(&answer->value, "%u", weight);
	answer_tree(answer,
		json_pack("{s:{s:s, s:s}, s:i, s:b}", "service", "namespace", object->namespace,
			"name", object->name, "localEndpoints", (int)weight, "serviceProxyHealthy",
			healthy));
}

static bool service_wants_check(const struct service *service)
{
	return service->type == SERVICE_LOAD_BALANCER &&
	       service->external_policy == TRAFFIC_LOCAL && service->health_check_node_port &&
	       !service->headless && !service_is_foreign(service);
}

static void place_remove(struct health_service *hs, size_t index)
{
	http_listener_close(&hs->place[index]->listener);
	free(hs->place[index]);
	hs->place[index] = hs->place[--hs->place_count];
}

static void service_free(void *value)
{
	struct health_service *hs = value;

	while (hs->place_count)
		place_remove(hs, 0);
	free(hs->place);
	free(hs);
}

static void service_changed(struct agent *agent, const struct object *old, const struct object *new)
{
	const struct service *service = new ? object_service_const(new) : NULL;
	bool wanted = service && service_wants_check(service);
	_free_ char *key = object_key(new ? new : old);
	struct health_service *hs = hash_get(&agent->health.services, key);

	/* Of another port, all is new. */
	if (hs && (!wanted || hs->service->health_check_node_port !=
				      service->health_check_node_port)) {
		service_free(hash_remove(&agent->health.services, key));
		hs = NULL;
	}
	if (!wanted)
		return;
	if (!hs) {
		hs = mem_new(1, sizeof(*hs));
		hs->agent = agent;
		hash_put(&agent->health.services, key, hs);
	}
	hs->service = service;
	memset(hs->weighed, 0, sizeof(hs->weighed));
}

static void service_unweigh(struct agent *agent, const char *namespace, const char *name)
{
	_free_ char *key = name ? mem_format("%s/%s", namespace, name) : NULL;
	struct health_service *hs = key ? hash_get(&agent->health.services, key) : NULL;

	if (hs)
		memset(hs->weighed, 0, sizeof(hs->weighed));
}

void health_changed(struct agent *agent, const struct object *old, const struct object *new)
{
	const struct object *versions[] = {old, new};

	if ((new ? new : old)->kind == KIND_SERVICE)
		service_changed(agent, old, new);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		const struct endpoint_slice *slice =
			versions[i] ? object_endpoint_slice_const(versions[i]) : NULL;

		if (slice)
			service_unweigh(agent, slice->object.namespace,
				endpoint_slice_service(slice));
	}
}

/* --- listeners --- */

/* A node without the family needs no listener of it. */
static void listener_refused(struct agent *agent, const char *object, const struct err *err)
{
	if (err->code != EAFNOSUPPORT)
		problems_add(&agent->problems, object, true, "nobody is answered at %s; trying again",
			err->text);
}

static void settings_listeners_keep(struct agent *agent, const struct settings_binds *binds,
	const char *key, http_function function, struct http_listener **listeners)
{
	for (unsigned int i = 0; i < binds->count; i++) {
		_free_ char *object = mem_format("setting %s[%u]", key, i);
		struct err err;

		if (!listeners[i] && http_listen(agent->http, &binds->addr[i], binds->port[i],
					     function, agent, &listeners[i], &err) < 0)
			listener_refused(agent, object, &err);
	}
}

static void place_want(struct health_service *hs, const struct addr *addr)
{
	struct health_place *place;

	for (size_t i = 0; i < hs->place_count; i++) {
		if (addr_equal(&hs->place[i]->addr, addr)) {
			hs->place[i]->wanted = true;
			return;
		}
	}
	place = mem_new(1, sizeof(*place));
	*place = (struct health_place){.service = hs, .addr = *addr, .wanted = true};
	hs->place = mem_grow(
		hs->place, &hs->place_capacity, hs->place_count + 1, sizeof(*hs->place));
	hs->place[hs->place_count++] = place;
}

/*
 * All addresses, as kube-proxy unless it is told otherwise, for load balancers may ask at addresses
 * of their own; or where node ports are on certain ranges, the node's addresses in these.
 */
static void places_want(struct health_service *hs, enum family family)
{
	const struct settings_node_ports *setting = &hs->agent->settings.node_ports;
	const struct addrs *local = &hs->agent->facts.local;
	struct addr any = {0}, loopback = {.bytes[15] = 1};

	if (family == FAMILY_IPV4) {
		addr_set_v4(&any, 0);
		addr_parse("127.0.0.1", &loopback);
	}
	if (node_ports_are_on(setting, &any, true)) {
		place_want(hs, &any);
		return;
	}
	if (setting->localhost)
		place_want(hs, &loopback);
	for (size_t i = 0; i < local->count; i++)
		if (addr_family(&local->list[i]) == family &&
			node_ports_are_on(setting, &local->list[i], false))
			place_want(hs, &local->list[i]);
}

static void place_listen(struct health_place *place)
{
	const struct service *service = place->service->service;
	struct agent *agent = place->service->agent;
	struct err err;

	if (!place->listener &&
		http_listen(agent->http, &place->addr, service->health_check_node_port,
			service_serve, place, &place->listener, &err) < 0) {
		_free_ char *title = object_title(&service->object);

		listener_refused(agent, title, &err);
	}
}

static void service_listeners_keep(struct health_service *hs)
{
	for (size_t i = 0; i < hs->place_count; i++)
		hs->place[i]->wanted = false;
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
		if (service_cluster_ip(hs->service, family))
			places_want(hs, family);
	for (size_t i = hs->place_count; i-- > 0;)
		if (!hs->place[i]->wanted)
			place_remove(hs, i);
	for (size_t i = 0; i < hs->place_count; i++)
		place_listen(hs->place[i]);
}

/* By port; of those that have the same one the older first, as wherever several claim something. */
static int service_order(const void *left, const void *right)
{
	const struct service *a = (*(struct health_service *const *)left)->service;
	const struct service *b = (*(struct health_service *const *)right)->service;
	int order = (int)a->health_check_node_port - (int)b->health_check_node_port;

	if (order == 0)
		order = (a->object.created > b->object.created) -
			(a->object.created < b->object.created);
	if (order == 0)
		order = strcmp(a->object.namespace, b->object.namespace);
	return order ? order : strcmp(a->object.name, b->object.name);
}

static bool services_meet(const struct health_service *a, const struct health_service *b)
{
	return a->service->health_check_node_port == b->service->health_check_node_port;
}

static void service_refuse(struct health_service *hs, const struct health_service *before)
{
	_free_ char *title = object_title(&hs->service->object);
	_free_ char *other = object_title(&before->service->object);

	while (hs->place_count)
		place_remove(hs, 0);
	problems_add(&hs->agent->problems, title, true,
		"spec.healthCheckNodePort: %u is that of %s too, which is older",
		hs->service->health_check_node_port, other);
}

static void services_listeners_keep(struct agent *agent)
{
	_free_ struct health_service **list =
		mem_new(agent->health.services.count, sizeof(*list));
	const struct hash_entry *entry;
	size_t count = 0;

	for (size_t at = 0; (entry = hash_next(&agent->health.services, &at));)
		list[count++] = entry->value;
	if (count)
		qsort(list, count, sizeof(*list), service_order);
	/* Whoever loses a port lets it go before its holder takes it. */
	for (size_t i = 1; i < count; i++)
		if (services_meet(list[i], list[i - 1]))
			service_refuse(list[i], list[i - 1]);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || !services_meet(list[i], list[i - 1]))
			service_listeners_keep(list[i]);
}

void health_keep(struct agent *agent)
{
	struct health *health = &agent->health;

	settings_listeners_keep(agent, &agent->settings.healthz, "healthzBindAddresses",
		healthz_serve, health->healthz);
	settings_listeners_keep(agent, &agent->settings.metrics, "metricsBindAddresses",
		metrics_serve, health->metrics);
	services_listeners_keep(agent);
}

void health_clear(struct agent *agent)
{
	hash_clear(&agent->health.services, service_free);
	for (size_t i = 0; i < SETTINGS_BINDS; i++) {
		http_listener_close(&agent->health.healthz[i]);
		http_listener_close(&agent->health.metrics[i]);
	}
}
