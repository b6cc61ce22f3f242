/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order matters. As root: arguments, settings, lock, programs, sockets. Then the privileges go,
 * and only then anything else is read: objects, records, requests, the kernel's answers.
 */
#include "agent/agent.h"
#include "agent/bury.h"
#include "agent/control.h"
#include "agent/http.h"
#include "agent/masquerade.h"
#include "agent/node.h"
#include "agent/place.h"
#include "agent/pods.h"
#include "agent/probe.h"
#include "agent/reconcile.h"
#include "agent/repair.h"
#include "agent/show.h"
#include "agent/status.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "linux/bpffs.h"
#include "linux/privilege.h"
#include "linux/probe.h"
#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>

#define AGENT_SETTLE_MS 10 /* a writer of many objects is read once */
#define AGENT_REREAD_MS 1000 /* where the directory has gone, until it is there again */

static const struct control_method agent_methods[] = {
	{"io.podwire.cni.Run", true, pods_run},
	{"io.podwire.Status", false, status_run},
	{"io.podwire.Pods", false, status_pods},
	{"io.podwire.Nodes", false, status_nodes},
	{"io.podwire.Drops", false, status_drops},
	{"io.podwire.Tables", false, status_tables},
	{"io.podwire.Diff", false, status_diff},
	{"io.podwire.Services", false, show_services},
	{"io.podwire.Service", false, show_service},
	{"io.podwire.Flows", false, show_flows},
};

static void agent_listen_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	(void)loop;
	(void)events;
	control_accept(ref->data, ref->fd);
}

static void agent_objects_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	struct agent *agent = ref->data;

	(void)events;
	objects_drain(&agent->objects);
	health_queued(agent);
	/* From the first event on, not the last: who writes all the time must not put it off. */
	if (!agent->settle.place)
		loop_timer_set_in(loop, &agent->settle, AGENT_SETTLE_MS);
}

static const loop_function agent_functions[AGENT_REF_MAX] = {
	[AGENT_REF_LISTEN] = agent_listen_event,
	[AGENT_REF_CONNECTION] = control_event,
	[AGENT_REF_OBJECTS] = agent_objects_event,
	[AGENT_REF_HELPER] = bury_event,
	[AGENT_REF_MONITOR] = repair_event,
	[AGENT_REF_HTTP_LISTEN] = http_listen_event,
	[AGENT_REF_HTTP] = http_connection_event,
};

static void agent_read_objects(struct loop *loop, struct loop_timer *timer)
{
	struct agent *agent = timer->data;
	struct err err = {0};
	int r = objects_read(&agent->objects, &err);

	if (r < 0) {
		if (strcmp(agent->objects_error, err.text) != 0)
			log_error("reading the objects: %s", err.text);
		loop_timer_set_in(loop, timer, AGENT_REREAD_MS);
	}
	snprintf(agent->objects_error, sizeof(agent->objects_error), "%s",
		r < 0 ? err.text : "");
	if (r > 0)
		reconcile(agent);
	else if (r == 0)
		health_applied(agent);
}

static void agent_object_changed(void *context, const struct object *old, const struct object *new)
{
	struct agent *agent = context;

	if (old)
		services_touch(&agent->services, old);
	if (new)
		services_touch(&agent->services, new);
	health_changed(agent, old, new);
	metrics_changed(agent, old, new);
}

static void agent_retry(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	reconcile(timer->data);
}

static void agent_signal(struct loop *loop, int signal)
{
	log_info("signal %d: the agent ends, the packet path stays", signal);
	loop_end(loop, 0);
}

struct agent_options {
	const char *objects, *settings, *directory;
	int ready_fd;
	unsigned int table_entries;
};

static void agent_print_key(const char *line, void *context)
{
	fprintf(context, "%s\n", line);
}

