/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The older iptables. A table is one block of entries behind each other, which is read whole; a
 * chain begins with an entry whose target is "ERROR" and has the chain's name. Reading needs no
 * program. Writing is left to iptables-legacy-restore: it knows how a block is put together anew.
 *
 * A table that is asked for is made, with its hooks; so only those are asked for that are there.
 */
#include "linux/leftovers.h"

#include "base/mem.h"
#include "linux/tool.h"

#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LEGACY_TOOL_SECONDS 120
#define LEGACY_TEXT_MAX (1UL << 30)

struct legacy_family {
	const char *name;
	int family, level;
	size_t target_offset, next_offset; /* where an entry says how long it is */
	struct tool save, restore;
};

#define LEGACY_TOOL(tool)                                                                          \
	{                                                                                          \
		.name = tool, .package = "iptables", .seconds = LEGACY_TOOL_SECONDS,               \
		.output_max = LEGACY_TEXT_MAX                                                      \
	}
static const struct legacy_family legacy_families[LEFTOVER_FAMILIES] = {
	{"ip", AF_INET, IPPROTO_IP, offsetof(struct ipt_entry, target_offset),
		offsetof(struct ipt_entry, next_offset), LEGACY_TOOL("iptables-legacy-save"),
		LEGACY_TOOL("iptables-legacy-restore")},
	{"ip6", AF_INET6, IPPROTO_IPV6, offsetof(struct ip6t_entry, target_offset),
		offsetof(struct ip6t_entry, next_offset), LEGACY_TOOL("ip6tables-legacy-save"),
		LEGACY_TOOL("ip6tables-legacy-restore")},
};
_Static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO && IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES,
	"one request for both families");
_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
		       sizeof(struct ipt_get_entries) <= sizeof(struct ip6t_get_entries),
	"one form for both families");

/* --- reading --- */

static bool legacy_has_table(int names, const char *table)
{
	char text[256];
	ssize_t size = names < 0 ? 0 : pread(names, text, sizeof(text) - 1, 0);
	size_t length = strlen(table);

	text[size > 0 ? size : 0] = '\0';
	for (const char *at = text; *at; at += strcspn(at, "\n") + 1) {
		if (strncmp(at, table, length) == 0 && at[length] == '\n')
			return true;
		if (!at[strcspn(at, "\n")])
			break;
	}
	return false;
}

