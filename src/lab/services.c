/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/services.h"

#include "base/mem.h"
#include "lab/plan.h"
#include "net/prefix.h"

#include <errno.h>
#include <string.h>

/* Kubernetes keeps the lower part of each range for what users choose (KEP-3070, KEP-3668). */
#define SERVICE_LAST 65534
#define NODE_PORT_FIRST 30086
#define NODE_PORT_LAST 32767

bool service_is_headless(const json_t *service)
{
	return strcmp(tree_text(service, "spec.clusterIP"), "None") == 0;
}

static bool service_has_type(const json_t *service, const char *type)
{
	return strcmp(tree_text(service, "spec.type"), type) == 0;
}

const char *service_address(const json_t *service, enum family family)
{
	json_t *address;
	size_t index;

	json_array_foreach(tree_at(service, "spec.clusterIPs"), index, address)
	{
		const char *text = json_string_value(address);

		if (text && strcmp(text, "None") != 0 && text_family(text) == family)
			return text;
	}
	return "";
}

static int service_err(struct err *err, const json_t *service, const char *field, const char *text)
{
	_free_ char *title = tree_title(service);

	return err_set(err, EINVAL, "Service %s: %s: %s", title, field, text);
}

/* The given families, else those of the given addresses, else the first of the cluster. */
static json_t *families_given(const struct lab *lab, const json_t *spec)
{
	json_t *given = json_object_get(spec, "ipFamilies"), *families = json_array(), *address;
	size_t index;

	if (json_array_size(given) > 0) {
		json_array_extend(families, given);
		return families;
	}
	json_array_foreach(json_object_get(spec, "clusterIPs"), index, address)
	{
		const char *text = json_string_value(address);

		if (text && *text && strcmp(text, "None") != 0)
			json_array_append_new(families, json_string(family_name(text_family(text))));
	}
	if (json_array_size(families) == 0)
		json_array_append_new(families, json_string(family_name(plan_primary(&lab->settings))));
	return families;
}

static bool families_hold(const json_t *families, const char *name)
{
	json_t *family;
	size_t index;

	json_array_foreach(families, index, family)
	{
		if (json_is_string(family) && strcmp(json_string_value(family), name) == 0)
			return true;
	}
	return false;
}

/* Refuses families that the lab does not have. */
static int families_check(
	const struct lab *lab, const json_t *service, const json_t *families, struct err *err)
{
	json_t *family;
	size_t index;

	json_array_foreach(families, index, family)
	{
		bool found = false;

		for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
			found = found || (lab->settings.pod_families[f] && json_is_string(family) &&
						 strcmp(json_string_value(family), family_name(f)) == 0);
		if (!found)
			return service_err(err, service, "spec.ipFamilies",
				"names a family that this lab does not have; `lab up --family dual` "
				"has both");
	}
	return 0;
}

/* KEP-563: ipFamilyPolicy decides how many of the families a Service gets. */
static int families_complete(const struct lab *lab, json_t *service, struct err *err)
{
	json_t *spec = tree_child(service, "spec"), *families = families_given(lab, spec);
	bool is_dual = lab->settings.pod_families[FAMILY_IPV4] &&
		       lab->settings.pod_families[FAMILY_IPV6];
	const char *policy;

	tree_default_text(spec, "ipFamilyPolicy",
		json_array_size(families) > 1 ? "RequireDualStack" : "SingleStack");
	policy = tree_text(spec, "ipFamilyPolicy");
	json_object_set_new(spec, "ipFamilies", families);
	if (strcmp(policy, "SingleStack") == 0) {
		if (json_array_size(families) > 1)
			return service_err(err, service, "spec.ipFamilyPolicy",
				"SingleStack goes with one family, but two are named");
	} else if (strcmp(policy, "RequireDualStack") == 0 && !is_dual) {
		return service_err(err, service, "spec.ipFamilyPolicy",
			"RequireDualStack needs a lab of both families (--family dual)");
	} else {
		for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
			if (lab->settings.pod_families[f] && !families_hold(families, family_name(f)))
				json_array_append_new(families, json_string(family_name(f)));
	}
	return families_check(lab, service, families, err);
}

