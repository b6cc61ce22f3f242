/* SPDX-License-Identifier: Apache-2.0 */
/* `podwire services`, all of them in lines, and `podwire service`, one with all that is known. */
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

static const char *string_of(const json_t *tree, const char *key)
{
	const char *text = json_string_value(json_object_get(tree, key));

	return text ? text : "";
}

static json_int_t number_of(const json_t *tree, const char *key)
{
	return json_integer_value(json_object_get(tree, key));
}

static bool is_true(const json_t *tree, const char *key)
{
	return json_is_true(json_object_get(tree, key));
}

/* "http/TCP"; a port without a name has its number. */
static json_t *port_text(const json_t *row)
{
	const char *name = string_of(row, "port");

	return *name ? json_sprintf("%s/%s", name, string_of(row, "protocol"))
		     : json_sprintf("%lld/%s", (long long)number_of(row, "number"),
			       string_of(row, "protocol"));
}

/* `behind` is put behind it. */
static json_t *place_text(const json_t *place, const char *port, const char *behind)
{
	_free_ char *text = output_place(string_of(place, "address"), number_of(place, port));

	return json_sprintf("%s%s", text, behind);
}

static json_t *affinity_text(json_int_t seconds)
{
	return seconds ? json_sprintf("%llds", (long long)seconds) : json_string("");
}

/* --- all --- */

/* One that somebody else holds has a "!" behind it. */
static json_t *frontends_text(const json_t *frontends)
{
	json_t *list = json_array(), *frontend;
	size_t i;

	json_array_foreach((json_t *)frontends, i, frontend)
		json_array_append_new(
			list, place_text(frontend, "port", is_true(frontend, "held") ? "" : "!"));
	return list;
}

static json_t *policy_text(const json_t *row)
{
	const char *internal = string_of(row, "internalPolicy");
	const char *external = string_of(row, "externalPolicy");

	return strcmp(internal, external) == 0 ? json_string(internal)
					       : json_sprintf("%s/%s", internal, external);
}

/* A line of the table, of a port in one family. */
static json_t *line_of(const json_t *row)
{
	bool is_pod = strcmp(string_of(row, "kind"), "Pod") == 0;
	json_t *line = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "namespace",
		string_of(row, "namespace"), "name",
		json_sprintf("%s%s", is_pod ? "pod/" : "", string_of(row, "name")), "port",
		port_text(row), "frontends", frontends_text(json_object_get(row, "frontends")),
		"policy", policy_text(row), "affinity",
		affinity_text(number_of(row, "affinitySeconds")));
	static const char *const same[] = {
		"family", "ready", "terminating", "here", "used", "connections",
		"packets"};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		json_object_set(line, same[i], json_object_get(row, same[i]));
	return line;
}

/* The answer comes in pieces, so that the agent has other things to do in between. */
static int services_fetch(
	const struct options *options, const char *namespace, json_t *list, struct err *err)
{
	_json_ json_t *parameters = json_object();
	bool more = true;

	if (namespace)
		json_object_set_new(parameters, "namespace", json_string(namespace));
	while (more) {
		_json_ json_t *answer = NULL;
		int r = client_call(
			options->directory, "io.podwire.Services", parameters, &answer, err);

		if (r < 0)
			return r;
		json_array_extend(list, json_object_get(answer, "services"));
		more = json_is_string(json_object_get(answer, "after"));
		if (more)
			json_object_set(parameters, "after", json_object_get(answer, "after"));
	}
	return 0;
}

/* Each Service once. */
static void services_print_names(json_t *list)
{
	_free_ char *last = mem_string("");
	json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
	{
		char *name = mem_format("%s %s/%s", string_of(row, "kind"),
			string_of(row, "namespace"), string_of(row, "name"));

		if (strcmp(name, last) != 0) {
			output_text(strchr(name, ' ') + 1);
			putchar('\n');
		}
		free(last);
		last = name;
	}
}

static void services_print(json_t *list, enum output_format format)
{
	static const struct output_column columns[] = {{"NAMESPACE", "namespace"},
		{"NAME", "name"}, {"PORT", "port"}, {"FAMILY", "family", true},
		{"FRONTENDS", "frontends"}, {"POLICY", "policy"}, {"AFFINITY", "affinity"},
		{"READY", "ready", false, true}, {"TERMINATING", "terminating", false, true},
		{"HERE", "here", false, true}, {"USED", "used", true, true},
		{"CONNECTIONS", "connections", false, true},
		{"PACKETS", "packets", false, true}};
	_json_ json_t *lines = json_array();
	json_t *row;
	size_t i;

	json_array_foreach(list, i, row) json_array_append_new(lines, line_of(row));
	output_rows(lines, columns, ARRAY_SIZE(columns), format, "name");
}

