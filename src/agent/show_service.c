/* SPDX-License-Identifier: Apache-2.0 */
/* One Service with everything that is known of it, and why an endpoint of its slices is not used. */
#include "agent/show.h"
#include "base/json.h"
#include "base/mem.h"
#include "compile/print.h"
#include "compile/service.h"

#include <arpa/inet.h>
#include <string.h>

#define SHOW_ENDPOINTS_MAX 2000
#define SHOW_ROWS_MAX 1000
#define SHOW_NEAR_MAX 5

/* --- endpoints --- */

struct endpoints_shown {
	const struct show *show;
	json_t *list;
	json_int_t more; /* that are not listed */
};

static bool has_local_policy(const struct service *service)
{
	return service->internal_policy == TRAFFIC_LOCAL ||
	       service->external_policy == TRAFFIC_LOCAL;
}

/* What keeps the endpoint from the whole cluster; if nothing, from those whom a policy keeps here. */
static const char *endpoint_why(const struct show *show, const enum endpoint_fate *fate)
{
	if (fate[ENDPOINTS_CLUSTER] != ENDPOINT_USED)
		return endpoint_fate_text(fate[ENDPOINTS_CLUSTER]);
	if (fate[ENDPOINTS_LOCAL] != ENDPOINT_USED && has_local_policy(show->service))
		return endpoint_fate_text(fate[ENDPOINTS_LOCAL]);
	return "";
}

static void endpoint_append(struct endpoints_shown *shown, const struct endpoint_wish *wish,
	const struct candidate *candidate)
{
	const struct endpoint *endpoint = candidate->endpoint;

	if (json_array_size(shown->list) >= SHOW_ENDPOINTS_MAX) {
		shown->more++;
		return;
	}
	json_array_append_new(shown->list,
		json_pack("{s:s, s:s, s:s, s:o, s:i, s:s, s:s, s:b, s:b, s:b, s:b, s:s, s:s, "
			  "s:s}",
			"port", show_string(wish->name), "protocol", protocol_name(wish->protocol),
			"family", family_name(wish->family), "address",
			show_address(&endpoint->address.addr), "number",
			(int)ntohs(candidate->backend.port), "slice",
			candidate->slice->object.name, "node", show_string(endpoint->node_name),
			"here", candidate->local, "ready",
			endpoint->ready, "serving", endpoint->serving, "terminating",
			endpoint->terminating, "cluster",
			endpoint_fate_name(candidate->fate[ENDPOINTS_CLUSTER]), "local",
			endpoint_fate_name(candidate->fate[ENDPOINTS_LOCAL]), "why",
			endpoint_why(shown->show, candidate->fate)));
}

static void endpoints_of_target(struct endpoints_shown *shown, const struct slices *slices,
	const struct service_view *view, const struct endpoint_wish *wish)
{
	_cleanup_(candidates_clear) struct candidates candidates;

	endpoints_judge(slices, wish, view, &candidates);
	for (size_t i = 0; i < candidates.count; i++)
		endpoint_append(shown, wish, &candidates.list[i]);
}

/* All endpoints of a slice that is left out as a whole. */
static void endpoints_of_slice(struct endpoints_shown *shown, const struct endpoint_slice *slice,
	const struct endpoint_wish *wish, enum endpoint_fate fate)
{
	for (size_t i = 0; i < slice->endpoints.count; i++) {
		struct candidate candidate = {.endpoint = &slice->endpoints.list[i],
			.slice = slice,
			.fate = {fate, fate}};

		endpoint_append(shown, wish, &candidate);
	}
}

/* A slice is asked for the ports of its own family, or for none. */
static void endpoints_left_out(struct endpoints_shown *shown, const struct endpoint_slice *slice)
{
	const struct plan *plan = &shown->show->plan;
	enum family family =
		slice->address_type == ADDRESS_TYPE_IPV4 ? FAMILY_IPV4 : FAMILY_IPV6;
	struct endpoint_wish none = {.family = family};
	bool asked = false;

	for (size_t i = 0; i < plan->targets.count; i++) {
		const struct endpoint_wish *wish = &plan->targets.list[i].wish;
		enum endpoint_fate fate;

		if (wish->family != family)
			continue;
		asked = true;
		fate = slice_fate(slice, wish);
		if (fate != ENDPOINT_USED)
			endpoints_of_slice(shown, slice, wish, fate);
	}
	if (!asked)
		endpoints_of_slice(shown, slice, &none, ENDPOINT_OTHER_FAMILY);
}

