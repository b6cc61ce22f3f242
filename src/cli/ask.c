/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the agent: each command is a method, the list in its answer, and its columns. */
#include "base/json.h"
#include "base/mem.h"
#include "base/verdicts.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

struct question {
	const char *command;
	const char *method;
	const char *list; /* member of the answer that holds the rows; NULL: the answer is one object */
	const char *name_key;
	struct output_column columns[10];
	const char *help;
};

static const struct question questions[] = {
	{"status", "io.podwire.Status", NULL, "node", {{0}},
		"Exits 0 where the node is ready and nothing is wrong, else 1."},
	{"pods", "io.podwire.Pods", "pods", "name",
		{{"NAMESPACE", "namespace"}, {"NAME", "name"}, {"ADDRESSES", "addresses"},
			{"LINK", "link"}, {"CONTAINER", "container", true},
			{"INTERFACE", "ifname", true}, {"MAC", "mac", true}},
		"A container that is no Kubernetes pod has no namespace; its name is its id."},
	{"nodes", "io.podwire.Nodes", "nodes", "name",
		{{"NAME", "name"}, {"ADDRESSES", "addresses"}, {"RANGES", "ranges"}, {"ROUTE", "route"},
			{"WHY", "why"}},
		"ROUTE: own, vxlan, direct, or refused (see `podwire status`); where families differ,\n"
		"each range with its own."},
	{"drops", "io.podwire.Drops", "drops", "verdict",
		{{"PACKETS", "packets", false, true}, {"VERDICT", "verdict"}, {"WHERE", "where"},
			{"SOURCE", "source"}, {"TARGET", "target"}, {"PROTOCOL", "protocol"},
			{"PORT", "port", false, true}, {"AGO", "ago"}, {"WHY", "why"}},
		"What was dropped of late; the oldest entries make room for new ones."},
	{"tables", "io.podwire.Tables", "rows", "row", {{"ROW", "row"}},
		"Rows as the kernel holds them, in the form of the golden files."},
	{"diff", "io.podwire.Diff", "rows", "row", {{"", "change"}, {"ROW", "row"}},
		"+ is wanted and missing, - is held and not wanted, ~ differs. Exits 1 if any."},
};

static const struct question *question_find(const char *command)
{
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
		if (strcmp(questions[i].command, command) == 0)
			return &questions[i];
	return NULL;
}

static void status_print_list(json_t *list, const char *title, const char *key)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		printf("%-10s ", i ? "" : title);
		if (json_is_object(item)) {
			output_text(json_string_value(json_object_get(item, key)));
			printf(": ");
			item = json_object_get(item, "text");
		}
		output_text(json_string_value(item));
		putchar('\n');
	}
}

static void status_print_lines(json_t *status)
{
	json_t *value;
	size_t i;

	printf("node       ");
	output_text(json_string_value(json_object_get(status, "node")));
	printf(json_is_true(json_object_get(status, "ready")) ? "  ready\n" : "  NOT READY\n");
	printf("version    %s, layout %s\n", json_string_value(json_object_get(status, "version")),
		json_string_value(json_object_get(status, "layout")));
	printf("runs as    uid %lld, %s\n", json_integer_value(json_object_get(status, "user")),
		json_string_value(json_object_get(status, "capabilities")));
	status_print_list(json_object_get(status, "devices"), "devices", "name");
	json_array_foreach(json_object_get(status, "pools"), i, value)
		printf("%-10s %s: %lld used, %lld resting, %lld free\n", i ? "" : "addresses",
			json_string_value(json_object_get(value, "range")),
			json_integer_value(json_object_get(value, "used")),
			json_integer_value(json_object_get(value, "resting")),
			json_integer_value(json_object_get(value, "free")));
	value = json_object_get(status, "routes");
	printf("routes     %lld ranges of other nodes directly, %lld by VXLAN\n",
		json_integer_value(json_object_get(value, "direct")),
		json_integer_value(json_object_get(value, "vxlan")));
	value = json_object_get(status, "services");
	printf("services   %lld, with %lld rows of frontends and %lld of backends\n",
		json_integer_value(json_object_get(value, "services")),
		json_integer_value(json_object_get(value, "frontends")),
		json_integer_value(json_object_get(value, "backends")));
	if (json_integer_value(json_object_get(status, "repaired")))
		printf("repaired   %lld things that somebody else had changed\n",
			json_integer_value(json_object_get(status, "repaired")));
	status_print_list(json_object_get(status, "problems"), "problems", "object");
	status_print_list(json_object_get(status, "refused"), "refused", "");
	status_print_list(json_object_get(status, "ignored"), "ignored", "");
	status_print_list(json_object_get(status, "errors"), "errors", "");
}

static int status_print(json_t *status, enum output_format format)
{
	bool well = json_is_true(json_object_get(status, "ready")) &&
		    !json_array_size(json_object_get(status, "problems")) &&
		    !json_array_size(json_object_get(status, "refused")) &&
		    !json_array_size(json_object_get(status, "errors"));

	if (format == OUTPUT_JSON)
		output_json(status);
	else if (format == OUTPUT_NAME)
		printf("%s\n", json_string_value(json_object_get(status, "node")));
	else
		status_print_lines(status);
	return well ? 0 : 1;
}

int command_ask(int argc, char **argv)
{
	const struct question *question = question_find(argv[0]);
	_json_ json_t *answer = NULL;
	struct options options;
	struct err err = {0};
	unsigned int columns = 0;
	json_t *rows;
	int r = options_read(argc, argv, NULL, 0, NULL, &options);

	if (r)
		return r;
	if (options.help) {
		options_usage(question->command, NULL, 0, NULL, question->help);
		return 0;
	}
	if (client_call(options.directory, question->method, NULL, &answer, &err) < 0) {
		fprintf(stderr, "podwire: %s\n", err.text);
		return 1;
	}
	if (!question->list)
		return status_print(answer, options.format);
	rows = json_object_get(answer, question->list);
	while (columns < ARRAY_SIZE(question->columns) && question->columns[columns].title)
		columns++;
	if (strcmp(question->command, "diff") == 0 && options.format != OUTPUT_JSON &&
		!json_array_size(rows))
		return 0;
	if (options.format == OUTPUT_JSON) /* the whole answer: some hold more than one list */
		output_json(answer);
	else
		output_rows(rows, question->columns, columns, options.format, question->name_key);
	return strcmp(question->command, "diff") == 0 && json_array_size(rows) ? 1 : 0;
}

int command_verdicts(int argc, char **argv)
{
	static const struct output_column columns[] = {{"NUMBER", "number", false, true},
		{"VERDICT", "name"}, {"KIND", "kind"}, {"WHAT IT MEANS", "sentence"}};
	_json_ json_t *rows = json_array();
	struct options options;
	int r = options_read(argc, argv, NULL, 0, NULL, &options);

	if (r)
		return r;
	if (options.help) {
		options_usage("verdicts", NULL, 0, NULL, "Every way that a packet can end.");
		return 0;
	}
	for (unsigned int number = 0; number < VERDICT_MAX; number++)
		if (verdict_name(number))
			json_array_append_new(rows,
				json_pack("{s:i, s:s, s:s, s:s}", "number", (int)number, "name",
					verdict_name(number), "kind",
					verdict_kind_name(verdict_kind(number)), "sentence",
					verdict_sentence(number)));
	output_rows(rows, columns, ARRAY_SIZE(columns), options.format, "name");
	return 0;
}
