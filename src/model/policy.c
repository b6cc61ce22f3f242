/* SPDX-License-Identifier: Apache-2.0 */
#include "model/policy.h"

#include "base/text.h"
#include "model/field.h"

static const struct string_rule network_policy_name_rule = {
	name_is_subdomain, "no name of a NetworkPolicy; use at most 253 of a-z 0-9 '-' '.'"};

static const char *const directions[] = {
	[DIRECTION_INGRESS] = "Ingress",
	[DIRECTION_EGRESS] = "Egress",
};
_Static_assert(ARRAY_SIZE(directions) == DIRECTION_MAX, "a name for each direction");
static const struct enum_names direction_names = {"policy type", directions, DIRECTION_MAX};

/* Stricter than "inside": an exception as wide as the block would leave nothing of it. */
static int ip_block_check(void *value, const struct json_at *at, struct err *err)
{
	const struct ip_block *block = value;
	struct json_at list = json_member(at, "except");
	char range[PREFIX_TEXT_SIZE], text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < block->except.count; i++) {
		const struct prefix *except = &block->except.list[i];
		struct json_at element = json_element(&list, i);

		if (!prefix_overlaps(&block->range, except) ||
			except->length <= block->range.length)
			return json_error(&element, err, "%s is no part of the block %s",
				prefix_format(except, text), prefix_format(&block->range, range));
	}
	return 0;
}

static const struct field ip_block_fields[] = {
	FIELD(ip_block, range, "cidr", 1, FIELD_PREFIX, .flags = FIELD_REQUIRED),
	FIELD(ip_block, except, "except", 2, FIELD_PREFIX, .flags = FIELD_LIST),
};
static const struct field_table ip_block_table = {
	.fields = ip_block_fields,
	.count = ARRAY_SIZE(ip_block_fields),
	.size = sizeof(struct ip_block),
	.check = ip_block_check,
};

static int policy_peer_check(void *value, const struct json_at *at, struct err *err)
{
	const struct policy_peer *peer = value;

	if (!peer->block && !peer->pods && !peer->namespaces)
		return json_error(
			at, err, "an empty peer; use podSelector, namespaceSelector or ipBlock");
	if (peer->block && (peer->pods || peer->namespaces))
		return json_error(
			at, err, "ipBlock stands alone; put the selectors into another peer");
	return 0;
}

static const struct field policy_peer_fields[] = {
	FIELD(policy_peer, pods, "podSelector", 1, FIELD_POINTER, .table = &selector_table),
	FIELD(policy_peer, namespaces, "namespaceSelector", 2, FIELD_POINTER,
		.table = &selector_table),
	FIELD(policy_peer, block, "ipBlock", 3, FIELD_POINTER, .table = &ip_block_table),
};
static const struct field_table policy_peer_table = {
	.fields = policy_peer_fields,
	.count = ARRAY_SIZE(policy_peer_fields),
	.size = sizeof(struct policy_peer),
	.check = policy_peer_check,
};

static int policy_port_check(void *value, const struct json_at *at, struct err *err)
{
	const struct policy_port *port = value;
	struct json_at end = json_member(at, "endPort");

	if (port->end_port == 0)
		return 0;
	if (port->port.number == 0)
		return json_error(&end, err, "wants a port that is a number");
	if (port->end_port < port->port.number)
		return json_error(&end, err, "%u is below port %u; use %u to 65535", port->end_port,
			port->port.number, port->port.number);
	return 0;
}

static const struct field policy_port_fields[] = {
	FIELD(policy_port, protocol, "protocol", 1, FIELD_ENUM, .names = &protocol_names),
	FIELD(policy_port, port, "port", 2, FIELD_PORT_REF),
	FIELD(policy_port, end_port, "endPort", 3, FIELD_PORT),
};
static const struct field_table policy_port_table = {
	.fields = policy_port_fields,
	.count = ARRAY_SIZE(policy_port_fields),
	.size = sizeof(struct policy_port),
	.check = policy_port_check,
};

static const struct field ingress_rule_fields[] = {
	FIELD(policy_rule, ports, "ports", 1, FIELD_STRUCT, .table = &policy_port_table,
		.flags = FIELD_LIST),
	FIELD(policy_rule, peers, "from", 2, FIELD_STRUCT, .table = &policy_peer_table,
		.flags = FIELD_LIST),
};
static const struct field_table ingress_rule_table = {
	.fields = ingress_rule_fields,
	.count = ARRAY_SIZE(ingress_rule_fields),
	.size = sizeof(struct policy_rule),
};

static const struct field egress_rule_fields[] = {
	FIELD(policy_rule, ports, "ports", 1, FIELD_STRUCT, .table = &policy_port_table,
		.flags = FIELD_LIST),
	FIELD(policy_rule, peers, "to", 2, FIELD_STRUCT, .table = &policy_peer_table,
		.flags = FIELD_LIST),
};
static const struct field_table egress_rule_table = {
	.fields = egress_rule_fields,
	.count = ARRAY_SIZE(egress_rule_fields),
	.size = sizeof(struct policy_rule),
};

static const struct field policy_spec_fields[] = {
	FIELD(network_policy, pods, "podSelector", 1, FIELD_STRUCT, .table = &selector_table),
	FIELD(network_policy, rules[DIRECTION_INGRESS], "ingress", 2, FIELD_STRUCT,
		.table = &ingress_rule_table, .flags = FIELD_LIST),
	FIELD(network_policy, rules[DIRECTION_EGRESS], "egress", 3, FIELD_STRUCT,
		.table = &egress_rule_table, .flags = FIELD_LIST),
	FIELD(network_policy, types, "policyTypes", 4, FIELD_ENUM, .names = &direction_names,
		.flags = FIELD_LIST),
};
static const struct field_table policy_spec = {
	.fields = policy_spec_fields, .count = ARRAY_SIZE(policy_spec_fields)};

/* The API server's default: ingress always, egress where there is a rule for it. */
static int network_policy_check(void *value, const struct json_at *at, struct err *err)
{
	struct network_policy *policy = value;

	policy->isolates[DIRECTION_INGRESS] = policy->types.count == 0;
	policy->isolates[DIRECTION_EGRESS] =
		policy->types.count == 0 && policy->rules[DIRECTION_EGRESS].count > 0;
	for (size_t i = 0; i < policy->types.count; i++)
		policy->isolates[policy->types.list[i]] = true;
	return 0;
}

static const struct field network_policy_fields[] = {
	FIELD(network_policy, object, "metadata", 1, FIELD_STRUCT, .table = &meta_table,
		.flags = FIELD_REQUIRED),
	{.name = "spec", .number = 2, .type = FIELD_STRUCT, .table = &policy_spec},
};
static const struct field_table network_policy_table = {
	.fields = network_policy_fields,
	.count = ARRAY_SIZE(network_policy_fields),
	.size = sizeof(struct network_policy),
	.check = network_policy_check,
};

const struct kind_rule network_policy_kind = {
	.name = "NetworkPolicy",
	.api_version = "networking.k8s.io/v1",
	.namespaced = true,
	.name_rule = &network_policy_name_rule,
	.table = &network_policy_table,
};

struct network_policy *object_network_policy(struct object *object)
{
	return object->kind == KIND_NETWORK_POLICY ? (struct network_policy *)object : NULL;
}

const struct network_policy *object_network_policy_const(const struct object *object)
{
	return object->kind == KIND_NETWORK_POLICY ? (const struct network_policy *)object : NULL;
}
