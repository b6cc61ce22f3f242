/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pod.h"

#include "base/text.h"
#include "model/field.h"

#include <string.h>

static const struct string_rule pod_name_rule = {
	name_is_subdomain, "no name of a Pod; use at most 253 of a-z 0-9 '-' '.'"};

static const char *const pod_phases[] = {
	[POD_PENDING] = "Pending",
	[POD_RUNNING] = "Running",
	[POD_SUCCEEDED] = "Succeeded",
	[POD_FAILED] = "Failed",
	[POD_UNKNOWN] = "Unknown",
};
_Static_assert(ARRAY_SIZE(pod_phases) == POD_PHASE_MAX, "a name for each phase");
static const struct enum_names pod_phase_names = {"phase of a Pod", pod_phases, POD_PHASE_MAX};

static const char *const restart_policies[] = {
	[RESTART_ALWAYS] = "Always",
	[RESTART_ON_FAILURE] = "OnFailure",
	[RESTART_NEVER] = "Never",
};
_Static_assert(ARRAY_SIZE(restart_policies) == RESTART_MAX, "a name for each policy");
static const struct enum_names restart_policy_names = {
	"restart policy", restart_policies, RESTART_MAX};

static const struct field container_port_fields[] = {
	FIELD(container_port, name, "name", 1, FIELD_STRING, .rule = &port_name_rule),
	FIELD(container_port, host_port, "hostPort", 2, FIELD_PORT, .flags = FIELD_ZERO),
	FIELD(container_port, container_port, "containerPort", 3, FIELD_PORT,
		.flags = FIELD_REQUIRED),
	FIELD(container_port, protocol, "protocol", 4, FIELD_ENUM, .names = &protocol_names),
	FIELD(container_port, host_ip, "hostIP", 5, FIELD_ADDR),
};
static const struct field_table container_port_table = {
	.fields = container_port_fields,
	.count = ARRAY_SIZE(container_port_fields),
	.size = sizeof(struct container_port),
};

static const struct field container_fields[] = {
	FIELD(container, name, "name", 1, FIELD_STRING, .rule = &label_rule),
	FIELD(container, ports, "ports", 6, FIELD_STRUCT, .table = &container_port_table,
		.flags = FIELD_LIST),
	FIELD(container, restart_policy, "restartPolicy", 24, FIELD_ENUM,
		.names = &restart_policy_names),
};
static const struct field_table container_table = {
	.fields = container_fields,
	.count = ARRAY_SIZE(container_fields),
	.size = sizeof(struct container),
};

static const struct field pod_spec_fields[] = {
	FIELD(pod, containers, "containers", 2, FIELD_STRUCT, .table = &container_table,
		.flags = FIELD_LIST),
	FIELD(pod, node_name, "nodeName", 10, FIELD_STRING, .flags = FIELD_SHARED),
	FIELD(pod, host_network, "hostNetwork", 11, FIELD_BOOL),
	FIELD(pod, init_containers, "initContainers", 20, FIELD_STRUCT, .table = &container_table,
		.flags = FIELD_LIST),
};
static const struct field_table pod_spec = {
	.fields = pod_spec_fields, .count = ARRAY_SIZE(pod_spec_fields)};

/* PodIP and HostIP: messages that hold one address and nothing else. */
static const struct field ip_fields[] = {
	{.name = "ip", .number = 1, .type = FIELD_ADDR, .flags = FIELD_REQUIRED},
};
static const struct field_table ip_table = {
	.fields = ip_fields, .count = ARRAY_SIZE(ip_fields), .size = sizeof(struct addr)};

static const struct field pod_status_fields[] = {
	FIELD(pod, phase, "phase", 1, FIELD_ENUM, .names = &pod_phase_names),
	FIELD(pod, host_ip, "hostIP", 5, FIELD_ADDR),
	FIELD(pod, pod_ip, "podIP", 6, FIELD_ADDR),
	FIELD(pod, pod_ips, "podIPs", 12, FIELD_STRUCT, .table = &ip_table, .flags = FIELD_LIST),
	FIELD(pod, host_ips, "hostIPs", 16, FIELD_STRUCT, .table = &ip_table, .flags = FIELD_LIST),
};
static const struct field_table pod_status = {
	.fields = pod_status_fields, .count = ARRAY_SIZE(pod_status_fields)};

