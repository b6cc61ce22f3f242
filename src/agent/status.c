/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status.h"

#include "agent/reconcile.h"
#include "agent/services.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/verdicts.h"
#include "compile/overlap.h"
#include "compile/print.h"
#include "layout.h"
#include "linux/privilege.h"
#include "version.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static json_t *status_pools(struct agent *agent)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < AGENT_FAMILIES; i++) {
		struct pool *pool = &agent->pool[i];
		struct pool_counts counts;
		char text[PREFIX_TEXT_SIZE];

		if (!pool->size)
			continue;
		counts = pool_counts(pool, clock_monotonic_ms());
		json_array_append_new(list,
			json_pack("{s:s, s:i, s:i, s:i}", "range", prefix_format(&pool->range, text),
				"used", (int)counts.used, "resting", (int)counts.resting, "free",
				(int)counts.free));
	}
	return list;
}

static json_t *status_problems(const struct agent *agent)
{
	json_t *list = json_array();

	for (size_t i = 0; i < agent->problems.count; i++) {
		const struct problem *problem = &agent->problems.item[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b}", "object", problem->object, "text", problem->text,
				"refused", problem->refused));
	}
	return list;
}

static json_t *status_refused(const struct agent *agent)
{
	const struct load_result *result = &agent->objects.result;
	json_t *list = json_array();

	for (size_t i = 0; i < result->refusals.count; i++) {
		_free_ char *text = refusal_text(&result->refusals.list[i]);

		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *status_ignored(const struct agent *agent)
{
	const struct hash_entry *entry;
	json_t *list = json_array();
	size_t at = 0;

	while ((entry = hash_next(&agent->objects.result.ignored, &at)))
		json_array_append_new(list, json_string(entry->key));
	return list;
}

static json_t *status_devices(const struct agent *agent)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < agent->facts.wire_count; i++)
		json_array_append_new(list, json_string(agent->facts.wire[i].name));
	return list;
}

static json_t *status_objects(const struct agent *agent)
{
	json_t *tree = json_object();

	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		json_object_set_new(tree, kind_name(kind),
			json_integer((json_int_t)store_count(&agent->objects.store, kind)));
	return tree;
}

/* How many ranges of other nodes are reached in which way. */
static json_t *status_routes(struct agent *agent)
{
	struct rows rows = {0};
	int direct = 0, vxlan = 0;

	reconcile_wanted(agent, &rows, NULL);
	for (size_t i = 0; i < rows.count; i++) {
		const struct node_row *row = rows.row[i].value;

		if (rows.row[i].table == TABLE_RANGE)
			*(row->route == NODE_ROUTE_WIRE ? &direct : &vxlan) += 1;
	}
	rows_clear(&rows);
	return json_pack("{s:i, s:i}", "direct", direct, "vxlan", vxlan);
}

/* Rows of Services that are in the tables, those of host ports among them. */
static json_t *status_services(const struct agent *agent)
{
	const struct services *services = &agent->services;

	return json_pack("{s:I, s:I, s:I}", "services",
		(json_int_t)store_count(&agent->objects.store, KIND_SERVICE), "frontends",
		(json_int_t)services->row_count[TABLE_SERVICE], "backends",
		(json_int_t)services->row_count[TABLE_BACKEND]);
}

