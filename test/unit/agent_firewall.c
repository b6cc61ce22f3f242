/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/firewall.h"

#include "check.h"
#include "linux/nft.h"
#include "root.h"

#include <errno.h>
#include <stdio.h>

#define RULE(chain, match)                                                                         \
	"insert rule " chain " " match " \"pw*\" counter accept comment \"podwire\"\n"

static const struct nft_rule other = {.handle = 3, .comment = "somebody else's podwire"};
static const struct nft_rule ours = {.handle = 7, .comment = "podwire", .device = "pw*"};
static const struct nft_rule ours_out = {
	.handle = 8, .comment = "podwire", .device = "pw*", .outgoing = true};
static const struct nft_rule altered = {.handle = 7, .comment = "podwire"};
static const struct nft_rule another = {.handle = 7, .comment = "podwire", .device = "eth*"};
static const struct nft_rule drop = {.handle = 9, .drops = true};

struct script_case {
	const char *name;
	struct nft_chain chain;
	const struct nft_rule *rules[4];
	int changes;
	const char *script;
};

static const struct script_case script_cases[] = {
	{"input drops", {.family = "ip", .table = "filter", .name = "INPUT", .drops = true}, {NULL},
		1, RULE("ip filter INPUT", "iifname")},
	{"forward drops", {"inet", "fw", "f", true, true}, {&other}, 2,
		RULE("inet fw f", "oifname") RULE("inet fw f", "iifname")},
	{"its last rule drops", {"inet", "fw", "i", false, false}, {&other, &drop}, 1,
		RULE("inet fw i", "iifname")},
	{"a rule before the last drops", {"inet", "fw", "i", false, false}, {&drop, &other}, 0,
		NULL},
	{"accepts by default", {"ip6", "filter", "FORWARD", true, false}, {&other}, 0, NULL},
	{"is as it should be", {"ip", "filter", "INPUT", false, true}, {&ours, &other}, 0, NULL},
	{"one of ours was altered in place", {"ip", "filter", "INPUT", false, true},
		{&altered, &other}, 1,
		"delete rule ip filter INPUT handle 7\n" RULE("ip filter INPUT", "iifname")},
	{"it accepts other devices", {"ip", "filter", "INPUT", false, true}, {&another}, 1,
		"delete rule ip filter INPUT handle 7\n" RULE("ip filter INPUT", "iifname")},
	{"both are as they should be", {"ip", "filter", "FORWARD", true, true}, {&ours_out, &ours}, 0,
		NULL},
	{"one is there twice, the other not", {"ip", "filter", "FORWARD", true, true},
		{&ours_out, &ours_out}, 1,
		"delete rule ip filter FORWARD handle 8\ndelete rule ip filter FORWARD handle 8\n" RULE(
			"ip filter FORWARD", "oifname") RULE("ip filter FORWARD", "iifname")},
	{"half of ours is gone", {"ip", "filter", "FORWARD", true, true}, {&other, &ours}, 1,
		"delete rule ip filter FORWARD handle 7\n" RULE("ip filter FORWARD", "oifname")
			RULE("ip filter FORWARD", "iifname")},
	{"drops no longer", {"ip", "filter", "INPUT", false, false}, {&ours, &other}, 1,
		"delete rule ip filter INPUT handle 7\n"},
	{"a name that nft cannot write", {"ip", "filter", "a b;", false, true}, {NULL}, -EINVAL,
		NULL},
	{"such a name where nothing is needed", {"ip", "filter", "a b;", false, false}, {NULL}, 0,
		NULL},
	{"such a name of a table", {"ip", "1st", "input", false, true}, {NULL}, -EINVAL, NULL},
};

static void test_script(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(script_cases); i++) {
		const struct script_case *c = &script_cases[i];
		struct nft_rule rules[ARRAY_SIZE(c->rules)];
		_text_ struct text script = {0};
		size_t count = 0;

		for (; count < ARRAY_SIZE(rules) && c->rules[count]; count++)
			rules[count] = *c->rules[count];
		assert_int_equal(firewall_script(&c->chain, rules, count, &script), c->changes);
		check_case(c->name, script.length ? text_string(&script) : NULL, c->script);
	}
}

static void apply(const char *text)
{
	struct err err = {0};

	if (nft_apply(text, &err) < 0)
		fail_msg("%s", err.text);
}

static void keep(struct agent *agent)
{
	struct err err = {0};

	if (firewall_keep(agent, &err) < 0)
		fail_msg("%s", err.text);
}

