/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "net/addr.h"
#include "net/prefix.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What all Kubernetes objects have in common. An object is parsed once, at the door, into plain C
 * of its kind; everything that decides anything later is an enum, a number, an address. Each
 * kind's struct begins with `struct object`, so a pointer to one is a pointer to the other; the
 * casts are functions (object_pod and so on, NULL where the kind is another).
 *
 * Lists in objects are all `struct { T *list; size_t count; }`. Strings that were not given are
 * NULL, addresses that were not given are all zero (addr_is_given).
 */

enum kind {
	KIND_NODE,
	KIND_NAMESPACE,
	KIND_POD,
	KIND_SERVICE,
	KIND_ENDPOINT_SLICE,
	KIND_NETWORK_POLICY,
	KIND_MAX
};

struct label {
	char *key, *value;
};

/* Sorted by key, each key once. */
struct labels {
	struct label *list;
	size_t count;
};

struct strings {
	char **list;
	size_t count;
};

struct addrs {
	struct addr *list;
	size_t count;
};

struct prefixes {
	struct prefix *list;
	size_t count;
};

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP, PROTOCOL_MAX };

/* A port by number or by name; number 0 and name NULL: not given. */
struct port_ref {
	uint16_t number;
	char *name;
};

/* An address, or a DNS name where the address is all zero. */
struct host {
	struct addr addr;
	char *name;
};

/* Where it was read. */
struct object_place {
	char *source; /* a word, the file; NULL: it was read from none */
	uint32_t document; /* in the file, from 1 */
	uint32_t reading; /* whoever reads files again and again counts how often */
};

struct object {
	enum kind kind;
	char *name;
	char *namespace; /* NULL for Nodes and Namespaces; "default" where the text gives none */
	struct labels labels;
	bool deleting; /* deletionTimestamp is set */
	uint64_t created; /* creationTimestamp, seconds since 1970; 0: not given */
	struct object_place place; /* no part of what it says */
};

/*
 * The object in a JSON tree. -EINVAL names the field and says what would be right, without the
 * object's name, which the caller has. -ENOENT: a kind that podwire does not read.
 * Unknown fields are ignored; defaults are those of the API server.
 */
int object_parse(json_t *tree, struct object **ret_object, struct err *err);
void object_free(struct object **object);
/* Equal in every field that is read. */
bool object_equal(const struct object *a, const struct object *b);
/* "Pod shop/web-0", "Node alpha". For free(). */
char *object_title(const struct object *object);
/* "shop/web-0", "alpha". For free(). */
char *object_key(const struct object *object);

/* The kind that apiVersion and kind of a tree say. 0, -ENOENT (not read), -EINVAL (missing, or
 * a version that is not read of a kind that is; the error says which is). */
int kind_of(json_t *tree, enum kind *ret_kind, struct err *err);
const char *kind_name(enum kind kind); /* "EndpointSlice" */
const char *kind_api_version(enum kind kind); /* "discovery.k8s.io/v1" */
bool kind_is_namespaced(enum kind kind);

const char *protocol_name(enum protocol protocol); /* "TCP" */
uint8_t protocol_number(enum protocol protocol); /* IPPROTO_TCP */

bool addr_is_given(const struct addr *addr);
const char *labels_get(const struct labels *labels, const char *key); /* NULL: has no such key */
/* Whether every one of `wanted` is in `labels` (a Service's selector). True for no wanted ones. */
bool labels_contain(const struct labels *labels, const struct labels *wanted);
bool labels_equal(const struct labels *a, const struct labels *b);
/* Only those with these keys, NULL at the end. */
void labels_keep(struct labels *labels, const char *const *kept);
