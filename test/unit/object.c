/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include "model/field.h"

#include <errno.h>
#include <netinet/in.h>

static const struct {
	const char *yaml;
	int result;
	const char *error;
} kind_cases[] = {
	{"{apiVersion: v1, kind: Pod}", KIND_POD, NULL},
	{"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice}", KIND_ENDPOINT_SLICE, NULL},
	{"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy}", KIND_NETWORK_POLICY, NULL},
	{"{apiVersion: v1, kind: ConfigMap}", -ENOENT, NULL},
	{"{apiVersion: apps/v1, kind: Deployment}", -ENOENT, NULL},
	{"{apiVersion: serving.knative.dev/v1, kind: Service}", -ENOENT, NULL},
	{"{apiVersion: projectcalico.org/v3, kind: NetworkPolicy}", -ENOENT, NULL},
	{"{apiVersion: networking.k8s.io/v1beta1, kind: NetworkPolicy}", -EINVAL,
		"apiVersion: \"networking.k8s.io/v1beta1\" is no version of NetworkPolicy that is "
		"read; "
		"use networking.k8s.io/v1"},
	{"{apiVersion: extensions/v1beta1, kind: NetworkPolicy}", -EINVAL,
		"apiVersion: \"extensions/v1beta1\" is no version of NetworkPolicy that is read; "
		"use "
		"networking.k8s.io/v1"},
	{"{apiVersion: v1, kind: NetworkPolicy}", -EINVAL,
		"apiVersion: \"v1\" is no version of NetworkPolicy that is read; use "
		"networking.k8s.io/v1"},
	{"{apiVersion: v2, kind: Service}", -EINVAL,
		"apiVersion: \"v2\" is no version of Service that is read; use v1"},
	{"{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice}", -EINVAL,
		"apiVersion: \"discovery.k8s.io/v1beta1\" is no version of EndpointSlice that is "
		"read; use "
		"discovery.k8s.io/v1"},
	{"{kind: Pod}", -EINVAL, "apiVersion: is missing"},
	{"{apiVersion: v1}", -EINVAL, "kind: is missing"},
	{"{apiVersion: 1, kind: Pod}", -EINVAL, "apiVersion: 1 is no string; put it in quotes"},
	{"[]", -EINVAL, "a list is no object; use one with apiVersion and kind"},
	{"text", -EINVAL, "a string is no object; use one with apiVersion and kind"},
};

static void test_kinds(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_cases); i++) {
		_json_ json_t *tree = NULL;
		struct err err = {0};
		enum kind kind = KIND_MAX;
		int r;

		assert_int_equal(
			yaml_read_one(kind_cases[i].yaml, strlen(kind_cases[i].yaml), &tree, &err),
			0);
		r = kind_of(tree, &kind, &err);
		assert_int_equal(r < 0 ? r : (int)kind, kind_cases[i].result);
		if (kind_cases[i].error)
			check_case(kind_cases[i].yaml, err.text, kind_cases[i].error);
	}
}

static void test_names(void **state)
{
	_cleanup_(object_free) struct object *pod =
		object_of("apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\n");
	_cleanup_(object_free) struct object *node =
		object_of("apiVersion: v1\nkind: Node\nmetadata: {name: a, namespace: b}\n");
	_free_ char *pod_title = object_title(pod), *node_title = object_title(node);

	assert_string_equal(pod_title, "Pod b/a");
	assert_string_equal(node_title, "Node a");
	assert_true(kind_is_namespaced(KIND_POD));
	assert_false(kind_is_namespaced(KIND_NODE));
	assert_string_equal(kind_name(KIND_SERVICE), "Service");
	assert_string_equal(kind_api_version(KIND_NETWORK_POLICY), "networking.k8s.io/v1");
	assert_string_equal(protocol_name(PROTOCOL_SCTP), "SCTP");
	assert_int_equal(protocol_number(PROTOCOL_UDP), IPPROTO_UDP);
	assert_false(object_equal(pod, node));
}

#define POD "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: u, z: w}}\n"

static void test_equal(void **state)
{
	static const char base[] = POD "spec: {nodeName: alpha, containers: [{name: a, ports: "
				       "[{name: p, containerPort: 80}]}]}\n";
	static const struct {
		const char *yaml;
		bool equal;
	} rows[] = {
		{base, true},
		{"kind: Pod\napiVersion: v1\nmetadata: {labels: {z: w, x: u}, name: a, namespace: "
		 "default}\n"
		 "spec: {nodeName: alpha, containers: [{name: a, ports: [{protocol: TCP, name: p, "
		 "containerPort: 80}], image: other}]}\n",
			true},
		{POD "spec: {nodeName: alpha, containers: [{name: a, ports: [{name: p, "
		     "containerPort: "
		     "81}]}]}\n",
			false},
		{POD "spec: {nodeName: alpha, containers: [{name: a, ports: [{name: q, "
		     "containerPort: "
		     "80}]}]}\n",
			false},
		{POD "spec: {nodeName: alpha, containers: [{name: a}]}\n", false},
		{POD "spec: {containers: [{name: a, ports: [{name: p, containerPort: 80}]}]}\n",
			false},
		{POD "spec: {nodeName: alpha, hostNetwork: true, containers: [{name: a, ports: "
		     "[{name: p, "
		     "containerPort: 80}]}]}\n",
			false},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: u, z: v}}\n"
		 "spec: {nodeName: alpha, containers: [{name: a, ports: [{name: p, containerPort: "
		 "80}]}]}\n",
			false},
	};
	_cleanup_(object_free) struct object *first = object_of(base);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(object_free) struct object *other = object_of(rows[i].yaml);

		assert_int_equal(object_equal(first, other), rows[i].equal);
		assert_int_equal(object_equal(other, first), rows[i].equal);
	}
}

static void test_labels(void **state)
{
	_cleanup_(object_free) struct object *a = object_of(POD);
	_cleanup_(object_free) struct object *none =
		object_of("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");

	assert_string_equal(labels_get(&a->labels, "x"), "u");
	assert_null(labels_get(&a->labels, "y"));
	assert_null(labels_get(&none->labels, "x"));
	assert_true(labels_contain(&a->labels, &none->labels));
	assert_false(labels_contain(&none->labels, &a->labels));
	assert_false(labels_equal(&none->labels, &a->labels));
}

/* creationTimestamp, as seconds since 1970; what is no time is named. */
static void test_times(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds; /* 0: refused */
	} rows[] = {
		{"2026-01-31T12:00:00Z", 1769860800},
		{"2026-01-31T12:00:00.123456Z", 1769860800},
		{"2026-01-31T14:30:00+02:30", 1769860800},
		{"2026-01-31T11:00:00-01:00", 1769860800},
		{"2026-01-31", 0},
		{"2026-01-31T12:00:00", 0},
		{"2026-01-31T12:00:00Zulu", 0},
		{"2026-01-31T12:00:00 01:00", 0},
		{"2026-13-31T12:00:00Z", 0},
		{"yesterday", 0},
		{"7", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_free_ char *yaml = mem_format("apiVersion: v1\nkind: Namespace\n"
					       "metadata: {name: a, creationTimestamp: \"%s\"}\n",
			rows[i].text);
		_cleanup_(object_free) struct object *object = NULL;
		struct err err = {0};
		int r = object_read(yaml, &object, &err);

		assert_int_equal(r, rows[i].seconds ? 0 : -EINVAL);
		if (r < 0)
			assert_non_null(strstr(err.text, "metadata.creationTimestamp"));
		else
			assert_int_equal(object->created, rows[i].seconds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
