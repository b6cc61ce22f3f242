/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The options of all verbs of `podwire lab`, in one table: parser and help read it. */

enum lab_verb {
	LAB_VERB_UP = 1 << 0,
	LAB_VERB_APPLY = 1 << 1,
	LAB_VERB_DELETE = 1 << 2,
	LAB_VERB_GET = 1 << 3,
	LAB_VERB_EXEC = 1 << 4,
	LAB_VERB_MATRIX = 1 << 5,
	LAB_VERB_CHECK = 1 << 6,
	LAB_VERB_DOWN = 1 << 7,
	LAB_VERB_LIST = 1 << 8,
};

struct lab_options {
	const char *name, *family, *underlay, *route, *profile, *plugin, *output, *name_space;
	unsigned int nodes, subnets, port, wait;
	bool all, all_namespaces, help, quiet;
	struct {
		const char **list;
		size_t count, capacity;
	} files;
	char **arguments; /* what is no option */
	int argument_count;
	char **command; /* behind "--", or behind the first argument of exec; NULL: none */
};

/* `argv` begins behind the verb and is reordered. */
int lab_options_parse(enum lab_verb verb, int argc, char **argv, struct lab_options *ret_options,
	struct err *err);
void lab_options_help(enum lab_verb verb);
void lab_options_clear(struct lab_options *options);