static bool address_taken(const json_t *services, const json_t *self, const char *address)
{
	json_t *service;
	size_t index;

	json_array_foreach(services, index, service)
	{
		if (service != self && strcmp(service_address(service, text_family(address)),
					       address) == 0)
			return true;
	}
	return false;
}

static unsigned int cursor_read(const struct lab *lab, const char *name, unsigned int first)
{
	json_t *cursor = json_object_get(tree_child(lab->runtime, "cursors"), name);

	return cursor ? (unsigned int)json_integer_value(cursor) : first;
}

static void cursor_write(const struct lab *lab, const char *name, unsigned int next)
{
	json_object_set_new(tree_child(lab->runtime, "cursors"), name, json_integer(next));
}

static char *address_choose(const struct lab *lab, const json_t *services, enum family family)
{
	unsigned int next = cursor_read(lab, family_name(family), PLAN_SERVICE_FIRST);

	for (unsigned int tries = PLAN_SERVICE_FIRST; tries <= SERVICE_LAST; tries++) {
		_free_ char *address = plan_service_address(family, next);

		next = next < SERVICE_LAST ? next + 1 : PLAN_SERVICE_FIRST;
		if (address_taken(services, NULL, address))
			continue;
		cursor_write(lab, family_name(family), next);
		return TAKE_PTR(address);
	}
	return NULL;
}

/* An address chosen by the user is kept where this cluster could have it. */
static bool address_usable(const struct lab *lab, const json_t *services, const json_t *service,
	const char *address)
{
	struct prefix range;
	struct addr addr;

	if (addr_parse(address, &addr) == 0 &&
		prefix_parse(plan_service_range(addr_family(&addr)), &range, NULL) == 0 &&
		prefix_contains(&range, &addr) && !address_taken(services, service, address))
		return true;
	lab_say(lab, "service %s/%s: the cluster address %s is taken or outside %s; it gets another",
		tree_namespace(service), tree_name(service), address,
		plan_service_range(text_family(address)));
	return false;
}

static int addresses_complete(
	const struct lab *lab, const json_t *services, json_t *service, struct err *err)
{
	json_t *spec = tree_child(service, "spec"), *addresses = json_array(), *family;
	const char *single = tree_text(spec, "clusterIP");
	size_t index;

	if (!json_object_get(spec, "clusterIPs") && *single)
		json_object_set_new(spec, "clusterIPs", json_pack("[s]", single));
	json_array_foreach(json_object_get(spec, "ipFamilies"), index, family)
	{
		enum family f = strcmp(json_string_value(family), "IPv4") == 0 ? FAMILY_IPV4
									       : FAMILY_IPV6;
		const char *given = service_address(service, f);
		_free_ char *chosen = NULL;

		if (*given && address_usable(lab, services, service, given))
			chosen = mem_string(given);
		else
			chosen = address_choose(lab, services, f);
		if (!chosen) {
			json_decref(addresses);
			return service_err(err, service, "spec.clusterIPs",
				"the range of Service addresses is full");
		}
		json_array_append_new(addresses, json_string(chosen));
	}
	json_object_set_new(spec, "clusterIPs", addresses);
	json_object_set(spec, "clusterIP", json_array_get(addresses, 0));
	return 0;
}

static bool node_port_taken(
	const json_t *services, const json_t *self, json_int_t number, const char *protocol)
{
	json_t *service, *port;
	size_t i, j;

	json_array_foreach(services, i, service)
	{
		if (json_integer_value(tree_at(service, "spec.healthCheckNodePort")) == number &&
			strcmp(protocol, "TCP") == 0 && service != self)
			return true;
		json_array_foreach(tree_at(service, "spec.ports"), j, port)
		{
			if (port != self && json_integer_value(tree_at(port, "nodePort")) == number &&
				strcmp(tree_text(port, "protocol"), protocol) == 0)
				return true;
		}
	}
	return false;
}

