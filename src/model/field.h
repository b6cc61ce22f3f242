/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "model/object.h"

/*
 * What a kind looks like: one table of fields for each message of the Kubernetes API. The same
 * table reads an object (from JSON trees; from protobuf, by the numbers, when the agent talks to
 * the API server), frees it and compares it, so the three cannot drift apart.
 *
 * Only fields that podwire uses have a row; all others are skipped. Absent, null and, where a
 * field is optional, empty text are the same, as they are for the API server.
 */

enum field_type {
	FIELD_STRING, /* char * */
	FIELD_BOOL, /* bool */
	FIELD_PRESENT, /* bool: something is there (a time of which only that matters) */
	FIELD_TIME, /* uint64_t, seconds since 1970 */
	FIELD_NUMBER, /* uint32_t, minimum to maximum */
	FIELD_PORT, /* uint16_t, 1 to 65535 */
	FIELD_PORT_REF, /* struct port_ref */
	FIELD_ADDR, /* struct addr */
	FIELD_PREFIX, /* struct prefix; spaces around it are cut off */
	FIELD_HOST, /* struct host */
	FIELD_ENUM, /* an enum, by `names` */
	FIELD_MAP, /* struct labels */
	FIELD_MAP_TIME, /* uint64_t, ns since 1970, of a map's `entry`; 0: it has none, or it is no time */
	FIELD_STRUCT, /* `table`; with offset 0 its fields are those of the struct around it */
	FIELD_POINTER, /* a pointer to what `table` describes; NULL: absent */
	FIELD_TYPE_MAX
};

enum field_flag {
	FIELD_REQUIRED = 1,
	FIELD_LIST = 2, /* struct { T *list; size_t count; } */
	FIELD_FIRST = 32, /* T: of a list in the object the first is kept, which must be there */
	FIELD_ZERO = 4, /* of ports: 0 is as good as absent */
	FIELD_SHARED = 16, /* of strings: many objects have the same one, so it is held once */
	FIELD_NONE = 8, /* of addresses: "None" is allowed and reads as 0.0.0.0, which itself is not */
};

/* What a string must be. `wanted` goes on a sentence: "... is no name of a pod; use ...". */
struct string_rule {
	bool (*holds)(const char *string);
	const char *wanted;
};

/* The API's name of each value; NULL for those that mean "absent". */
struct enum_names {
	const char *what; /* "protocol" */
	const char *const *names;
	size_t count;
};

struct field {
	const char *name; /* in JSON */
	unsigned int number; /* in protobuf */
	enum field_type type;
	unsigned int flags; /* enum field_flag */
	size_t offset;
	const struct field_table *table; /* FIELD_STRUCT, FIELD_POINTER */
	const struct enum_names *names; /* FIELD_ENUM */
	const char *entry; /* FIELD_MAP_TIME */
	const struct string_rule *rule; /* of a string, of the values of a map; NULL: any */
	uint32_t minimum, maximum; /* FIELD_NUMBER */
	uint32_t preset; /* value where absent: FIELD_BOOL, FIELD_NUMBER */
};

struct field_table {
	const struct field *fields;
	size_t count;
	size_t size; /* of the struct, where it has one of its own */
	/*
	 * What no single field can tell; called when all are read, may complete them. `at` is for
	 * json_error: a child's frame is made by json_member and json_element.
	 */
	int (*check)(void *value, const struct json_at *at, struct err *err);
};

#define FIELD(object, member, json_name, wire_number, value_type, ...)                             \
	{                                                                                          \
		.name = (json_name), .number = (wire_number), .type = (value_type),                \
		.offset = offsetof(struct object, member), __VA_ARGS__                             \
	}

/* Writes presets into zeroed memory. */
void field_table_preset(const struct field_table *table, void *value);
/* -EINVAL with path; what was read so far is for field_table_clear. */
int field_table_read(const struct field_table *table, const struct json_at *at, void *value,
	struct err *err);
/* Frees what the value owns, not the value. */
void field_table_clear(const struct field_table *table, void *value);
bool field_table_equal(const struct field_table *table, const void *a, const void *b);

/* What field.c needs to know of each type; the functions get a pointer to the value itself. */
struct field_operations {
	size_t size; /* 0: the table's */
	int (*read)(const struct field *field, const struct json_at *at, void *value,
		struct err *err);
	void (*clear)(const struct field *field, void *value); /* NULL: owns nothing */
	bool (*equal)(const struct field *field, const void *a, const void *b);
};
extern const struct field_operations field_scalar_operations[FIELD_TYPE_MAX]; /* in field_value.c */

extern const struct enum_names protocol_names;
extern const struct string_rule label_value_rule, label_key_rule, label_rule, port_name_rule;

/* A kind: how it is named and read. Each is defined beside its struct. */
struct kind_rule {
	const char *name, *api_version;
	bool namespaced;
	const struct string_rule *name_rule; /* of metadata.name */
	const struct field_table *table;
	const char *const *labels; /* the keys that are kept, NULL at the end; NULL: all */
};
extern const struct kind_rule node_kind, namespace_kind, pod_kind, service_kind;
extern const struct kind_rule endpoint_slice_kind, network_policy_kind;

/* Of Services and EndpointSlices, which nobody selects by labels. */
#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_PROXY_NAME "service.kubernetes.io/service-proxy-name"
#define LABEL_HEADLESS "service.kubernetes.io/headless"
extern const char *const service_labels[];

/* Metadata, of struct object; the fields for a table that has more. */
#define META_FIELDS                                                                                \
	FIELD(object, name, "name", 1, FIELD_STRING, .flags = FIELD_REQUIRED),                     \
	FIELD(object, namespace, "namespace", 3, FIELD_STRING, .flags = FIELD_SHARED,              \
		.rule = &label_rule),                                                              \
	FIELD(object, created, "creationTimestamp", 8, FIELD_TIME),                                \
	FIELD(object, deleting, "deletionTimestamp", 9, FIELD_PRESENT),                            \
	FIELD(object, labels, "labels", 11, FIELD_MAP, .rule = &label_value_rule)
extern const struct field_table meta_table;
extern const struct field_table selector_table;

/*
 * At most one address of each family, as in podIPs and clusterIPs; `first` is the singular field
 * (podIP), which must be the first of the list where both are given, and makes the list where only
 * it is. Both agree afterwards. The names are for errors.
 */
int addrs_check_pair(struct addrs *addrs, struct addr *first, const struct json_at *at,
	const char *first_name, const char *list_name, struct err *err);
/* NULL, or why no pod, node or Service can have it: "is a loopback address". */
const char *addr_special(const struct addr *addr);
