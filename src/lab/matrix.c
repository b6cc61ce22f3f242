/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/matrix.h"

#include "base/json.h"
#include "base/text.h"
#include "cli/output.h"
#include "lab/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A table that fits a terminal; --all shows everything. */
#define SOURCES_MAX 12
#define TARGETS_MAX 20

/* A Pod that another one stands for: of the same workload, on the same node for targets. */
static bool is_represented(const struct lab *lab, const struct parties *parties, const json_t *pod)
{
	for (size_t i = 0; i < parties->count; i++) {
		const json_t *other = parties->list[i].object;

		if (parties->list[i].kind == PARTY_POD &&
			strcmp(tree_namespace(other), tree_namespace(pod)) == 0 &&
			strcmp(pod_workload(lab, other), pod_workload(lab, pod)) == 0)
			return true;
	}
	return false;
}

static void sources_collect(
	const struct lab *lab, const struct matrix *matrix, struct parties *sources)
{
	_json_ json_t *nodes = lab_list(lab, LAB_NODE), *pods = lab_list(lab, LAB_POD);
	json_t *object;
	size_t index;

	parties_add(sources, PARTY_OUTSIDE, NULL);
	json_array_foreach(nodes, index, object)
	{
		if (matrix->all || sources->count < SOURCES_MAX / 2)
			parties_add(sources, PARTY_NODE, object);
	}
	json_array_foreach(pods, index, object)
	{
		if (!tree_at(object, "status.podIPs"))
			continue;
		if (matrix->all || (sources->count < SOURCES_MAX &&
					   !is_represented(lab, sources, object)))
			parties_add(sources, PARTY_POD, object);
	}
}

/* The first port that the Pod declares, in `protocol` ("TCP" or "UDP"); 0: none. */
static uint16_t first_port(const json_t *pod, bool *ret_is_udp)
{
	json_t *container, *port;
	size_t i, j;

	json_array_foreach(tree_at(pod, "spec.containers"), i, container)
	{
		json_array_foreach(json_object_get(container, "ports"), j, port)
		{
			const char *protocol = tree_text(port, "protocol");

			if (strcmp(protocol, "SCTP") == 0)
				continue;
			*ret_is_udp = strcmp(protocol, "UDP") == 0;
			return (uint16_t)json_integer_value(
				json_object_get(port, "containerPort"));
		}
	}
	return 0;
}

static void targets_collect(
	const struct lab *lab, const struct matrix *matrix, struct parties *targets)
{
	_json_ json_t *pods = lab_list(lab, LAB_POD);
	json_t *pod;
	size_t index;
	bool is_udp;

	json_array_foreach(pods, index, pod)
	{
		if (!tree_at(pod, "status.podIPs") || (!matrix->port && !first_port(pod, &is_udp)))
			continue;
		if (matrix->all || targets->count < TARGETS_MAX)
			parties_add(targets, PARTY_POD, pod);
	}
}

static void probe_add(const struct lab *lab, const struct matrix *matrix, struct probes *probes,
	const struct party *from, const struct party *to, enum family family)
{
	_free_ char *address = party_address(lab, to, family);
	bool is_udp = false;
	uint16_t port = matrix->port ? (uint16_t)matrix->port : first_port(to->object, &is_udp);
	struct probe *probe;
	struct addr addr;

	if (addr_parse(address, &addr) < 0)
		return;
	probe = probes_add(probes);
	probe->from = from;
	probe->to = to;
	probe->address = addr;
	probe->port = port;
	probe->is_udp = is_udp;
}

enum cell { CELL_OWN, CELL_NAT, CELL_REFUSED, CELL_UNREACHABLE, CELL_NONE, CELL_MAX };

static const char *const cell_colours[CELL_MAX] = {
	[CELL_OWN] = "32", [CELL_NAT] = "33", [CELL_REFUSED] = "35", [CELL_UNREACHABLE] = "31",
	[CELL_NONE] = "2"};

static enum cell probe_cell(const struct lab *lab, const struct probe *probe)
{
	if (!probe)
		return CELL_NONE;
	if (probe->outcome == PROBE_REFUSED)
		return CELL_REFUSED;
	if (probe->outcome == PROBE_UNREACHABLE)
		return CELL_UNREACHABLE;
	return addr_is_unspecified(&probe->seen) || probe_seen_is_own(lab, probe) ? CELL_OWN
										   : CELL_NAT;
}

static void cell_print(enum cell cell, enum family family)
{
	const char *text = cell == CELL_OWN	      ? (family == FAMILY_IPV4 ? "4" : "6")
			   : cell == CELL_NAT	      ? "n"
			   : cell == CELL_REFUSED     ? "x"
			   : cell == CELL_UNREACHABLE ? "."
						      : "-";

	if (output_has_colour())
		printf("\033[%sm%s\033[m", cell_colours[cell], text);
	else
		fputs(text, stdout);
}

