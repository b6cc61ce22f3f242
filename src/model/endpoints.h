/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/object.h"

/* discovery.k8s.io/v1 EndpointSlice; the rules are those that kube-proxy goes by. */

enum address_type { ADDRESS_TYPE_IPV4, ADDRESS_TYPE_IPV6, ADDRESS_TYPE_FQDN, ADDRESS_TYPE_MAX };

struct endpoint_port {
	char *name; /* NULL: the port without a name */
	enum protocol protocol;
	uint16_t port; /* 0: not given; to be left out */
};

struct endpoint_zone {
	char *name;
};

struct endpoint_hints {
	struct {
		struct endpoint_zone *list;
		size_t count;
	} for_zones, for_nodes;
};

/* There are many of them. */
struct endpoint {
	struct host address; /* the first; others are not for use */
	char *node_name;
	struct endpoint_hints *hints; /* NULL: none */
	bool ready; /* absent: ready */
	bool serving; /* absent: serving */
	bool terminating;
};

struct endpoint_slice {
	struct object object;
	uint64_t changed_ns; /* since 1970, when what it tells of happened; 0: not said */
	enum address_type address_type;
	struct {
		struct endpoint *list;
		size_t count;
	} endpoints; /* none where the type is FQDN */
	struct {
		struct endpoint_port *list;
		size_t count;
	} ports;
};

struct endpoint_slice *object_endpoint_slice(struct object *object);
const struct endpoint_slice *object_endpoint_slice_const(const struct object *object);

/* The Service it belongs to (label kubernetes.io/service-name), NULL: none, to be left alone. */
const char *endpoint_slice_service(const struct endpoint_slice *slice);
/* Whether the label service.kubernetes.io/headless or service-proxy-name takes it from us. */
bool endpoint_slice_is_foreign(const struct endpoint_slice *slice);