static json_int_t node_port_choose(
	const struct lab *lab, const json_t *services, const char *protocol)
{
	unsigned int next = cursor_read(lab, "nodePort", NODE_PORT_FIRST);

	for (unsigned int tries = NODE_PORT_FIRST; tries <= NODE_PORT_LAST; tries++) {
		unsigned int port = next;

		next = next < NODE_PORT_LAST ? next + 1 : NODE_PORT_FIRST;
		if (node_port_taken(services, NULL, port, protocol))
			continue;
		cursor_write(lab, "nodePort", next);
		return port;
	}
	return 0;
}

/* A number given for one protocol serves the same port of another one (as the API server does). */
static json_int_t node_port_of_twin(const json_t *service, const json_t *port)
{
	json_t *other;
	size_t index;

	json_array_foreach(tree_at(service, "spec.ports"), index, other)
	{
		json_t *number = json_object_get(other, "nodePort");

		if (other != port && number &&
			json_equal(json_object_get(other, "port"),
				json_object_get((json_t *)port, "port")))
			return json_integer_value(number);
	}
	return 0;
}

static int node_ports_complete(
	const struct lab *lab, const json_t *services, json_t *service, struct err *err)
{
	json_t *spec = tree_child(service, "spec"), *port;
	size_t index;

	json_array_foreach(json_object_get(spec, "ports"), index, port)
	{
		const char *protocol = tree_text(port, "protocol");
		json_int_t number = json_integer_value(json_object_get(port, "nodePort"));

		if (number && node_port_taken(services, port, number, protocol))
			return service_err(err, service, "spec.ports.nodePort",
				"another Service holds this number");
		if (!number)
			number = node_port_of_twin(service, port);
		if (!number)
			number = node_port_choose(lab, services, protocol);
		if (!number)
			return service_err(err, service, "spec.ports.nodePort",
				"the range of node ports is full");
		json_object_set_new(port, "nodePort", json_integer(number));
	}
	return 0;
}

/* Where load balancers ask whether a node has endpoints. */
static void health_port_complete(const struct lab *lab, const json_t *services, json_t *service)
{
	json_t *spec = tree_child(service, "spec");

	if (service_has_type(service, "LoadBalancer") &&
		strcmp(tree_text(spec, "externalTrafficPolicy"), "Local") == 0)
		tree_default(spec, "healthCheckNodePort",
			json_integer(node_port_choose(lab, services, "TCP")));
}

static int service_complete(
	const struct lab *lab, const json_t *services, json_t *service, struct err *err)
{
	json_t *spec = tree_child(service, "spec");
	bool wants_ports = service_has_type(service, "NodePort") ||
			   (service_has_type(service, "LoadBalancer") &&
				   !json_is_false(tree_at(spec, "allocateLoadBalancerNodePorts")));

	if (service_has_type(service, "ExternalName"))
		return 0;
	if (families_complete(lab, service, err) < 0)
		return -err->code;
	if (service_is_headless(service)) {
		json_object_set_new(spec, "clusterIPs", json_pack("[s]", "None"));
		return 0;
	}
	if (addresses_complete(lab, services, service, err) < 0)
		return -err->code;
	if (wants_ports && node_ports_complete(lab, services, service, err) < 0)
		return -err->code;
	health_port_complete(lab, services, service);
	return 0;
}

int services_complete(struct lab *lab, struct err *err)
{
	json_t *services = lab_list(lab, LAB_SERVICE), *service;
	size_t index;
	int r = 0;

	json_array_foreach(services, index, service)
	{
		if (r == 0)
			r = service_complete(lab, services, service, err);
	}
	json_decref(services);
	return r;
}
