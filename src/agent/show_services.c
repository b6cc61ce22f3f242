/* SPDX-License-Identifier: Apache-2.0 */
/* Services as this node sees them: plans as compile makes them, and nothing decided here. */
#include "agent/services.h"
#include "agent/show.h"
#include "base/json.h"
#include "base/mem.h"
#include "compile/hostport.h"
#include "compile/service.h"

#include <arpa/inet.h>
#include <string.h>

#define SHOW_PIECE 1000 /* ports and backends of one answer: five milliseconds */

/* What claims are on; the names never change. */
static const char *const kind_names[CLAIM_RANK_MAX] = {
	[CLAIM_CLUSTER] = "cluster",
	[CLAIM_NODE_PORT] = "node-port",
	[CLAIM_LOAD_BALANCER] = "load-balancer",
	[CLAIM_EXTERNAL] = "external",
	[CLAIM_HOST_PORT] = "host-port",
};

static const char *const rule_names[CLAIM_RULE_MAX] = {
	[CLAIM_BY_RANK] = "rank", [CLAIM_BY_AGE] = "age", [CLAIM_BY_NAME] = "name"};

static const char *const type_names[SERVICE_TYPE_MAX] = {
	[SERVICE_CLUSTER_IP] = "ClusterIP",
	[SERVICE_NODE_PORT] = "NodePort",
	[SERVICE_LOAD_BALANCER] = "LoadBalancer",
	[SERVICE_EXTERNAL_NAME] = "ExternalName",
};

const char *show_policy(enum traffic_policy policy)
{
	return policy == TRAFFIC_LOCAL ? "Local" : "Cluster";
}

const char *show_type(const struct service *service)
{
	return type_names[service->type];
}

const char *show_string(const char *text)
{
	return text ? text : "";
}

json_t *show_address(const struct addr *addr)
{
	char text[ADDR_TEXT_SIZE];

	return json_string(addr_is_given(addr) ? addr_format(addr, text) : "");
}

/* An address of a node port stands for all that the node has ports on. */
static json_t *frontend_tree(const struct show *show, const struct plan_row *row)
{
	const struct claim *claim = &show->plan.claims.list[row->claim];
	const struct services *services = &show->agent->services;
	bool any = addr_is_unspecified(&row->key.addr);
	const char *holder;
	json_t *tree = json_pack("{s:s, s:o, s:i, s:b}", "kind", kind_names[claim->rank],
		"address", any ? json_string("*") : show_address(&row->key.addr), "port",
		(int)ntohs(row->key.port), "held", claim->won);

	if (claim->won)
		return tree;
	holder = services_holder(services, claim);
	json_object_set_new(tree, "holder", json_string(show_string(holder)));
	json_object_set_new(tree, "rule",
		json_string(rule_names[services_rule(services, show->title, claim)]));
	return tree;
}

static json_t *target_tree(const struct show *show, const struct plan_target *target)
{
	const struct object *object = show->object;
	const struct service *service = show->service;
	struct usage_key key = {
		.port = target->name, .family = target->wish.family == FAMILY_IPV4 ? 4 : 6};
	struct usage_row usage = {0};
	json_t *tree;

	tables_get_usage(&show->agent->tables, &key, &usage);
	tree = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:[]}",
		"kind", kind_name(object->kind), "namespace", object->namespace, "name",
		object->name, "family", family_name(target->wish.family), "port",
		show_string(target->wish.name), "protocol",
		protocol_name(target->wish.protocol), "number", (int)target->port, "ready",
		(int)target->ready, "terminating", (int)target->terminating, "here",
		(int)target->here, "used", (int)target->used, "connections",
		(json_int_t)usage.connections, "packets", (json_int_t)usage.packets, "frontends");
	if (!service)
		return tree;
	json_object_set_new(tree, "type", json_string(show_type(service)));
	json_object_set_new(
		tree, "internalPolicy", json_string(show_policy(service->internal_policy)));
	json_object_set_new(
		tree, "externalPolicy", json_string(show_policy(service->external_policy)));
	json_object_set_new(tree, "affinitySeconds",
		json_integer(service->session_affinity == AFFINITY_CLIENT_IP
				     ? (json_int_t)service->affinity_seconds
				     : 0));
	return tree;
}

