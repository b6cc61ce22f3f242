/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/pods.h"

#include "base/json.h"
#include "base/text.h"
#include "lab/cgroups.h"
#include "lab/cni.h"
#include "lab/exec.h"
#include "lab/fabric.h"
#include "lab/jobs.h"
#include "lab/plan.h"
#include "lab/processes.h"
#include "lab/responder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>

struct sync {
	struct lab *lab;
	json_t *todo; /* Pods, or entries of the runtime */
	size_t done, failed;
	struct err *err; /* of the first that failed */
};

static bool pod_is_on_host(const json_t *pod)
{
	return json_is_true(tree_at(pod, "spec.hostNetwork"));
}

/* The uid without dashes is as good as any id of a runtime. */
static char *container_id(const json_t *pod)
{
	char *id = mem_string(tree_uid(pod)), *out = id;

	for (const char *in = id; *in; in++)
		if (*in != '-')
			*out++ = *in;
	*out = '\0';
	return id;
}

/* The addresses of eth0 in a CNI result, the primary family first. */
static json_t *addresses_of_result(const struct lab *lab, const json_t *result)
{
	json_t *addresses = json_array(), *entry;
	size_t index;

	json_array_foreach(json_object_get(result, "ips"), index, entry)
	{
		const char *text = tree_text(entry, "address");
		_free_ char *address = mem_format("%.*s", (int)strcspn(text, "/"), text);
		json_t *ip = json_pack("{s:s}", "ip", address);

		if (text_family(address) == plan_primary(&lab->settings))
			json_array_insert_new(addresses, 0, ip);
		else
			json_array_append_new(addresses, ip);
	}
	return addresses;
}

static json_t *addresses_of_node(const struct lab *lab, const char *name, const char *key)
{
	const json_t *node = lab_find(lab, LAB_NODE, "", name);
	json_t *addresses = json_array();

	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		if (*node_address(node, f))
			json_array_append_new(
				addresses, json_pack("{s:s}", key, node_address(node, f)));
	return addresses;
}

/* In the Pod's namespace: starts the responder of one container, adds its pid and its problems. */
static void container_start(
	const json_t *pod, const json_t *container, json_t *responders, json_t *problems)
{
	_free_ char *title = tree_title(pod);
	struct responder_identity identity = {.pod = title,
		.node = tree_text(pod, "spec.nodeName"),
		.container = tree_text(container, "name")};
	_json_ json_t *told = NULL;
	struct process process;
	int ends[2];

	if (json_array_size(json_object_get(container, "ports")) == 0 ||
		pipe2(ends, O_CLOEXEC) < 0)
		return;
	process.pid = process_fork_orphan();
	if (process.pid == 0) {
		prctl(PR_SET_NAME, "podwire-pod");
		responder_run(&identity, container, process_detach(ends[1]));
	}
	close(ends[1]);
	process.start = process_start_time(process.pid);
	told = json_loadfd(ends[0], 0, NULL);
	close(ends[0]);
	json_array_append_new(responders, process_save(&process));
	if (told)
		json_array_extend(problems, told);
	else
		json_array_append_new(problems, json_string("the responder did not start"));
}

static void containers_start(const json_t *pod, json_t *responders, json_t *problems)
{
	json_t *container;
	size_t index;

	json_array_foreach(tree_at(pod, "spec.initContainers"), index, container)
	{
		/* A sidecar (KEP-753); the others have ended by now. */
		if (strcmp(tree_text(container, "restartPolicy"), "Always") == 0)
			container_start(pod, container, responders, problems);
	}
	json_array_foreach(tree_at(pod, "spec.containers"), index, container)
	{
		container_start(pod, container, responders, problems);
	}
}

/* Leaves the calling process in the Pod's namespace. */
static int network_add(const struct lab *lab, const json_t *pod, const char *path,
	json_t **ret_addresses, struct err *err)
{
	_free_ char *id = container_id(pod);
	struct cni_call call = {.command = "ADD", .container = id, .netns = path,
		.node = tree_text(pod, "spec.nodeName"), .pod_namespace = tree_namespace(pod),
		.pod_name = tree_name(pod), .pod_uid = tree_uid(pod)};
	_json_ json_t *result = NULL;
	struct err ignored;

	/* Left by a command that was killed. */
	if (access(path, F_OK) == 0 && namespace_remove(path, err) < 0)
		return -err->code;
	if (namespace_make(path, err) < 0)
		return -err->code;
	if (cni_run(lab, &call, &result, err) < 0) {
		namespace_remove(path, &ignored);
		return -err->code;
	}
	*ret_addresses = addresses_of_result(lab, result);
	return 0;
}

