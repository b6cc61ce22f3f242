/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/services.h"

#include "lab.h"
#include "lab/slices.h"

#define SERVICE "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: x}, spec: %s}\n"

static struct lab *lab_with(bool has_v6, const char *spec, const char *more)
{
	_free_ char *yaml = mem_format(SERVICE "---\n%s", spec, more);

	return lab_of(true, has_v6, yaml);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *spec;
		bool has_v6;
		const char *addresses; /* NULL: refused */
	} cases[] = {
		{"{type: ClusterIP}", true, "[\"10.96.1.1\"]"},
		{"{ipFamilyPolicy: PreferDualStack}", true, "[\"10.96.1.1\",\"fd96::101\"]"},
		{"{ipFamilyPolicy: PreferDualStack}", false, "[\"10.96.1.1\"]"},
		{"{ipFamilyPolicy: RequireDualStack}", false, NULL},
		{"{ipFamilies: [IPv6]}", true, "[\"fd96::101\"]"},
		{"{ipFamilies: [IPv6]}", false, NULL},
		{"{ipFamilies: [IPv6, IPv4]}", true, "[\"fd96::101\",\"10.96.1.1\"]"},
		{"{clusterIP: 10.96.0.53}", true, "[\"10.96.0.53\"]"},
		{"{clusterIP: 10.0.0.10}", true, "[\"10.96.1.1\"]"}, /* another cluster's */
		{"{clusterIP: None}", true, "[\"None\"]"},
		{"{type: ExternalName, externalName: example.com}", true, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_lab_ struct lab *lab = lab_with(cases[i].has_v6, cases[i].spec, "");
		int r = services_complete(lab, &(struct err){0});
		const json_t *service = lab_find(lab, LAB_SERVICE, "x", "s");
		_free_ char *got =
			r < 0 ? NULL : json_dumps(tree_at(service, "spec.clusterIPs"), JSON_COMPACT);

		check_case(cases[i].spec, got, cases[i].addresses);
	}
}

static void test_node_ports(void **state)
{
	_lab_ struct lab *lab = lab_with(true,
		"{type: NodePort, ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}, "
		"{port: 80, protocol: TCP, nodePort: 30080}]}",
		"{apiVersion: v1, kind: Service, metadata: {name: t, namespace: x}, "
		"spec: {type: NodePort, ports: [{port: 1, protocol: TCP, nodePort: 30080}]}}");
	const json_t *ports = tree_at(lab_find(lab, LAB_SERVICE, "x", "s"), "spec.ports");
	struct err err = {0};

	assert_true(services_complete(lab, &err) < 0);
	assert_non_null(strstr(err.text, "nodePort"));
	lab_remove(lab, lab_find(lab, LAB_SERVICE, "x", "t"));
	assert_int_equal(services_complete(lab, &err), 0);
	assert_int_equal(json_integer_value(tree_at(json_array_get(ports, 0), "nodePort")), 30086);
	assert_int_equal(json_integer_value(tree_at(json_array_get(ports, 1), "nodePort")), 30086);
	assert_int_equal(json_integer_value(tree_at(json_array_get(ports, 2), "nodePort")), 30080);
}