/* How many rules of all the chains bear our comment. */
static size_t count_ours(void)
{
	_free_ struct nft_chain *chains = NULL;
	size_t chain_count = 0, ours_count = 0;
	struct err err = {0};

	assert_int_equal(nft_read_chains(&chains, &chain_count, &err), 0);
	for (size_t i = 0; i < chain_count; i++) {
		_free_ struct nft_rule *rules = NULL;
		size_t count = 0;

		assert_int_equal(nft_read_rules(&chains[i], &rules, &count, &err), 0);
		for (size_t j = 0; j < count; j++)
			ours_count += strcmp(rules[j].comment, FIREWALL_COMMENT) == 0;
	}
	return ours_count;
}

#define CHAIN(name, hook, rest)                                                                    \
	"chain " name " { type filter hook " hook " priority 0; " rest "\n }\n"

/* One firewall after another appears, is flushed, and lets go of dropping. */
static void test_keep(void **state)
{
	struct agent agent = {0};
	struct err err = {0};

	keep(&agent);
	assert_int_equal(count_ours(), 0);
	apply("table ip filter {\n" CHAIN("FORWARD", "forward", "policy drop;") CHAIN("INPUT",
		"input", "policy accept;") CHAIN("OUTPUT", "output", "policy drop;") "}\n");
	keep(&agent);
	assert_int_equal(count_ours(), 2);
	apply("table inet fw {\n" CHAIN(
		"in", "input", "ct state new log reject") "}\n"
							  "table ip6 fw {\n" CHAIN("in", "input",
								  "counter log drop") "}\n");
	keep(&agent);
	assert_int_equal(count_ours(), 3);
	assert_int_equal(agent.changed, 3);
	keep(&agent);
	assert_int_equal(agent.changed, 3);
	apply("flush chain ip filter FORWARD\n");
	keep(&agent);
	assert_int_equal(count_ours(), 3);
	assert_int_equal(agent.changed, 5);
	apply("chain ip filter FORWARD { policy accept; }\n");
	keep(&agent);
	assert_int_equal(count_ours(), 1);
	assert_int_equal(firewall_remove(&err), 0);
	assert_int_equal(count_ours(), 0);
	assert_int_equal(firewall_remove(&err), 0);
}

/* The handle of the first rule of ours in ip fw in. */
static unsigned long long our_handle(void)
{
	static const struct nft_chain chain = {.family = "ip", .table = "fw", .name = "in"};
	_free_ struct nft_rule *rules = NULL;
	size_t count = 0;
	struct err err = {0};

	assert_int_equal(nft_read_rules(&chain, &rules, &count, &err), 0);
	for (size_t i = 0; i < count; i++)
		if (strcmp(rules[i].comment, FIREWALL_COMMENT) == 0)
			return (unsigned long long)rules[i].handle;
	fail_msg("no rule of ours");
	return 0;
}

/* In place, with our comment: whatever it says instead, it is written anew. */
static void test_altered(void **state)
{
	static const char *const instead[] = {"iifname \"pw*\" counter drop",
		"iifname \"pw*\" counter", "iifname \"pw\" counter accept",
		"iifname != \"pw*\" counter accept", "oifname \"lo*\" counter accept",
		"iifname \"pw*\" tcp dport 80 counter accept", "iifname \"pw*\" counter log accept",
		"iif lo counter accept", "counter accept", "drop"};
	struct agent agent = {0};
	unsigned long changed;

	apply("table ip fw {\n" CHAIN("in", "input", "policy drop;") "}\n");
	keep(&agent);
	changed = agent.changed;
	for (size_t i = 0; i < ARRAY_SIZE(instead); i++) {
		_text_ struct text script = {0};
		unsigned long long handle = our_handle();

		text_printf(&script, "replace rule ip fw in handle %llu %s comment \"podwire\"\n",
			handle, instead[i]);
		apply(text_string(&script));
		keep(&agent);
		if (agent.changed != ++changed || our_handle() == handle)
			fail_msg("\"%s\" stays", instead[i]);
	}
	keep(&agent);
	assert_int_equal(agent.changed, changed);
	apply("delete table ip fw\n");
}

/* Our own change is no reason to look again, nor to write the masquerading anew. */
static void test_generation(void **state)
{
	struct agent agent = {0};
	uint32_t now = 0;
	struct err err = {0};

	assert_int_equal(nft_generation(&agent.nft_generation, &err), 0);
	apply("table ip other {\n" CHAIN("f", "forward", "policy drop;")
			CHAIN("i", "input", "policy drop;") "}\n");
	assert_int_equal(nft_generation(&now, &err), 0);
	agent.nft_generation = now;
	keep(&agent);
	assert_int_equal(nft_generation(&now, &err), 0);
	assert_int_equal(agent.firewall_generation, now);
	assert_int_equal(agent.nft_generation, now);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_script),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_altered),
		cmocka_unit_test(test_generation),
	};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
