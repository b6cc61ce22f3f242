/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows as the programs remember them. pw_session has each flow to a frontend that this node
 * rewrites or hands over; pw_flow has its way back, and all other flows that a record was left of.
 * Each flow is shown once: of the records that it has, by the first in this order: session, the
 * opener's end, the other end.
 */
#include "agent/show.h"
#include "agent/status.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/node.h"
#include "model/pod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct end {
	struct addr addr;
	__be16 port;
};

struct shown_flow {
	struct end client, frontend, backend; /* frontend: unspecified where there was none */
	struct addr via;
	__be16 seen_port; /* the client's, as the backend sees it, where that is another one */
	uint8_t protocol;
	uint8_t opener; /* enum flow_opener; 0: neither end is here, it is handed over */
	uint64_t last_ns; /* 0: not known, nor how many packets */
	uint32_t packets;
};

/* What is asked for, and the answer. */
struct question {
	struct agent *agent;
	struct addr address; /* not given: any */
	struct addrs pod; /* as the pod's; NULL list: any */
	bool of_pod;
	char *service; /* "Service shop/web"; NULL: any */
	size_t limit;
	json_t *list;
	json_int_t more; /* that are meant, beyond the limit */
	struct hash names; /* struct addr -> title of who has it, for free(); made when needed */
	bool named;
};

/* --- names --- */

static void name_add(struct question *question, const struct addr *addr, char *title)
{
	free(hash_put_bytes(&question->names, addr, sizeof(*addr), title));
}

/* Records say whose pods are on this node even before their objects have addresses. */
static void names_make(struct question *question)
{
	struct agent *agent = question->agent;
	const struct object *object;
	size_t position = 0;

	while ((object = store_next(&agent->objects.store, KIND_POD, &position))) {
		const struct pod *pod = object_pod_const(object);

		for (size_t i = 0; i < pod->pod_ips.count && !pod->host_network; i++)
			if (!pod_is_over(pod))
				name_add(question, &pod->pod_ips.list[i], object_title(object));
	}
	for (size_t i = 0; i < agent->attachments.count; i++) {
		const struct attachment *a = &agent->attachments.item[i];

		for (unsigned int j = 0; j < a->address_count && *a->pod_name; j++)
			name_add(question, &a->addresses[j],
				mem_format("Pod %s/%s", a->pod_namespace, a->pod_name));
	}
	position = 0;
	while ((object = store_next(&agent->objects.store, KIND_NODE, &position))) {
		const struct node *node = object_node_const(object);

		for (size_t i = 0; i < node->addresses.count; i++)
			if (addr_is_given(&node->addresses.list[i].addr))
				name_add(question, &node->addresses.list[i].addr,
					object_title(object));
	}
	question->named = true;
}

static const char *name_of(struct question *question, const struct addr *addr)
{
	if (!question->named)
		names_make(question);
	return show_string(hash_get_bytes(&question->names, addr, sizeof(*addr)));
}

/* Whose frontend it is: by address and port, else by the port of whatever address of a node it is. */
static const char *owner_of(struct question *question, const struct end *frontend, uint8_t protocol)
{
	const struct services *services = &question->agent->services;
	struct claim claim = {.rank = CLAIM_LOAD_BALANCER,
		.key = {.addr = frontend->addr, .port = frontend->port, .protocol = protocol}};
	const char *holder = services_holder(services, &claim); /* or of the cluster address */

	if (holder)
		return holder;
	claim.rank = CLAIM_NODE_PORT;
	claim.key.scope = SERVICE_OWN_NODE;
	holder = services_holder(services, &claim);
	if (holder)
		return holder;
	claim.key.addr = (struct addr){0};
	if (addr_is_v4(&frontend->addr))
		addr_set_v4(&claim.key.addr, 0);
	return show_string(services_holder(services, &claim));
}

/* --- what is meant --- */

static bool is_of_pod(const struct question *question, const struct addr *addr)
{
	for (size_t i = 0; i < question->pod.count; i++)
		if (addr_equal(&question->pod.list[i], addr))
			return true;
	return false;
}

static bool is_meant(struct question *question, const struct shown_flow *flow)
{
	if (addr_is_given(&question->address) &&
		!addr_equal(&question->address, &flow->client.addr) &&
		!addr_equal(&question->address, &flow->frontend.addr) &&
		!addr_equal(&question->address, &flow->backend.addr))
		return false;
	if (question->of_pod && !is_of_pod(question, &flow->client.addr) &&
		!is_of_pod(question, &flow->backend.addr))
		return false;
	return !question->service ||
	       (flow->frontend.port && strcmp(question->service, owner_of(question, &flow->frontend,
							 flow->protocol)) == 0);
}

