/* SPDX-License-Identifier: Apache-2.0 */
/* `podwire flows`: what the packet path remembers of flows, read in pieces. */
#include "base/json.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

#define FLOWS_LIMIT 300
#define FLOWS_LIMIT_MAX 10000

enum flows_option { FLOWS_ADDRESS, FLOWS_POD, FLOWS_SERVICE, FLOWS_MOST, FLOWS_NUMERIC, FLOWS_OPTIONS };

static const struct option_own flows_options[] = {
	[FLOWS_ADDRESS] = {"address", 'a', "ADDRESS", "only with this client, frontend or backend"},
	[FLOWS_POD] = {"pod", 'p', "NAMESPACE/NAME", "only with this pod at one end"},
	[FLOWS_SERVICE] = {"service", 's', "NAMESPACE/NAME", "only to this Service"},
	[FLOWS_MOST] = {"limit", 'l', "N", "show at most so many, and count the rest (default 300)"},
	[FLOWS_NUMERIC] = {"numeric", 0, NULL, "addresses instead of names"},
};
_Static_assert(ARRAY_SIZE(flows_options) == FLOWS_OPTIONS, "each option");

/* "shop/web-0:8080", "[fd00::1]:80", "" where there is none. */
static json_t *end_text(const json_t *flow, const char *member, bool numeric)
{
	const char *address = "", *name = "";
	_free_ char *text = NULL;
	int port = 0;

	json_unpack(json_object_get(flow, member), "{s:s, s:s, s:i}", "address", &address, "name",
		&name, "port", &port);
	if (!*address)
		return json_string("");
	if (*name && !numeric) /* "Pod shop/web-0": what it is, its column says */
		address = strchr(name, ' ') + 1;
	text = output_place(address, port);
	return json_string(text);
}

static json_t *line_of(const json_t *flow, bool numeric)
{
	const char *protocol = "", *here = "", *via = "", *name = "";
	json_t *packets = json_object_get(flow, "packets");
	json_int_t last = -1;
	int seen = 0;

	json_unpack((json_t *)flow, "{s:s, s:s, s:s, s:s, s:i}", "protocol", &protocol, "here",
		&here, "via", &via, "viaName", &name, "seenPort", &seen);
	if (json_is_integer(json_object_get(flow, "lastSeconds")))
		last = json_integer_value(json_object_get(flow, "lastSeconds"));
	return json_pack("{s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:O, s:o}", "protocol", protocol, "client",
		end_text(flow, "client", numeric), "frontend", end_text(flow, "frontend", numeric),
		"backend", end_text(flow, "backend", numeric), "here", here, "via",
		*name && !numeric ? strchr(name, ' ') + 1 : via, "seen",
		seen ? json_integer(seen) : json_string(""), "packets", packets, "last",
		last < 0 ? json_string("") : json_sprintf("%llds", (long long)last));
}

static void flows_print(json_t *flows, const struct options *options)
{
	static const struct output_column columns[] = {{"PROTOCOL", "protocol"},
		{"CLIENT", "client"}, {"FRONTEND", "frontend"}, {"BACKEND", "backend"},
		{"HERE", "here"}, {"VIA", "via"}, {"SEEN AS", "seen"},
		{"PACKETS", "packets", false, true}, {"LAST", "last", false, true}};
	_json_ json_t *lines = json_array();
	json_t *flow;
	size_t i;

	json_array_foreach(flows, i, flow)
		json_array_append_new(lines, line_of(flow, options->own[FLOWS_NUMERIC]));
	output_rows(lines, columns, ARRAY_SIZE(columns), options->format, "client");
}

static int flows_limit(const struct options *options, size_t *ret_limit)
{
	const char *text = options->own[FLOWS_MOST];
	unsigned long limit;
	char *end;

	*ret_limit = FLOWS_LIMIT;
	if (!text)
		return 0;
	limit = strtoul(text, &end, 10);
	if (!*text || *end || !limit || limit > FLOWS_LIMIT_MAX) {
		fprintf(stderr, "podwire: --limit %s: use a number from 1 to %d\n", text,
			FLOWS_LIMIT_MAX);
		return 2;
	}
	*ret_limit = limit;
	return 0;
}

static int flows_fetch(const struct options *options, size_t limit, json_t *list,
	json_int_t *ret_more, struct err *err)
{
	_json_ json_t *parameters = json_object();
	bool goes_on = true;

	for (unsigned int i = FLOWS_ADDRESS; i <= FLOWS_SERVICE; i++)
		if (options->own[i])
			json_object_set_new(parameters, flows_options[i].name,
				json_string(options->own[i]));
	*ret_more = 0;
	while (goes_on) {
		_json_ json_t *answer = NULL;
		int r;

		json_object_set_new(parameters, "limit",
			json_integer((json_int_t)(limit - json_array_size(list))));
		r = client_call(options->directory, "io.podwire.Flows", parameters, &answer, err);
		if (r < 0)
			return r;
		json_array_extend(list, json_object_get(answer, "flows"));
		*ret_more += json_integer_value(json_object_get(answer, "more"));
		goes_on = json_is_integer(json_object_get(answer, "next"));
		if (goes_on)
			json_object_set(parameters, "from", json_object_get(answer, "next"));
	}
	return 0;
}

int command_flows(int argc, char **argv)
{
	_json_ json_t *list = json_array(), *answer = NULL;
	struct options options;
	struct err err = {0};
	json_int_t more;
	size_t limit;
	int r = options_read(argc, argv, flows_options, FLOWS_OPTIONS, NULL, &options);

	if (r == 0 && options.help) {
		options_usage("flows", flows_options, FLOWS_OPTIONS, NULL,
			"Flows that the packet path remembers, each once. HERE: which end is on this node;\n"
			"neither, where it hands the flow over. VIA: the node by which it came. SEEN AS: the\n"
			"client's port for the backend, where it is another one. PACKETS, LAST: of the client,\n"
			"known of flows to frontends.");
		return 0;
	}
	if (r == 0)
		r = flows_limit(&options, &limit);
	if (r)
		return r;
	if (flows_fetch(&options, limit, list, &more, &err) < 0) {
		fprintf(stderr, "podwire: %s\n", err.text);
		return 1;
	}
	if (options.format == OUTPUT_JSON) {
		answer = json_pack("{s:O, s:I}", "flows", list, "more", more);
		output_json(answer);
		return 0;
	}
	flows_print(list, &options);
	if (more && options.format != OUTPUT_NAME)
		printf("and %lld more; --limit shows them\n", (long long)more);
	return 0;
}
