/* SPDX-License-Identifier: Apache-2.0 */
#include "service_scene.h"

#include "objects.h"

static const char *const protocols[] = {"TCP", "UDP", "SCTP"};
static const char *const nodes[] = {"alpha", "beta", "gamma"};
static const char *const zones[] = {"a", "b"};
static const char *const namespaces[] = {"one", "two"};
static const char *const port_names[] = {"p", "q", "r"};

static unsigned int below(uint64_t *random, unsigned int bound)
{
	return check_random(random) % bound;
}

static bool once_in(uint64_t *random, unsigned int bound)
{
	return below(random, bound) == 0;
}

struct addr scene_address(enum scene_kind kind, enum family family, unsigned int n)
{
	static const char *const first[SCENE_KINDS][FAMILY_MAX] = {
		[SCENE_CLUSTER] = {[FAMILY_IPV4] = "10.96.0.1", [FAMILY_IPV6] = "fd96::1"},
		/* Some are a node's, a cluster address, or in no allowed range. */
		[SCENE_BALANCER] = {[FAMILY_IPV4] = "192.0.2.1", [FAMILY_IPV6] = "2001:db8::1"},
		[SCENE_EXTERNAL] = {[FAMILY_IPV4] = "192.0.2.4", [FAMILY_IPV6] = "2001:db8::4"},
		[SCENE_ENDPOINT] = {[FAMILY_IPV4] = "10.244.0.1", [FAMILY_IPV6] = "fd44::1"},
	};
	struct addr addr;

	if (kind == SCENE_EXTERNAL && n == SCENE_ADDRESSES - 1)
		return scene_address(SCENE_CLUSTER, family, 0);
	addr_parse(first[kind][family], &addr);
	return addr_add(&addr, n);
}

static void append_address(
	struct text *text, uint64_t *random, enum scene_kind kind, enum family family)
{
	struct addr addr = scene_address(kind, family, below(random, SCENE_ADDRESSES));
	char buffer[ADDR_TEXT_SIZE];

	text_printf(text, "\"%s\"", addr_format(&addr, buffer));
}

static void append_time(struct text *text, uint64_t *random)
{
	if (!once_in(random, 4))
		text_printf(text, ", creationTimestamp: \"2026-01-01T00:00:0%uZ\"", below(random, 3));
}

static enum family random_family(uint64_t *random)
{
	return once_in(random, 2) ? FAMILY_IPV4 : FAMILY_IPV6;
}

static void append_meta(struct text *text, uint64_t *random, const struct scene_step *step)
{
	text_printf(text, "metadata: {name: %s", step->name);
	if (step->namespace)
		text_printf(text, ", namespace: %s", step->namespace);
	append_time(text, random);
}

/* --- Services --- */

/* Mostly the one that others give a port of this name, so that ports and endpoints meet. */
static const char *random_protocol(uint64_t *random, unsigned int name)
{
	return protocols[once_in(random, 5) ? below(random, 3) : name];
}

static void append_ports(struct text *text, uint64_t *random, bool node_ports)
{
	unsigned int count = 1 + below(random, ARRAY_SIZE(port_names)), first = below(random, 3);

	text_append(text, "ports: [");
	for (unsigned int i = 0; i < count; i++) {
		text_printf(text, "{name: %s, port: %u, protocol: %s", port_names[i],
			80 + (first + i) % 3, random_protocol(random, i));
		if (node_ports && !once_in(random, 4))
			text_printf(text, ", nodePort: %u", 30000 + (first + i) % 4);
		text_append(text, "}, ");
	}
	text_append(text, "]");
}

static void append_cluster_addresses(struct text *text, uint64_t *random)
{
	enum family family = random_family(random);

	text_append(text, "clusterIPs: [");
	append_address(text, random, SCENE_CLUSTER, family);
	if (once_in(random, 2)) {
		text_append(text, ", ");
		append_address(text, random, SCENE_CLUSTER,
			family == FAMILY_IPV4 ? FAMILY_IPV6 : FAMILY_IPV4);
	}
	text_append(text, "], ");
}

static void append_externals(struct text *text, uint64_t *random)
{
	text_append(text, "externalIPs: [");
	for (unsigned int i = below(random, 3); i > 0; i--) {
		append_address(text, random, SCENE_EXTERNAL, random_family(random));
		text_append(text, ", ");
	}
	text_append(text, "], ");
}