json_t *show_targets(const struct show *show)
{
	const struct plan *plan = &show->plan;
	json_t *list = json_array();

	for (size_t i = 0; i < plan->targets.count; i++)
		json_array_append_new(list, target_tree(show, &plan->targets.list[i]));
	for (size_t i = 0; i < plan->rows.count; i++) {
		const struct plan_row *row = &plan->rows.list[i];

		/* Ports of other nodes are the same claim as those of this one. */
		if (row->target != PLAN_NO_TARGET && row->key.scope != SERVICE_OTHER_NODE)
			json_array_append_new(
				json_object_get(json_array_get(list, row->target), "frontends"),
				frontend_tree(show, row));
	}
	return list;
}

bool show_start(struct show *show, struct agent *agent, const struct object *object)
{
	*show = (struct show){.agent = agent,
		.input = services_input(agent),
		.object = object,
		.title = object_title(object),
		.service = object_service_const(object)};
	return services_plan(&agent->services, &show->input, show->title, &show->plan);
}

void show_end(struct show *show)
{
	free(show->title);
	plan_clear(&show->plan);
}

/* --- all --- */

static bool may_have_frontends(const struct object *object)
{
	const struct pod *pod = object_pod_const(object);

	return !pod || pod_has_host_ports(pod);
}

/* The key that the last piece has ended with, where it is of this kind; "" at the beginning. */
static const char *after_of_kind(const char *after, enum kind kind)
{
	size_t length = strlen(kind_name(kind));

	return strncmp(after, kind_name(kind), length) == 0 && after[length] == ' '
		       ? after + length + 1
		       : "";
}

/* Without making the object's key: most of all objects are only passed by. */
static bool is_behind(const struct object *object, const char *after)
{
	size_t length = strlen(object->namespace);
	int order = strncmp(object->namespace, after, length);

	if (order == 0)
		order = '/' - (unsigned char)after[length];
	return order ? order > 0 : strcmp(object->name, after + length + 1) > 0;
}

/* Returns where it stopped, for the next piece, or NULL at the end of the kind. */
static char *show_kind(struct agent *agent, enum kind kind, const char *namespace,
	const char *after, size_t *budget, json_t *list)
{
	const struct object *object;
	size_t position = 0;

	while ((object = store_next(&agent->objects.store, kind, &position))) {
		_cleanup_(show_end) struct show show = {0};
		_json_ json_t *rows = NULL;
		size_t cost;

		if (!may_have_frontends(object) ||
			(namespace && strcmp(object->namespace, namespace) != 0))
			continue;
		if (!is_behind(object, after) || !show_start(&show, agent, object))
			continue;
		rows = show_targets(&show);
		json_array_extend(list, rows);
		cost = 1 + show.plan.targets.count + show.plan.backends;
		if (cost >= *budget)
			return mem_string(show.title);
		*budget -= cost;
	}
	return NULL;
}

int show_read_strings(struct control_request *request, struct text *reply,
	const char *const *keys, const char **values, size_t count)
{
	struct json_at root = json_root(request->parameters);
	struct err err;

	for (size_t i = 0; i < count; i++)
		if (json_get_string(&root, keys[i], JSON_OPTIONAL, &values[i], &err) < 0) {
			control_reply_error(reply, "io.podwire.BadRequest", err.text);
			return -1;
		}
	return 0;
}

void show_services(void *context, struct control_request *request, struct text *reply)
{
	static const enum kind kinds[] = {KIND_SERVICE, KIND_POD};
	static const char *const keys[] = {"namespace", "after"};
	const char *values[] = {NULL, NULL}, *after;
	_free_ char *stopped = NULL;
	size_t budget = SHOW_PIECE;
	json_t *list, *answer;

	if (show_read_strings(request, reply, keys, values, ARRAY_SIZE(keys)) < 0)
		return;
	list = json_array();
	after = values[1] ? values[1] : "";
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !stopped; i++) {
		if (kinds[i] == KIND_SERVICE && *after_of_kind(after, KIND_POD))
			continue; /* those were before */
		stopped = show_kind(context, kinds[i], values[0], after_of_kind(after, kinds[i]),
			&budget, list);
	}
	answer = json_pack("{s:o}", "services", list);
	if (stopped)
		json_object_set_new(answer, "after", json_string(stopped));
	control_reply(reply, answer);
}
