/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/defaults.h"

#include "base/json.h"
#include "lab/plan.h"
#include "lab/workload.h"
#include "model/object.h"

#include <errno.h>
#include <string.h>

/* Written by the server alone; an exported object carries those of another cluster. */
static const char *const server_fields[] = {"uid", "creationTimestamp", "resourceVersion",
	"generation", "managedFields", "selfLink", "ownerReferences", "deletionTimestamp",
	"finalizers"};

static void metadata_take_over(json_t *tree, const json_t *old)
{
	json_t *metadata = tree_child(tree, "metadata");
	json_t *annotations = json_object_get(metadata, "annotations");

	for (size_t i = 0; i < ARRAY_SIZE(server_fields); i++) {
		json_t *held = json_object_get(tree_at(old, "metadata"), server_fields[i]);

		json_object_del(metadata, server_fields[i]);
		if (held)
			json_object_set(metadata, server_fields[i], held);
	}
	json_object_del(annotations, "kubectl.kubernetes.io/last-applied-configuration");
	if (json_is_object(annotations) && json_object_size(annotations) == 0)
		json_object_del(metadata, "annotations");
}

static void field_take_over(json_t *tree, const json_t *old, const char *field)
{
	json_t *held = json_object_get(old, field);

	json_object_del(tree, field);
	if (held)
		json_object_set(tree, field, held);
}

static int model_judge(json_t *tree, struct err *err)
{
	struct object *object = NULL;
	int r = object_parse(tree, &object, err);

	object_free(&object);
	return r;
}

static int plain_prepare(
	const struct lab *lab, json_t *tree, const json_t *old, struct err *err)
{
	(void)lab;
	(void)old;
	return model_judge(tree, err);
}

static int namespace_prepare(
	const struct lab *lab, json_t *tree, const json_t *old, struct err *err)
{
	json_t *labels = tree_child(tree_child(tree, "metadata"), "labels");

	(void)lab;
	(void)old;
	json_object_set_new(labels, "kubernetes.io/metadata.name", json_string(tree_name(tree)));
	json_object_set_new(tree, "status", json_pack("{s:s}", "phase", "Active"));
	return model_judge(tree, err);
}

/* spec.podCIDRs never change while a Node lives; addresses may be given anew (renumbering). */
static int node_prepare(const struct lab *lab, json_t *tree, const json_t *old, struct err *err)
{
	json_t *spec = tree_child(tree, "spec"), *held = tree_at(old, "spec.podCIDRs");
	json_t *labels = tree_child(tree_child(tree, "metadata"), "labels"), *value;
	bool is_given = false;
	const char *key;

	if (json_object_get(spec, "podCIDRs") && held &&
		!json_equal(json_object_get(spec, "podCIDRs"), held))
		return err_set(err, EINVAL,
			"spec.podCIDRs: cannot change while the Node lives; delete the Node first");
	if (held) {
		json_object_set(spec, "podCIDRs", held);
		json_object_set(spec, "podCIDR", tree_at(old, "spec.podCIDR"));
	}
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		is_given = is_given || plan_subnet(&lab->settings, node_address(tree, f)) != 0;
	if (old && !is_given)
		field_take_over(tree, old, "status");
	json_object_foreach(tree_at(old, "metadata.labels"), key, value)
	{
		if (strncmp(key, "kubernetes.io/", 14) == 0 && !json_object_get(labels, key))
			json_object_set(labels, key, value);
	}
	return model_judge(tree, err);
}

/* A Pod's spec cannot change: another one makes another Pod of the same name. */
static int pod_prepare(const struct lab *lab, json_t *tree, const json_t *old, struct err *err)
{
	_json_ json_t *held = old ? json_deep_copy(json_object_get(old, "spec")) : NULL;

	(void)lab;
	json_object_del(tree, "status");
	pod_default(tree);
	if (held && !tree_at(tree, "spec.nodeName"))
		json_object_del(held, "nodeName");
	if (held && json_equal(held, json_object_get(tree, "spec"))) {
		field_take_over(tree, old, "spec");
		field_take_over(tree, old, "status");
	} else {
		json_object_del(json_object_get(tree, "metadata"), "uid");
	}
	return model_judge(tree, err);
}