static json_t *end_tree(const struct end *end, const char *name)
{
	return json_pack("{s:o, s:i, s:s}", "address", show_address(&end->addr), "port",
		(int)ntohs(end->port), "name", name);
}

static void flow_append(struct question *question, const struct shown_flow *flow)
{
	static const char *const openers[] = {
		"", [FLOW_OPENER_POD] = "client", [FLOW_OPENER_PEER] = "backend"};
	const char *service = flow->frontend.port
				      ? owner_of(question, &flow->frontend, flow->protocol)
				      : "";
	char protocol[STATUS_PROTOCOL_SIZE];
	json_t *tree;

	if (json_array_size(question->list) >= question->limit) {
		question->more++;
		return;
	}
	tree = json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:s, s:i, s:o, s:o}", "protocol",
		status_protocol(flow->protocol, protocol), "client",
		end_tree(&flow->client, name_of(question, &flow->client.addr)), "frontend",
		end_tree(&flow->frontend, service), "backend",
		end_tree(&flow->backend, name_of(question, &flow->backend.addr)), "here",
		flow->opener < ARRAY_SIZE(openers) ? openers[flow->opener] : "", "via",
		show_address(&flow->via), "viaName",
		addr_is_given(&flow->via) ? name_of(question, &flow->via) : "", "seenPort",
		(int)ntohs(flow->seen_port), "lastSeconds",
		flow->last_ns ? json_integer((json_int_t)((clock_monotonic_ns() - flow->last_ns) /
							  CLOCK_NS_PER_S))
			      : json_null(),
		"packets", flow->last_ns ? json_integer(flow->packets) : json_null());
	json_array_append_new(question->list, tree);
}

/* --- the tables --- */

/* The way back of a session: at the client, if that is a pod here, or at the backend. */
static bool session_flow(struct agent *agent, const struct session_key *key,
	const struct session_row *row, struct flow_row *ret_flow)
{
	bool hairpin = addr_equal(&key->client, &row->backend);
	struct flow_key back = {.pod = key->client,
		.peer = row->backend,
		.pod_port = row->client_port,
		.peer_port = row->backend_port,
		.protocol = key->protocol};

	if (tables_get_flow(&agent->tables, &back, ret_flow) && ret_flow->frontend_port)
		return true;
	back = (struct flow_key){.pod = row->backend,
		.peer = hairpin ? key->frontend : key->client,
		.pod_port = row->backend_port,
		.peer_port = row->client_port,
		.protocol = key->protocol};
	return tables_get_flow(&agent->tables, &back, ret_flow) && ret_flow->frontend_port;
}

static void show_session(
	const struct session_key *key, const struct session_row *row, void *context)
{
	struct question *question = context;
	struct shown_flow flow = {.client = {key->client, key->client_port},
		.frontend = {key->frontend, key->frontend_port},
		.backend = {row->backend, row->backend_port},
		.via = row->via,
		.protocol = key->protocol,
		.last_ns = row->last_ns,
		.packets = row->packets};
	struct flow_row back;

	if (!is_meant(question, &flow))
		return;
	if (session_flow(question->agent, key, row, &back))
		flow.opener = back.opener;
	if (row->client_port != key->client_port)
		flow.seen_port = row->client_port;
	flow_append(question, &flow);
}

/* Shown already, as a session? */
static bool flow_has_session(struct agent *agent, const struct shown_flow *flow)
{
	struct session_key key = {.client = flow->client.addr,
		.frontend = flow->frontend.addr,
		.client_port = flow->client.port,
		.frontend_port = flow->frontend.port,
		.protocol = flow->protocol};
	struct session_row row;

	return flow->frontend.port && tables_get_session(&agent->tables, &key, &row);
}

/* Shown at its other end, which has opened it? */
static bool flow_has_opener(struct agent *agent, const struct flow_key *key)
{
	struct flow_key other = {.pod = key->peer,
		.peer = key->pod,
		.pod_port = key->peer_port,
		.peer_port = key->pod_port,
		.protocol = key->protocol};
	struct flow_row row;

	return tables_get_flow(&agent->tables, &other, &row) && row.opener == FLOW_OPENER_POD;
}