/* In a child. */
static json_t *pod_work(void *context, size_t index)
{
	const struct sync *sync = context;
	const json_t *pod = json_array_get(sync->todo, index);
	_free_ char *path = lab_pod_namespace_path(sync->lab, pod);
	_free_ char *cgroup = cgroup_pod_name(tree_namespace(pod), tree_name(pod));
	json_t *addresses = NULL, *responders, *problems;
	struct err err;
	int r;

	if (pod_is_on_host(pod)) {
		r = namespace_enter(path, &err);
		addresses = addresses_of_node(sync->lab, tree_text(pod, "spec.nodeName"), "ip");
	} else {
		r = network_add(sync->lab, pod, path, &addresses, &err);
	}
	if (r < 0)
		return job_error("%s", err.text);
	cgroup_enter(sync->lab, tree_text(pod, "spec.nodeName"), cgroup);
	responders = json_array();
	problems = json_array();
	containers_start(pod, responders, problems);
	return json_pack("{s:o, s:o, s:o}", "podIPs", addresses, "responders", responders,
		"problems", problems);
}

static json_t *condition_new(const char *type, bool is_true, const char *message)
{
	json_t *condition =
		json_pack("{s:s, s:s}", "type", type, "status", is_true ? "True" : "False");

	if (*message)
		json_object_set_new(condition, "message", json_string(message));
	return condition;
}

static json_t *container_statuses(const json_t *pod, bool is_ready)
{
	json_t *statuses = json_array(), *container;
	size_t index;

	json_array_foreach(tree_at(pod, "spec.containers"), index, container)
	{
		json_array_append_new(statuses,
			json_pack("{s:s, s:s, s:b, s:b, s:i, s:{s:{s:O}}}", "name",
				tree_text(container, "name"), "image", tree_text(container, "image"),
				"ready", is_ready, "started", 1, "restartCount", 0, "state",
				"running", "startedAt", tree_at(pod, "metadata.creationTimestamp")));
	}
	return statuses;
}

static char *problems_join(const json_t *problems)
{
	_text_ struct text text = {0};
	json_t *problem;
	size_t index;

	json_array_foreach(problems, index, problem)
	{
		text_printf(&text, "%s%s", index ? "; " : "", json_string_value(problem));
	}
	return text_take(&text);
}

static void status_running(const struct lab *lab, json_t *pod, const json_t *answer)
{
	json_t *addresses = json_object_get(answer, "podIPs");
	json_t *hosts = addresses_of_node(lab, tree_text(pod, "spec.nodeName"), "ip");
	_free_ char *problems = problems_join(json_object_get(answer, "problems"));
	bool is_ready = !problems || !*problems;
	const char *message = is_ready ? "" : problems;
	json_t *status = json_pack("{s:s, s:O, s:o, s:o, s:o, s:o, s:[o, o, o, o]}", "phase", "Running",
		"podIPs", addresses, "hostIPs", hosts, "startTime", time_new(), "containerStatuses",
		container_statuses(pod, is_ready), "qosClass", json_string("BestEffort"),
		"conditions", condition_new("PodReadyToStartContainers", true, ""),
		condition_new("PodScheduled", true, ""),
		condition_new("ContainersReady", is_ready, message),
		condition_new("Ready", is_ready, message));

	if (json_array_size(addresses) > 0)
		json_object_set(status, "podIP",
			json_object_get(json_array_get(addresses, 0), "ip"));
	if (json_array_size(hosts) > 0)
		json_object_set(
			status, "hostIP", json_object_get(json_array_get(hosts, 0), "ip"));
	if (!is_ready)
		json_object_set_new(status, "message", json_string(message));
	json_object_set_new(pod, "status", status);
}

static void pod_failed(struct sync *sync, json_t *pod, const char *error)
{
	_free_ char *title = tree_title(pod);

	json_object_set_new(pod, "status",
		json_pack("{s:s, s:s, s:[o]}", "phase", "Pending", "message", error, "conditions",
			condition_new("PodReadyToStartContainers", false, error)));
	if (sync->failed++ == 0)
		err_set(sync->err, ENETUNREACH, "Pod %s has no network: %s", title, error);
}

static void pod_done(void *context, size_t index, const json_t *answer)
{
	struct sync *sync = context;
	json_t *pod = json_array_get(sync->todo, index);
	const char *error = job_error_text(answer);
	_free_ char *title = tree_title(pod), *id = container_id(pod);
	_free_ char *path = lab_pod_namespace_path(sync->lab, pod);

	sync->done++;
	lab_progress(sync->lab, "%zu of %zu Pods have their network", sync->done,
		json_array_size(sync->todo));
	if (error) {
		pod_failed(sync, pod, error);
		return;
	}
	status_running(sync->lab, pod, answer);
	if (*tree_text(pod, "status.message"))
		lab_say(sync->lab, "pod %s: %s", title, tree_text(pod, "status.message"));
	json_object_set_new(tree_child(sync->lab->runtime, "pods"), tree_uid(pod),
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:O}", "namespace",
			tree_namespace(pod), "name", tree_name(pod), "uid", tree_uid(pod), "node",
			tree_text(pod, "spec.nodeName"), "container", id, "path", path, "onHost",
			pod_is_on_host(pod), "responders", json_object_get(answer, "responders")));
}

