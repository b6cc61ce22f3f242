/* SPDX-License-Identifier: Apache-2.0 */
#include "model/service.h"

#include "objects.h"

#define SERVICE "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
#define PORTS "  ports: [{port: 80}]\n"

static const struct object_case cases[] = {
	{"smallest", SERVICE "spec:\n" PORTS, NULL},
	{"no spec", SERVICE, "spec.ports: is missing; use one or more"},
	{"digit first", "apiVersion: v1\nkind: Service\nmetadata: {name: 1web}\nspec:\n" PORTS,
		NULL},
	{"name", "apiVersion: v1\nkind: Service\nmetadata: {name: a.b}\nspec:\n" PORTS,
		"metadata.name: \"a.b\" is no name of a Service; use at most 63 of a-z 0-9 '-'"},
	{"second port is none", SERVICE "spec: {ports: [{port: 80, name: a}, {port: 70000}]}\n",
		"spec.ports[1].port: 70000 is no port; use 1 to 65535"},
	{"octal port", SERVICE "spec: {ports: [{port: 0120}]}\n", NULL},
	{"fraction", SERVICE "spec: {ports: [{port: 80.5}]}\n",
		"spec.ports[0].port: 80.5 is no port; use 1 to 65535"},
	{"negative", SERVICE "spec: {ports: [{port: -1}]}\n",
		"spec.ports[0].port: -1 is no port; use 1 to 65535"},
	{"nameless", SERVICE "spec: {ports: [{port: 80, name: a}, {port: 81}]}\n",
		"spec.ports[1].name: is missing; each of several ports wants one"},
	{"name twice", SERVICE "spec: {ports: [{port: 80, name: a}, {port: 81, name: a}]}\n",
		"spec.ports[1].name: a is given twice"},
	{"port twice", SERVICE "spec: {ports: [{port: 80, name: a}, {port: 80, name: b}]}\n",
		"spec.ports[1]: port 80 of TCP is given twice"},
	{"same number, other protocol",
		SERVICE
		"spec: {ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]}\n",
		NULL},
	{"node port", SERVICE "spec: {ports: [{port: 80, nodePort: 30080}]}\n",
		"spec.ports[0].nodePort: must not be given with type ClusterIP; use type NodePort"},
	{"node port zero", SERVICE "spec: {ports: [{port: 80, nodePort: 0}]}\n", NULL},
	{"node port twice",
		SERVICE
		"spec: {type: NodePort, ports: [{port: 80, name: a, nodePort: 30080}, {port: 81, "
		"name: b, nodePort: 30080}]}\n",
		"spec.ports[1].nodePort: 30080 of TCP is given twice"},
	{"target", SERVICE "spec: {ports: [{port: 80, targetPort: HTTP}]}\n",
		"spec.ports[0].targetPort: \"HTTP\" is no name of a port; use at most 15 of a-z "
		"0-9 '-', "
		"one letter among them"},
	{"type", SERVICE "spec: {type: Cluster, ports: [{port: 80}]}\n",
		"spec.type: \"Cluster\" is no type of a Service; use ClusterIP, NodePort, "
		"LoadBalancer or "
		"ExternalName"},
	{"external name", SERVICE "spec: {type: ExternalName}\n",
		"spec.externalName: is missing; type ExternalName wants it"},
	{"external name given", SERVICE "spec: {type: ExternalName, externalName: a.example}\n",
		NULL},
	{"headless without ports", SERVICE "spec: {clusterIP: None}\n", NULL},
	{"headless in both", SERVICE "spec: {clusterIP: None, clusterIPs: [None]}\n", NULL},
	{"None and one more", SERVICE "spec: {clusterIPs: [None, 10.0.0.1]}\n",
		"spec.clusterIPs: None stands alone or not at all"},
	{"None in one only", SERVICE "spec: {clusterIP: None, clusterIPs: [10.0.0.1]}\n",
		"spec.clusterIPs: None stands alone or not at all"},
	{"None in the other only", SERVICE "spec: {clusterIP: 10.0.0.1, clusterIPs: [None]}\n",
		"spec.clusterIP: differs from the first of clusterIPs; it must be the same"},
	{"headless node port", SERVICE "spec: {clusterIP: None, type: NodePort}\n",
		"spec.clusterIP: None goes with type ClusterIP only, not with NodePort"},
	{"zero is not None", SERVICE "spec: {clusterIP: 0.0.0.0}\n",
		"spec.clusterIP: \"0.0.0.0\" is no IP address; use one like 10.1.2.3 or fd00::1"},
	{"cluster address", SERVICE "spec:\n  clusterIP: 10.0.0\n" PORTS,
		"spec.clusterIP: \"10.0.0\" is no IP address; use one like 10.1.2.3 or fd00::1"},
	{"cluster addresses differ",
		SERVICE "spec:\n  clusterIP: 10.0.0.1\n  clusterIPs: [10.0.0.2]\n" PORTS,
		"spec.clusterIP: differs from the first of clusterIPs; it must be the same"},
	{"families", SERVICE "spec:\n  ipFamilies: [IPv4, IPv4]\n" PORTS,
		"spec.ipFamilies: a family is given twice; use IPv4, IPv6 or both"},
	{"family", SERVICE "spec:\n  ipFamilies: [ipv4]\n" PORTS,
		"spec.ipFamilies[0]: \"ipv4\" is no IP family; use IPv4 or IPv6"},
	{"family order", SERVICE "spec:\n  ipFamilies: [IPv6]\n  clusterIP: 10.0.0.1\n" PORTS,
		"spec.ipFamilies: differs from the families of clusterIPs; the order must be the "
		"same"},
	{"affinity",
		SERVICE
		"spec:\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}\n" PORTS,
		"spec.sessionAffinityConfig.clientIP.timeoutSeconds: 86401 is no number that is "
		"allowed "
		"here; use 1 to 86400"},
	{"external address", SERVICE "spec:\n  externalIPs: [10.0.0.1, 127.0.0.1]\n" PORTS,
		"spec.externalIPs[1]: 127.0.0.1 is a loopback address"},
	{"source range",
		SERVICE "spec:\n  loadBalancerSourceRanges: [' 10.0.0.0/8 ', '10.0.0.0']\n" PORTS,
		"spec.loadBalancerSourceRanges[1]: \"10.0.0.0\" is no range of addresses; use one "
		"like "
		"10.1.0.0/16 or fd00::/64"},
	{"selector", SERVICE "spec:\n  selector: {app: 1}\n" PORTS,
		"spec.selector.app: 1 is no string; put it in quotes"},
	{"ingress", SERVICE "spec:\n" PORTS "status: {loadBalancer: {ingress: [{}]}}\n",
		"status.loadBalancer.ingress[0]: neither ip nor hostname; use one of them"},
};

