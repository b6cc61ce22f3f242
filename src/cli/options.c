/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "base/mem.h"
#include "cli/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define OPTION_OWN 256 /* and its place in the table: no letter has such a number */

static const struct option common[] = {{"output", required_argument, NULL, 'o'},
	{"run-dir", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'}};

/* What getopt wants: the long options, and the letters. */
struct wanted {
	struct option list[ARRAY_SIZE(common) + OPTIONS_OWN_MAX + 1];
	char letters[8 + 2 * OPTIONS_OWN_MAX];
};

static void wanted_make(
	const struct option_own *own, unsigned int count, struct wanted *ret_wanted)
{
	size_t length;

	*ret_wanted = (struct wanted){.letters = "o:h"};
	length = strlen(ret_wanted->letters);
	memcpy(ret_wanted->list, common, sizeof(common));
	for (unsigned int i = 0; i < count; i++) {
		ret_wanted->list[ARRAY_SIZE(common) + i] = (struct option){.name = own[i].name,
			.has_arg = own[i].argument ? required_argument : no_argument,
			.val = OPTION_OWN + (int)i};
		if (own[i].letter)
			ret_wanted->letters[length++] = own[i].letter;
		if (own[i].letter && own[i].argument)
			ret_wanted->letters[length++] = ':';
	}
}

static int options_read_format(const char *name, struct options *options)
{
	options->format = output_format_parse(name);
	if (options->format != OUTPUT_MAX)
		return 0;
	fprintf(stderr, "podwire: -o %s is no format; use table, wide, json or name\n", name);
	return 2;
}

/* A letter of the table as the number that its long option has. */
static int option_number(int option, const struct option_own *own, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (option == own[i].letter && option)
			return OPTION_OWN + (int)i;
	return option;
}

static int options_read_one(int option, struct options *options)
{
	if (option >= OPTION_OWN)
		options->own[option - OPTION_OWN] = optarg ? optarg : "";
	else if (option == 'o')
		return options_read_format(optarg, options);
	else if (option == 'r')
		options->directory = optarg;
	else if (option == 'h')
		options->help = true;
	else
		return 2;
	return 0;
}

int options_read(int argc, char **argv, const struct option_own *own, unsigned int count,
	const char *argument, struct options *ret_options)
{
	struct wanted wanted;
	int option, r = 0;

	*ret_options = (struct options){.format = OUTPUT_TABLE};
	wanted_make(own, count, &wanted);
	while (r == 0 &&
		(option = getopt_long(argc, argv, wanted.letters, wanted.list, NULL)) != -1)
		r = options_read_one(option_number(option, own, count), ret_options);
	if (r)
		return r;
	if (argument && optind < argc)
		ret_options->argument = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "podwire: %s takes no argument %s\n", argv[0], argv[optind]);
		return 2;
	}
	if (argument && !ret_options->argument && !ret_options->help) {
		fprintf(stderr, "podwire: %s needs %s\n", argv[0], argument);
		return 2;
	}
	ret_options->directory = command_run_directory(ret_options->directory);
	return 0;
}

static void option_print(const char *name, char letter, const char *argument, const char *help)
{
	_free_ char *text = mem_format(
		"--%s%s%s", name, argument ? " " : "", argument ? argument : "");

	if (letter)
		printf("  -%c, %-24s %s\n", letter, text, help);
	else
		printf("      %-24s %s\n", text, help);
}

void options_usage(const char *command, const struct option_own *own, unsigned int count,
	const char *argument, const char *help)
{
	printf("usage: podwire %s%s%s [OPTION]...\n\n%s\n\n", command, argument ? " " : "",
		argument ? argument : "", help);
	for (unsigned int i = 0; i < count; i++)
		option_print(own[i].name, own[i].letter, own[i].argument, own[i].help);
	option_print("output", 'o', "FORMAT", "table (default), wide, json or name");
	option_print("run-dir", 0, "DIR",
		"the agent's run directory (default: /run/podwire,\n"
		"                               or the environment's PODWIRE_RUN_DIR)");
}
