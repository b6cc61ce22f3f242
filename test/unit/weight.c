/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/weight.h"

#include "objects.h"

#define SLICE "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: %s}\n%s"
#define PORTS "ports: [{name: a, port: 8080}, {name: b, port: 9090}]\n"
#define IPV4 "addressType: IPv4\n" PORTS "endpoints:\n"
#define IPV6 "addressType: IPv6\n" PORTS "endpoints:\n"
#define HERE(address) "- {addresses: [" address "], nodeName: alpha"

static const struct {
	const char *what, *slices[2];
	enum family family;
	unsigned int weight;
} rows[] = {
	{"none", {IPV4 " []\n"}, FAMILY_IPV4, 0},
	{"one address on two ports", {IPV4 HERE("10.0.0.1") "}\n"}, FAMILY_IPV4, 1},
	{"two here", {IPV4 HERE("10.0.0.1") "}\n" HERE("10.0.0.2") "}\n"}, FAMILY_IPV4, 2},
	{"one elsewhere", {IPV4 HERE("10.0.0.1") "}\n- {addresses: [10.0.1.1], nodeName: beta}\n"},
		FAMILY_IPV4, 1},
	{"one on no node", {IPV4 "- {addresses: [10.0.1.1]}\n"}, FAMILY_IPV4, 0},
	{"not ready", {IPV4 HERE("10.0.0.1") ", conditions: {ready: false}}\n"}, FAMILY_IPV4, 0},
	{"ending, though it serves",
		{IPV4 HERE("10.0.0.1") ", conditions: {ready: false, serving: true, terminating: true}}\n"},
		FAMILY_IPV4, 0},
	{"ending beside a ready one",
		{IPV4 HERE("10.0.0.1") ", conditions: {ready: false, serving: true, terminating: true}}\n"
			HERE("10.0.0.2") "}\n"}, FAMILY_IPV4, 1},
	{"ready to the end, as its Service publishes it",
		{IPV4 HERE("10.0.0.1") ", conditions: {ready: true, serving: true, terminating: true}}\n"},
		FAMILY_IPV4, 1},
	{"in two slices",
		{IPV4 HERE("10.0.0.1") "}\n", IPV4 HERE("10.0.0.1") "}\n" HERE("10.0.0.2") "}\n"},
		FAMILY_IPV4, 2},
	{"the other family's", {IPV6 HERE("'fd00::1'") "}\n"}, FAMILY_IPV4, 0},
	{"of each family its own", {IPV6 HERE("'fd00::1'") "}\n", IPV4 HERE("10.0.0.1") "}\n"},
		FAMILY_IPV6, 1},
	{"a port that the Service does not have",
		{"addressType: IPv4\nports: [{name: c, port: 1}]\nendpoints:\n" HERE("10.0.0.1") "}\n"},
		FAMILY_IPV4, 0},
};

static void test_rows(void **state)
{
	_cleanup_(object_free) struct object *service =
		object_of("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
			  "spec: {ports: [{name: a, port: 80}, {name: b, port: 90}]}\n");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct endpoint_slice *list[2];
		struct object *object[2] = {0};
		struct slices slices = {.list = list};
		unsigned int weight;

		for (size_t j = 0; j < 2 && rows[i].slices[j]; j++) {
			_free_ char *text = mem_format(SLICE, j ? "two" : "one", rows[i].slices[j]);

			object[j] = object_of(text);
			list[slices.count++] = object_endpoint_slice_const(object[j]);
		}
		weight = service_weight(
			object_service_const(service), &slices, rows[i].family, "alpha");
		if (weight != rows[i].weight)
			fail_msg("%s: %u instead of %u", rows[i].what, weight, rows[i].weight);
		for (size_t j = 0; j < 2; j++)
			object_free(&object[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
