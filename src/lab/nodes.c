/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/nodes.h"

#include "base/json.h"
#include "base/text.h"
#include "lab/cgroups.h"
#include "lab/down.h"
#include "lab/exec.h"
#include "lab/fabric.h"
#include "lab/hostile.h"
#include "lab/jobs.h"
#include "lab/plan.h"
#include "lab/processes.h"
#include "linux/address.h"
#include "net/prefix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define READY_SECONDS 20
#define LOG_TAIL 600
#define SELF "/proc/self/exe"
#define LOOPBACK 1

#define _netlink_ _cleanup_(netlink_close)

static json_t *node_runtime(const struct lab *lab, const char *node)
{
	return tree_child(tree_child(lab->runtime, "nodes"), node);
}

/* The cluster's ranges, and those of Nodes with ranges of their own choice. */
static void pod_ranges_write(const struct lab *lab, struct text *settings)
{
	_json_ json_t *nodes = lab_list(lab, LAB_NODE);
	json_t *node, *range;
	size_t i, j;

	text_append(settings, "podCIDRs:\n");
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		if (lab->settings.pod_families[f])
			text_printf(settings, "- %s\n", plan_pod_range(f));
	json_array_foreach(nodes, i, node)
	{
		json_array_foreach(tree_at(node, "spec.podCIDRs"), j, range)
		{
			const char *text = json_string_value(range);
			struct prefix own, all;

			if (prefix_parse(text, &own, NULL) == 0 &&
				prefix_parse(plan_pod_range(text_family(text)), &all, NULL) == 0 &&
				!prefix_contains(&all, &own.addr))
				text_printf(settings, "- %s\n", text);
		}
	}
}

static int settings_write(const struct lab *lab, const char *node, struct err *err)
{
	_free_ char *directory = lab_node_directory(lab, node);
	_free_ char *path = mem_format("%s/podwire.yaml", directory);
	_free_ char *cgroup = cgroup_path(lab, node);
	_text_ struct text settings = {0};

	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return err_system(err, errno, "%s", directory);
	text_printf(&settings, "node: %s\nroute: %s\n", node, settings_route_name(lab->settings.route));
	pod_ranges_write(lab, &settings);
	text_append(&settings, "serviceCIDRs:\n");
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		if (lab->settings.pod_families[f])
			text_printf(&settings, "- %s\n", plan_service_range(f));
	text_printf(&settings, "cgroup: %s\n", cgroup);
	return file_write(path, text_string(&settings), 0644, err);
}

/* The cluster's DNS addresses belong to every node, for itself. In the node's namespace. */
static int resolver_addresses_add(const struct lab *lab, struct err *err)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	_netlink_ struct netlink *netlink = NULL;

	if (netlink_open(&netlink, err) < 0)
		return -err->code;
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
		_free_ char *text = plan_service_address(f, PLAN_SERVICE_DNS);
		struct address address = {
			.ifindex = LOOPBACK, .length = 128, .flags = ADDRESS_NO_DAD};

		if (lab->settings.pod_families[f] && addr_parse(text, &address.addr) == 0)
			address_add(&batch, &address);
	}
	return netlink_commit(netlink, &batch, err);
}

static char *log_tail(const char *directory)
{
	_free_ char *path = mem_format("%s/agent.log", directory), *log = file_read(path);
	size_t length = log ? strlen(log) : 0;

	while (length > 0 && log[length - 1] == '\n')
		log[--length] = '\0';
	return mem_string(!log ? "" : length > LOG_TAIL ? log + length - LOG_TAIL : log);
}