static const json_t *service_port_find(const json_t *old, const json_t *port)
{
	json_t *held;
	size_t index;

	json_array_foreach(tree_at(old, "spec.ports"), index, held)
	{
		if (json_equal(json_object_get(held, "port"), json_object_get(port, "port")) &&
			strcmp(tree_text(held, "protocol"), tree_text(port, "protocol")) == 0)
			return held;
	}
	return NULL;
}

static void service_ports_default(json_t *spec, const json_t *old, bool wants_node_ports)
{
	json_t *port;
	size_t index;

	json_array_foreach(json_object_get(spec, "ports"), index, port)
	{
		json_t *node_port;

		tree_default_text(port, "protocol", "TCP");
		if (!json_object_get(port, "targetPort"))
			json_object_set(port, "targetPort", json_object_get(port, "port"));
		node_port = json_object_get(service_port_find(old, port), "nodePort");
		if (!wants_node_ports)
			json_object_del(port, "nodePort");
		else if (node_port && !json_object_get(port, "nodePort"))
			json_object_set(port, "nodePort", node_port);
	}
}

/* Addresses stay as long as the Service wants any; ExternalName and headless give them back. */
static void service_addresses_take_over(json_t *spec, const json_t *old)
{
	static const char *const fields[] = {"clusterIP", "clusterIPs", "ipFamilies"};
	const char *type = tree_text(spec, "type");
	const char *given = tree_text(spec, "clusterIP"), *held_first = tree_text(old, "spec.clusterIP");

	if (strcmp(type, "ExternalName") == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
			json_object_del(spec, fields[i]);
		return;
	}
	if (*given ? strcmp(given, held_first) != 0 : strcmp(held_first, "None") == 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		json_t *held = json_object_get(tree_at(old, "spec"), fields[i]);

		if (held && !json_object_get(spec, fields[i]))
			json_object_set(spec, fields[i], held);
	}
	/* What was given as a default stays one. */
	if (!json_object_get(spec, "ipFamilyPolicy") &&
		json_array_size(json_object_get(spec, "ipFamilies")) < 2 &&
		strcmp(tree_text(old, "spec.ipFamilyPolicy"), "SingleStack") == 0)
		json_object_set_new(spec, "ipFamilyPolicy", json_string("SingleStack"));
	/* One family of two is given back when the policy says so. */
	if (strcmp(tree_text(spec, "ipFamilyPolicy"), "SingleStack") == 0 ||
		!json_object_get(spec, "ipFamilyPolicy")) {
		while (json_array_size(json_object_get(spec, "ipFamilies")) > 1 && old)
			json_array_remove(json_object_get(spec, "ipFamilies"), 1);
	}
}

static int service_prepare(const struct lab *lab, json_t *tree, const json_t *old, struct err *err)
{
	json_t *spec = tree_child(tree, "spec");
	_json_ json_t *copy = old ? json_deep_copy(old) : NULL;
	const char *type;
	bool is_balanced, is_external;

	(void)lab;
	tree_default_text(spec, "type", "ClusterIP");
	type = tree_text(spec, "type");
	is_balanced = strcmp(type, "LoadBalancer") == 0;
	is_external = is_balanced || strcmp(type, "NodePort") == 0;
	tree_default_text(spec, "sessionAffinity", "None");
	tree_default_text(spec, "internalTrafficPolicy", "Cluster");
	if (is_external)
		tree_default_text(spec, "externalTrafficPolicy", "Cluster");
	if (is_balanced)
		tree_default(spec, "allocateLoadBalancerNodePorts", json_true());
	service_addresses_take_over(spec, copy);
	service_ports_default(spec, copy, is_external);
	if (!json_object_get(tree, "status"))
		json_object_set_new(tree, "status",
			is_balanced && tree_at(copy, "status")
				? json_incref(tree_at(copy, "status"))
				: json_pack("{s:{}}", "loadBalancer"));
	if (model_judge(tree, err) < 0)
		return -err->code;
	return 0;
}

static void policy_ports_default(json_t *rules)
{
	json_t *rule, *port;
	size_t i, j;

	json_array_foreach(rules, i, rule)
	{
		json_array_foreach(json_object_get(rule, "ports"), j, port)
		{
			tree_default_text(port, "protocol", "TCP");
		}
	}
}

