/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/options.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum option_type { OPTION_TEXT, OPTION_NUMBER /* from 1 */, OPTION_SECONDS, OPTION_FLAG, OPTION_LIST };

struct option_info {
	const char *name;
	char letter; /* 0: none */
	enum option_type type;
	unsigned int verbs;
	size_t offset; /* in struct lab_options */
	const char *argument;
	const char *help;
};

#define AT(member) offsetof(struct lab_options, member)
#define VERBS_WITH_FILES (LAB_VERB_UP | LAB_VERB_APPLY | LAB_VERB_DELETE)

static const struct option_info options[] = {
	{"name", 0, OPTION_TEXT, ~0U, AT(name), "NAME", "which lab (default \"default\")"},
	{"file", 'f', OPTION_LIST, VERBS_WITH_FILES, AT(files), "FILE|DIR",
		"manifests, YAML or JSON, \"-\" for standard input; may be given several times"},
	{"nodes", 'n', OPTION_NUMBER, LAB_VERB_UP, AT(nodes), "N",
		"how many nodes (default: those of the manifests, else 3)"},
	{"family", 0, OPTION_TEXT, LAB_VERB_UP, AT(family), "F",
		"of pods and Services: ipv4, ipv6 or dual (default)"},
	{"underlay", 0, OPTION_TEXT, LAB_VERB_UP, AT(underlay), "F",
		"of the nodes' addresses: ipv4, ipv6 or dual (default: as --family)"},
	{"subnets", 0, OPTION_NUMBER, LAB_VERB_UP, AT(subnets), "K",
		"spread the nodes over so many subnets (default 1)"},
	{"route", 0, OPTION_TEXT, LAB_VERB_UP, AT(route), "R", "how pods of other nodes are reached: auto (default), direct or vxlan"},
	{"profile", 0, OPTION_TEXT, LAB_VERB_UP, AT(profile), "P",
		"of nodes and network: clean (default) or hostile"},
	{"plugin", 0, OPTION_TEXT, LAB_VERB_UP, AT(plugin), "FILE",
		"the CNI plugin (default: podwire-cni beside podwire)"},
	{"output", 'o', OPTION_TEXT, LAB_VERB_GET | LAB_VERB_MATRIX | LAB_VERB_LIST, AT(output),
		"FORMAT", "json, and for get yaml, name or wide"},
	{"namespace", 'n', OPTION_TEXT, LAB_VERB_GET, AT(name_space), "NS",
		"of this namespace (default \"default\")"},
	{"all-namespaces", 'A', OPTION_FLAG, LAB_VERB_GET, AT(all_namespaces), NULL,
		"of all namespaces"},
	{"port", 'p', OPTION_NUMBER, LAB_VERB_MATRIX, AT(port), "P",
		"this TCP port (default: each Pod's first)"},
	{"all", 'a', OPTION_FLAG, LAB_VERB_MATRIX, AT(all), NULL,
		"every Pod, not one of each workload"},
	{"wait", 0, OPTION_SECONDS, LAB_VERB_CHECK, AT(wait), "SECONDS",
		"try for so long until all is as expected (default 0)"},
	{"quiet", 'q', OPTION_FLAG, VERBS_WITH_FILES, AT(quiet), NULL, "say nothing but errors"},
	{"help", 'h', OPTION_FLAG, ~0U, AT(help), NULL, "this text"},
};

static const struct option_info *option_find(enum lab_verb verb, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option_info *option = &options[i];
		size_t length = strlen(option->name);

		if (!(option->verbs & verb))
			continue;
		if (strncmp(text, "--", 2) == 0 && strncmp(text + 2, option->name, length) == 0 &&
			(text[2 + length] == '\0' || text[2 + length] == '='))
			return option;
		if (text[0] == '-' && option->letter && text[1] == option->letter)
			return option;
	}
	return NULL;
}

/* The value within the same word ("--nodes=3", "-n3"), or NULL. */
static const char *value_within(const struct option_info *option, const char *text)
{
	if (strncmp(text, "--", 2) == 0)
		return strchr(text, '=') ? strchr(text, '=') + 1 : NULL;
	(void)option;
	return text[2] ? text + 2 + (text[2] == '=') : NULL;
}

static int value_store(const struct option_info *option, const char *value,
	struct lab_options *into, struct err *err)
{
	void *at = (char *)into + option->offset;
	unsigned long number;
	char *end;

	if (option->type == OPTION_TEXT) {
		*(const char **)at = value;
	} else if (option->type == OPTION_LIST) {
		into->files.list = mem_grow(into->files.list, &into->files.capacity,
			into->files.count + 1, sizeof(*into->files.list));
		into->files.list[into->files.count++] = value;
	} else {
		number = strtoul(value, &end, 10);
		if (*value < '0' || *value > '9' || *end || number > 65535 ||
			(number == 0 && option->type == OPTION_NUMBER))
			return err_set(err, EINVAL, "--%s \"%s\": use a number from %d",
				option->name, value, option->type == OPTION_NUMBER);
		*(unsigned int *)at = (unsigned int)number;
	}
	return 0;
}

/* Moves *at past what it took. */
static int option_take(
	enum lab_verb verb, char **argv, int *at, struct lab_options *into, struct err *err)
{
	const struct option_info *option = option_find(verb, argv[*at]);
	const char *value;

	if (!option)
		return err_set(err, EINVAL, "%s is no option of this command; --help lists them",
			argv[*at]);
	if (option->type == OPTION_FLAG) {
		*(bool *)((char *)into + option->offset) = true;
		return 0;
	}
	value = value_within(option, argv[*at]);
	if (!value)
		value = argv[++*at];
	if (!value)
		return err_set(err, EINVAL, "--%s needs a value (%s)", option->name,
			option->argument);
	return value_store(option, value, into, err);
}

int lab_options_parse(enum lab_verb verb, int argc, char **argv, struct lab_options *ret_options,
	struct err *err)
{
	struct lab_options o = {.name = "default", .arguments = argv};

	for (int i = 0; i < argc && !o.command; i++) {
		if (strcmp(argv[i], "--") == 0) {
			o.command = argv + i + 1;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			if (option_take(verb, argv, &i, &o, err) < 0) {
				lab_options_clear(&o);
				return -err->code;
			}
		} else if (verb == LAB_VERB_EXEC && o.argument_count == 1) {
			o.command = argv + i;
		} else {
			argv[o.argument_count++] = argv[i];
		}
	}
	*ret_options = o;
	return 0;
}

void lab_options_help(enum lab_verb verb)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option_info *option = &options[i];
		_free_ char *left = NULL;

		if (!(option->verbs & verb))
			continue;
		left = option->letter ? mem_format("-%c, --%s", option->letter, option->name)
				      : mem_format("    --%s", option->name);
		printf("  %-22s %-9s %s\n", left, option->argument ? option->argument : "",
			option->help);
	}
}

void lab_options_clear(struct lab_options *o)
{
	free(o->files.list);
	*o = (struct lab_options){0};
}