int pods_start(struct lab *lab, struct err *err)
{
	_json_ json_t *pods = lab_list(lab, LAB_POD), *todo = json_array();
	struct sync sync = {.lab = lab, .todo = todo, .err = err};
	json_t *runtime = tree_child(lab->runtime, "pods"), *pod;
	size_t index;

	json_array_foreach(pods, index, pod)
	{
		if (!json_object_get(runtime, tree_uid(pod)) &&
			lab_find(lab, LAB_NODE, "", tree_text(pod, "spec.nodeName")))
			json_array_append(todo, pod);
	}
	err->code = 0;
	jobs_run(json_array_size(todo), JOBS_WIDTH, pod_work, pod_done, &sync);
	if (sync.failed > 1)
		return err_wrap(err, "%zu Pods failed; the first", sync.failed);
	return -err->code;
}

/* In a child. The plugin's DEL is asked as long as there is a node to ask on. */
static json_t *pod_stop_work(void *context, size_t index)
{
	const struct sync *sync = context;
	const json_t *entry = json_array_get(sync->todo, index);
	const char *node = tree_text(entry, "node"), *path = tree_text(entry, "path");
	struct cni_call call = {.command = "DEL", .container = tree_text(entry, "container"),
		.netns = path, .node = node, .pod_namespace = tree_text(entry, "namespace"),
		.pod_name = tree_text(entry, "name"), .pod_uid = tree_text(entry, "uid")};
	_free_ char *cgroup = cgroup_pod_name(call.pod_namespace, call.pod_name);
	_json_ json_t *nothing = NULL;
	json_t *responder;
	struct err err;
	size_t i;

	json_array_foreach(json_object_get(entry, "responders"), i, responder)
	{
		struct process process = process_load(responder);

		process_kill(&process);
	}
	if (cgroup_remove(sync->lab, node, cgroup, &err) < 0)
		return job_error("%s", err.text);
	if (json_is_true(json_object_get(entry, "onHost")))
		return json_true();
	if (processes_kill_in(path, &err) < 0 || cni_run(sync->lab, &call, &nothing, &err) < 0 ||
		namespace_remove(path, &err) < 0)
		return job_error("%s", err.text);
	return json_true();
}

static void pod_stop_done(void *context, size_t index, const json_t *answer)
{
	struct sync *sync = context;
	const json_t *entry = json_array_get(sync->todo, index);
	const char *error = job_error_text(answer);

	sync->done++;
	lab_progress(sync->lab, "%zu of %zu Pods are gone", sync->done, json_array_size(sync->todo));
	if (!error)
		json_object_del(
			tree_child(sync->lab->runtime, "pods"), tree_text(entry, "uid"));
	else if (sync->failed++ == 0)
		err_set(sync->err, EIO, "Pod %s/%s does not go: %s", tree_text(entry, "namespace"),
			tree_text(entry, "name"), error);
}

int pods_stop(struct lab *lab, enum pods_which which, struct err *err)
{
	_json_ json_t *todo = json_array();
	struct sync sync = {.lab = lab, .todo = todo, .err = err};
	json_t *entry;
	const char *uid;

	json_object_foreach(tree_child(lab->runtime, "pods"), uid, entry)
	{
		const json_t *pod = lab_find(
			lab, LAB_POD, tree_text(entry, "namespace"), tree_text(entry, "name"));

		if (pod && strcmp(tree_uid(pod), uid) == 0)
			continue;
		if (pod || which == PODS_GONE)
			json_array_append(todo, entry);
	}
	err->code = 0;
	jobs_run(json_array_size(todo), JOBS_WIDTH, pod_stop_work, pod_stop_done, &sync);
	return -err->code;
}

void pods_host_addresses(struct lab *lab)
{
	_json_ json_t *pods = lab_list(lab, LAB_POD);
	json_t *pod;
	size_t index;

	json_array_foreach(pods, index, pod)
	{
		json_t *status = json_object_get(pod, "status");
		json_t *addresses = addresses_of_node(lab, tree_text(pod, "spec.nodeName"), "ip");

		if (json_object_get(status, "hostIPs")) {
			json_object_set(status, "hostIPs", addresses);
			json_object_set(status, "hostIP",
				json_object_get(json_array_get(addresses, 0), "ip"));
		}
		if (json_object_get(status, "podIPs") && pod_is_on_host(pod)) {
			json_object_set(status, "podIPs", addresses);
			json_object_set(status, "podIP",
				json_object_get(json_array_get(addresses, 0), "ip"));
		}
		json_decref(addresses);
	}
}
