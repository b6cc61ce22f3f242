/* SPDX-License-Identifier: Apache-2.0 */
#include "model/endpoints.h"

#include "base/text.h"
#include "model/field.h"

#include <string.h>

static const struct string_rule endpoint_slice_name_rule = {
	name_is_subdomain, "no name of an EndpointSlice; use at most 253 of a-z 0-9 '-' '.'"};

static const char *const address_types[] = {
	[ADDRESS_TYPE_IPV4] = "IPv4",
	[ADDRESS_TYPE_IPV6] = "IPv6",
	[ADDRESS_TYPE_FQDN] = "FQDN",
};
_Static_assert(ARRAY_SIZE(address_types) == ADDRESS_TYPE_MAX, "a name for each type");
static const struct enum_names address_type_names = {
	"type of address", address_types, ADDRESS_TYPE_MAX};

static const struct field endpoint_port_fields[] = {
	FIELD(endpoint_port, name, "name", 1, FIELD_STRING, .flags = FIELD_SHARED, .rule = &label_rule),
	FIELD(endpoint_port, protocol, "protocol", 2, FIELD_ENUM, .names = &protocol_names),
	FIELD(endpoint_port, port, "port", 3, FIELD_PORT, .flags = FIELD_ZERO),
};
static const struct field_table endpoint_port_table = {
	.fields = endpoint_port_fields,
	.count = ARRAY_SIZE(endpoint_port_fields),
	.size = sizeof(struct endpoint_port),
};

/* An absent condition is not false: nobody says ready means ready (kube-proxy's reading). */
static const struct field conditions_fields[] = {
	FIELD(endpoint, ready, "ready", 1, FIELD_BOOL, .preset = true),
	FIELD(endpoint, serving, "serving", 2, FIELD_BOOL, .preset = true),
	FIELD(endpoint, terminating, "terminating", 3, FIELD_BOOL),
};
static const struct field_table conditions = {
	.fields = conditions_fields, .count = ARRAY_SIZE(conditions_fields)};

static const struct field hint_fields[] = {
	FIELD(endpoint_zone, name, "name", 1, FIELD_STRING,
		.flags = FIELD_REQUIRED | FIELD_SHARED),
};
static const struct field_table hint_table = {
	.fields = hint_fields,
	.count = ARRAY_SIZE(hint_fields),
	.size = sizeof(struct endpoint_zone),
};
static const struct field hints_fields[] = {
	FIELD(endpoint_hints, for_zones, "forZones", 1, FIELD_STRUCT, .table = &hint_table,
		.flags = FIELD_LIST),
	FIELD(endpoint_hints, for_nodes, "forNodes", 2, FIELD_STRUCT, .table = &hint_table,
		.flags = FIELD_LIST),
};
static const struct field_table hints_table = {
	.fields = hints_fields,
	.count = ARRAY_SIZE(hints_fields),
	.size = sizeof(struct endpoint_hints),
};

static const struct field endpoint_fields[] = {
	FIELD(endpoint, address, "addresses", 1, FIELD_HOST, .flags = FIELD_FIRST | FIELD_REQUIRED),
	{.name = "conditions", .number = 2, .type = FIELD_STRUCT, .table = &conditions},
	FIELD(endpoint, node_name, "nodeName", 6, FIELD_STRING, .flags = FIELD_SHARED),
	FIELD(endpoint, hints, "hints", 8, FIELD_POINTER, .table = &hints_table),
};
static const struct field_table endpoint_table = {
	.fields = endpoint_fields,
	.count = ARRAY_SIZE(endpoint_fields),
	.size = sizeof(struct endpoint),
};

/* The EndpointSlice controller writes when what made it write has happened. */
static const struct field slice_meta_fields[] = {META_FIELDS,
	FIELD(endpoint_slice, changed_ns, "annotations", 12, FIELD_MAP_TIME,
		.entry = "endpoints.kubernetes.io/last-change-trigger-time")};
static const struct field_table slice_meta = {
	.fields = slice_meta_fields, .count = ARRAY_SIZE(slice_meta_fields)};

static int endpoint_slice_check(void *value, const struct json_at *at, struct err *err);

