/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pod.h"

#include "objects.h"

#define POD "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0, namespace: shop}\n"

static const struct object_case cases[] = {
	{"bare", POD, NULL},
	{"namespace", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: a.b}\n",
		"metadata.namespace: \"a.b\" is no DNS label; use at most 63 of a-z 0-9 '-', with "
		"a letter "
		"or digit at both ends"},
	{"port", POD "spec: {containers: [{name: a, ports: [{containerPort: 70000}]}]}\n",
		"spec.containers[0].ports[0].containerPort: 70000 is no port; use 1 to 65535"},
	{"port zero", POD "spec: {containers: [{name: a, ports: [{containerPort: 0}]}]}\n",
		"spec.containers[0].ports[0].containerPort: 0 is no port; use 1 to 65535"},
	{"port as text", POD "spec: {containers: [{name: a, ports: [{containerPort: '80'}]}]}\n",
		"spec.containers[0].ports[0].containerPort: \"80\" is no port; use 1 to 65535"},
	{"port missing", POD "spec: {containers: [{name: a, ports: [{name: http}]}]}\n",
		"spec.containers[0].ports[0].containerPort: is missing"},
	{"port's name", POD "spec: {containers: [{ports: [{name: 'a--b', containerPort: 1}]}]}\n",
		"spec.containers[0].ports[0].name: \"a--b\" is no name of a port; use at most 15 "
		"of a-z "
		"0-9 '-', one letter among them"},
	{"protocol", POD "spec: {containers: [{ports: [{containerPort: 1, protocol: tcp}]}]}\n",
		"spec.containers[0].ports[0].protocol: \"tcp\" is no protocol; use TCP, UDP or "
		"SCTP"},
	{"empty protocol",
		POD "spec: {containers: [{ports: [{containerPort: 1, protocol: ''}]}]}\n", NULL},
	{"phase", POD "status: {phase: Done}\n",
		"status.phase: \"Done\" is no phase of a Pod; use Pending, Running, Succeeded, "
		"Failed or "
		"Unknown"},
	{"host network", POD "spec: {hostNetwork: 1}\n",
		"spec.hostNetwork: 1 is neither true nor false"},
	{"host ports",
		POD "spec: {hostNetwork: true, containers: [{name: a, ports: [{containerPort: "
		    "80, hostPort: 81}]}]}\n",
		"spec.containers[0].ports[0]: hostPort 81 differs from containerPort 80; with "
		"hostNetwork "
		"they are the same"},
	{"addresses", POD "status: {podIP: 10.0.0.5, podIPs: [{ip: 10.0.0.5}, {ip: 'fd00::5'}]}\n",
		NULL},
	{"empty address", POD "status: {podIP: '', podIPs: []}\n", NULL},
	{"differs", POD "status: {podIP: 10.0.0.6, podIPs: [{ip: 10.0.0.5}]}\n",
		"status.podIP: differs from the first of podIPs; it must be the same"},
	{"family twice", POD "status: {podIPs: [{ip: 10.0.0.5}, {ip: 10.0.0.6}]}\n",
		"status.podIPs: more than one address of a family; use at most one of IPv4 and one "
		"of IPv6"},
	{"mapped is IPv4", POD "status: {podIPs: [{ip: 10.0.0.5}, {ip: '::ffff:10.0.0.6'}]}\n",
		"status.podIPs: more than one address of a family; use at most one of IPv4 and one "
		"of IPv6"},
	{"special", POD "status: {podIP: 0.0.0.0}\n",
		"status.podIP: 0.0.0.0 is the unspecified address"},
	{"no address", POD "status: {podIPs: [{ip: 10.0.0.300}]}\n",
		"status.podIPs[0].ip: \"10.0.0.300\" is no IP address; use one like 10.1.2.3 or "
		"fd00::1"},
	{"unknown fields", POD "spec: {volumes: [1, {a: 2}], containers: [{image: x}]}\nmore: 1\n",
		NULL},
};

static void test_cases(void **state)
{
	check_objects(cases, ARRAY_SIZE(cases));
}

static const char full[] =
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata:\n"
	"  name: web-0\n"
	"  labels: {tier: web, app: shop}\n"
	"  deletionTimestamp: '2026-01-01T00:00:00Z'\n"
	"spec:\n"
	"  nodeName: alpha\n"
	"  initContainers:\n"
	"  - {name: once, ports: [{name: http, containerPort: 1}]}\n"
	"  - {name: sidecar, restartPolicy: Always, ports: [{name: mesh, containerPort: 15000}]}\n"
	"  containers:\n"
	"  - name: web\n"
	"    ports:\n"
	"    - {name: http, containerPort: 8080, hostPort: 80, hostIP: 192.168.0.1}\n"
	"    - {name: dns, containerPort: 53, protocol: UDP}\n"
	"    - {name: dns-tcp, containerPort: 53}\n"
	"status:\n"
	"  phase: Running\n"
	"  hostIP: 192.168.0.10\n"
	"  podIP: fd00::5\n"
	"  podIPs: [{ip: 'fd00::5'}, {ip: 10.0.0.5}]\n";

static void test_fields(void **state)
{
	_cleanup_(object_free) struct object *object = object_of(full);
	const struct pod *pod = object_pod_const(object);
	const struct container_port *port = &pod->containers.list[0].ports.list[0];
	char text[ADDR_TEXT_SIZE];

	assert_string_equal(object->namespace, "default");
	assert_true(object->deleting);
	assert_string_equal(object->labels.list[0].key, "app");
	assert_string_equal(pod->node_name, "alpha");
	assert_int_equal(pod->phase, POD_RUNNING);
	assert_int_equal(port->container_port, 8080);
	assert_int_equal(port->host_port, 80);
	assert_string_equal(addr_format(&port->host_ip, text), "192.168.0.1");
	assert_int_equal(pod->containers.list[0].ports.list[1].protocol, PROTOCOL_UDP);
	assert_string_equal(addr_format(pod_address(pod, FAMILY_IPV4), text), "10.0.0.5");
	assert_string_equal(addr_format(&pod->pod_ips.list[0], text), "fd00::5");
	assert_string_equal(addr_format(&pod->host_ips.list[0], text), "192.168.0.10");
	assert_false(pod_is_over(pod));
}

static void test_named_ports(void **state)
{
	_cleanup_(object_free) struct object *object = object_of(full);
	const struct pod *pod = object_pod_const(object);

	assert_int_equal(pod_named_port(pod, "http", PROTOCOL_TCP), 8080);
	assert_int_equal(pod_named_port(pod, "http", PROTOCOL_UDP), 0);
	assert_int_equal(pod_named_port(pod, "dns", PROTOCOL_UDP), 53);
	assert_int_equal(pod_named_port(pod, "mesh", PROTOCOL_TCP), 15000);
	assert_int_equal(pod_named_port(pod, "none", PROTOCOL_TCP), 0);
}

static void test_host_network(void **state)
{
	_cleanup_(object_free) struct object *object = object_of(
		POD "spec: {hostNetwork: true, containers: [{ports: [{containerPort: 80}]}]}\n"
		    "status: {phase: Failed}\n");
	const struct pod *pod = object_pod_const(object);

	assert_int_equal(pod->containers.list[0].ports.list[0].host_port, 80);
	assert_true(pod_is_over(pod));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_named_ports),
		cmocka_unit_test(test_host_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
