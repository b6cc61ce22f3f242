/* SPDX-License-Identifier: Apache-2.0 */
#include "model/endpoints.h"

#include "objects.h"

#define SLICE                                                                                      \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"                                   \
	"metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\n"
#define IPV4 SLICE "addressType: IPv4\n"

static const struct object_case cases[] = {
	{"empty", IPV4, NULL},
	{"null lists", IPV4 "endpoints: null\nports: null\n", NULL},
	{"no type", SLICE, "addressType: is missing"},
	{"type", SLICE "addressType: IP\n",
		"addressType: \"IP\" is no type of address; use IPv4, IPv6 or FQDN"},
	{"no addresses", IPV4 "endpoints: [{}]\n", "endpoints[0].addresses: is missing"},
	{"empty addresses", IPV4 "endpoints: [{addresses: []}]\n",
		"endpoints[0].addresses: is empty; use one"},
	{"name", IPV4 "endpoints: [{addresses: [web]}]\n",
		"endpoints[0].addresses[0]: \"web\" is no IPv4 address, as addressType says"},
	{"family", IPV4 "endpoints: [{addresses: [10.0.0.1]}, {addresses: ['fd00::1']}]\n",
		"endpoints[1].addresses[0]: \"fd00::1\" is no IPv4 address, as addressType says"},
	{"special", IPV4 "endpoints: [{addresses: [169.254.169.254]}]\n",
		"endpoints[0].addresses[0]: \"169.254.169.254\" is a link-local address"},
	{"leading zeros", IPV4 "endpoints: [{addresses: [010.0.0.1]}]\n", NULL},
	{"FQDN", SLICE "addressType: FQDN\nendpoints: [{addresses: [web.example]}]\n", NULL},
	{"port name twice", IPV4 "ports: [{port: 1}, {port: 2, name: ''}]\n",
		"ports[1]: the name \"\" is given twice"},
	{"port", IPV4 "ports: [{port: 65536}]\n",
		"ports[0].port: 65536 is no port; use 1 to 65535"},
	{"condition", IPV4 "endpoints: [{addresses: [10.0.0.1], conditions: {ready: 'yes'}}]\n",
		"endpoints[0].conditions.ready: \"yes\" is neither true nor false"},
	{"zone without name",
		IPV4 "endpoints: [{addresses: [10.0.0.1], hints: {forZones: [{}]}}]\n",
		"endpoints[0].hints.forZones[0].name: is missing"},
};

static void test_cases(void **state)
{
	check_objects(cases, ARRAY_SIZE(cases));
}

static void test_conditions(void **state)
{
	static const struct {
		const char *conditions;
		bool ready, serving, terminating;
	} rows[] = {
		{"null", true, true, false},
		{"{}", true, true, false},
		{"{ready: null}", true, true, false},
		{"{ready: false}", false, true, false},
		{"{ready: false, serving: true, terminating: true}", false, true, true},
		{"{ready: false, serving: false, terminating: true}", false, false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *text =
			mem_format(IPV4 "endpoints: [{addresses: [10.0.0.1], conditions: %s}]\n",
				rows[i].conditions);
		_cleanup_(object_free) struct object *object = object_of(text);
		const struct endpoint *endpoint = &object_endpoint_slice(object)->endpoints.list[0];

		assert_int_equal(endpoint->ready, rows[i].ready);
		assert_int_equal(endpoint->serving, rows[i].serving);
		assert_int_equal(endpoint->terminating, rows[i].terminating);
	}
}

static void test_fields(void **state)
{
	_cleanup_(object_free) struct object *object = object_of(
		IPV4 "ports: [{name: http, port: 8080}, {protocol: UDP}]\n"
		     "endpoints:\n"
		     "- addresses: [10.0.0.1, 10.0.0.2]\n"
		     "  nodeName: alpha\n"
		     "  zone: a\n"
		     "  hints: {forZones: [{name: a}, {name: b}], forNodes: [{name: alpha}]}\n");
	const struct endpoint_slice *slice = object_endpoint_slice_const(object);
	const struct endpoint *endpoint = &slice->endpoints.list[0];
	char text[ADDR_TEXT_SIZE];

	assert_string_equal(endpoint_slice_service(slice), "web");
	assert_false(endpoint_slice_is_foreign(slice));
	assert_string_equal(addr_format(&endpoint->address.addr, text), "10.0.0.1");
	assert_string_equal(endpoint->node_name, "alpha");
	assert_string_equal(endpoint->hints->for_zones.list[1].name, "b");
	assert_string_equal(endpoint->hints->for_nodes.list[0].name, "alpha");
	assert_string_equal(slice->ports.list[0].name, "http");
	assert_null(slice->ports.list[1].name);
	assert_int_equal(slice->ports.list[1].port, 0);
	assert_int_equal(slice->ports.list[1].protocol, PROTOCOL_UDP);
}

/* Whoever writes a slice may write what he likes into annotations: what is no time is none. */
static void test_change_time(void **state)
{
	static const struct {
		const char *time;
		uint64_t ns;
	} rows[] = {
		{"'2026-01-31T12:00:00Z'", UINT64_C(1769860800000000000)},
		{"'2026-01-31T12:00:00.123456789Z'", UINT64_C(1769860800123456789)},
		{"'2026-01-31T13:00:00.5+01:00'", UINT64_C(1769860800500000000)},
		{"'2026-01-31T12:00:00.1234567899999Z'", UINT64_C(1769860800123456789)},
		{"'9999-01-31T12:00:00Z'", 0},
		{"'1900-01-31T12:00:00Z'", 0},
		{"yesterday", 0},
		{"7", 0},
		{"null", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *text = mem_format(
			"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			"metadata: {name: a, annotations: {other: [1], "
			"endpoints.kubernetes.io/last-change-trigger-time: %s}}\n"
			"addressType: IPv4\n",
			rows[i].time);
		_cleanup_(object_free) struct object *object = object_of(text);

		assert_int_equal(object_endpoint_slice(object)->changed_ns, rows[i].ns);
	}
}

static void test_names_reach_nobody(void **state)
{
	_cleanup_(object_free) struct object *object = object_of(
		SLICE "addressType: FQDN\nendpoints: [{addresses: [a.b], nodeName: x}]\n");

	assert_int_equal(object_endpoint_slice(object)->endpoints.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_change_time),
		cmocka_unit_test(test_names_reach_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