/* Standard output and error go to the node's log. */
static void log_attach(const char *directory)
{
	_free_ char *path = mem_format("%s/agent.log", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (fd < 0)
		return;
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static int init_run(const char *directory, struct err *err)
{
	_free_ char *settings = mem_format("%s/podwire.yaml", directory);
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		log_attach(directory);
		execl(SELF, "podwire", "init", "--settings", settings, "--run-dir", directory, NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		_free_ char *tail = log_tail(directory);

		return err_set(err, EIO, "`podwire init` failed: %s", tail);
	}
	return 0;
}

static _Noreturn void agent_run(const struct lab *lab, const char *directory, int ready)
{
	_free_ char *settings = mem_format("%s/podwire.yaml", directory);
	_free_ char *objects = lab_path(lab, "objects"), *number = NULL;

	number = mem_format("%d", process_detach(ready));
	log_attach(directory);
	execl(SELF, "podwire", "agent", "--settings", settings, "--objects", objects, "--run-dir",
		directory, "--ready-fd", number, NULL);
	_exit(127);
}

/* Waits for the agent's byte: it serves. */
static int ready_wait(int fd, const char *directory, struct err *err)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	_free_ char *tail = NULL;
	char byte;

	if (poll(&wait, 1, READY_SECONDS * 1000) == 1 && read(fd, &byte, 1) == 1)
		return 0;
	tail = log_tail(directory);
	return err_set(err, EIO, "the agent %s; %s/agent.log ends: %s",
		wait.revents ? "ended" : "is not ready in time", directory, tail);
}

/* An agent answers for itself, whoever started it: a second one would refuse to run beside it. */
static bool agent_lives(const char *directory)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/agent.sock", directory);

	return length < (int)sizeof(address.sun_path) && fd >= 0 &&
	       connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static int agent_start(const struct lab *lab, const char *directory, struct err *err)
{
	_close_ int ready = -1, answer = -1;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_system(err, errno, "pipe");
	answer = ends[0];
	ready = ends[1];
	pid = process_fork_orphan();
	if (pid == 0)
		agent_run(lab, directory, ready);
	if (pid < 0)
		return err_system(err, -pid, "start the agent");
	mem_close(&ready);
	return ready_wait(answer, directory, err);
}

struct sync {
	struct lab *lab;
	const json_t *nodes;
	size_t done;
	struct err *err;
};

/* In a child. */
static int node_bring_up(const struct lab *lab, const json_t *node, struct err *err)
{
	_free_ char *directory = lab_node_directory(lab, tree_name(node));
	const char *addresses[FAMILY_MAX] = {
		[FAMILY_IPV4] = node_address(node, FAMILY_IPV4),
		[FAMILY_IPV6] = node_address(node, FAMILY_IPV6),
	};

	cgroup_enter(lab, tree_name(node), NULL);
	if (fabric_join(lab, tree_name(node), node_subnet(&lab->settings, node), addresses, err) < 0)
		return -err->code;
	if (agent_lives(directory))
		return 0;
	if (lab->settings.hostile && hostile_firewall_make(err) < 0)
		return -err->code;
	if (resolver_addresses_add(lab, err) < 0 || settings_write(lab, tree_name(node), err) < 0 ||
		init_run(directory, err) < 0)
		return -err->code;
	if (agent_start(lab, directory, err) < 0)
		return -err->code;
	return lab->settings.hostile ? hostile_meddler_start(directory, err) : 0;
}

static json_t *node_work(void *context, size_t index)
{
	const struct sync *sync = context;
	const json_t *node = json_array_get(sync->nodes, index);
	struct err err;

	if (node_bring_up(sync->lab, node, &err) < 0)
		return job_error("node %s: %s", tree_name(node), err.text);
	return json_true();
}

/* What a node's wiring depends on. A new reference. */
static json_t *wiring(const json_t *node)
{
	return json_pack("[s, s]", node_address(node, FAMILY_IPV4), node_address(node, FAMILY_IPV6));
}

static void node_done(void *context, size_t index, const json_t *answer)
{
	struct sync *sync = context;
	const json_t *node = json_array_get(sync->nodes, index);
	const char *error = job_error_text(answer);
	json_t *runtime = node_runtime(sync->lab, tree_name(node));

	sync->done++;
	lab_progress(sync->lab, "%zu of %zu nodes are ready", sync->done,
		json_array_size(sync->nodes));
	if (error) {
		err_set(sync->err, EIO, "%s", error);
		return;
	}
	json_object_set_new(runtime, "wired", wiring(node));
}

int nodes_sync(struct lab *lab, struct err *err)
{
	_json_ json_t *nodes = lab_list(lab, LAB_NODE), *todo = json_array();
	struct sync sync = {.lab = lab, .nodes = todo, .err = err};
	json_t *node;
	size_t index;

	json_array_foreach(nodes, index, node)
	{
		json_t *runtime = node_runtime(lab, tree_name(node));
		_free_ char *directory = lab_node_directory(lab, tree_name(node));
		_json_ json_t *wanted = wiring(node);

		if (!agent_lives(directory) ||
			!json_equal(json_object_get(runtime, "wired"), wanted))
			json_array_append(todo, node);
	}
	err->code = 0;
	jobs_run(json_array_size(todo), JOBS_WIDTH, node_work, node_done, &sync);
	return -err->code;
}

/* In a child. */
static json_t *node_take_down(void *context, size_t index)
{
	const struct sync *sync = context;
	const char *name = json_string_value(json_array_get(sync->nodes, index));
	_free_ char *path = lab_namespace_path(sync->lab, name);
	_free_ char *directory = lab_node_directory(sync->lab, name);
	struct err err;

	if (processes_kill_in(path, &err) < 0 || fabric_leave(sync->lab, name, &err) < 0 ||
		cgroup_remove(sync->lab, name, NULL, &err) < 0 ||
		namespace_remove(path, &err) < 0 || directory_clear(directory, &err) < 0)
		return job_error("node %s: %s", name, err.text);
	return json_true();
}

static void node_taken_down(void *context, size_t index, const json_t *answer)
{
	struct sync *sync = context;
	const char *error = job_error_text(answer);

	if (error)
		err_set(sync->err, EIO, "%s", error);
	else
		json_object_del(tree_child(sync->lab->runtime, "nodes"),
			json_string_value(json_array_get(sync->nodes, index)));
}

int nodes_prune(struct lab *lab, struct err *err)
{
	_json_ json_t *gone = json_array();
	struct sync sync = {.lab = lab, .nodes = gone, .err = err};
	json_t *runtime;
	const char *name;

	json_object_foreach(tree_child(lab->runtime, "nodes"), name, runtime)
	{
		if (!lab_find(lab, LAB_NODE, "", name))
			json_array_append_new(gone, json_string(name));
	}
	err->code = 0;
	jobs_run(json_array_size(gone), JOBS_WIDTH, node_take_down, node_taken_down, &sync);
	return -err->code;
}