static void test_cases(void **state)
{
	check_objects(cases, ARRAY_SIZE(cases));
}

static void test_defaults(void **state)
{
	_cleanup_(object_free) struct object *object = object_of(SERVICE "spec:\n" PORTS);
	const struct service *service = object_service_const(object);

	assert_string_equal(object->namespace, "default");
	assert_int_equal(service->type, SERVICE_CLUSTER_IP);
	assert_int_equal(service->ports.list[0].protocol, PROTOCOL_TCP);
	assert_int_equal(service->ports.list[0].target.number, 80);
	assert_int_equal(service->affinity_seconds, 10800);
	assert_int_equal(service->session_affinity, AFFINITY_NONE);
	assert_int_equal(service->internal_policy, TRAFFIC_CLUSTER);
	assert_int_equal(service->external_policy, TRAFFIC_CLUSTER);
	assert_true(service->allocate_node_ports);
	assert_false(service->headless);
	assert_null(service_cluster_ip(service, FAMILY_IPV4));
	assert_false(service_is_foreign(service));
}

static const char full[] =
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: web, namespace: shop, labels: {service.kubernetes.io/headless: ''}}\n"
	"spec:\n"
	"  type: LoadBalancer\n"
	"  selector: {app: shop}\n"
	"  clusterIPs: ['fd00::1', 10.96.0.1]\n"
	"  ipFamilies: [IPv6, IPv4]\n"
	"  ipFamilyPolicy: RequireDualStack\n"
	"  ports:\n"
	"  - {name: http, port: 80, targetPort: web, nodePort: 30080, appProtocol: http}\n"
	"  - {name: dns, port: 53, protocol: UDP, targetPort: 5353}\n"
	"  externalIPs: [203.0.113.7]\n"
	"  sessionAffinity: ClientIP\n"
	"  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}\n"
	"  internalTrafficPolicy: Local\n"
	"  externalTrafficPolicy: Local\n"
	"  healthCheckNodePort: 31000\n"
	"  loadBalancerIP: 203.0.113.9\n"
	"  loadBalancerClass: example/class\n"
	"  loadBalancerSourceRanges: [' 10.0.0.0/8\t']\n"
	"  allocateLoadBalancerNodePorts: false\n"
	"  publishNotReadyAddresses: true\n"
	"  trafficDistribution: PreferClose\n"
	"status: {loadBalancer: {ingress: [{ip: 203.0.113.9}, {ip: 'fd01::9', ipMode: Proxy}, "
	"{hostname: lb.example}]}}\n";