static void append_ranges(struct text *text, uint64_t *random)
{
	static const char *const ranges[] = {"203.0.113.0/24", " 10.89.0.0/16 ", "0.0.0.0/0",
		"2001:db8:7::/48", "fd89::/16", "::/0"};

	text_append(text, "loadBalancerSourceRanges: [");
	for (unsigned int i = below(random, 3); i > 0; i--)
		text_printf(text, "\"%s\", ", ranges[below(random, ARRAY_SIZE(ranges))]);
	text_append(text, "], ");
}

static void append_status(struct text *text, uint64_t *random)
{
	text_append(text, "status: {loadBalancer: {ingress: [");
	for (unsigned int i = below(random, 4); i > 0; i--) {
		text_append(text, "{ip: ");
		append_address(text, random, SCENE_BALANCER, random_family(random));
		text_append(text, once_in(random, 4) ? ", ipMode: Proxy}, " : "}, ");
	}
	text_append(text, "]}}\n");
}

static void service_text(struct text *text, uint64_t *random, const struct scene_step *step)
{
	static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer"};
	unsigned int type = below(random, ARRAY_SIZE(types));

	text_append(text, "apiVersion: v1\nkind: Service\n");
	append_meta(text, random, step);
	if (once_in(random, 12))
		text_printf(text, ", labels: {service.kubernetes.io/%s: x}",
			once_in(random, 2) ? "headless" : "service-proxy-name");
	text_append(text, "}\nspec: {");
	if (once_in(random, 12)) {
		text_append(text, "type: ExternalName, externalName: a.b, ");
		type = 0;
	} else {
		text_printf(text, "type: %s, ", types[type]);
	}
	append_cluster_addresses(text, random);
	append_externals(text, random);
	append_ranges(text, random);
	text_printf(text, "internalTrafficPolicy: %s, externalTrafficPolicy: %s, ",
		once_in(random, 3) ? "Local" : "Cluster", once_in(random, 2) ? "Local" : "Cluster");
	if (once_in(random, 4))
		text_append(text, "sessionAffinity: ClientIP, ");
	append_ports(text, random, type > 0);
	text_append(text, "}\n");
	append_status(text, random);
}

/* --- slices --- */

static void append_conditions(struct text *text, uint64_t *random)
{
	static const char *const conditions[] = {"{}", "{ready: true}", "{ready: false, serving: false}",
		"{ready: false, serving: true, terminating: true}",
		"{ready: false, serving: false, terminating: true}",
		"{ready: true, serving: true, terminating: true}"};

	text_printf(text, "conditions: %s, ", conditions[below(random, ARRAY_SIZE(conditions))]);
}

static void append_hints(struct text *text, uint64_t *random, bool nodes_too)
{
	text_printf(text, "hints: {forZones: [{name: %s}]", zones[below(random, ARRAY_SIZE(zones))]);
	if (nodes_too)
		text_printf(text, ", forNodes: [{name: %s}]",
			nodes[below(random, ARRAY_SIZE(nodes))]);
	text_append(text, "}, ");
}

/* Either all have hints or, now and then, one has none. */
static void append_endpoints(struct text *text, uint64_t *random, enum family family)
{
	bool hints = once_in(random, 2), node_hints = once_in(random, 2);

	text_append(text, "endpoints: [");
	for (unsigned int i = below(random, 6); i > 0; i--) {
		text_append(text, "{addresses: [");
		append_address(text, random, SCENE_ENDPOINT, family);
		text_append(text, "], ");
		append_conditions(text, random);
		if (!once_in(random, 5))
			text_printf(text, "nodeName: %s, ", nodes[below(random, ARRAY_SIZE(nodes))]);
		if (hints && !once_in(random, 10))
			append_hints(text, random, node_hints);
		text_append(text, "}, ");
	}
	text_append(text, "]\n");
}

