/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/command.h"

#include "base/json.h"
#include "cli/output.h"
#include "lab/check.h"
#include "lab/converge.h"
#include "lab/down.h"
#include "lab/exec.h"
#include "lab/manifest.h"
#include "lab/matrix.h"
#include "lab/options.h"
#include "lab/show.h"
#include "lab/up.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Exit status. exec's are those of shells: 126 cannot be run, 127 not found. */
enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE };

static int families_parse(
	const char *option, const char *text, bool families[FAMILY_MAX], struct err *err)
{
	bool is_dual = strcmp(text, "dual") == 0;

	families[FAMILY_IPV4] = is_dual || strcmp(text, "ipv4") == 0;
	families[FAMILY_IPV6] = is_dual || strcmp(text, "ipv6") == 0;
	if (families[FAMILY_IPV4] || families[FAMILY_IPV6])
		return 0;
	return err_set(err, EINVAL, "--%s \"%s\": use ipv4, ipv6 or dual", option, text);
}

static int settings_parse(
	const struct lab_options *o, struct lab_settings *settings, struct err *err)
{
	const char *family = o->family ? o->family : "dual";
	const char *underlay = o->underlay ? o->underlay : family;

	if (families_parse("family", family, settings->pod_families, err) < 0 ||
		families_parse("underlay", underlay, settings->node_families, err) < 0)
		return -err->code;
	settings->subnets = o->subnets ? o->subnets : 1;
	if (settings->subnets > LAB_SUBNETS_MAX)
		return err_set(err, EINVAL, "--subnets %u: at most %d", o->subnets, LAB_SUBNETS_MAX);
	if (o->nodes > LAB_NODES_MAX)
		return err_set(err, EINVAL, "--nodes %u: at most %d", o->nodes, LAB_NODES_MAX);
	settings->route = settings_route_parse(o->route ? o->route : "auto");
	if (settings->route == SETTINGS_ROUTE_MAX)
		return err_set(err, EINVAL, "--route \"%s\": use auto, direct or vxlan", o->route);
	if (o->profile && strcmp(o->profile, "clean") != 0 && strcmp(o->profile, "hostile") != 0)
		return err_set(err, EINVAL, "--profile \"%s\": use clean or hostile", o->profile);
	settings->hostile = o->profile && strcmp(o->profile, "hostile") == 0;
	if (settings->hostile && settings->route == SETTINGS_ROUTE_DIRECT)
		return err_set(err, EINVAL,
			"--route direct: the switch of a hostile lab drops the addresses of pods; use "
			"auto or vxlan");
	settings->plugin = (char *)o->plugin;
	return 0;
}

static int verb_up(const struct lab_options *o, struct err *err)
{
	struct load_result manifests = {0};
	struct up up = {.name = o->name, .nodes = o->nodes, .quiet = o->quiet,
		.manifests = &manifests};
	int r = settings_parse(o, &up.settings, err);

	if (r == 0)
		r = manifests_read(o->files.list, o->files.count, &manifests, err);
	if (r == 0)
		r = lab_up(&up, err);
	load_result_clear(&manifests);
	return r;
}

