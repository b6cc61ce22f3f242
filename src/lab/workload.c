/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/workload.h"

#include "base/json.h"
#include "base/mem.h"
#include "lab/spread.h"

#include <string.h>

#define REVISION "controller-revision-hash"

static void containers_default(json_t *containers, bool host_network)
{
	json_t *container, *port;
	size_t i, j;

	json_array_foreach(containers, i, container)
	{
		json_array_foreach(json_object_get(container, "ports"), j, port)
		{
			tree_default_text(port, "protocol", "TCP");
			if (host_network && json_object_get(port, "containerPort"))
				json_object_set(port, "hostPort",
					json_object_get(port, "containerPort"));
		}
	}
}

void pod_default(json_t *pod)
{
	json_t *spec = tree_child(pod, "spec");
	bool host_network = json_is_true(json_object_get(spec, "hostNetwork"));

	tree_default_text(spec, "restartPolicy", "Always");
	tree_default_text(spec, "dnsPolicy", "ClusterFirst");
	tree_default_text(spec, "serviceAccountName", "default");
	containers_default(json_object_get(spec, "containers"), host_network);
	containers_default(json_object_get(spec, "initContainers"), host_network);
	if (!json_object_get(pod, "status"))
		json_object_set_new(pod, "status", json_pack("{s:s}", "phase", "Pending"));
}

/* Pods of one controller in the order of their names. A new reference. */
static json_t *pods_owned(const struct lab *lab, const json_t *owner)
{
	_json_ json_t *pods = lab_list(lab, LAB_POD);
	json_t *owned = json_array(), *pod;
	const char *uid = tree_uid(owner);
	size_t index;

	json_array_foreach(pods, index, pod)
	{
		if (strcmp(tree_owner(pod), uid) == 0)
			json_array_append(owned, pod);
	}
	return owned;
}

/* A Pod of the controller's template, in the store. Borrowed. */
static json_t *pod_create(struct lab *lab, const json_t *owner, const char *name)
{
	json_t *template = tree_at(owner, "spec.template"), *spec;
	json_t *pod = tree_new(LAB_POD, tree_namespace(owner), name);
	json_t *metadata = json_object_get(pod, "metadata");
	json_t *labels = tree_at(template, "metadata.labels");
	json_t *annotations = tree_at(template, "metadata.annotations");

	json_object_set_new(metadata, "labels", labels ? json_deep_copy(labels) : json_object());
	if (annotations)
		json_object_set_new(metadata, "annotations", json_deep_copy(annotations));
	json_object_set_new(metadata, "ownerReferences", owner_new(owner));
	spec = json_object_get(template, "spec");
	json_object_set_new(pod, "spec", spec ? json_deep_copy(spec) : json_object());
	pod_default(pod);
	lab_put(lab, pod);
	return pod;
}

static void pod_label(json_t *pod, const char *key, const char *value)
{
	json_object_set_new(tree_at(pod, "metadata.labels"), key, json_string(value));
}

static const char *pod_label_get(const json_t *pod, const char *key)
{
	const char *value =
		json_string_value(json_object_get(tree_at(pod, "metadata.labels"), key));

	return value ? value : "";
}

/* NAME-xxxxx, the same in every lab for the same `what`; the next free one if it is held. */
static char *pod_name_choose(const struct lab *lab, const json_t *owner, const char *what)
{
	for (unsigned int salt = 0;; salt++) {
		_json_ json_t *seed = json_pack("[s, s, i]", tree_name(owner), what, (int)salt);
		_free_ char *suffix = name_suffix(tree_hash(seed), 5);
		char *name = mem_format("%.57s-%s", tree_name(owner), suffix);

		if (!lab_find(lab, LAB_POD, tree_namespace(owner), name))
			return name;
		free(name);
	}
}

static size_t replicas_wanted(const json_t *owner)
{
	json_t *replicas = tree_at(owner, "spec.replicas");
	json_int_t count = replicas ? json_integer_value(replicas) : 1;

	return count > 0 ? (size_t)count : 0;
}

static size_t job_wanted(const json_t *job)
{
	json_t *parallelism = tree_at(job, "spec.parallelism");
	json_t *completions = tree_at(job, "spec.completions");
	json_int_t count = parallelism ? json_integer_value(parallelism) : 1;

	if (completions && json_integer_value(completions) < count)
		count = json_integer_value(completions);
	return json_is_true(tree_at(job, "spec.suspend")) || count < 0 ? 0 : (size_t)count;
}

static void any_sync(struct lab *lab, json_t *owner, size_t wanted)
{
	_json_ json_t *owned = pods_owned(lab, owner);
	size_t held = json_array_size(owned);

	for (size_t i = wanted; i < held; i++)
		lab_remove(lab, json_array_get(owned, i));
	for (size_t i = held; i < wanted; i++) {
		_free_ char *what = mem_format("%zu", i);
		_free_ char *name = pod_name_choose(lab, owner, what);
		json_t *pod = pod_create(lab, owner, name);

		if (tree_kind(owner) == LAB_JOB) {
			pod_label(pod, "job-name", tree_name(owner));
			pod_label(pod, "batch.kubernetes.io/job-name", tree_name(owner));
		}
	}
}