static const struct field endpoint_slice_fields[] = {
	FIELD(endpoint_slice, object, "metadata", 1, FIELD_STRUCT, .table = &slice_meta,
		.flags = FIELD_REQUIRED),
	FIELD(endpoint_slice, endpoints, "endpoints", 2, FIELD_STRUCT, .table = &endpoint_table,
		.flags = FIELD_LIST),
	FIELD(endpoint_slice, ports, "ports", 3, FIELD_STRUCT, .table = &endpoint_port_table,
		.flags = FIELD_LIST),
	FIELD(endpoint_slice, address_type, "addressType", 4, FIELD_ENUM, .flags = FIELD_REQUIRED,
		.names = &address_type_names),
};
static const struct field_table endpoint_slice_table = {
	.fields = endpoint_slice_fields,
	.count = ARRAY_SIZE(endpoint_slice_fields),
	.size = sizeof(struct endpoint_slice),
	.check = endpoint_slice_check,
};

const struct kind_rule endpoint_slice_kind = {
	.name = "EndpointSlice",
	.api_version = "discovery.k8s.io/v1",
	.namespaced = true,
	.name_rule = &endpoint_slice_name_rule,
	.table = &endpoint_slice_table,
	.labels = service_labels,
};

static int endpoint_check(const struct endpoint *endpoint, enum family family,
	const struct json_at *at, struct err *err)
{
	struct json_at addresses = json_member(at, "addresses");
	struct json_at first = json_element(&addresses, 0);
	const struct addr *addr = &endpoint->address.addr;
	const char *special = addr_special(addr);
	char shown[JSON_SHOW_SIZE];

	json_show(first.value, shown);
	if (!addr_is_given(addr) || addr_family(addr) != family)
		return json_error(&first, err, "%s is no %s address, as addressType says", shown,
			family_name(family));
	return special ? json_error(&first, err, "%s %s", shown, special) : 0;
}

static bool names_are_equal(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static int endpoint_ports_check(
	const struct endpoint_slice *slice, const struct json_at *at, struct err *err)
{
	struct json_at ports = json_member(at, "ports");

	for (size_t i = 0; i < slice->ports.count; i++) {
		struct json_at element = json_element(&ports, i);

		for (size_t j = 0; j < i; j++)
			if (names_are_equal(slice->ports.list[i].name, slice->ports.list[j].name))
				return json_error(&element, err, "the name \"%s\" is given twice",
					slice->ports.list[i].name ? slice->ports.list[i].name : "");
	}
	return 0;
}

static int endpoint_slice_check(void *value, const struct json_at *at, struct err *err)
{
	struct endpoint_slice *slice = value;
	struct json_at endpoints = json_member(at, "endpoints");
	enum family family = slice->address_type == ADDRESS_TYPE_IPV4 ? FAMILY_IPV4 : FAMILY_IPV6;
	int r = endpoint_ports_check(slice, at, err);

	for (size_t i = 0; i < slice->endpoints.count && r == 0; i++) {
		struct json_at element = json_element(&endpoints, i);

		/* Names reach nobody here; kube-proxy leaves such slices alone too. */
		if (slice->address_type == ADDRESS_TYPE_FQDN)
			field_table_clear(&endpoint_table, &slice->endpoints.list[i]);
		else
			r = endpoint_check(&slice->endpoints.list[i], family, &element, err);
	}
	if (slice->address_type == ADDRESS_TYPE_FQDN)
		slice->endpoints.count = 0;
	return r;
}

struct endpoint_slice *object_endpoint_slice(struct object *object)
{
	return object->kind == KIND_ENDPOINT_SLICE ? (struct endpoint_slice *)object : NULL;
}

const struct endpoint_slice *object_endpoint_slice_const(const struct object *object)
{
	return object->kind == KIND_ENDPOINT_SLICE ? (const struct endpoint_slice *)object : NULL;
}

const char *endpoint_slice_service(const struct endpoint_slice *slice)
{
	return labels_get(&slice->object.labels, LABEL_SERVICE_NAME);
}

bool endpoint_slice_is_foreign(const struct endpoint_slice *slice)
{
	return labels_get(&slice->object.labels, LABEL_HEADLESS) ||
	       labels_get(&slice->object.labels, LABEL_PROXY_NAME);
}
