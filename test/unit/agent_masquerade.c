/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/masquerade.h"

#include "check.h"
#include "linux/nft.h"
#include "linux/nft_rules.h"
#include "root.h"

#include <string.h>

static void apply(const char *text)
{
	struct err err = {0};

	if (nft_apply(text, &err) < 0)
		fail_msg("%s", err.text);
}

static void agent_init(struct agent *agent)
{
	struct err err = {0};

	*agent = (struct agent){0};
	settings_defaults(&agent->settings);
	if (masquerade_write(agent, &err) < 0)
		fail_msg("%s", err.text);
}

static int keep(struct agent *agent)
{
	struct err err = {0};
	int r = masquerade_keep(agent, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	return r;
}

static uint32_t generation(void)
{
	struct err err = {0};
	uint32_t now = 0;

	assert_int_equal(nft_generation(&now, &err), 0);
	return now;
}

/* What others do with their own tables makes us write nothing. */
static void test_others(void **state)
{
	struct agent agent;
	uint32_t now;

	(void)state;
	agent_init(&agent);
	assert_int_equal(keep(&agent), 0);
	apply("table inet other { chain leaving { type nat hook postrouting priority 0\n }\n }\n");
	apply("table ip podwire { chain leaving {\n counter\n }\n }\n");
	now = generation();
	assert_int_equal(keep(&agent), 0);
	assert_int_equal(generation(), now);
	assert_int_equal(agent.nft_generation, now);
	text_clear(&agent.nft_table);
}

/* Whatever somebody changes in ours, it is as it was after the next look. */
static void test_altered(void **state)
{
	static const char *const changes[] = {"delete table inet podwire\n",
		"flush table inet podwire\n", "flush chain inet podwire leaving\n",
		"add rule inet podwire leaving counter\n",
		"insert rule inet podwire tunnel_in accept\n",
		"add chain inet podwire extra\n",
		"add chain inet podwire extra { type filter hook input priority 0; policy drop; }\n",
		"chain inet podwire tunnel_in { policy drop; }\n",
		"add table inet podwire { flags dormant; }\n",
		"add set inet podwire extra { type ipv4_addr; }\n",
		"flush chain inet podwire tunnel_in\n"
		"add rule inet podwire tunnel_in udp dport 1 notrack\n"};
	struct agent agent;

	(void)state;
	agent_init(&agent);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		apply(changes[i]);
		if (keep(&agent) != 1)
			fail_msg("not noticed: %s", changes[i]);
		if (keep(&agent) != 0)
			fail_msg("not put right: %s", changes[i]);
	}
	text_clear(&agent.nft_table);
}

/* A rule that is replaced in its place by one of the same length. */
static void test_replaced(void **state)
{
	static const struct nft_chain chain = {
		.family = "inet", .table = "podwire", .name = "leaving"};
	_free_ struct nft_rule *rules = NULL;
	_text_ struct text script = {0};
	struct err err = {0};
	struct agent agent;
	size_t count = 0;

	(void)state;
	agent_init(&agent);
	assert_int_equal(nft_read_rules(&chain, &rules, &count, &err), 0);
	assert_int_equal(count, 2);
	text_printf(&script,
		"replace rule inet podwire leaving handle %llu meta mark & 0x1 == 0x1 masquerade\n",
		(unsigned long long)rules[1].handle);
	apply(text_string(&script));
	assert_int_equal(keep(&agent), 1);
	text_clear(&agent.nft_table);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_altered),
		cmocka_unit_test(test_replaced),
	};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
