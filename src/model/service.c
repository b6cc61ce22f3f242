/* SPDX-License-Identifier: Apache-2.0 */
#include "model/service.h"

#include "base/text.h"
#include "model/field.h"

#include <string.h>

#define AFFINITY_SECONDS_DEFAULT 10800
#define AFFINITY_SECONDS_MAX 86400

static const struct string_rule service_name_rule = {
	name_is_label, "no name of a Service; use at most 63 of a-z 0-9 '-'"};

static const char *const service_types[] = {
	[SERVICE_CLUSTER_IP] = "ClusterIP",
	[SERVICE_NODE_PORT] = "NodePort",
	[SERVICE_LOAD_BALANCER] = "LoadBalancer",
	[SERVICE_EXTERNAL_NAME] = "ExternalName",
};
_Static_assert(ARRAY_SIZE(service_types) == SERVICE_TYPE_MAX, "a name for each type");
static const struct enum_names service_type_names = {
	"type of a Service", service_types, SERVICE_TYPE_MAX};

static const char *const traffic_policies[] = {
	[TRAFFIC_CLUSTER] = "Cluster",
	[TRAFFIC_LOCAL] = "Local",
};
_Static_assert(ARRAY_SIZE(traffic_policies) == TRAFFIC_POLICY_MAX, "a name for each policy");
static const struct enum_names traffic_policy_names = {
	"traffic policy", traffic_policies, TRAFFIC_POLICY_MAX};

static const char *const session_affinities[] = {
	[AFFINITY_NONE] = "None",
	[AFFINITY_CLIENT_IP] = "ClientIP",
};
_Static_assert(ARRAY_SIZE(session_affinities) == AFFINITY_MAX, "a name for each affinity");
static const struct enum_names session_affinity_names = {
	"session affinity", session_affinities, AFFINITY_MAX};

static const char *const ip_family_policies[] = {
	[IP_FAMILY_SINGLE] = "SingleStack",
	[IP_FAMILY_PREFER_DUAL] = "PreferDualStack",
	[IP_FAMILY_REQUIRE_DUAL] = "RequireDualStack",
};
_Static_assert(ARRAY_SIZE(ip_family_policies) == IP_FAMILY_POLICY_MAX, "a name for each policy");
static const struct enum_names ip_family_policy_names = {
	"IP family policy", ip_family_policies, IP_FAMILY_POLICY_MAX};

static const char *const ip_families[] = {[FAMILY_IPV4] = "IPv4", [FAMILY_IPV6] = "IPv6"};
_Static_assert(ARRAY_SIZE(ip_families) == FAMILY_MAX, "a name for each family");
static const struct enum_names ip_family_names = {"IP family", ip_families, FAMILY_MAX};

static const char *const load_balancer_modes[] = {
	[LOAD_BALANCER_VIP] = "VIP",
	[LOAD_BALANCER_PROXY] = "Proxy",
};
_Static_assert(ARRAY_SIZE(load_balancer_modes) == LOAD_BALANCER_MODE_MAX, "a name for each mode");
static const struct enum_names load_balancer_mode_names = {
	"ipMode", load_balancer_modes, LOAD_BALANCER_MODE_MAX};

static const struct field service_port_fields[] = {
	FIELD(service_port, name, "name", 1, FIELD_STRING, .flags = FIELD_SHARED, .rule = &label_rule),
	FIELD(service_port, protocol, "protocol", 2, FIELD_ENUM, .names = &protocol_names),
	FIELD(service_port, port, "port", 3, FIELD_PORT, .flags = FIELD_REQUIRED),
	FIELD(service_port, target, "targetPort", 4, FIELD_PORT_REF, .flags = FIELD_ZERO),
	FIELD(service_port, node_port, "nodePort", 5, FIELD_PORT, .flags = FIELD_ZERO),
	FIELD(service_port, app_protocol, "appProtocol", 6, FIELD_STRING),
};
static const struct field_table service_port_table = {
	.fields = service_port_fields,
	.count = ARRAY_SIZE(service_port_fields),
	.size = sizeof(struct service_port),
};

