/* SPDX-License-Identifier: Apache-2.0 */
#include "model/node.h"

#include "base/text.h"
#include "model/field.h"

#include <errno.h>
#include <string.h>

static const struct string_rule node_name_rule = {
	name_is_subdomain, "no name of a Node; use at most 253 of a-z 0-9 '-' '.'"};

static const char *const node_address_types[] = {
	[NODE_ADDRESS_INTERNAL_IP] = "InternalIP",
	[NODE_ADDRESS_EXTERNAL_IP] = "ExternalIP",
	[NODE_ADDRESS_HOSTNAME] = "Hostname",
	[NODE_ADDRESS_INTERNAL_DNS] = "InternalDNS",
	[NODE_ADDRESS_EXTERNAL_DNS] = "ExternalDNS",
};
_Static_assert(ARRAY_SIZE(node_address_types) == NODE_ADDRESS_MAX, "a name for each type");
static const struct enum_names node_address_type_names = {
	"type of a node's address", node_address_types, NODE_ADDRESS_MAX};

static const struct field node_taint_fields[] = {
	FIELD(node_taint, key, "key", 1, FIELD_STRING, .flags = FIELD_REQUIRED | FIELD_SHARED),
};
static const struct field_table node_taint_table = {
	.fields = node_taint_fields,
	.count = ARRAY_SIZE(node_taint_fields),
	.size = sizeof(struct node_taint),
};

static const struct field node_spec_fields[] = {
	FIELD(node, first_range, "podCIDR", 1, FIELD_PREFIX),
	FIELD(node, unschedulable, "unschedulable", 4, FIELD_BOOL),
	FIELD(node, taints, "taints", 5, FIELD_STRUCT, .table = &node_taint_table,
		.flags = FIELD_LIST),
	FIELD(node, ranges, "podCIDRs", 7, FIELD_PREFIX, .flags = FIELD_LIST),
};
static const struct field_table node_spec = {
	.fields = node_spec_fields, .count = ARRAY_SIZE(node_spec_fields)};

static int node_address_check(void *value, const struct json_at *at, struct err *err);

_Static_assert(offsetof(struct node_address, name) - offsetof(struct node_address, addr) ==
			       offsetof(struct host, name) &&
		       offsetof(struct host, addr) == 0,
	"addr and name of an address are a struct host");
static const struct field node_address_fields[] = {
	FIELD(node_address, type, "type", 1, FIELD_ENUM, .names = &node_address_type_names,
		.flags = FIELD_REQUIRED),
	FIELD(node_address, addr, "address", 2, FIELD_HOST, .flags = FIELD_REQUIRED),
};
static const struct field_table node_address_table = {
	.fields = node_address_fields,
	.count = ARRAY_SIZE(node_address_fields),
	.size = sizeof(struct node_address),
	.check = node_address_check,
};

static const struct field node_status_fields[] = {
	FIELD(node, addresses, "addresses", 5, FIELD_STRUCT, .table = &node_address_table,
		.flags = FIELD_LIST),
};
static const struct field_table node_status = {
	.fields = node_status_fields, .count = ARRAY_SIZE(node_status_fields)};

static int node_check(void *value, const struct json_at *at, struct err *err);

static const struct field node_fields[] = {
	FIELD(node, object, "metadata", 1, FIELD_STRUCT, .table = &meta_table,
		.flags = FIELD_REQUIRED),
	{.name = "spec", .number = 2, .type = FIELD_STRUCT, .table = &node_spec},
	{.name = "status", .number = 3, .type = FIELD_STRUCT, .table = &node_status},
};
static const struct field_table node_table = {
	.fields = node_fields,
	.count = ARRAY_SIZE(node_fields),
	.size = sizeof(struct node),
	.check = node_check,
};

const struct kind_rule node_kind = {
	.name = "Node", .api_version = "v1", .name_rule = &node_name_rule, .table = &node_table};

