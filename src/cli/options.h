/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/output.h"

#include <stdbool.h>

/* The options of questions to the agent: those that all have, and a table of each command's own. */

#define OPTIONS_OWN_MAX 8

struct option_own {
	const char *name;
	char letter; /* 0: none */
	const char *argument; /* NULL: a switch */
	const char *help;
};

struct options {
	const char *directory;
	enum output_format format;
	bool help;
	const char *own[OPTIONS_OWN_MAX]; /* in the order of the table; NULL: not given */
	const char *argument; /* the one word that is no option; NULL: none */
};

/* `argument` names the word that the command takes; NULL: none. Returns 0, or the exit code. */
int options_read(int argc, char **argv, const struct option_own *own, unsigned int count,
	const char *argument, struct options *ret_options);
void options_usage(const char *command, const struct option_own *own, unsigned int count,
	const char *argument, const char *help);