void status_run(void *context, struct control_request *request, struct text *reply)
{
	struct agent *agent = context;
	_text_ struct text capabilities = {0};
	struct privilege privilege;
	json_t *errors = json_array(), *tree;

	(void)request;
	if (privilege_read(&privilege, NULL) == 0)
		privilege_format_set(privilege.permitted, &capabilities);
	if (*agent->last_error)
		json_array_append_new(errors, json_string(agent->last_error));
	if (*agent->objects_error)
		json_array_append_new(errors, json_string(agent->objects_error));
	tree = json_pack("{s:s, s:b, s:s, s:s, s:i, s:i, s:s, s:I, s:I, s:i}", "node",
		agent->settings.node, "ready", agent->ready, "version", PODWIRE_VERSION, "layout",
		LAYOUT_HASH, "pid", (int)getpid(), "user", (int)getuid(), "capabilities",
		text_string(&capabilities), "uptimeSeconds",
		(json_int_t)((clock_monotonic_ns() - agent->started_ns) / CLOCK_NS_PER_S),
		"reconciled", (json_int_t)agent->reconciled, "podMTU", (int)agent->facts.pod_mtu);
	json_object_set_new(tree, "repaired", json_integer((json_int_t)agent->repaired));
	json_object_set_new(tree, "devices", status_devices(agent));
	json_object_set_new(tree, "pools", status_pools(agent));
	json_object_set_new(tree, "routes", status_routes(agent));
	json_object_set_new(tree, "services", status_services(agent));
	json_object_set_new(tree, "objects", status_objects(agent));
	json_object_set_new(tree, "problems", status_problems(agent));
	json_object_set_new(tree, "refused", status_refused(agent));
	json_object_set_new(tree, "ignored", status_ignored(agent));
	json_object_set_new(tree, "errors", errors);
	control_reply(reply, tree);
}

static json_t *address_list(const struct addr *addr, size_t count)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(addr_format(&addr[i], text)));
	return list;
}

/* Of the record: "KEY=VALUE" and a line break each. */
static json_t *label_tree(const struct attachment *a)
{
	json_t *tree = json_object();

	for (const char *at = a->labels, *equals; (equals = strchr(at, '=')); at++) {
		size_t value = strcspn(equals + 1, "\n");

		json_object_setn_new(
			tree, at, (size_t)(equals - at), json_stringn(equals + 1, value));
		at = equals + 1 + value;
		if (!*at)
			break;
	}
	return tree;
}

static json_t *attachment_tree(const struct attachment *a)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:i, s:s, s:s, s:o}", "network",
		a->network, "namespace", a->pod_namespace,
		"name", *a->pod_name ? a->pod_name : a->container, "labels", label_tree(a), "addresses",
		address_list(a->addresses, a->address_count), "link", a->link, "ifindex",
		(int)a->ifindex, "container", a->container, "ifname", a->ifname, "mac",
		json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a->mac[0], a->mac[1], a->mac[2],
			a->mac[3], a->mac[4], a->mac[5]));
}

static int attachment_compare(const void *left, const void *right)
{
	const struct attachment *a = left, *b = right;
	int order = strcmp(a->pod_namespace, b->pod_namespace);

	if (!order)
		order = strcmp(a->pod_name, b->pod_name);
	if (!order)
		order = strcmp(a->container, b->container);
	return order ? order : strcmp(a->ifname, b->ifname);
}

void status_pods(void *context, struct control_request *request, struct text *reply)
{
	struct agent *agent = context;
	size_t count = agent->attachments.count;
	_free_ struct attachment *sorted =
		mem_copy(agent->attachments.item, count * sizeof(struct attachment));
	json_t *list = json_array();

	(void)request;
	if (count)
		qsort(sorted, count, sizeof(*sorted), attachment_compare);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, attachment_tree(&sorted[i]));
	control_reply(reply, json_pack("{s:o}", "pods", list));
}

static const char *path_why(const struct path *path)
{
	if (path->error)
		return path->error == -EHOSTUNREACH ? "the neighbor is not found yet"
						    : strerror(-path->error);
	if (path->misses >= PATH_ENOUGH)
		return "the probe is not answered";
	if (path->way == PATH_DIRECT)
		return path->misses ? "the last probe was not answered" : "the probe is answered";
	return path->answers >= PATH_ENOUGH ? "the other node does not take it yet" : "probing";
}

/* Why the pods of a range are reached so. */
static const char *range_why(
	const struct agent *agent, const struct prefix *range, const struct node_row *row)
{
	struct addr router = pool_node_address(range);
	const struct path *path = paths_find(&agent->paths, &router);

	if (path)
		return path_why(path);
	if (agent->settings.route == SETTINGS_ROUTE_VXLAN || row->route == NODE_ROUTE_WIRE)
		return "the setting";
	return "no neighbor in this family";
}