static void slice_text(struct text *text, uint64_t *random, const struct scene_step *step)
{
	enum family family = random_family(random);

	text_append(text, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n");
	append_meta(text, random, step);
	text_append(text, ", labels: {");
	if (!once_in(random, 12))
		text_printf(text, "kubernetes.io/service-name: s%u, ", below(random, SCENE_SERVICES));
	if (once_in(random, 12))
		text_append(text, "service.kubernetes.io/headless: '', ");
	text_printf(text, "}}\naddressType: %s\nports: [", family_name(family));
	for (unsigned int i = 0; i < ARRAY_SIZE(port_names); i++)
		if (!once_in(random, 6))
			text_printf(text, "{name: %s, protocol: %s, port: %u}, ", port_names[i],
				random_protocol(random, i), below(random, 4) * 8000);
	text_append(text, "]\n");
	append_endpoints(text, random, family);
}

/* --- nodes and pods --- */

static void node_text(struct text *text, uint64_t *random, const struct scene_step *step)
{
	text_append(text, "apiVersion: v1\nkind: Node\n");
	append_meta(text, random, step);
	if (!once_in(random, 3))
		text_printf(text, ", labels: {topology.kubernetes.io/zone: %s}",
			zones[below(random, ARRAY_SIZE(zones))]);
	text_printf(text, "}\nstatus: {addresses: [{type: InternalIP, address: 10.89.0.%u}, ",
		1 + below(random, 3));
	text_append(text, "{type: ExternalIP, address: ");
	append_address(text, random, SCENE_BALANCER, random_family(random));
	text_append(text, "}]}\n");
}

static void pod_text(struct text *text, uint64_t *random, const struct scene_step *step)
{
	static const char *const host_ips[] = {
		"", ", hostIP: 127.0.0.1", ", hostIP: 10.89.0.1", ", hostIP: \"::1\""};

	bool host = once_in(random, 8);

	text_append(text, "apiVersion: v1\nkind: Pod\n");
	append_meta(text, random, step);
	text_printf(text, "}\nspec: {nodeName: %s, hostNetwork: %s, containers: [{name: c, ports: [",
		once_in(random, 4) ? "beta" : "alpha", host ? "true" : "false");
	for (unsigned int i = below(random, 3); i > 0; i--) {
		unsigned int port = 29998 + below(random, 5);

		text_printf(text, "{containerPort: %u, hostPort: %u, protocol: %s%s}, ",
			host ? port : i, port, protocols[below(random, 3)],
			host_ips[below(random, ARRAY_SIZE(host_ips))]);
	}
	text_printf(text, "]}]}\nstatus: {phase: %s, podIPs: [", once_in(random, 8) ? "Failed" : "Running");
	if (!once_in(random, 8)) {
		text_append(text, "{ip: ");
		append_address(text, random, SCENE_ENDPOINT, FAMILY_IPV4);
		text_append(text, "}, {ip: ");
		append_address(text, random, SCENE_ENDPOINT, FAMILY_IPV6);
		text_append(text, "}");
	}
	text_append(text, "]}\n");
}

void scene_step(uint64_t *random, struct scene_step *ret_step)
{
	static const struct {
		enum kind kind;
		const char *prefix;
		unsigned int names;
		void (*write)(struct text *text, uint64_t *random, const struct scene_step *step);
	} kinds[] = {
		{KIND_SERVICE, "s", SCENE_SERVICES, service_text},
		{KIND_SERVICE, "s", SCENE_SERVICES, service_text},
		{KIND_ENDPOINT_SLICE, "e", SCENE_SLICES, slice_text},
		{KIND_ENDPOINT_SLICE, "e", SCENE_SLICES, slice_text},
		{KIND_ENDPOINT_SLICE, "e", SCENE_SLICES, slice_text},
		{KIND_POD, "w", SCENE_PODS, pod_text},
		{KIND_NODE, NULL, ARRAY_SIZE(nodes), node_text},
	};
	unsigned int which = below(random, once_in(random, 8) ? ARRAY_SIZE(kinds) : ARRAY_SIZE(kinds) - 1);
	unsigned int name = below(random, kinds[which].names);
	_text_ struct text text = {0};

	*ret_step = (struct scene_step){.kind = kinds[which].kind};
	if (kinds[which].prefix) {
		ret_step->namespace = mem_string(namespaces[below(random, ARRAY_SIZE(namespaces))]);
		ret_step->name = mem_format("%s%u", kinds[which].prefix, name);
	} else {
		ret_step->name = mem_string(nodes[name]);
	}
	if (once_in(random, 6))
		return;
	kinds[which].write(&text, random, ret_step);
	ret_step->object = object_of(text_string(&text));
}

void scene_step_clear(struct scene_step *step)
{
	object_free(&step->object);
	free(step->namespace);
	free(step->name);
}