static void replicas_sync(struct lab *lab, json_t *owner)
{
	any_sync(lab, owner, replicas_wanted(owner));
}

static void job_sync(struct lab *lab, json_t *owner)
{
	any_sync(lab, owner, job_wanted(owner));
}

static void stateful_pod_create(
	struct lab *lab, const json_t *set, const char *name, size_t ordinal, const char *revision)
{
	json_t *pod = pod_create(lab, set, name);
	json_t *spec = json_object_get(pod, "spec");
	_free_ char *number = mem_format("%zu", ordinal);

	pod_label(pod, REVISION, revision);
	pod_label(pod, "statefulset.kubernetes.io/pod-name", name);
	pod_label(pod, "apps.kubernetes.io/pod-index", number);
	json_object_set_new(spec, "hostname", json_string(name));
	json_object_set_new(spec, "subdomain", json_string(tree_text(set, "spec.serviceName")));
}

/* Names are fixed: a Pod of an older template is replaced by one of the same name. */
static void stateful_set_sync(struct lab *lab, json_t *set)
{
	_free_ char *revision = name_suffix(tree_hash(tree_at(set, "spec.template")), 10);
	_json_ json_t *owned = pods_owned(lab, set), *names = json_object();
	size_t start = (size_t)json_integer_value(tree_at(set, "spec.ordinals.start"));
	size_t wanted = replicas_wanted(set), index;
	json_t *pod;

	for (size_t ordinal = start; ordinal < start + wanted; ordinal++) {
		_free_ char *name = mem_format("%s-%zu", tree_name(set), ordinal);

		json_object_set_new(names, name, json_true());
		pod = lab_find(lab, LAB_POD, tree_namespace(set), name);
		if (!pod || (strcmp(tree_owner(pod), tree_uid(set)) == 0 &&
				    strcmp(pod_label_get(pod, REVISION), revision) != 0))
			stateful_pod_create(lab, set, name, ordinal, revision);
	}
	json_array_foreach(owned, index, pod)
	{
		if (!json_object_get(names, tree_name(pod)))
			lab_remove(lab, pod);
	}
}

static void daemon_set_sync(struct lab *lab, json_t *set)
{
	_free_ char *revision = name_suffix(tree_hash(tree_at(set, "spec.template")), 10);
	_json_ json_t *owned = pods_owned(lab, set), *nodes = lab_list(lab, LAB_NODE);
	_json_ json_t *served = json_object();
	json_t *pod, *node;
	size_t index;

	json_array_foreach(owned, index, pod)
	{
		const char *name = tree_text(pod, "spec.nodeName");

		node = lab_find(lab, LAB_NODE, "", name);
		if (strcmp(pod_label_get(pod, REVISION), revision) != 0 || !node ||
			!node_suits(node, tree_at(set, "spec.template.spec")))
			lab_remove(lab, pod);
		else
			json_object_set_new(served, name, json_true());
	}
	json_array_foreach(nodes, index, node)
	{
		_free_ char *name = NULL;

		if (json_object_get(served, tree_name(node)) ||
			!node_suits(node, tree_at(set, "spec.template.spec")))
			continue;
		name = pod_name_choose(lab, set, tree_name(node));
		pod = pod_create(lab, set, name);
		pod_label(pod, REVISION, revision);
		json_object_set_new(
			json_object_get(pod, "spec"), "nodeName", json_string(tree_name(node)));
	}
}

static json_t *replica_set_new(const json_t *deployment, const char *name, const char *hash)
{
	json_t *set = tree_new(LAB_REPLICA_SET, tree_namespace(deployment), name);
	json_t *template = tree_at(deployment, "spec.template");
	json_t *selector = tree_at(deployment, "spec.selector"), *spec;

	template = template ? json_deep_copy(template) : json_object();
	selector = selector ? json_deep_copy(selector) : json_object();
	json_object_set_new(tree_child(tree_child(template, "metadata"), "labels"),
		"pod-template-hash", json_string(hash));
	json_object_set_new(
		tree_child(selector, "matchLabels"), "pod-template-hash", json_string(hash));
	spec = json_pack("{s:o, s:o}", "selector", selector, "template", template);
	json_object_set_new(set, "spec", spec);
	json_object_set_new(json_object_get(set, "metadata"), "labels",
		json_deep_copy(tree_at(template, "metadata.labels")));
	json_object_set_new(
		json_object_get(set, "metadata"), "ownerReferences", owner_new(deployment));
	return set;
}

