/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/mem.h"
#include "cli/command.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

const struct command commands[] = {
	{"agent", "--objects DIR [--settings FILE]", "run this node's daemon", command_agent},
	{"init", "[--settings FILE]", "prepare this node: directories, bpffs, sysctls", command_init},
	{"uninstall", "", "take podwire off this node again", command_uninstall},
	{"migrate", "[--remove] [-o FORMAT]", "what kube-proxy has left on this node", command_migrate},
	{"lab", "COMMAND", "a cluster in network namespaces, from manifests", command_lab},
	{"status", "[-o FORMAT]", "is this node well, and what is not", command_ask},
	{"pods", "[-o FORMAT]", "pods of this node", command_ask},
	{"nodes", "[-o FORMAT]", "nodes, and how each is reached", command_ask},
	{"drops", "[-o FORMAT]", "packets that did not arrive, and why", command_ask},
	{"services", "[-n NAMESPACE] [-o FORMAT]", "Services as this node sees them", command_services},
	{"service", "[NAMESPACE/]NAME [-o FORMAT]", "one of them, and why an endpoint is not used",
		command_service},
	{"flows", "[FILTER] [-o FORMAT]", "flows that the packet path remembers", command_flows},
	{"tables", "[-o FORMAT]", "rows that the packet path works by", command_ask},
	{"diff", "[-o FORMAT]", "rows wanted against rows held; nothing if all is well", command_ask},
	{"verdicts", "[-o FORMAT]", "every way that a packet can end", command_verdicts},
};

static void usage(FILE *out)
{
	fprintf(out, "usage: podwire COMMAND [ARGUMENTS]\n\nThe Kubernetes cluster network in one "
		     "program.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %-32s %s\n", commands[i].name, commands[i].arguments,
			commands[i].summary);
	fprintf(out, "\n`podwire COMMAND --help` says more. `podwire --version` prints %s.\n",
		PODWIRE_VERSION);
}

const char *command_run_directory(const char *option)
{
	const char *environment = getenv("PODWIRE_RUN_DIR");

	if (option)
		return option;
	return environment && *environment ? environment : "/run/podwire";
}

int main(int argc, char **argv)
{
	json_guard_memory();
	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("podwire %s\n", PODWIRE_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "podwire: %s is no command; `podwire --help` lists them\n", argv[1]);
	return 2;
}