static void show_flow(const struct flow_key *key, const struct flow_row *row, void *context)
{
	const struct end pod = {key->pod, key->pod_port}, peer = {key->peer, key->peer_port};
	bool by_pod = row->opener == FLOW_OPENER_POD;
	struct shown_flow flow = {.client = by_pod ? pod : peer,
		.backend = by_pod ? peer : pod,
		.frontend = {row->frontend, row->frontend_port},
		.via = row->via,
		.protocol = key->protocol,
		.opener = row->opener};
	struct question *question = context;

	if (row->client_port) {
		flow.seen_port = flow.client.port;
		flow.client.port = row->client_port;
	}
	/* A pod that is its own backend sees the frontend as its client. */
	if (row->frontend_port && addr_equal(&flow.client.addr, &row->frontend))
		flow.client.addr = key->pod;
	if (is_meant(question, &flow) && !flow_has_session(question->agent, &flow) &&
		(by_pod || !flow_has_opener(question->agent, key)))
		flow_append(question, &flow);
}

/* --- the question --- */

static void pod_add(struct question *question, const struct addr *addr)
{
	struct addr *list = mem_new(question->pod.count + 1, sizeof(*list));

	if (question->pod.count)
		memcpy(list, question->pod.list, question->pod.count * sizeof(*list));
	list[question->pod.count++] = *addr;
	free(question->pod.list);
	question->pod.list = list;
}

static int read_pod(struct question *question, const char *pod, struct err *err)
{
	const struct agent *agent = question->agent;
	const struct object *object = store_find(&agent->objects.store, KIND_POD, pod);
	const struct addrs *addrs = object ? &object_pod_const(object)->pod_ips : NULL;

	question->of_pod = true;
	for (size_t i = 0; addrs && i < addrs->count; i++)
		pod_add(question, &addrs->list[i]);
	for (size_t i = 0; i < agent->attachments.count; i++) {
		const struct attachment *a = &agent->attachments.item[i];
		_free_ char *key = mem_format("%s/%s", a->pod_namespace, a->pod_name);

		for (unsigned int j = 0; j < a->address_count && strcmp(key, pod) == 0; j++)
			pod_add(question, &a->addresses[j]);
	}
	if (!question->pod.count)
		return err_set(err, ENOENT, "no address is known of a Pod %s", pod);
	return 0;
}

static int read_question(
	struct question *question, json_t *parameters, int64_t *ret_from, struct err *err)
{
	struct json_at root = json_root(parameters);
	const char *address = NULL, *pod = NULL, *service = NULL;
	int64_t limit = 0;
	int r;

	*ret_from = 0;
	r = json_get_string(&root, "address", JSON_OPTIONAL, &address, err);
	if (r == 0)
		r = json_get_string(&root, "pod", JSON_OPTIONAL, &pod, err);
	if (r == 0)
		r = json_get_string(&root, "service", JSON_OPTIONAL, &service, err);
	if (r == 0)
		r = json_get_int(&root, "limit", JSON_OPTIONAL, 0, 10000, &limit, err);
	if (r == 0)
		r = json_get_int(&root, "from", JSON_OPTIONAL, 0, INT64_MAX, ret_from, err);
	if (r < 0)
		return r;
	question->limit = (size_t)limit;
	if (address && addr_parse(address, &question->address) < 0)
		return err_set(err, EINVAL, "%s is no address", address);
	if (service) {
		question->service = mem_format("Service %s", service);
		if (!store_find(&question->agent->objects.store, KIND_SERVICE, service))
			return err_set(err, ENOENT, "there is no Service %s here", service);
	}
	return pod ? read_pod(question, pod, err) : 0;
}

static void question_clear(struct question *question)
{
	hash_clear(&question->names, free);
	free(question->pod.list);
	free(question->service);
	json_decref(question->list);
}

#define FROM_FLOWS (INT64_C(1) << 32) /* sessions come first; below stands the place in the table */

void show_flows(void *context, struct control_request *request, struct text *reply)
{
	_cleanup_(question_clear) struct question question = {
		.agent = context, .list = json_array()};
	const struct tables *tables = &question.agent->tables;
	struct err err;
	json_t *answer;
	uint32_t place;
	int64_t from;
	int r = read_question(&question, request->parameters, &from, &err);

	place = (uint32_t)from;
	if (r == 0 && from < FROM_FLOWS)
		r = tables_read_sessions(tables, &place, show_session, &question, &err);
	else if (r == 0)
		r = tables_read_flows(tables, &place, show_flow, &question, &err);
	if (r < 0) {
		control_reply_error(reply, "io.podwire.Failed", err.text);
		return;
	}
	answer = json_pack("{s:O, s:I}", "flows", question.list, "more", question.more);
	if (r > 0)
		json_object_set_new(answer, "next",
			json_integer((from < FROM_FLOWS ? 0 : FROM_FLOWS) + (json_int_t)place));
	else if (from < FROM_FLOWS)
		json_object_set_new(answer, "next", json_integer(FROM_FLOWS));
	control_reply(reply, answer);
}