static void agent_usage(FILE *out)
{
	fprintf(out,
		"usage: podwire agent --objects DIR [--settings FILE] [--run-dir DIR]\n\n"
		"Runs this node's daemon. It needs `podwire init` first, starts as root, loads its\n"
		"programs and then drops to a user of its own. When it ends, the packet path stays.\n\n"
		"  --objects DIR    Kubernetes objects in *.yaml and *.json files, watched\n"
		"  --settings FILE  podwire.yaml (default: every setting at its default)\n"
		"  --run-dir DIR    sockets, pins and records (default: /run/podwire)\n"
		"  --ready-fd N     write one byte to descriptor N once pods can be added\n"
		"  --table-entries N  for tests: the size of every hash table that is made anew\n\n"
		"Settings: name, default, unit, taken up live or at a restart, meaning\n");
	settings_print_keys(agent_print_key, out);
}

/* -1: go on; else the exit code. */
static int agent_options_read(int argc, char **argv, struct agent_options *options)
{
	static const struct option long_options[] = {{"objects", required_argument, NULL, 'o'},
		{"settings", required_argument, NULL, 's'}, {"run-dir", required_argument, NULL, 'r'},
		{"ready-fd", required_argument, NULL, 'f'},
		{"table-entries", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {0}};
	int option;

	*options = (struct agent_options){.ready_fd = -1};
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'o':
			options->objects = optarg;
			break;
		case 's':
			options->settings = optarg;
			break;
		case 'r':
			options->directory = optarg;
			break;
		case 'f':
			options->ready_fd = (int)strtol(optarg, NULL, 10);
			break;
		case 't':
			options->table_entries = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'h':
			agent_usage(stdout);
			return 0;
		default:
			return 2;
		}
	}
	options->directory = command_run_directory(options->directory);
	if (optind == argc)
		return -1;
	fprintf(stderr, "podwire: %s takes no argument %s\n", argv[0], argv[optind]);
	return 2;
}

/* With the privileges that the agent starts with. */
static int agent_open_as_root(
	struct agent *agent, const struct agent_options *options, struct err *err)
{
	struct programs_options programs = {.directory = agent->bpf_directory,
		.flow_entries = agent->settings.flow_entries,
		.table_entries = options->table_entries};
	bool mounted = false;
	int r = probe_kernel(err);

	if (r == 0)
		r = privilege_check(privilege_start, err);
	if (r < 0)
		return r;
	if (bpffs_is_mounted(agent->bpf_directory, &mounted, NULL) < 0 || !mounted)
		return err_set(err, ENOENT, "%s is not prepared; run `podwire init` first",
			options->directory);
	r = bpffs_check(agent->bpf_directory, agent->settings.user, err);
	if (r < 0)
		return r;
	r = place_lock(options->directory, &agent->lock, err);
	if (r < 0)
		return r;
	/* What is pinned must be the agent's own when it is its own user. */
	setfsuid(agent->settings.user);
	setfsgid(agent->settings.user);
	r = programs_load(&programs, &agent->programs, err);
	if (r == 0)
		r = tables_open(programs_table_directory(agent->bpf_directory), &agent->tables, err);
	setfsuid(getuid());
	setfsgid(getgid());
	leftovers_watch_open(&agent->leftovers);
	return r;
}

static int agent_open_sockets(
	struct agent *agent, const struct agent_options *options, struct err *err)
{
	struct control_options control = {.directory = options->directory,
		.methods = agent_methods,
		.method_count = ARRAY_SIZE(agent_methods),
		.context = agent,
		.user = agent->settings.user,
		.listen_ref = AGENT_REF_LISTEN,
		.connection_ref = AGENT_REF_CONNECTION};
	struct http_options http = {
		.listen_ref = AGENT_REF_HTTP_LISTEN, .connection_ref = AGENT_REF_HTTP};
	int r = loop_open(&agent->loop, agent_functions, AGENT_REF_MAX, agent, err);

	if (r == 0)
		r = http_open(agent->loop, &http, &agent->http, err);
	return r < 0 ? r : control_open(agent->loop, &control, &agent->control, err);
}

/* As its own user. */
static int agent_open_as_user(
	struct agent *agent, const struct agent_options *options, struct err *err)
{
	int r = netlink_open(&agent->netlink, err);