static void test_ports_and_addresses(void **state)
{
	_cleanup_(object_free) struct object *object = object_of(full);
	const struct service *service = object_service_const(object);
	char text[PREFIX_TEXT_SIZE];

	assert_string_equal(service->ports.list[0].target.name, "web");
	assert_int_equal(service->ports.list[0].target.number, 0);
	assert_int_equal(service->ports.list[0].node_port, 30080);
	assert_int_equal(service->ports.list[1].target.number, 5353);
	assert_int_equal(service->ports.list[1].protocol, PROTOCOL_UDP);
	assert_string_equal(
		addr_format(service_cluster_ip(service, FAMILY_IPV4), text), "10.96.0.1");
	assert_string_equal(addr_format(service_cluster_ip(service, FAMILY_IPV6), text), "fd00::1");
	assert_int_equal(service->ip_families.list[0], FAMILY_IPV6);
	assert_string_equal(addr_format(&service->external_ips.list[0], text), "203.0.113.7");
	assert_string_equal(
		prefix_format(&service->load_balancer_source_ranges.list[0], text), "10.0.0.0/8");
	assert_int_equal(service->load_balancer.count, 3);
	assert_int_equal(service->load_balancer.list[0].mode, LOAD_BALANCER_VIP);
	assert_int_equal(service->load_balancer.list[1].mode, LOAD_BALANCER_PROXY);
	assert_string_equal(service->load_balancer.list[2].hostname, "lb.example");
}

static void test_policies(void **state)
{
	_cleanup_(object_free) struct object *object = object_of(full);
	const struct service *service = object_service_const(object);

	assert_int_equal(service->type, SERVICE_LOAD_BALANCER);
	assert_int_equal(service->ip_family_policy, IP_FAMILY_REQUIRE_DUAL);
	assert_int_equal(service->session_affinity, AFFINITY_CLIENT_IP);
	assert_int_equal(service->affinity_seconds, 60);
	assert_int_equal(service->internal_policy, TRAFFIC_LOCAL);
	assert_int_equal(service->external_policy, TRAFFIC_LOCAL);
	assert_int_equal(service->health_check_node_port, 31000);
	assert_true(service->publish_not_ready);
	assert_false(service->allocate_node_ports);
	assert_string_equal(service->traffic_distribution, "PreferClose");
	assert_true(service_is_foreign(service));
}

static void test_headless(void **state)
{
	_cleanup_(object_free) struct object *object =
		object_of(SERVICE "spec: {clusterIPs: [None]}\n");
	_cleanup_(object_free) struct object *same = object_of(SERVICE "spec: {clusterIP: None}\n");

	assert_true(object_service(object)->headless);
	assert_int_equal(object_service(object)->cluster_ips.count, 0);
	assert_true(object_equal(object, same));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_ports_and_addresses),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_headless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
