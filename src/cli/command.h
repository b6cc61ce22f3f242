/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One program, verbs in a table. Each function gets its own name as argv[0] and exits by return. */

struct command {
	const char *name;
	const char *arguments; /* as the usage line shows them */
	const char *summary;
	int (*run)(int argc, char **argv);
};

extern const struct command commands[];

int command_agent(int argc, char **argv);
int command_init(int argc, char **argv);
int command_uninstall(int argc, char **argv);
int command_migrate(int argc, char **argv);
int command_lab(int argc, char **argv);
/* status, pods, nodes, drops, tables, diff, verdicts: questions to the agent. */
int command_ask(int argc, char **argv);
int command_verdicts(int argc, char **argv);
int command_services(int argc, char **argv);
int command_service(int argc, char **argv);
int command_flows(int argc, char **argv);

/* The run directory: --run-dir, else the environment's PODWIRE_RUN_DIR, else /run/podwire. */
const char *command_run_directory(const char *option);