	if (r == 0)
		r = objects_open(&agent->objects, options->objects, err);
	agent->objects.changed = agent_object_changed;
	agent->objects.context = agent;
	if (r == 0)
		r = probe_start(agent, err);
	if (r == 0)
		r = loop_add(agent->loop, AGENT_REF_OBJECTS, agent->objects.inotify, agent, EPOLLIN,
			err);
	if (r == 0)
		r = attachments_read(agent->attachments_directory, &agent->attachments, err);
	health_queued(agent);
	if (r == 0)
		r = objects_read(&agent->objects, err);
	return r < 0 ? r : 0;
}

static int agent_run(struct agent *agent, struct err *err)
{
	sigset_t signals;
	int r = masquerade_write(agent, err);

	if (r < 0)
		return err_wrap(err, "masquerading");
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	r = loop_signals(agent->loop, &signals, agent_signal, err);
	if (r < 0)
		return r;
	bury_start(agent);
	pods_compare_links(agent, NULL, NULL);
	bury_leftovers(agent);
	reconcile(agent);
	r = repair_start(agent, err);
	if (r == 0)
		r = loop_run(agent->loop, err);
	bury_finish(agent);
	return r;
}

static void agent_close(struct agent *agent)
{
	control_close(&agent->control);
	health_clear(agent);
	http_close(&agent->http);
	metrics_clear(agent);
	repair_stop(agent);
	probe_stop(agent);
	objects_close(&agent->objects);
	attachments_clear(&agent->attachments);
	problems_clear(&agent->problems);
	services_clear(&agent->services);
	mem_free_pointer(&agent->services_refused);
	text_clear(&agent->nft_table);
	for (unsigned int i = 0; i < AGENT_FAMILIES; i++)
		pool_clear(&agent->pool[i]);
	node_forget_facts(agent);
	leftovers_watch_close(&agent->leftovers);
	tables_close(&agent->tables);
	programs_free(&agent->programs);
	netlink_close(&agent->netlink);
	loop_close(&agent->loop);
	mem_close(&agent->lock);
}

static void agent_init(struct agent *agent, const struct agent_options *options)
{
	*agent = (struct agent){
		.objects.inotify = -1, .helper = HELPER_NONE, .lock = -1, .monitor = -1,
		.question_table = -1, .ready_fd = options->ready_fd, .leftovers.names = {-1, -1}};
	agent->tables.count = agent->tables.drop = agent->tables.flow = -1;
	for (int i = 0; i < TABLE_MAX; i++)
		agent->tables.fd[i] = -1;
	agent->started_ns = clock_monotonic_ns();
	metrics_start(agent);
	agent->retry = (struct loop_timer){.function = agent_retry, .data = agent};
	agent->settle = (struct loop_timer){.function = agent_read_objects, .data = agent};
	snprintf(agent->attachments_directory, sizeof(agent->attachments_directory),
		"%s/attachments", options->directory);
	snprintf(agent->bpf_directory, sizeof(agent->bpf_directory), "%s/bpf", options->directory);
}

int command_agent(int argc, char **argv)
{
	_cleanup_(agent_close) struct agent agent;
	struct agent_options options;
	struct err err = {0};
	int r = agent_options_read(argc, argv, &options);

	agent_init(&agent, &options);
	if (r >= 0)
		return r;
	if (!options.objects) {
		fprintf(stderr, "podwire: agent needs --objects DIR\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* whoever reads the log or waits for --ready-fd may go */
	r = place_read_settings(options.settings, &agent.settings, &err);
	if (r == 0) {
		log_set_level(agent.settings.log_level);
		r = agent_open_as_root(&agent, &options, &err);
	}
	if (r == 0)
		r = agent_open_sockets(&agent, &options, &err);
	if (r == 0)
		r = privilege_drop(agent.settings.user, agent.settings.user, &err);
	if (r == 0)
		r = agent_open_as_user(&agent, &options, &err);
	if (r == 0)
		r = agent_run(&agent, &err);
	if (r < 0)
		log_error("%s", err.text);
	return r < 0 ? 1 : r;
}