/* How the rows say that a range of another node is reached; of one that is refused, nothing. */
static void route_append(const struct agent *agent, const struct rows *rows,
	const struct prefix *range, json_t *list)
{
	struct range_key key = {.first = range->addr, .length = range->length};
	const struct row *found = rows_find(rows, TABLE_RANGE, &key);
	const struct node_row *row = found ? found->value : NULL;
	char text[PREFIX_TEXT_SIZE];

	if (row)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s}", "range", prefix_format(range, text), "route",
				row->route == NODE_ROUTE_WIRE ? "direct" : "vxlan", "why",
				range_why(agent, range, row)));
}

/* What all ranges have in common; where they differ, the value for each, with its range. */
static json_t *routes_summary(const json_t *routes, const char *member)
{
	const char *first = json_string_value(json_object_get(json_array_get(routes, 0), member));
	_text_ struct text each = {0};
	bool same = true;
	json_t *route;
	size_t i;

	json_array_foreach(routes, i, route)
	{
		const char *value = json_string_value(json_object_get(route, member));

		same = same && strcmp(value, first) == 0;
		text_printf(&each, "%s%s %s", i ? ", " : "",
			json_string_value(json_object_get(route, "range")), value);
	}
	return json_string(same ? first : text_string(&each));
}

static json_t *node_tree(
	const struct agent *agent, const struct rows *rows, const struct node *node)
{
	json_t *addresses = json_array(), *ranges = json_array();
	json_t *routes = json_array(), *tree;
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < node->addresses.count; i++)
		if (node->addresses.list[i].type == NODE_ADDRESS_INTERNAL_IP)
			json_array_append_new(addresses,
				json_string(addr_format(&node->addresses.list[i].addr, text)));
	for (size_t i = 0; i < node->ranges.count; i++) {
		json_array_append_new(
			ranges, json_string(prefix_format(&node->ranges.list[i], text)));
		route_append(agent, rows, &node->ranges.list[i], routes);
	}
	tree = json_pack("{s:s, s:o, s:o}", "name", node->object.name, "addresses", addresses,
		"ranges", ranges);
	if (strcmp(node->object.name, agent->settings.node) == 0) {
		json_object_set_new(tree, "route", json_string("own"));
		json_object_set_new(tree, "why", json_string("this node"));
	} else if (!json_array_size(routes)) {
		json_object_set_new(tree, "route", json_string("refused"));
		json_object_set_new(tree, "why", json_string("see `podwire status`"));
	} else {
		json_object_set_new(tree, "route", routes_summary(routes, "route"));
		json_object_set_new(tree, "why", routes_summary(routes, "why"));
	}
	json_object_set_new(tree, "routes", routes);
	return tree;
}

void status_nodes(void *context, struct control_request *request, struct text *reply)
{
	struct agent *agent = context;
	const struct object *object;
	json_t *list = json_array();
	struct rows rows = {0};
	size_t position = 0;

	(void)request;
	reconcile_wanted(agent, &rows, NULL);
	while ((object = store_next(&agent->objects.store, KIND_NODE, &position)))
		json_array_append_new(
			list, node_tree(agent, &rows, object_node_const(object)));
	rows_clear(&rows);
	control_reply(reply, json_pack("{s:o}", "nodes", list));
}

const char *status_protocol(unsigned int protocol, char text[STATUS_PROTOCOL_SIZE])
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_SCTP:
		return "SCTP";
	case IPPROTO_ICMP:
		return "ICMP";
	case IPPROTO_ICMPV6:
		return "ICMPv6";
	default:
		snprintf(text, STATUS_PROTOCOL_SIZE, "%u", protocol);
		return protocol ? text : "";
	}
}