/* A change under way is finished, not left half-done: it takes seconds at most. */
static void signals_hold(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

static int verb_change(const struct lab_options *o, bool is_apply, struct err *err)
{
	_lab_ struct lab *lab = NULL;
	struct load_result manifests = {0};
	int r;

	if (o->files.count == 0)
		return err_set(err, EINVAL, "which manifests? name them with -f FILE or -f DIR");
	r = manifests_read(o->files.list, o->files.count, &manifests, err);
	if (r == 0)
		r = lab_open(o->name, LAB_CHANGE, &lab, err);
	if (r == 0) {
		lab->quiet = o->quiet;
		r = is_apply ? manifests_apply(lab, &manifests, err)
			     : manifests_delete(lab, &manifests, err);
	}
	if (r == 0) {
		signals_hold();
		r = lab_converge(lab, err);
	}
	load_result_clear(&manifests);
	return r;
}

static int verb_apply(const struct lab_options *o, struct err *err)
{
	return verb_change(o, true, err);
}

static int verb_delete(const struct lab_options *o, struct err *err)
{
	return verb_change(o, false, err);
}

static int verb_get(const struct lab_options *o, struct err *err)
{
	_lab_ struct lab *lab = NULL;
	struct show show = {.format = o->output,
		.name_space = o->all_namespaces ? NULL
			      : o->name_space	? o->name_space
						: "default"};
	_free_ char *kinds = NULL;

	if (o->argument_count < 1 || o->argument_count > 2)
		return err_set(err, EINVAL, "say what: podwire lab get KIND [NAME], as in `get pods`");
	/* KIND/NAME as kubectl takes it. */
	kinds = mem_string(o->arguments[0]);
	if (strchr(kinds, '/')) {
		show.name = strchr(o->arguments[0], '/') + 1;
		*strchr(kinds, '/') = '\0';
	}
	show.kinds = kinds;
	if (o->argument_count == 2)
		show.name = o->arguments[1];
	if (lab_open(o->name, LAB_READ, &lab, err) < 0)
		return -err->code;
	return lab_show(lab, &show, err);
}

static int verb_exec(const struct lab_options *o, struct err *err)
{
	_lab_ struct lab *lab = NULL;
	_parties_ struct parties parties = {0};

	if (o->argument_count != 1 || !o->command || !o->command[0])
		return err_set(err, EINVAL,
			"podwire lab exec NAMESPACE/POD|NODE|outside -- COMMAND [ARGUMENT]...");
	if (lab_open(o->name, LAB_READ, &lab, err) < 0 ||
		parties_find(lab, o->arguments[0], &parties, err) < 0)
		return -err->code;
	return party_exec(lab, &parties.list[0], o->command, err);
}

static int verb_matrix(const struct lab_options *o, struct err *err)
{
	struct matrix matrix = {.port = o->port, .all = o->all, .format = o->output};
	_lab_ struct lab *lab = NULL;

	if (lab_open(o->name, LAB_READ, &lab, err) < 0)
		return -err->code;
	return lab_matrix(lab, &matrix, err);
}

static int verb_check(const struct lab_options *o, struct err *err)
{
	struct check check = {.wait_seconds = o->wait};
	_lab_ struct lab *lab = NULL;
	size_t failed = 0;

	if (o->argument_count != 1)
		return err_set(err, EINVAL, "podwire lab check FILE");
	check.path = o->arguments[0];
	if (lab_open(o->name, LAB_READ, &lab, err) < 0 || lab_check(lab, &check, &failed, err) < 0)
		return -err->code;
	return failed == 0 ? 0 : err_set(err, EREMOTE, "%zu not as expected", failed);
}

static int verb_down(const struct lab_options *o, struct err *err)
{
	return lab_take_down(o->name, err);
}

static int verb_list(const struct lab_options *o, struct err *err)
{
	static const struct output_column columns[] = {{.title = "NAME", .key = "name"},
		{.title = "NODES", .key = "nodes", .right = true},
		{.title = "PODS", .key = "pods", .right = true},
		{.title = "STATE", .key = "state"}};
	_json_ json_t *rows = json_array();
	struct dirent **entries = NULL;
	int count = scandir(LAB_ROOT, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		_lab_ struct lab *lab = NULL;
		const char *name = entries[i]->d_name;
		_json_ json_t *nodes = NULL, *pods = NULL;

		if (name[0] != '.' && lab_open(name, LAB_READ, &lab, err) == 0) {
			nodes = lab_list(lab, LAB_NODE);
			pods = lab_list(lab, LAB_POD);
		}
		if (name[0] != '.')
			json_array_append_new(rows,
				json_pack("{s:s, s:i, s:i, s:s}", "name", name, "nodes",
					(int)json_array_size(nodes), "pods",
					(int)json_array_size(pods), "state",
					lab ? "up" : "incomplete"));
		free(entries[i]);
	}
	free(entries);
	if (o->output && strcmp(o->output, "json") == 0)
		output_json(rows);
	else
		output_rows(rows, columns, ARRAY_SIZE(columns), OUTPUT_TABLE, "name");
	return 0;
}

static const struct verb {
	const char *name;
	enum lab_verb bit;
	const char *arguments;
	const char *summary;
	int (*run)(const struct lab_options *options, struct err *err);
} verbs[] = {
	{"up", LAB_VERB_UP, "[-n NODES] [-f FILE|DIR]...", "make a lab", verb_up},
	{"apply", LAB_VERB_APPLY, "-f FILE|DIR...", "add or change what the manifests say",
		verb_apply},
	{"delete", LAB_VERB_DELETE, "-f FILE|DIR...", "take away what the manifests name",
		verb_delete},
	{"get", LAB_VERB_GET, "KIND [NAME] [-o FORMAT] [-n NS | -A]", "show objects", verb_get},
	{"exec", LAB_VERB_EXEC, "NAMESPACE/POD|NODE|outside -- CMD...",
		"run one of this machine's programs there", verb_exec},
	{"matrix", LAB_VERB_MATRIX, "[--port P]", "who reaches whom, tried out", verb_matrix},
	{"check", LAB_VERB_CHECK, "FILE", "expectations against real packets; exits 0 or 1",
		verb_check},
	{"down", LAB_VERB_DOWN, "", "take a lab away", verb_down},
	{"list", LAB_VERB_LIST, "", "all labs of this machine", verb_list},
};

static void usage(FILE *out)
{
	fprintf(out, "usage: podwire lab COMMAND [--name NAME] ...\n\n"
		     "A Kubernetes cluster of network namespaces on this machine, from ordinary "
		     "manifests.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-7s %-38s %s\n", verbs[i].name, verbs[i].arguments,
			verbs[i].summary);
	fprintf(out, "\n`podwire lab COMMAND --help` lists the options of each.\n");
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int verb_run(const struct verb *verb, int argc, char **argv)
{
	struct lab_options options;
	struct err err = {0};
	int r;

	if (lab_options_parse(verb->bit, argc, argv, &options, &err) < 0) {
		fprintf(stderr, "podwire lab %s: %s\n", verb->name, err.text);
		return STATUS_USAGE;
	}
	if (options.help) {
		printf("usage: podwire lab %s [--name NAME] %s\n\n%s\n\n", verb->name,
			verb->arguments, verb->summary);
		lab_options_help(verb->bit);
		lab_options_clear(&options);
		return STATUS_OK;
	}
	if (geteuid() != 0)
		r = err_set(&err, EPERM, "a lab needs root: it makes network namespaces");
	else
		r = verb->run(&options, &err);
	lab_options_clear(&options);
	if (r == 0)
		return STATUS_OK;
	fflush(stdout);
	fprintf(stderr, "podwire lab %s: %s\n", verb->name, err.text);
	if (verb->bit == LAB_VERB_EXEC)
		return r == -ENOENT ? 127 : 126;
	return r == -EINVAL ? STATUS_USAGE : STATUS_FAILED;
}

int lab_command(int argc, char **argv)
{
	const struct verb *verb;

	if (argc < 2) {
		usage(stderr);
		return STATUS_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return STATUS_OK;
	}
	verb = verb_find(argv[1]);
	if (!verb) {
		fprintf(stderr, "podwire lab: %s is no command; `podwire lab --help` lists them\n",
			argv[1]);
		return STATUS_USAGE;
	}
	return verb_run(verb, argc - 2, argv + 2);
}