static int legacy_info(const struct legacy_family *family, const char *table,
	struct ipt_getinfo *ret_info, int *ret_socket)
{
	_close_ int fd = socket(family->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	snprintf(ret_info->name, sizeof(ret_info->name), "%s", table);
	if (fd < 0 || getsockopt(fd, family->level, IPT_SO_GET_INFO, ret_info, &size) < 0)
		return -errno;
	if (ret_socket)
		*ret_socket = TAKE_FD(fd);
	return 0;
}

/* Calls for each chain of somebody's own until `each` says true. */
typedef bool (*legacy_each)(const char *chain, void *context);

static void legacy_walk(const struct legacy_family *family, const char *entries, size_t size,
	legacy_each each, void *context)
{
	size_t step;

	for (size_t at = 0; at + sizeof(struct ip6t_entry) <= size; at += step) {
		const struct xt_error_target *target;
		__u16 target_offset, next_offset;

		memcpy(&target_offset, entries + at + family->target_offset, sizeof(target_offset));
		memcpy(&next_offset, entries + at + family->next_offset, sizeof(next_offset));
		step = next_offset;
		if (!step || at + step > size)
			return;
		target = (const struct xt_error_target *)(entries + at + target_offset);
		if (target_offset + sizeof(*target) > step ||
			strcmp(target->target.u.user.name, XT_ERROR_TARGET) != 0 ||
			strcmp(target->errorname, XT_ERROR_TARGET) == 0)
			continue;
		if (each(target->errorname, context))
			return;
	}
}

static int legacy_read(
	const struct legacy_family *family, const char *table, legacy_each each, void *context)
{
	const size_t head = offsetof(struct ip6t_get_entries, entrytable);
	_free_ struct ip6t_get_entries *block = NULL;
	_close_ int fd = -1;
	struct ipt_getinfo info;
	socklen_t size;
	int r = legacy_info(family, table, &info, &fd);

	if (r < 0)
		return r;
	size = (socklen_t)(head + info.size);
	block = mem_new(1, size);
	snprintf(block->name, sizeof(block->name), "%s", table);
	block->size = info.size;
	if (getsockopt(fd, family->level, IPT_SO_GET_ENTRIES, block, &size) < 0)
		return -errno; /* EAGAIN: it has changed since */
	legacy_walk(family, (const char *)block->entrytable, info.size, each, context);
	return 0;
}

static int legacy_read_again(
	const struct legacy_family *family, const char *table, legacy_each each, void *context)
{
	int r = -EAGAIN;

	for (int i = 0; i < 8 && r == -EAGAIN; i++)
		r = legacy_read(family, table, each, context);
	return r;
}

/* --- finding --- */

static bool count_chain(const char *chain, void *context)
{
	*(unsigned int *)context += leftover_chain_name(chain) != LEFTOVER_NAME_OTHER;
	return false;
}

int leftovers_find_legacy(struct leftovers *leftovers, struct err *err)
{
	struct leftovers_watch watch = {0};
	int r = 0;

	leftovers_watch_open(&watch);
	for (size_t f = 0; f < ARRAY_SIZE(legacy_families); f++)
		for (int i = LEFTOVER_TABLE_NAT; i < LEFTOVER_TABLES && r == 0; i++) {
			unsigned int chains = 0;

			if (!legacy_has_table(watch.names[f], leftover_tables[i]))
				continue;
			r = legacy_read_again(
				&legacy_families[f], leftover_tables[i], count_chain, &chains);
			if (chains)
				leftovers_add(leftovers, LEFTOVER_LEGACY, chains, "%s %s",
					legacy_families[f].name, leftover_tables[i]);
		}
	leftovers_watch_close(&watch);
	return r < 0 ? err_system(err, -r, "reading the tables of iptables-legacy") : 0;
}

int leftovers_sum_legacy(const int *names, uint64_t *ret_sum, struct err *err)
{
	*ret_sum = 0;
	for (size_t f = 0; f < ARRAY_SIZE(legacy_families); f++)
		for (int i = LEFTOVER_TABLE_NAT; i < LEFTOVER_TABLES; i++) {
			struct ipt_getinfo info;
			int r;

			if (!legacy_has_table(names[f], leftover_tables[i]))
				continue;
			r = legacy_info(&legacy_families[f], leftover_tables[i], &info, NULL);
			if (r < 0)
				return err_system(err, -r, "asking for the table %s of iptables-legacy",
					leftover_tables[i]);
			*ret_sum = *ret_sum * 31 + info.size;
		}
	return 0;
}

static bool is_outer_chain(const char *chain, void *context)
{
	if (leftover_chain_name(chain) != LEFTOVER_NAME_CHAIN)
		return false;
	snprintf(context, LEFTOVER_NAME_SIZE, "the chain %s of iptables-legacy", chain);
	return true;
}

int leftovers_look_legacy(const int *names, char found[LEFTOVER_NAME_SIZE], struct err *err)
{
	int r = 0;

	for (size_t f = 0; f < ARRAY_SIZE(legacy_families); f++)
		for (int i = LEFTOVER_TABLE_NAT; i < LEFTOVER_TABLES && r == 0 && !*found; i++)
			if (legacy_has_table(names[f], leftover_tables[i]))
				r = legacy_read_again(&legacy_families[f], leftover_tables[i],
					is_outer_chain, found);
	return r < 0 ? err_system(err, -r, "reading the tables of iptables-legacy") : 0;
}

/* --- removing: what iptables-legacy-save says becomes what iptables-legacy-restore is told --- */

/* The word behind the last " -j " of a rule: where it leads. */
static void rule_target(const char *rule, char target[LEFTOVER_NAME_SIZE])
{
	const char *at = rule, *last = NULL;

	while ((at = strstr(at, " -j "))) {
		at += strlen(" -j ");
		last = at;
	}
	snprintf(target, LEFTOVER_NAME_SIZE, "%.*s",
		last ? (int)strcspn(last, " \n") : 0, last ? last : "");
}

static void chain_of(const char *words, char chain[LEFTOVER_NAME_SIZE])
{
	snprintf(chain, LEFTOVER_NAME_SIZE, "%.*s", (int)strcspn(words, " \n"), words);
}

static bool chain_is_of_kernel(const char *chain)
{
	static const char *const names[] = {
		"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(chain, names[i]) == 0)
			return true;
	return false;
}

/*
 * A rule by which the kernel's own chain leads to one of kube-proxy is deleted as it is written, so
 * that no other one can be meant. Where a chain of somebody else leads to one, the whole script is
 * refused, and nothing has changed.
 */
static void script_rule(const char *line, struct text *script)
{
	char chain[LEFTOVER_NAME_SIZE], target[LEFTOVER_NAME_SIZE];

	chain_of(line + strlen("-A "), chain);
	rule_target(line, target);
	if (chain_is_of_kernel(chain) && leftover_chain_name(target) != LEFTOVER_NAME_OTHER)
		text_printf(script, "-D %s\n", line + strlen("-A "));
}

/* `saved` is cut into its lines. */
static void legacy_script(char *saved, struct text *script)
{
	_text_ struct text flush = {0}, delete = {0};

	for (char *line = saved, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (*line == '*')
			text_printf(script, "%s\n", line);
		if (strncmp(line, "-A ", 3) == 0)
			script_rule(line, script);
		if (*line == ':') {
			char chain[LEFTOVER_NAME_SIZE];

			chain_of(line + 1, chain);
			if (leftover_chain_name(chain) == LEFTOVER_NAME_OTHER)
				continue;
			text_printf(&flush, "-F %s\n", chain);
			text_printf(&delete, "-X %s\n", chain);
		}
	}
	text_printf(script, "%s%sCOMMIT\n", text_string(&flush), text_string(&delete));
}

int leftovers_remove_legacy(struct leftover *leftover, struct err *err)
{
	const struct legacy_family *family =
		&legacy_families[strncmp(leftover->name, "ip6 ", 4) == 0];
	const char *const save[TOOL_ARGUMENTS] = {"-t", strchr(leftover->name, ' ') + 1};
	const char *const restore[TOOL_ARGUMENTS] = {"--noflush", "--wait", "10"};
	_text_ struct text saved = {0}, script = {0}, output = {0};
	_free_ char *lines = NULL;
	int r = tool_run(&family->save, save, "", &saved, err);

	if (r < 0)
		return r;
	lines = text_take(&saved);
	legacy_script(lines, &script);
	return tool_run(&family->restore, restore, text_string(&script), &output, err);
}