static void show_endpoints(const struct show *show, json_t *answer)
{
	const struct store *store = &show->agent->objects.store;
	struct endpoints_shown shown = {.show = show, .list = json_array()};
	struct service_view view = services_view(&show->agent->services, &show->input);
	struct slices slices = {0};

	slices.count = store_slices(
		store, show->object->namespace, show->object->name, &slices.list);
	for (size_t i = 0; i < show->plan.targets.count; i++)
		endpoints_of_target(&shown, &slices, &view, &show->plan.targets.list[i].wish);
	for (size_t i = 0; i < slices.count; i++)
		endpoints_left_out(&shown, slices.list[i]);
	json_object_set_new(answer, "endpoints", shown.list);
	json_object_set_new(answer, "moreEndpoints", json_integer(shown.more));
}

/* --- rows --- */

static json_t *row_tree(const struct show *show, const struct row *row)
{
	struct service_row held; /* as large as any value of these tables */
	struct row shown = {.table = row->table, .key = row->key, .value = &held};
	_text_ struct text line = {0};
	const char *state = "";

	if (tables_get(&show->agent->tables, row->table, row->key, &held) < 0) {
		shown.value = row->value;
		state = "missing";
	} else if (memcmp(&held, row->value, table_infos[row->table].value_size) != 0) {
		state = "differs";
	}
	row_print(&shown, &line);
	return json_pack("{s:s, s:s}", "row", text_string(&line), "state", state);
}

/* Its rows as the kernel has them. */
static void show_rows(struct show *show, json_t *answer)
{
	json_t *list = json_array();
	struct rows rows = {0};
	size_t count;

	plan_rows(&show->plan, &rows);
	rows_sort(&rows);
	count = rows.count < SHOW_ROWS_MAX ? rows.count : SHOW_ROWS_MAX;
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, row_tree(show, &rows.row[i]));
	json_object_set_new(answer, "rows", list);
	json_object_set_new(answer, "moreRows", json_integer((json_int_t)(rows.count - count)));
	rows_clear(&rows);
}

/* --- what is wrong --- */

static json_t *show_problems(const struct show *show)
{
	const struct problems *problems =
		services_problems_of(&show->agent->services, show->title);
	json_t *list = json_array();

	for (size_t i = 0; i < problems->count; i++)
		json_array_append_new(list, json_string(problems->item[i].text));
	return list;
}

/* Whose a slice is that could not be read nobody can say, but controllers name it after its Service. */
static bool refusal_concerns(const struct refusal *refusal, const char *namespace, const char *name)
{
	size_t length = strlen(name);

	if (!refusal->kind || !refusal->name || !refusal->namespace ||
		strcmp(refusal->namespace, namespace) != 0 ||
		strncmp(refusal->name, name, length) != 0)
		return false;
	if (strcmp(refusal->kind, kind_name(KIND_SERVICE)) == 0)
		return refusal->name[length] == '\0';
	return strcmp(refusal->kind, kind_name(KIND_ENDPOINT_SLICE)) == 0 &&
	       (refusal->name[length] == '\0' || refusal->name[length] == '-');
}

static json_t *show_refused(const struct agent *agent, const char *namespace, const char *name)
{
	const struct load_result *result = &agent->objects.result;
	json_t *list = json_array();

	for (size_t i = 0; i < result->refusals.count; i++)
		if (refusal_concerns(&result->refusals.list[i], namespace, name)) {
			_free_ char *text = refusal_text(&result->refusals.list[i]);

			json_array_append_new(list, json_string(text));
		}
	return list;
}

/* --- the Service itself --- */

static json_t *show_addresses(const struct addrs *addrs)
{
	json_t *list = json_array();

	for (size_t i = 0; i < addrs->count; i++)
		json_array_append_new(list, show_address(&addrs->list[i]));
	return list;
}