int command_services(int argc, char **argv)
{
	static const struct option_own own[] = {
		{"namespace", 'n', "NAMESPACE", "only those of this namespace"}};
	_json_ json_t *list = json_array(), *answer = NULL;
	struct options options;
	struct err err = {0};
	int r = options_read(argc, argv, own, ARRAY_SIZE(own), NULL, &options);

	if (r)
		return r;
	if (options.help) {
		options_usage("services", own, ARRAY_SIZE(own), NULL,
			"Services as this node sees them, a line for each port in each family, and host\n"
			"ports of its pods. READY, TERMINATING: endpoints in the whole cluster; HERE: on\n"
			"this node; CONNECTIONS: led to an endpoint by this node. POLICY: internal/external\n"
			"where they differ. A frontend with a ! is held by another one.");
		return 0;
	}
	if (services_fetch(&options, options.own[0], list, &err) < 0) {
		fprintf(stderr, "podwire: %s\n", err.text);
		return 1;
	}
	if (options.format == OUTPUT_JSON) {
		answer = json_pack("{s:O}", "services", list);
		output_json(answer);
	} else if (options.format == OUTPUT_NAME) {
		services_print_names(list);
	} else {
		services_print(list, options.format);
	}
	return 0;
}

/* --- one --- */

static void print_field(const char *title, const char *text)
{
	if (!*text)
		return;
	printf("%-12s ", title);
	output_text(text);
	putchar('\n');
}

static void print_list(const char *title, const json_t *list)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item)
		print_field(i ? "" : title, json_string_value(item));
}

static void print_fields(const json_t *answer)
{
	const json_t *service = json_object_get(answer, "service");
	_free_ char *title = mem_format("%s/%s, %s", string_of(service, "namespace"),
		string_of(service, "name"), string_of(service, "type"));
	_free_ char *policies = mem_format("inside %s, outside %s",
		string_of(service, "internalPolicy"), string_of(service, "externalPolicy"));
	json_int_t affinity = number_of(service, "affinitySeconds");
	_free_ char *seconds =
		affinity ? mem_format("by client, %lld s", (long long)affinity) : mem_string("");

	print_field("Service", title);
	print_field("not served", string_of(service, "notServed"));
	print_list("addresses", json_object_get(service, "clusterIPs"));
	print_field("policy", policies);
	print_field("affinity", seconds);
	print_list("sources", json_object_get(service, "sourceRanges"));
	print_list("problems", json_object_get(answer, "problems"));
	print_list("refused", json_object_get(answer, "refused"));
}

static json_t *held_text(const json_t *frontend)
{
	const char *rule = string_of(frontend, "rule"), *holder = string_of(frontend, "holder");

	if (is_true(frontend, "held"))
		return json_string("yes");
	if (strcmp(rule, "age") == 0)
		return json_sprintf("no: %s is older", holder);
	if (strcmp(rule, "name") == 0)
		return json_sprintf("no: %s is first by name", holder);
	return json_sprintf("no: %s has a claim that goes before", holder);
}

static void print_frontends(const json_t *ports)
{
	static const struct output_column columns[] = {{"PORT", "port"}, {"KIND", "kind"},
		{"FRONTEND", "frontend"}, {"HELD", "held"}, {"READY", "ready", false, true},
		{"TERMINATING", "terminating", false, true}, {"HERE", "here", false, true},
		{"USED", "used", false, true}, {"CONNECTIONS", "connections", false, true},
		{"PACKETS", "packets", false, true}};
	static const char *const same[] = {
		"ready", "terminating", "here", "used", "connections", "packets"};
	_json_ json_t *lines = json_array();
	json_t *port, *frontend;
	size_t i, j;

	json_array_foreach((json_t *)ports, i, port)
		json_array_foreach(json_object_get(port, "frontends"), j, frontend)
		{
			json_t *line = json_pack("{s:o, s:s, s:o, s:o}", "port", port_text(port),
				"kind", string_of(frontend, "kind"), "frontend",
				place_text(frontend, "port", ""),
				"held", held_text(frontend));

			for (size_t k = 0; k < ARRAY_SIZE(same); k++)
				json_object_set(line, same[k], json_object_get(port, same[k]));
			json_array_append_new(lines, line);
		}
	if (!json_array_size(lines))
		return;
	putchar('\n');
	output_rows(lines, columns, ARRAY_SIZE(columns), OUTPUT_TABLE, NULL);
}

static json_t *conditions_text(const json_t *endpoint)
{
	json_t *list = json_array();

	if (is_true(endpoint, "ready"))
		json_array_append_new(list, json_string("ready"));
	else if (is_true(endpoint, "serving"))
		json_array_append_new(list, json_string("serving"));
	if (is_true(endpoint, "terminating"))
		json_array_append_new(list, json_string("terminating"));
	return list;
}