static int node_address_check(void *value, const struct json_at *at, struct err *err)
{
	const struct node_address *address = value;
	struct json_at place = json_member(at, "address");
	char shown[JSON_SHOW_SIZE];
	const char *special;

	if (address->type != NODE_ADDRESS_INTERNAL_IP && address->type != NODE_ADDRESS_EXTERNAL_IP)
		return 0;
	if (!addr_is_given(&address->addr))
		return json_error(&place, err,
			"%s is no IP address; use one like 10.1.2.3 or fd00::1",
			json_show(place.value, shown));
	special = addr_special(&address->addr);
	return special ? json_error(&place, err, "%s %s; a node is not reached by it",
				 json_show(place.value, shown), special)
		       : 0;
}

static int node_range_check(const struct prefix *range, const struct json_at *at, struct err *err)
{
	char text[PREFIX_TEXT_SIZE];

	if (prefix_length_shown(range) > 0 && !addr_special(&range->addr))
		return 0;
	return json_error(at, err, "%s is no range for pods; use one like 10.1.0.0/24",
		prefix_format(range, text));
}

/* podCIDR and podCIDRs agree afterwards, whichever was given. */
static int node_check(void *value, const struct json_at *at, struct err *err)
{
	struct node *node = value;
	struct json_at spec = json_member(at, "spec");
	struct json_at single = json_member(&spec, "podCIDR"),
		       list = json_member(&spec, "podCIDRs");
	bool given = json_string_length(single.value) > 0;
	int r = given ? node_range_check(&node->first_range, &single, err) : 0;

	for (size_t i = 0; i < node->ranges.count && r == 0; i++)
		r = node_range_check(&node->ranges.list[i], &list, err);
	if (r < 0)
		return r;
	if (node->ranges.count > 2 ||
		(node->ranges.count == 2 && prefix_family(&node->ranges.list[0]) ==
						    prefix_family(&node->ranges.list[1])))
		return json_error(&list, err,
			"more than one range of a family; use at most one of "
			"IPv4 and one of IPv6");
	if (node->ranges.count == 0 && given) {
		node->ranges.list = mem_copy(&node->first_range, sizeof(node->first_range));
		node->ranges.count = 1;
	}
	if (given && prefix_compare(&node->first_range, &node->ranges.list[0]) != 0)
		return json_error(
			&single, err, "differs from the first of podCIDRs; it must be the same");
	if (node->ranges.count > 0)
		node->first_range = node->ranges.list[0];
	return 0;
}

struct node *object_node(struct object *object)
{
	return object->kind == KIND_NODE ? (struct node *)object : NULL;
}

const struct node *object_node_const(const struct object *object)
{
	return object->kind == KIND_NODE ? (const struct node *)object : NULL;
}

const struct addr *node_internal_ip(const struct node *node, enum family family)
{
	for (size_t i = 0; i < node->addresses.count; i++) {
		const struct node_address *address = &node->addresses.list[i];

		if (address->type == NODE_ADDRESS_INTERNAL_IP &&
			addr_family(&address->addr) == family)
			return &address->addr;
	}
	return NULL;
}

const struct prefix *node_range(const struct node *node, enum family family)
{
	for (size_t i = 0; i < node->ranges.count; i++)
		if (prefix_family(&node->ranges.list[i]) == family)
			return &node->ranges.list[i];
	return NULL;
}

bool node_is_eligible(const struct node *node)
{
	for (size_t i = 0; i < node->taints.count; i++)
		if (strcmp(node->taints.list[i].key, "ToBeDeletedByClusterAutoscaler") == 0)
			return false;
	return !node->object.deleting;
}

enum family node_primary_family(const struct node *node)
{
	if (node->ranges.count > 0)
		return prefix_family(&node->ranges.list[0]);
	for (size_t i = 0; i < node->addresses.count; i++)
		if (node->addresses.list[i].type == NODE_ADDRESS_INTERNAL_IP)
			return addr_family(&node->addresses.list[i].addr);
	return FAMILY_NONE;
}