static int policy_prepare(const struct lab *lab, json_t *tree, const json_t *old, struct err *err)
{
	json_t *spec = tree_child(tree, "spec"), *types;

	(void)lab;
	(void)old;
	tree_default(spec, "podSelector", json_object());
	if (!json_object_get(spec, "policyTypes")) {
		types = json_pack("[s]", "Ingress");
		if (json_array_size(json_object_get(spec, "egress")) > 0)
			json_array_append_new(types, json_string("Egress"));
		json_object_set_new(spec, "policyTypes", types);
	}
	policy_ports_default(json_object_get(spec, "ingress"));
	policy_ports_default(json_object_get(spec, "egress"));
	return model_judge(tree, err);
}

/* The template is judged as the Pod that it will be. */
static int template_judge(const json_t *tree, struct err *err)
{
	_json_ json_t *pod = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "Pod",
		"metadata", "name", "template", "namespace", tree_namespace(tree));
	json_t *template = tree_at(tree, "spec.template");
	json_t *labels = tree_at(template, "metadata.labels");

	if (!json_is_object(json_object_get(template, "spec")))
		return err_set(err, EINVAL, "spec.template.spec: missing; the Pods' spec goes here");
	if (labels)
		json_object_set_new(
			json_object_get(pod, "metadata"), "labels", json_deep_copy(labels));
	json_object_set_new(pod, "spec", json_deep_copy(json_object_get(template, "spec")));
	pod_default(pod);
	if (model_judge(pod, err) < 0)
		return err_wrap(err, "spec.template");
	return 0;
}

static int workload_prepare(const struct lab *lab, json_t *tree, const json_t *old, struct err *err)
{
	json_t *spec = tree_child(tree, "spec"), *selector;
	json_t *labels = tree_at(spec, "template.metadata.labels");
	bool has_replicas = tree_kind(tree) != LAB_DAEMON_SET && tree_kind(tree) != LAB_JOB;

	(void)lab;
	if (has_replicas)
		tree_default(spec, "replicas", json_integer(1));
	if (has_replicas && (!json_is_integer(json_object_get(spec, "replicas")) ||
				    json_integer_value(json_object_get(spec, "replicas")) < 0))
		return err_set(err, EINVAL, "spec.replicas: use a whole number from 0");
	if (tree_kind(tree) == LAB_REPLICATION_CONTROLLER || tree_kind(tree) == LAB_JOB) {
		selector = NULL;
	} else {
		selector = json_object_get(spec, "selector");
		if (!json_is_object(selector) || json_object_size(selector) == 0)
			return err_set(err, EINVAL,
				"spec.selector: missing; name the labels of spec.template.metadata");
	}
	if (selector && !tree_selector_match(selector, labels))
		return err_set(err, EINVAL,
			"spec.selector: does not match the labels in spec.template.metadata");
	field_take_over(tree, old, "status");
	return template_judge(tree, err);
}

static const struct preparation {
	int (*prepare)(const struct lab *lab, json_t *tree, const json_t *old, struct err *err);
} preparations[LAB_KIND_MAX] = {
	[LAB_NAMESPACE] = {namespace_prepare},
	[LAB_NODE] = {node_prepare},
	[LAB_POD] = {pod_prepare},
	[LAB_SERVICE] = {service_prepare},
	[LAB_ENDPOINT_SLICE] = {plain_prepare},
	[LAB_NETWORK_POLICY] = {policy_prepare},
	[LAB_DEPLOYMENT] = {workload_prepare},
	[LAB_REPLICA_SET] = {workload_prepare},
	[LAB_REPLICATION_CONTROLLER] = {workload_prepare},
	[LAB_STATEFUL_SET] = {workload_prepare},
	[LAB_DAEMON_SET] = {workload_prepare},
	[LAB_JOB] = {workload_prepare},
};

int object_prepare(const struct lab *lab, json_t *tree, const json_t *old, struct err *err)
{
	enum lab_kind kind = tree_kind(tree);
	int r;

	if (!*tree_name(tree))
		return err_set(err, EINVAL, "metadata.name: missing");
	metadata_take_over(tree, old);
	r = preparations[kind].prepare ? preparations[kind].prepare(lab, tree, old, err) : 0;
	tree_stamp(tree);
	return r;
}