/* In each list that some policy of the Service asks for, in one of them, or in none. */
static const char *used_text(const json_t *endpoint, bool asks_local)
{
	bool cluster = strcmp(string_of(endpoint, "cluster"), "used") == 0;
	bool local = strcmp(string_of(endpoint, "local"), "used") == 0;

	if (!asks_local || cluster == local)
		return cluster ? "yes" : "no";
	return cluster ? "cluster" : "local";
}

static bool asks_local(const json_t *service)
{
	return strcmp(string_of(service, "internalPolicy"), "Local") == 0 ||
	       strcmp(string_of(service, "externalPolicy"), "Local") == 0;
}

static void print_endpoints(const json_t *answer)
{
	static const struct output_column columns[] = {{"PORT", "port"}, {"ENDPOINT", "endpoint"},
		{"NODE", "node"}, {"CONDITIONS", "conditions"}, {"USED", "used"}, {"WHY", "why"}};
	const json_t *endpoints = json_object_get(answer, "endpoints");
	bool local = asks_local(json_object_get(answer, "service"));
	json_int_t more = number_of(answer, "moreEndpoints");
	_json_ json_t *lines = json_array();
	json_t *endpoint;
	size_t i;

	json_array_foreach((json_t *)endpoints, i, endpoint)
		json_array_append_new(lines,
			json_pack("{s:o, s:o, s:s, s:o, s:s, s:s}", "port", port_text(endpoint),
				"endpoint", place_text(endpoint, "number", ""), "node",
				string_of(endpoint, "node"), "conditions",
				conditions_text(endpoint), "used", used_text(endpoint, local),
				"why", string_of(endpoint, "why")));
	if (!json_array_size(lines))
		return;
	putchar('\n');
	output_rows(lines, columns, ARRAY_SIZE(columns), OUTPUT_TABLE, NULL);
	if (more)
		printf("and %lld more\n", (long long)more);
}

/* Slots of Maglev say nothing to anybody; -o wide shows them too. */
static void print_rows(const json_t *answer, enum output_format format)
{
	json_int_t more = number_of(answer, "moreRows");
	json_t *row;
	size_t i;

	printf("\nROWS\n");
	json_array_foreach(json_object_get(answer, "rows"), i, row)
	{
		const char *state = string_of(row, "state");

		if (format != OUTPUT_WIDE && !*state &&
			strncmp(string_of(row, "row"), "maglev ", 7) == 0)
			continue;
		output_text(string_of(row, "row"));
		printf("%s%s\n", *state ? "  " : "", state);
	}
	if (more)
		printf("and %lld more\n", (long long)more);
}

/* What is asked for as NAMESPACE/NAME, or as NAME with -n. */
static json_t *service_parameters(const struct options *options)
{
	const char *argument = options->argument, *slash = strchr(argument, '/');

	if (slash)
		return json_pack("{s:s%, s:s}", "namespace", argument, (size_t)(slash - argument),
			"name", slash + 1);
	return json_pack("{s:s, s:s}", "namespace", options->own[0] ? options->own[0] : "default",
		"name", argument);
}

int command_service(int argc, char **argv)
{
	static const struct option_own own[] = {
		{"namespace", 'n', "NAMESPACE", "of a NAME without one (default: default)"}};
	_json_ json_t *answer = NULL, *parameters = NULL;
	struct options options;
	struct err err = {0};
	int r = options_read(argc, argv, own, ARRAY_SIZE(own), "[NAMESPACE/]NAME", &options);

	if (r)
		return r;
	if (options.help) {
		options_usage("service", own, ARRAY_SIZE(own), "[NAMESPACE/]NAME",
			"One Service with all that this node knows of it: fields, frontends and who holds\n"
			"them, endpoints and why one is not used, rows of the packet path.");
		return 0;
	}
	parameters = service_parameters(&options);
	if (client_call(options.directory, "io.podwire.Service", parameters, &answer, &err) < 0) {
		fprintf(stderr, "podwire: %s\n", err.text);
		return 1;
	}
	if (options.format == OUTPUT_JSON) {
		output_json(answer);
	} else if (options.format == OUTPUT_NAME) {
		const json_t *service = json_object_get(answer, "service");

		output_text(string_of(service, "namespace"));
		putchar('/');
		output_text(string_of(service, "name"));
		putchar('\n');
	} else {
		print_fields(answer);
		print_frontends(json_object_get(answer, "ports"));
		print_endpoints(answer);
		print_rows(answer, options.format);
	}
	return 0;
}