static const struct field client_ip_fields[] = {
	FIELD(service, affinity_seconds, "timeoutSeconds", 1, FIELD_NUMBER, .minimum = 1,
		.maximum = AFFINITY_SECONDS_MAX, .preset = AFFINITY_SECONDS_DEFAULT),
};
static const struct field_table client_ip = {
	.fields = client_ip_fields, .count = ARRAY_SIZE(client_ip_fields)};
static const struct field session_affinity_fields[] = {
	{.name = "clientIP", .number = 1, .type = FIELD_STRUCT, .table = &client_ip},
};
static const struct field_table session_affinity = {
	.fields = session_affinity_fields, .count = ARRAY_SIZE(session_affinity_fields)};

static const struct field service_spec_fields[] = {
	FIELD(service, ports, "ports", 1, FIELD_STRUCT, .table = &service_port_table,
		.flags = FIELD_LIST),
	FIELD(service, selector, "selector", 2, FIELD_MAP, .rule = &label_value_rule),
	FIELD(service, cluster_ip, "clusterIP", 3, FIELD_ADDR, .flags = FIELD_NONE),
	FIELD(service, type, "type", 4, FIELD_ENUM, .names = &service_type_names),
	FIELD(service, external_ips, "externalIPs", 5, FIELD_ADDR, .flags = FIELD_LIST),
	FIELD(service, session_affinity, "sessionAffinity", 7, FIELD_ENUM,
		.names = &session_affinity_names),
	FIELD(service, load_balancer_ip, "loadBalancerIP", 8, FIELD_ADDR),
	FIELD(service, load_balancer_source_ranges, "loadBalancerSourceRanges", 9, FIELD_PREFIX,
		.flags = FIELD_LIST),
	FIELD(service, external_name, "externalName", 10, FIELD_STRING),
	FIELD(service, external_policy, "externalTrafficPolicy", 11, FIELD_ENUM,
		.names = &traffic_policy_names),
	FIELD(service, health_check_node_port, "healthCheckNodePort", 12, FIELD_PORT,
		.flags = FIELD_ZERO),
	FIELD(service, publish_not_ready, "publishNotReadyAddresses", 13, FIELD_BOOL),
	{.name = "sessionAffinityConfig",
		.number = 14,
		.type = FIELD_STRUCT,
		.table = &session_affinity},
	FIELD(service, ip_family_policy, "ipFamilyPolicy", 17, FIELD_ENUM,
		.names = &ip_family_policy_names),
	FIELD(service, cluster_ips, "clusterIPs", 18, FIELD_ADDR, .flags = FIELD_LIST | FIELD_NONE),
	FIELD(service, ip_families, "ipFamilies", 19, FIELD_ENUM, .flags = FIELD_LIST,
		.names = &ip_family_names),
	FIELD(service, allocate_node_ports, "allocateLoadBalancerNodePorts", 20, FIELD_BOOL,
		.preset = true),
	FIELD(service, load_balancer_class, "loadBalancerClass", 21, FIELD_STRING),
	FIELD(service, internal_policy, "internalTrafficPolicy", 22, FIELD_ENUM,
		.names = &traffic_policy_names),
	FIELD(service, traffic_distribution, "trafficDistribution", 23, FIELD_STRING),
};
static const struct field_table service_spec = {
	.fields = service_spec_fields, .count = ARRAY_SIZE(service_spec_fields)};

static const struct field ingress_fields[] = {
	FIELD(load_balancer_address, addr, "ip", 1, FIELD_ADDR),
	FIELD(load_balancer_address, hostname, "hostname", 2, FIELD_STRING),
	FIELD(load_balancer_address, mode, "ipMode", 3, FIELD_ENUM,
		.names = &load_balancer_mode_names),
};
static const struct field_table ingress_table = {
	.fields = ingress_fields,
	.count = ARRAY_SIZE(ingress_fields),
	.size = sizeof(struct load_balancer_address),
};
static const struct field load_balancer_fields[] = {
	FIELD(service, load_balancer, "ingress", 1, FIELD_STRUCT, .table = &ingress_table,
		.flags = FIELD_LIST),
};
static const struct field_table load_balancer = {
	.fields = load_balancer_fields, .count = ARRAY_SIZE(load_balancer_fields)};