static int pod_check(void *value, const struct json_at *at, struct err *err);

static const struct field pod_fields[] = {
	FIELD(pod, object, "metadata", 1, FIELD_STRUCT, .table = &meta_table,
		.flags = FIELD_REQUIRED),
	{.name = "spec", .number = 2, .type = FIELD_STRUCT, .table = &pod_spec},
	{.name = "status", .number = 3, .type = FIELD_STRUCT, .table = &pod_status},
};
static const struct field_table pod_table = {
	.fields = pod_fields,
	.count = ARRAY_SIZE(pod_fields),
	.size = sizeof(struct pod),
	.check = pod_check,
};

const struct kind_rule pod_kind = {
	.name = "Pod",
	.api_version = "v1",
	.namespaced = true,
	.name_rule = &pod_name_rule,
	.table = &pod_table,
};

/* In the node's own namespace a port is the node's, so hostPort is the same (API server's default).
 */
static int host_ports_check(
	const struct containers *containers, const struct json_at *list, struct err *err)
{
	for (size_t i = 0; i < containers->count; i++) {
		struct json_at container = json_element(list, i);
		struct json_at ports = json_member(&container, "ports");

		for (size_t j = 0; j < containers->list[i].ports.count; j++) {
			struct container_port *port = &containers->list[i].ports.list[j];
			struct json_at element = json_element(&ports, j);

			if (port->host_port && port->host_port != port->container_port)
				return json_error(&element, err,
					"hostPort %u differs from containerPort %u; "
					"with hostNetwork they are the same",
					port->host_port, port->container_port);
			port->host_port = port->container_port;
		}
	}
	return 0;
}

static int pod_check(void *value, const struct json_at *at, struct err *err)
{
	struct pod *pod = value;
	struct json_at status = json_member(at, "status"), spec = json_member(at, "spec");
	struct json_at containers = json_member(&spec, "containers");
	struct json_at init_containers = json_member(&spec, "initContainers");
	int r = addrs_check_pair(&pod->pod_ips, &pod->pod_ip, &status, "podIP", "podIPs", err);

	if (r == 0)
		r = addrs_check_pair(
			&pod->host_ips, &pod->host_ip, &status, "hostIP", "hostIPs", err);
	if (r == 0 && pod->host_network)
		r = host_ports_check(&pod->containers, &containers, err);
	if (r == 0 && pod->host_network)
		r = host_ports_check(&pod->init_containers, &init_containers, err);
	return r;
}

struct pod *object_pod(struct object *object)
{
	return object->kind == KIND_POD ? (struct pod *)object : NULL;
}

const struct pod *object_pod_const(const struct object *object)
{
	return object->kind == KIND_POD ? (const struct pod *)object : NULL;
}

const struct addr *pod_address(const struct pod *pod, enum family family)
{
	for (size_t i = 0; i < pod->pod_ips.count; i++)
		if (addr_family(&pod->pod_ips.list[i]) == family)
			return &pod->pod_ips.list[i];
	return NULL;
}

bool pod_is_over(const struct pod *pod)
{
	return pod->phase == POD_SUCCEEDED || pod->phase == POD_FAILED;
}

static uint16_t container_named_port(
	const struct container *container, const char *name, enum protocol protocol)
{
	for (size_t i = 0; i < container->ports.count; i++) {
		const struct container_port *port = &container->ports.list[i];

		if (port->protocol == protocol && port->name && strcmp(port->name, name) == 0)
			return port->container_port;
	}
	return 0;
}

uint16_t pod_named_port(const struct pod *pod, const char *name, enum protocol protocol)
{
	uint16_t port = 0;

	for (size_t i = 0; i < pod->containers.count && port == 0; i++)
		port = container_named_port(&pod->containers.list[i], name, protocol);
	for (size_t i = 0; i < pod->init_containers.count && port == 0; i++)
		if (pod->init_containers.list[i].restart_policy == RESTART_ALWAYS)
			port = container_named_port(&pod->init_containers.list[i], name, protocol);
	return port;
}