/* With the type and policy that want one, whether or not there are node ports. */
static void test_health_check_port(void **state)
{
	static const struct {
		const char *spec;
		json_int_t port;
	} cases[] = {
		{"{type: LoadBalancer, externalTrafficPolicy: Local, "
		 "ports: [{port: 80, protocol: TCP}]}", 30087},
		{"{type: LoadBalancer, externalTrafficPolicy: Local, "
		 "allocateLoadBalancerNodePorts: false, ports: [{port: 80, protocol: TCP}]}", 30086},
		{"{type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 31000, "
		 "ports: [{port: 80, protocol: TCP}]}", 31000},
		{"{type: LoadBalancer, externalTrafficPolicy: Cluster, "
		 "ports: [{port: 80, protocol: TCP}]}", 0},
		{"{type: NodePort, externalTrafficPolicy: Local, "
		 "ports: [{port: 80, protocol: TCP}]}", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_lab_ struct lab *lab = lab_with(true, cases[i].spec, "");
		const json_t *service = lab_find(lab, LAB_SERVICE, "x", "s");

		assert_int_equal(services_complete(lab, NULL), 0);
		assert_int_equal(
			json_integer_value(tree_at(service, "spec.healthCheckNodePort")),
			cases[i].port);
	}
}

static void test_freed_address_rests(void **state)
{
	_lab_ struct lab *lab = lab_with(true, "{}", "");
	json_t *next = tree_new(LAB_SERVICE, "x", "t");

	assert_int_equal(services_complete(lab, NULL), 0);
	lab_remove(lab, lab_find(lab, LAB_SERVICE, "x", "s"));
	lab_put(lab, next);
	assert_int_equal(services_complete(lab, NULL), 0);
	assert_string_equal(service_address(next, FAMILY_IPV4), "10.96.1.2");
}

static char *describe_slices(const struct lab *lab)
{
	_json_ json_t *slices = lab_list(lab, LAB_ENDPOINT_SLICE);
	char *all = mem_string("");
	json_t *slice, *endpoint;
	size_t i, j;

	for (int family = 0; family < 2; family++) {
		json_array_foreach(slices, i, slice)
		{
			_free_ char *ports =
				json_dumps(json_object_get(slice, "ports"), JSON_COMPACT);

			if ((strcmp(tree_text(slice, "addressType"), "IPv6") == 0) != family)
				continue;
			json_array_foreach(json_object_get(slice, "endpoints"), j, endpoint)
			{
				_free_ char *before = all;

				all = mem_format("%s%s%s%s:%lld", before, *before ? " " : "",
					json_string_value(json_array_get(
						json_object_get(endpoint, "addresses"), 0)),
					json_is_true(tree_at(endpoint, "conditions.ready")) ? ""
											   : "!",
					(long long)json_integer_value(json_object_get(
						json_array_get(json_object_get(slice, "ports"), 0),
						"port")));
			}
		}
	}
	return all;
}

#define POD(name, number, ready, port)                                                             \
	"{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: x, labels: {app: a}}, " \
	"spec: {nodeName: n, containers: [{name: c, ports: [{name: web, protocol: TCP, "           \
	"containerPort: " port "}]}]}, status: {podIPs: [{ip: 10.1.0." number                      \
	"}, {ip: 'fd01::" number "'}], conditions: [{type: Ready, status: '" ready "'}]}}\n---\n"

static void test_slices(void **state)
{
	static const struct {
		const char *name, *spec, *slices;
	} cases[] = {
		{"number",
			"{selector: {app: a}, ipFamilies: [IPv4], "
			"ports: [{port: 80, protocol: TCP, targetPort: 8080}]}",
			"10.1.0.1:8080 10.1.0.2:8080 10.1.0.3!:8080"},
		{"families",
			"{selector: {app: a}, ipFamilies: [IPv4, IPv6], publishNotReadyAddresses: true, "
			"ports: [{port: 80, protocol: TCP, targetPort: 1}]}",
			"10.1.0.1:1 10.1.0.2:1 10.1.0.3:1 fd01::1:1 fd01::2:1 fd01::3:1"},
		{"other labels",
			"{selector: {app: b}, ipFamilies: [IPv4], "
			"ports: [{port: 80, protocol: TCP, targetPort: 8080}]}",
			""},
		{"name of another protocol",
			"{selector: {app: a}, ipFamilies: [IPv4], "
			"ports: [{port: 80, protocol: UDP, targetPort: web}]}",
			""},
		{"headless without ports", "{selector: {app: a}, clusterIP: None, ipFamilies: [IPv6]}",
			"fd01::1:0 fd01::2:0 fd01::3!:0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_lab_ struct lab *lab = lab_with(true, cases[i].spec,
			POD("p", "1", "True", "80") POD("q", "2", "True", "81")
				POD("r", "3", "False", "80"));
		_free_ char *first = NULL, *second = NULL;

		slices_sync(lab);
		first = describe_slices(lab);
		check_case(cases[i].name, first, cases[i].slices);
		slices_sync(lab);
		second = describe_slices(lab);
		check_case(cases[i].name, second, cases[i].slices);
	}
}

/* Pods that give one name to different numbers are in different slices. */
static void test_named_target(void **state)
{
	_lab_ struct lab *lab = lab_with(true,
		"{selector: {app: a}, ipFamilies: [IPv4], "
		"ports: [{port: 80, protocol: TCP, targetPort: web}]}",
		POD("p", "1", "True", "80") POD("q", "2", "True", "81"));
	_free_ char *got = NULL;

	slices_sync(lab);
	assert_int_equal(lab_count(lab, LAB_ENDPOINT_SLICE), 2);
	got = describe_slices(lab);
	assert_non_null(strstr(got, "10.1.0.1:80"));
	assert_non_null(strstr(got, "10.1.0.2:81"));
}

static void test_others_slices_stay(void **state)
{
	_lab_ struct lab *lab = lab_with(true, "{selector: {app: a}}",
		"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: own, "
		"namespace: x, labels: {kubernetes.io/service-name: s}}, addressType: IPv4}");

	slices_sync(lab);
	assert_non_null(lab_find(lab, LAB_ENDPOINT_SLICE, "x", "own"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_node_ports),
		cmocka_unit_test(test_health_check_port),
		cmocka_unit_test(test_freed_address_rests),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_named_target),
		cmocka_unit_test(test_others_slices_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