static const struct field service_status_fields[] = {
	{.name = "loadBalancer", .number = 1, .type = FIELD_STRUCT, .table = &load_balancer},
};
static const struct field_table service_status = {
	.fields = service_status_fields, .count = ARRAY_SIZE(service_status_fields)};

static int service_check(void *value, const struct json_at *at, struct err *err);

static const struct field service_fields[] = {
	FIELD(service, object, "metadata", 1, FIELD_STRUCT, .table = &meta_table,
		.flags = FIELD_REQUIRED),
	{.name = "spec", .number = 2, .type = FIELD_STRUCT, .table = &service_spec},
	{.name = "status", .number = 3, .type = FIELD_STRUCT, .table = &service_status},
};
static const struct field_table service_table = {
	.fields = service_fields,
	.count = ARRAY_SIZE(service_fields),
	.size = sizeof(struct service),
	.check = service_check,
};

const struct kind_rule service_kind = {
	.name = "Service",
	.api_version = "v1",
	.namespaced = true,
	.name_rule = &service_name_rule,
	.table = &service_table,
	.labels = service_labels,
};

const char *const service_labels[] = {
	LABEL_SERVICE_NAME, LABEL_PROXY_NAME, LABEL_HEADLESS, NULL};

/* Against the ports before it. */
static int service_port_check(
	const struct service *service, size_t index, const struct json_at *ports, struct err *err)
{
	const struct service_port *port = &service->ports.list[index];
	struct json_at at = json_element(ports, index), name = json_member(&at, "name");
	struct json_at node_port = json_member(&at, "nodePort");

	if (!port->name && service->ports.count > 1)
		return json_error(&name, err, "is missing; each of several ports wants one");
	if (port->node_port && service->type != SERVICE_NODE_PORT &&
		service->type != SERVICE_LOAD_BALANCER)
		return json_error(&node_port, err,
			"must not be given with type %s; use type NodePort",
			service_types[service->type]);
	for (size_t i = 0; i < index; i++) {
		const struct service_port *other = &service->ports.list[i];

		if (port->name && other->name && strcmp(port->name, other->name) == 0)
			return json_error(&name, err, "%s is given twice", port->name);
		if (port->protocol != other->protocol)
			continue;
		if (port->port == other->port)
			return json_error(&at, err, "port %u of %s is given twice", port->port,
				protocol_name(port->protocol));
		if (port->node_port && port->node_port == other->node_port)
			return json_error(&node_port, err, "%u of %s is given twice",
				port->node_port, protocol_name(port->protocol));
	}
	return 0;
}

static int service_ports_check(struct service *service, const struct json_at *spec, struct err *err)
{
	struct json_at ports = json_member(spec, "ports");

	if (service->ports.count == 0 && !service->headless &&
		service->type != SERVICE_EXTERNAL_NAME)
		return json_error(&ports, err, "is missing; use one or more");
	for (size_t i = 0; i < service->ports.count; i++) {
		struct service_port *port = &service->ports.list[i];
		int r = service_port_check(service, i, &ports, err);

		if (r < 0)
			return r;
		if (port->target.number == 0 && !port->target.name)
			port->target.number = port->port;
	}
	return 0;
}

/* clusterIP: None, in one field or in both; what is left are real addresses. */
static int service_headless_check(
	struct service *service, const struct json_at *spec, struct err *err)
{
	struct json_at single = json_member(spec, "clusterIP"),
		       list = json_member(spec, "clusterIPs");
	bool single_none =
		addr_is_given(&service->cluster_ip) && addr_is_unspecified(&service->cluster_ip);
	size_t nones = 0;

