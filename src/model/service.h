/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/object.h"

enum service_type {
	SERVICE_CLUSTER_IP,
	SERVICE_NODE_PORT,
	SERVICE_LOAD_BALANCER,
	SERVICE_EXTERNAL_NAME,
	SERVICE_TYPE_MAX
};

enum traffic_policy { TRAFFIC_CLUSTER, TRAFFIC_LOCAL, TRAFFIC_POLICY_MAX };
enum session_affinity { AFFINITY_NONE, AFFINITY_CLIENT_IP, AFFINITY_MAX };
enum ip_family_policy {
	IP_FAMILY_POLICY_UNSET,
	IP_FAMILY_SINGLE,
	IP_FAMILY_PREFER_DUAL,
	IP_FAMILY_REQUIRE_DUAL,
	IP_FAMILY_POLICY_MAX
};
enum load_balancer_mode { LOAD_BALANCER_VIP, LOAD_BALANCER_PROXY, LOAD_BALANCER_MODE_MAX };

struct service_port {
	char *name; /* NULL only where it is the single port */
	enum protocol protocol;
	char *app_protocol;
	uint16_t port;
	struct port_ref target; /* by default the number of `port` */
	uint16_t node_port; /* 0: none */
};

struct load_balancer_address {
	struct addr addr; /* all zero where only a host name was given */
	char *hostname;
	enum load_balancer_mode mode; /* LOAD_BALANCER_PROXY: not to be answered for by nodes */
};

struct service {
	struct object object;
	enum service_type type;
	struct labels selector; /* only judged, then empty: the slices say who is meant */
	bool headless; /* clusterIP: None */
	struct addrs cluster_ips; /* at most one of each family; none: not allocated or headless */
	struct {
		enum family *list;
		size_t count;
	} ip_families;
	enum ip_family_policy ip_family_policy;
	struct {
		struct service_port *list;
		size_t count;
	} ports;
	struct addrs external_ips;
	enum session_affinity session_affinity;
	uint32_t affinity_seconds; /* 1 to 86400 */
	enum traffic_policy internal_policy, external_policy;
	uint16_t health_check_node_port; /* 0: none */
	bool publish_not_ready;
	char *external_name;
	struct addr load_balancer_ip; /* a wish */
	char *load_balancer_class;
	struct prefixes load_balancer_source_ranges;
	bool allocate_node_ports;
	char *traffic_distribution;
	struct {
		struct load_balancer_address *list;
		size_t count;
	} load_balancer; /* status.loadBalancer.ingress */
	/* As read; only `headless` and `cluster_ips` are for use. */
	struct addr cluster_ip;
};

struct service *object_service(struct object *object);
const struct service *object_service_const(const struct object *object);

/* The cluster address of a family, NULL where it has none. */
const struct addr *service_cluster_ip(const struct service *service, enum family family);
/* Whether kube-proxy and so podwire would leave it alone (label service-proxy-name or headless). */
bool service_is_foreign(const struct service *service);