static json_t *show_balancers(const struct service *service)
{
	json_t *list = json_array();

	for (size_t i = 0; i < service->load_balancer.count; i++) {
		const struct load_balancer_address *at = &service->load_balancer.list[i];

		json_array_append_new(list,
			json_pack("{s:o, s:s, s:s}", "address", show_address(&at->addr), "hostname",
				show_string(at->hostname), "ipMode",
				at->mode == LOAD_BALANCER_PROXY ? "Proxy" : "VIP"));
	}
	return list;
}

static json_t *show_ranges(const struct service *service)
{
	json_t *list = json_array();
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < service->load_balancer_source_ranges.count; i++)
		json_array_append_new(list,
			json_string(prefix_format(
				&service->load_balancer_source_ranges.list[i], text)));
	return list;
}

/* The fields as they are understood. */
static json_t *service_tree(const struct service *service)
{
	const char *why = service_why_not(service);
	bool by_client = service->session_affinity == AFFINITY_CLIENT_IP;

	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:i, s:o, s:o, s:o, s:i, s:b}",
		"namespace", service->object.namespace, "name", service->object.name, "type",
		show_type(service), "notServed", show_string(why), "clusterIPs",
		show_addresses(&service->cluster_ips), "internalPolicy",
		show_policy(service->internal_policy), "externalPolicy",
		show_policy(service->external_policy), "affinitySeconds",
		by_client ? (int)service->affinity_seconds : 0, "externalIPs",
		show_addresses(&service->external_ips), "loadBalancer", show_balancers(service),
		"sourceRanges", show_ranges(service), "healthCheckNodePort",
		(int)service->health_check_node_port, "publishNotReadyAddresses",
		service->publish_not_ready);
}

static json_t *service_answer(struct agent *agent, const struct service *service)
{
	const struct object *object = &service->object;
	_cleanup_(show_end) struct show show;
	json_t *answer = json_pack("{s:o, s:o}", "service", service_tree(service), "refused",
		show_refused(agent, object->namespace, object->name));

	show_start(&show, agent, object);
	json_object_set_new(answer, "ports", show_targets(&show));
	json_object_set_new(answer, "problems", show_problems(&show));
	show_endpoints(&show, answer);
	show_rows(&show, answer);
	return answer;
}

/* --- one that is not there --- */

/* How many letters differ: Levenshtein's distance, of names that have at most 253. */
static size_t name_distance(const char *a, const char *b)
{
	size_t row[256], length = strlen(b);

	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < length; j++) {
			size_t replaced = corner + (a[i] != b[j]);

			corner = row[j + 1];
			row[j + 1] = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
			if (replaced < row[j + 1])
				row[j + 1] = replaced;
		}
	}
	return row[length];
}

/* The same name elsewhere, or nearly the same one. */
static bool is_near_name(const struct object *object, const char *namespace, const char *name)
{
	size_t length = strlen(name), other = strlen(object->name);
	size_t slack = length < 5 ? 1 : 2;

	if (strcmp(object->name, name) == 0)
		return true;
	return strcmp(object->namespace, namespace) == 0 && length < other + slack + 1 &&
	       other < length + slack + 1 && length < 256 &&
	       name_distance(name, object->name) <= slack;
}

static void reply_unknown(
	struct agent *agent, const char *namespace, const char *name, struct text *reply)
{
	_text_ struct text reason = {0};
	const struct object *object;
	size_t position = 0, near = 0;

	text_printf(&reason, "there is no Service %s/%s here", namespace, name);
	while ((object = store_next(&agent->objects.store, KIND_SERVICE, &position)) &&
		near < SHOW_NEAR_MAX)
		if (is_near_name(object, namespace, name))
			text_printf(&reason, "%s%s/%s", near++ ? ", " : "; there is ",
				object->namespace, object->name);
	if (!near)
		text_append(&reason, "; `podwire services` lists all");
	control_reply_error(reply, "io.podwire.NotFound", text_string(&reason));
}

void show_service(void *context, struct control_request *request, struct text *reply)
{
	static const char *const keys[] = {"namespace", "name"};
	const char *values[] = {"default", ""};
	struct agent *agent = context;
	const struct object *object;

	if (show_read_strings(request, reply, keys, values, ARRAY_SIZE(keys)) < 0)
		return;
	object = store_get(&agent->objects.store, KIND_SERVICE, values[0], values[1]);
	if (object)
		control_reply(reply, service_answer(agent, object_service_const(object)));
	else
		reply_unknown(agent, values[0], values[1], reply);
}