	for (size_t i = 0; i < service->cluster_ips.count; i++)
		nones += addr_is_unspecified(&service->cluster_ips.list[i]);
	service->headless = single_none || nones > 0;
	if (!service->headless)
		return 0;
	if (service->cluster_ips.count > nones || nones > 1)
		return json_error(&list, err, "None stands alone or not at all");
	if (!single_none && addr_is_given(&service->cluster_ip))
		return json_error(&single, err,
			"differs from the first of clusterIPs; it must be the "
			"same");
	if (service->type == SERVICE_NODE_PORT || service->type == SERVICE_LOAD_BALANCER)
		return json_error(&single, err, "None goes with type ClusterIP only, not with %s",
			service_types[service->type]);
	free(TAKE_PTR(service->cluster_ips.list));
	service->cluster_ips.count = 0;
	service->cluster_ip = (struct addr){0};
	return 0;
}

static int service_families_check(
	const struct service *service, const struct json_at *spec, struct err *err)
{
	struct json_at at = json_member(spec, "ipFamilies");
	const enum family *families = service->ip_families.list;
	size_t count = service->ip_families.count;

	if (count > 2 || (count == 2 && families[0] == families[1]))
		return json_error(&at, err, "a family is given twice; use IPv4, IPv6 or both");
	for (size_t i = 0; i < count && i < service->cluster_ips.count; i++)
		if (addr_family(&service->cluster_ips.list[i]) != families[i])
			return json_error(&at, err,
				"differs from the families of clusterIPs; the order "
				"must be the same");
	return 0;
}

/* Addresses that answer outside: as those of pods, but any number of each family. */
static int service_addrs_check(const struct service *service, const struct json_at *spec,
	const struct json_at *status, struct err *err)
{
	struct json_at externals = json_member(spec, "externalIPs");
	struct json_at balancer = json_member(status, "loadBalancer");
	struct json_at ingress = json_member(&balancer, "ingress");
	char text[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < service->external_ips.count; i++) {
		struct json_at at = json_element(&externals, i);
		const char *special = addr_special(&service->external_ips.list[i]);

		if (special)
			return json_error(&at, err, "%s %s",
				addr_format(&service->external_ips.list[i], text), special);
	}
	for (size_t i = 0; i < service->load_balancer.count; i++) {
		const struct load_balancer_address *address = &service->load_balancer.list[i];
		struct json_at at = json_element(&ingress, i);

		if (!addr_is_given(&address->addr) && !address->hostname)
			return json_error(&at, err, "neither ip nor hostname; use one of them");
		if (addr_is_given(&address->addr) && addr_special(&address->addr))
			return json_error(&at, err, "%s %s", addr_format(&address->addr, text),
				addr_special(&address->addr));
	}
	return 0;
}

static int service_check(void *value, const struct json_at *at, struct err *err)
{
	static const char *const none[] = {NULL};
	struct service *service = value;
	struct json_at spec = json_member(at, "spec"), status = json_member(at, "status");
	struct json_at external_name = json_member(&spec, "externalName");
	int r = service_headless_check(service, &spec, err);

	labels_keep(&service->selector, none);
	if (r == 0 && service->type == SERVICE_EXTERNAL_NAME && !service->external_name)
		r = json_error(&external_name, err, "is missing; type ExternalName wants it");
	if (r == 0)
		r = addrs_check_pair(&service->cluster_ips, &service->cluster_ip, &spec,
			"clusterIP", "clusterIPs", err);
	if (r == 0)
		r = service_ports_check(service, &spec, err);
	if (r == 0)
		r = service_families_check(service, &spec, err);
	if (r == 0)
		r = service_addrs_check(service, &spec, &status, err);
	return r;
}

struct service *object_service(struct object *object)
{
	return object->kind == KIND_SERVICE ? (struct service *)object : NULL;
}

const struct service *object_service_const(const struct object *object)
{
	return object->kind == KIND_SERVICE ? (const struct service *)object : NULL;
}

const struct addr *service_cluster_ip(const struct service *service, enum family family)
{
	for (size_t i = 0; i < service->cluster_ips.count; i++)
		if (addr_family(&service->cluster_ips.list[i]) == family)
			return &service->cluster_ips.list[i];
	return NULL;
}

bool service_is_foreign(const struct service *service)
{
	return labels_get(&service->object.labels, LABEL_PROXY_NAME) ||
	       labels_get(&service->object.labels, LABEL_HEADLESS);
}
