/* SPDX-License-Identifier: Apache-2.0 */
/* `podwire migrate`, and what `podwire status` says of the same. */
#include "agent/leftovers.h"

#include "base/json.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"
#include "linux/conntrack.h"
#include "linux/leftovers.h"
#include "linux/programs.h"
#include "linux/tables.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>

void leftovers_tell(struct agent *agent)
{
	struct err err;

	if (leftovers_look(&agent->leftovers, &err) < 0)
		problems_add(&agent->problems, "kube-proxy", false, "%s", err.text);
	else if (*agent->leftovers.found)
		problems_add(&agent->problems, "kube-proxy", false,
			"%s is there, and answers for Services beside podwire: `podwire migrate` shows "
			"what kube-proxy has left, and removes it",
			agent->leftovers.found);
}

struct migrate_options {
	const char *directory;
	enum output_format format;
	bool remove;
};

static const char migrate_usage[] =
	"usage: podwire migrate [--remove] [-o table|json|name] [--run-dir DIR]\n\n"
	"Shows what kube-proxy has left on this node, in each of its modes. Changes nothing without\n"
	"--remove, and nothing that kube-proxy has not made; while kube-proxy runs, nothing at all.\n"
	"Connections go on while podwire's agent runs. Needs root. Exits 0, or 1 where something is\n"
	"left that was to be removed.\n\n"
	"      --remove         remove what is shown\n"
	"  -o, --output FORMAT  how to print (default: table)\n"
	"      --run-dir DIR    the agent's run directory (default: /run/podwire,\n"
	"                       or the environment's PODWIRE_RUN_DIR)\n";

/* -1: go on; else the exit code. */
static int migrate_options_read(int argc, char **argv, struct migrate_options *options)
{
	static const struct option long_options[] = {{"remove", no_argument, NULL, 'x'},
		{"output", required_argument, NULL, 'o'}, {"run-dir", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'}, {0}};
	int option;

	*options = (struct migrate_options){.format = OUTPUT_TABLE};
	while ((option = getopt_long(argc, argv, "o:h", long_options, NULL)) != -1) {
		switch (option) {
		case 'x':
			options->remove = true;
			break;
		case 'o':
			options->format = output_format_parse(optarg);
			break;
		case 'r':
			options->directory = optarg;
			break;
		case 'h':
			fputs(migrate_usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (options->format == OUTPUT_MAX || optind < argc) {
		fputs(migrate_usage, stderr);
		return 2;
	}
	options->directory = command_run_directory(options->directory);
	return -1;
}

/* --- flows of Services --- */

struct migrate_flows {
	struct conntrack_flow *flow;
	size_t count;
};

static void migrate_flows_clear(struct migrate_flows *flows)
{
	mem_free_pointer(&flows->flow);
}

static bool flow_is_of_service(const struct tables *tables, const struct conntrack_flow *flow)
{
	struct service_key key = {.addr = flow->target,
		.port = flow->port,
		.protocol = IPPROTO_UDP,
		.scope = SERVICE_VIRTUAL};
	struct service_row row;

	if (tables_get(tables, TABLE_SERVICE, &key, &row) == 0)
		return true;
	key.scope = SERVICE_OWN_NODE;
	key.addr = (struct addr){0};
	if (addr_is_v4(&flow->target))
		addr_set_v4(&key.addr, 0);
	return tables_get(tables, TABLE_SERVICE, &key, &row) == 0;
}

static int migrate_choose_flows(
	const struct tables *tables, struct migrate_flows *ret_flows, struct err *err)
{
	size_t count = 0;
	int r = conntrack_read(&ret_flows->flow, &ret_flows->count, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ret_flows->count; i++)
		if (flow_is_of_service(tables, &ret_flows->flow[i]))
			ret_flows->flow[count++] = ret_flows->flow[i];
	ret_flows->count = count;
	return 0;
}

/* Which targets are Services' the agent's tables tell. */
static int migrate_find_flows(
	const char *directory, struct migrate_flows *ret_flows, struct err *err)
{
	_free_ char *bpf = mem_format("%s/bpf", directory);
	struct tables tables;
	int r = tables_open(programs_table_directory(bpf), &tables, err);

	if (r < 0)
		return r;
	r = migrate_choose_flows(&tables, ret_flows, err);
	tables_close(&tables);
	return r;
}

/* After the rules, which would lead the next datagram the same way. */
static void migrate_remove_flows(struct leftover *leftover, const struct migrate_flows *flows)
{
	leftover->state = LEFTOVER_REMOVED;
	for (size_t i = 0; i < flows->count; i++)
		if (conntrack_delete(&flows->flow[i], &leftover->why) < 0)
			leftover->state = LEFTOVER_FAILED;
}

/* --- showing --- */

static json_t *leftover_tree(const struct leftover *leftover)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:i, s:s, s:s}", "kind",
		leftover_kind_name(leftover->kind), "name", leftover->name, "count",
		(int)leftover->count, "unit", leftover_unit(leftover->kind), "rules",
		(int)leftover->rules, "state", leftover_state_name(leftover->state), "why",
		leftover->why.text);
}

static void migrate_show(const struct leftovers *leftovers, enum output_format format)
{
	static const struct output_column columns[] = {{"KIND", "kind"}, {"NAME", "name"},
		{"COUNT", "count", false, true}, {"OF", "unit"}, {"RULES", "rules", false, true},
		{"STATE", "state"}, {"WHY", "why"}};
	_json_ json_t *rows = json_array(), *tree = json_object();

	for (size_t i = 0; i < leftovers->count; i++)
		json_array_append_new(rows, leftover_tree(&leftovers->item[i]));
	json_object_set(tree, "leftovers", rows);
	if (format == OUTPUT_JSON)
		output_json(tree);
	else if (leftovers->count || format == OUTPUT_NAME)
		output_rows(rows, columns, ARRAY_SIZE(columns), format, "name");
	else
		puts("Nothing of kube-proxy is here.");
}

static int migrate_run(const struct migrate_options *options, struct err *err)
{
	_cleanup_(migrate_flows_clear) struct migrate_flows flows = {0};
	_leftovers_ struct leftovers leftovers = {0};
	struct err why = {0};
	bool failed = false, refused;
	int r = leftovers_find(&leftovers, err);

	if (r < 0)
		return r;
	refused = leftovers.count && leftovers.item[0].kind == LEFTOVER_PROCESS;
	if (migrate_find_flows(options->directory, &flows, &why) < 0)
		fprintf(stderr, "podwire: UDP flows of Services are not looked at: %s\n", why.text);
	if (options->remove)
		leftovers_remove(&leftovers);
	if (flows.count) {
		struct leftover *leftover = leftovers_add(
			&leftovers, LEFTOVER_FLOW, (unsigned int)flows.count, "udp");

		if (options->remove && !refused)
			migrate_remove_flows(leftover, &flows);
	}
	for (size_t i = 0; i < leftovers.count; i++)
		failed = failed || leftovers.item[i].state == LEFTOVER_FAILED;
	migrate_show(&leftovers, options->format);
	return failed;
}

int command_migrate(int argc, char **argv)
{
	struct migrate_options options;
	struct err err = {0};
	int r = migrate_options_read(argc, argv, &options);

	if (r >= 0)
		return r;
	r = migrate_run(&options, &err);
	if (r < 0)
		fprintf(stderr, "podwire: %s%s\n", err.text,
			err.code == EPERM ? "; it takes root" : "");
	return r ? 1 : 0;
}
