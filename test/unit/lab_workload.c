/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/workload.h"

#include "lab.h"
#include "lab/spread.h"

#define NODES                                                                                      \
	"{kind: Node, metadata: {name: node1, labels: {disk: ssd}}}\n---\n"                        \
	"{kind: Node, metadata: {name: node2}}\n---\n"                                             \
	"{kind: Node, metadata: {name: node3, labels: {disk: ssd}}}\n---\n"
#define TEMPLATE                                                                                   \
	"selector: {matchLabels: {app: a}}, "                                                      \
	"template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: %s}]}}"

static const char *node_of(const json_t *pod)
{
	return tree_text(pod, "spec.nodeName");
}

static struct lab *lab_with(const char *format, const char *image)
{
	_free_ char *workload = mem_format(format, image); /* NOLINT: formats of this file */
	_free_ char *yaml = mem_format("%s%s", NODES, workload);

	return lab_of(true, true, yaml);
}

static void check_pods(struct lab *lab, const char *name, const char *wanted)
{
	_free_ char *got = NULL;

	workloads_sync(lab);
	pods_spread(lab);
	got = lab_names(lab, LAB_POD, node_of);
	check_case(name, got, wanted);
}

static json_t *workload_spec(struct lab *lab, enum lab_kind kind)
{
	return json_object_get(lab_find(lab, kind, "x", "a"), "spec");
}

static void image_set(json_t *spec, const char *image)
{
	json_object_set_new(
		json_array_get(tree_at(spec, "template.spec.containers"), 0), "image", json_string(image));
}

static void test_deployment(void **state)
{
	_lab_ struct lab *lab = lab_with("{apiVersion: apps/v1, kind: Deployment, "
					 "metadata: {name: a, namespace: x}, spec: {replicas: 3, " TEMPLATE "}}",
		"one");
	_free_ char *before = NULL, *again = NULL, *after = NULL;
	_json_ json_t *pods = NULL;

	workloads_sync(lab);
	pods_spread(lab);
	before = lab_names(lab, LAB_POD, node_of);
	/* One on each node, named after the ReplicaSet. */
	assert_non_null(strstr(before, "=node1"));
	assert_non_null(strstr(before, "=node2"));
	assert_non_null(strstr(before, "=node3"));
	pods = lab_list(lab, LAB_POD);
	assert_int_equal(
		strlen(tree_name(json_array_get(pods, 0))), strlen("a-1234567890-12345"));
	assert_int_equal(lab_count(lab, LAB_REPLICA_SET), 1);
	workloads_sync(lab);
	again = lab_names(lab, LAB_POD, node_of);
	assert_string_equal(before, again);
	image_set(workload_spec(lab, LAB_DEPLOYMENT), "two");
	workloads_sync(lab);
	pods_spread(lab);
	after = lab_names(lab, LAB_POD, node_of);
	assert_string_not_equal(before, after);
	assert_int_equal(lab_count(lab, LAB_POD), 3);
	assert_int_equal(lab_count(lab, LAB_REPLICA_SET), 1);
}

static void test_stateful_set(void **state)
{
	_lab_ struct lab *lab = lab_with(
		"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, namespace: x}, "
		"spec: {replicas: 2, serviceName: s, " TEMPLATE "}}",
		"one");
	_free_ char *uid = NULL;

	check_pods(lab, "two", "a-0=node1 a-1=node2");
	assert_string_equal(
		tree_text(lab_find(lab, LAB_POD, "x", "a-1"), "spec.subdomain"), "s");
	uid = mem_string(tree_uid(lab_find(lab, LAB_POD, "x", "a-0")));
	check_pods(lab, "the same", "a-0=node1 a-1=node2");
	assert_string_equal(tree_uid(lab_find(lab, LAB_POD, "x", "a-0")), uid);
	json_object_set_new(workload_spec(lab, LAB_STATEFUL_SET), "replicas", json_integer(3));
	check_pods(lab, "scaled up", "a-0=node1 a-1=node2 a-2=node3");
	json_object_set_new(workload_spec(lab, LAB_STATEFUL_SET), "replicas", json_integer(1));
	check_pods(lab, "scaled down", "a-0=node1");
	/* Another template: a Pod of the same name that is another Pod. */
	image_set(workload_spec(lab, LAB_STATEFUL_SET), "two");
	check_pods(lab, "another template", "a-0=node1");
	assert_string_not_equal(tree_uid(lab_find(lab, LAB_POD, "x", "a-0")), uid);
}

static void test_daemon_set(void **state)
{
	_lab_ struct lab *lab =
		lab_with("{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, namespace: x}, "
			 "spec: {" TEMPLATE "}}",
			"one");
	json_t *spec;

	workloads_sync(lab);
	assert_int_equal(lab_count(lab, LAB_POD), 3);
	spec = tree_at(workload_spec(lab, LAB_DAEMON_SET), "template.spec");
	json_object_set_new(spec, "nodeSelector", json_pack("{s:s}", "disk", "ssd"));
	workloads_sync(lab);
	assert_int_equal(lab_count(lab, LAB_POD), 2);
	lab_remove(lab, lab_find(lab, LAB_NODE, "", "node1"));
	workloads_sync(lab);
	assert_int_equal(lab_count(lab, LAB_POD), 1);
	lab_remove(lab, lab_find(lab, LAB_DAEMON_SET, "x", "a"));
	workloads_sync(lab);
	assert_int_equal(lab_count(lab, LAB_POD), 0);
}

static void test_spread(void **state)
{
	static const struct {
		const char *name, *spec, *node;
	} cases[] = {
		{"anywhere", "{}", "node1"},
		{"selector", "{nodeSelector: {disk: ssd}}", "node1"},
		{"selector of none", "{nodeSelector: {disk: tape}}", ""},
		{"named", "{nodeName: node3}", "node3"},
		{"affinity",
			"{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
			"{nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: DoesNotExist}]"
			"}]}}}}",
			"node2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *yaml =
			mem_format(NODES "{kind: Pod, metadata: {name: p, namespace: x}, spec: %s}",
				cases[i].spec);
		_lab_ struct lab *lab = lab_of(true, true, yaml);
		const json_t *pod = lab_find(lab, LAB_POD, "x", "p");

		pods_spread(lab);
		check_case(cases[i].name, node_of(pod), cases[i].node);
		if (!*cases[i].node)
			assert_string_equal(tree_text(pod, "status.phase"), "Pending");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deployment),
		cmocka_unit_test(test_stateful_set),
		cmocka_unit_test(test_daemon_set),
		cmocka_unit_test(test_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