/* One ReplicaSet per template; those of older templates go, and their Pods with them. */
static void deployment_sync(struct lab *lab, json_t *deployment)
{
	_free_ char *hash = name_suffix(tree_hash(tree_at(deployment, "spec.template")), 10);
	_free_ char *name = mem_format("%.52s-%s", tree_name(deployment), hash);
	_json_ json_t *sets = lab_list(lab, LAB_REPLICA_SET);
	json_t *wanted = lab_find(lab, LAB_REPLICA_SET, tree_namespace(deployment), name), *set;
	size_t index;

	json_array_foreach(sets, index, set)
	{
		if (set != wanted && strcmp(tree_owner(set), tree_uid(deployment)) == 0)
			lab_remove(lab, set);
	}
	if (!wanted) {
		wanted = replica_set_new(deployment, name, hash);
		lab_put(lab, wanted);
	}
	json_object_set_new(tree_child(wanted, "spec"), "replicas",
		json_integer((json_int_t)replicas_wanted(deployment)));
}

/* Owners before what they own. */
static const struct controller {
	enum lab_kind kind;
	void (*sync)(struct lab *lab, json_t *owner);
} controllers[] = {
	{LAB_DEPLOYMENT, deployment_sync},
	{LAB_REPLICA_SET, replicas_sync},
	{LAB_REPLICATION_CONTROLLER, replicas_sync},
	{LAB_STATEFUL_SET, stateful_set_sync},
	{LAB_DAEMON_SET, daemon_set_sync},
	{LAB_JOB, job_sync},
};

/* The uids of all workloads. A new reference. */
static json_t *owners_collect(const struct lab *lab)
{
	json_t *owners = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		_json_ json_t *list = lab_list(lab, controllers[i].kind);
		json_t *owner;
		size_t index;

		json_array_foreach(list, index, owner)
		{
			json_object_set_new(owners, tree_uid(owner), json_true());
		}
	}
	return owners;
}

/* What belongs to a workload that is no more goes with it. */
static void orphans_remove(struct lab *lab)
{
	_json_ json_t *owners = owners_collect(lab), *sets = lab_list(lab, LAB_REPLICA_SET);
	json_t *set;
	size_t index;

	json_array_foreach(sets, index, set)
	{
		if (*tree_owner(set) && !json_object_get(owners, tree_owner(set)))
			lab_remove(lab, set);
	}
}

static void pods_of_the_gone_remove(struct lab *lab)
{
	_json_ json_t *owners = owners_collect(lab), *pods = lab_list(lab, LAB_POD);
	json_t *pod;
	size_t index;

	json_array_foreach(pods, index, pod)
	{
		const char *node = tree_text(pod, "spec.nodeName");
		bool was_placed = *node && (*tree_owner(pod) || tree_at(pod, "status.hostIP"));

		if ((*tree_owner(pod) && !json_object_get(owners, tree_owner(pod))) ||
			(was_placed && !lab_find(lab, LAB_NODE, "", node)))
			lab_remove(lab, pod);
	}
}

void workloads_sync(struct lab *lab)
{
	orphans_remove(lab);
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		_json_ json_t *list = NULL;
		json_t *owner;
		size_t index;

		/* Before the first that makes Pods: what was on a node that went is made anew. */
		if (controllers[i].kind == LAB_REPLICA_SET)
			pods_of_the_gone_remove(lab);
		list = lab_list(lab, controllers[i].kind);
		json_array_foreach(list, index, owner)
		{
			controllers[i].sync(lab, owner);
		}
	}
}

static bool pod_runs(const json_t *pod)
{
	return strcmp(tree_text(pod, "status.phase"), "Running") == 0;
}

static void workload_count(struct lab *lab, json_t *owner)
{
	_json_ json_t *owned = pods_owned(lab, owner);
	json_t *status = tree_child(owner, "status"), *pod;
	json_int_t count = (json_int_t)json_array_size(owned), running = 0;
	bool is_daemon = tree_kind(owner) == LAB_DAEMON_SET;
	size_t index;

	json_array_foreach(owned, index, pod)
	{
		running += pod_runs(pod);
	}
	json_object_set_new(status, is_daemon ? "desiredNumberScheduled" : "replicas",
		json_integer(count));
	json_object_set_new(
		status, is_daemon ? "numberReady" : "readyReplicas", json_integer(running));
}

void workloads_count(struct lab *lab)
{
	_json_ json_t *sets = lab_list(lab, LAB_REPLICA_SET);
	json_t *set, *deployment;
	size_t index;

	for (size_t i = 1; i < ARRAY_SIZE(controllers); i++) {
		_json_ json_t *list = lab_list(lab, controllers[i].kind);

		json_array_foreach(list, index, set)
		{
			workload_count(lab, set);
		}
	}
	json_array_foreach(sets, index, set)
	{
		const char *owner = tree_text(
			json_array_get(tree_at(set, "metadata.ownerReferences"), 0), "name");

		deployment = lab_find(lab, LAB_DEPLOYMENT, tree_namespace(set), owner);
		if (deployment)
			json_object_set(deployment, "status", json_object_get(set, "status"));
	}
}