static void drop_append(const struct drop_key *key, const struct drop_row *row, void *context)
{
	char source[ADDR_TEXT_SIZE] = "", target[ADDR_TEXT_SIZE] = "";
	char protocol[STATUS_PROTOCOL_SIZE];
	uint64_t ago = (clock_monotonic_ns() - row->last_ns) / CLOCK_NS_PER_S;

	if (!verdict_name(key->verdict) || !hook_name(key->hook))
		return;
	if (key->source.halves[0] || key->source.halves[1])
		addr_format(&key->source, source);
	if (key->target.halves[0] || key->target.halves[1])
		addr_format(&key->target, target);
	json_array_append_new(context,
		json_pack("{s:I, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:o, s:s}", "packets",
			(json_int_t)row->packets, "verdict", verdict_name(key->verdict), "where",
			hook_name(key->hook), "ifindex", (int)key->ifindex, "source", source,
			"target", target, "protocol", status_protocol(key->protocol, protocol), "port",
			(int)ntohs(key->target_port), "ago", json_sprintf("%lus", (unsigned long)ago),
			"why", verdict_sentence(key->verdict)));
}

static void count_append(const struct table_count *count, void *context)
{
	if (!verdict_name(count->verdict))
		return;
	json_array_append_new(context,
		json_pack("{s:s, s:s, s:s, s:I, s:I}", "verdict", verdict_name(count->verdict), "where",
			hook_name(count->hook), "kind",
			verdict_kind_name(verdict_kind(count->verdict)), "packets",
			(json_int_t)count->sum.packets, "bytes", (json_int_t)count->sum.bytes));
}

void status_drops(void *context, struct control_request *request, struct text *reply)
{
	_json_ json_t *drops = json_array(), *counts = json_array();
	struct agent *agent = context;
	struct err err;

	(void)request;
	if (tables_read_drops(&agent->tables, drop_append, drops, &err) < 0 ||
		tables_read_counts(&agent->tables, count_append, counts, &err) < 0) {
		control_reply_error(reply, "io.podwire.Failed", err.text);
		return;
	}
	control_reply(reply, json_pack("{s:O, s:O}", "drops", drops, "counts", counts));
}

static json_t *row_tree(const struct row *row)
{
	_text_ struct text line = {0};

	row_print(row, &line);
	return json_pack("{s:s}", "row", text_string(&line));
}

static int status_held(struct agent *agent, struct rows *rows, struct err *err)
{
	int r = reconcile_held(agent, rows, err);

	if (r == 0)
		r = services_held(agent, rows, err);
	rows_sort(rows);
	return r;
}

void status_tables(void *context, struct control_request *request, struct text *reply)
{
	_json_ json_t *list = json_array();
	struct rows rows = {0};
	struct err err;

	(void)request;
	if (status_held(context, &rows, &err) < 0) {
		control_reply_error(reply, "io.podwire.Failed", err.text);
	} else {
		for (size_t i = 0; i < rows.count; i++)
			json_array_append_new(list, row_tree(&rows.row[i]));
		control_reply(reply, json_pack("{s:O}", "rows", list));
	}
	rows_clear(&rows);
}

void status_diff(void *context, struct control_request *request, struct text *reply)
{
	_json_ json_t *list = json_array();
	struct rows wanted = {0}, held = {0};
	struct differences differences = {0};
	struct err err;

	(void)request;
	reconcile_wanted(context, &wanted, NULL);
	services_wanted(context, &wanted);
	rows_sort(&wanted);
	if (status_held(context, &held, &err) < 0) {
		control_reply_error(reply, "io.podwire.Failed", err.text);
	} else {
		rows_diff(&held, &wanted, &differences);
		for (size_t i = 0; i < differences.count; i++) {
			json_t *item = row_tree(differences.item[i].row);

			json_object_set_new(item, "change",
				json_string(change_sign(differences.item[i].change)));
			json_array_append_new(list, item);
		}
		control_reply(reply, json_pack("{s:O}", "rows", list));
	}
	differences_clear(&differences);
	rows_clear(&wanted);
	rows_clear(&held);
}