static const struct probe *probe_find(const struct probes *probes, const struct party *from,
	const struct party *to, enum family family)
{
	for (size_t i = 0; i < probes->count; i++) {
		const struct probe *probe = &probes->list[i];

		if (probe->from == from && probe->to == to && addr_family(&probe->address) == family)
			return probe;
	}
	return NULL;
}

static bool family_is_shown(const struct lab *lab, enum family family)
{
	return lab->settings.pod_families[family] || lab->settings.node_families[family];
}

static void targets_print(const struct lab *lab, const struct matrix *matrix,
	const struct parties *targets)
{
	for (size_t i = 0; i < targets->count; i++) {
		const struct party *to = &targets->list[i];
		bool is_udp = false;
		unsigned int port = matrix->port ? matrix->port : first_port(to->object, &is_udp);

		printf("  %2zu  %s  %u/%s on %s ", i + 1, to->title, port, is_udp ? "UDP" : "TCP",
			tree_text(to->object, "spec.nodeName"));
		for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
			_free_ char *address = party_address(lab, to, f);

			printf(" %s", address);
		}
		printf("%s\n", json_is_true(tree_at(to->object, "spec.hostNetwork"))
				       ? "  (host network)"
				       : "");
	}
}

static void table_print(const struct lab *lab, const struct matrix *matrix,
	const struct parties *sources, const struct parties *targets, const struct probes *probes)
{
	size_t width = strlen("from / to");

	for (size_t i = 0; i < sources->count; i++)
		if (strlen(sources->list[i].title) > width)
			width = strlen(sources->list[i].title);
	printf("%-*s", (int)width, "from / to");
	for (size_t j = 0; j < targets->count; j++)
		printf(" %3zu", j + 1);
	putchar('\n');
	for (size_t i = 0; i < sources->count; i++) {
		printf("%-*s", (int)width, sources->list[i].title);
		for (size_t j = 0; j < targets->count; j++) {
			fputs(family_is_shown(lab, FAMILY_IPV4) && family_is_shown(lab, FAMILY_IPV6)
					? "  "
					: "   ",
				stdout);
			for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
				if (family_is_shown(lab, f))
					cell_print(probe_cell(lab,
							   probe_find(probes, &sources->list[i],
								   &targets->list[j], f)),
						f);
		}
		putchar('\n');
	}
	printf("\n4, 6: reached over IPv4, IPv6, and the source's own address was seen; n: reached, "
	       "another\naddress was seen (NAT); x: refused; .: no answer; -: no address\n\n");
	targets_print(lab, matrix, targets);
}

static void json_print(const struct lab *lab, const struct probes *probes)
{
	_json_ json_t *tree = json_array();

	for (size_t i = 0; i < probes->count; i++) {
		const struct probe *probe = &probes->list[i];
		bool is_seen = !addr_is_unspecified(&probe->seen);
		char address[ADDR_TEXT_SIZE], seen[ADDR_TEXT_SIZE];
		json_t *row = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s}", "from",
			probe->from->title, "to", probe->to->title, "address",
			addr_format(&probe->address, address), "port", (int)probe->port, "protocol",
			probe->is_udp ? "UDP" : "TCP", "family",
			family_name(addr_family(&probe->address)), "outcome",
			probe_outcome_name(probe->outcome));

		if (is_seen) {
			json_object_set_new(
				row, "source", json_string(addr_format(&probe->seen, seen)));
			json_object_set_new(
				row, "nat", json_boolean(!probe_seen_is_own(lab, probe)));
			json_object_set_new(row, "answered", json_string(probe->answered));
		}
		json_array_append_new(tree, row);
	}
	output_json(tree);
}

int lab_matrix(const struct lab *lab, const struct matrix *matrix, struct err *err)
{
	_parties_ struct parties sources = {0}, targets = {0};
	_probes_ struct probes probes = {0};

	if (matrix->format && strcmp(matrix->format, "json") != 0)
		return err_set(err, EINVAL, "-o %s: use json", matrix->format);
	sources_collect(lab, matrix, &sources);
	targets_collect(lab, matrix, &targets);
	if (targets.count == 0)
		return err_set(err, ENOENT, "no Pod of this lab declares a port: there is nobody to "
					    "reach (--port P tries one all the same)");
	for (size_t i = 0; i < sources.count; i++)
		for (size_t j = 0; j < targets.count; j++)
			for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
				probe_add(lab, matrix, &probes, &sources.list[i], &targets.list[j], f);
	if (probes_run(lab, &probes, PROBE_TIMEOUT_MS, err) < 0)
		return -err->code;
	if (matrix->format)
		json_print(lab, &probes);
	else
		table_print(lab, matrix, &sources, &targets, &probes);
	return 0;
}
