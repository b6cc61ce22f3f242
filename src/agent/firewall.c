/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/firewall.h"

#include "base/log.h"
#include "base/mem.h"
#include "linux/nft.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/*
 * By device: to say which packets are ours, a mark would do for masqueraded ones only. What the
 * stack forwards to a pod is let in too: replies, and what a hostPort was translated to. Anything
 * else for a pod is taken off the wire and judged before a firewall sees it.
 */
#define FIREWALL_DEVICES "pw*" /* of pods, and the tunnel */
struct firewall_match {
	const char *word;
	bool outgoing;
};
static const struct firewall_match firewall_input[] = {{"iifname", false}};
static const struct firewall_match firewall_forward[] = {{"oifname", true}, {"iifname", false}};

/* What nft can read back; iptables allows more in a name. */
static bool firewall_name_is_plain(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_-./", *name))
			return false;
	return true;
}

static bool firewall_rule_is_ours(const struct nft_rule *rule)
{
	return strcmp(rule->comment, FIREWALL_COMMENT) == 0;
}

static void firewall_delete(const struct nft_chain *chain, const struct nft_rule *rules,
	size_t count, struct text *script)
{
	for (size_t i = 0; i < count; i++)
		if (firewall_rule_is_ours(&rules[i]))
			text_printf(script, "delete rule %s %s %s handle %llu\n", chain->family,
				chain->table, chain->name, (unsigned long long)rules[i].handle);
}

/* A rule of ours that somebody has altered in place has our comment yet, and is none that we need. */
static bool firewall_has(
	const struct nft_rule *rules, size_t count, const struct firewall_match *match)
{
	for (size_t i = 0; i < count; i++)
		if (firewall_rule_is_ours(&rules[i]) &&
			strcmp(rules[i].device, FIREWALL_DEVICES) == 0 &&
			rules[i].outgoing == match->outgoing)
			return true;
	return false;
}

int firewall_script(const struct nft_chain *chain, const struct nft_rule *rules, size_t count,
	struct text *script)
{
	const struct firewall_match *matches = chain->forward ? firewall_forward : firewall_input;
	size_t wanted = chain->forward ? ARRAY_SIZE(firewall_forward) : ARRAY_SIZE(firewall_input);
	size_t held = 0, good = 0;

	for (size_t i = 0; i < count; i++)
		held += firewall_rule_is_ours(&rules[i]);
	if (!chain->drops && (count == 0 || !rules[count - 1].drops))
		wanted = 0;
	for (size_t i = 0; i < wanted; i++)
		good += firewall_has(rules, count, &matches[i]);
	if (held == wanted && good == wanted)
		return 0;
	if (!firewall_name_is_plain(chain->table) || !firewall_name_is_plain(chain->name))
		return -EINVAL;
	firewall_delete(chain, rules, count, script);
	for (size_t i = 0; i < wanted; i++)
		text_printf(script,
			"insert rule %s %s %s %s \"" FIREWALL_DEVICES
			"\" counter accept comment \"" FIREWALL_COMMENT "\"\n",
			chain->family, chain->table, chain->name, matches[i].word);
	return (int)((held > wanted ? held : wanted) - good);
}

static void firewall_remove_script(const struct nft_chain *chain, const struct nft_rule *rules,
	size_t count, struct text *script)
{
	if (firewall_name_is_plain(chain->table) && firewall_name_is_plain(chain->name))
		firewall_delete(chain, rules, count, script);
}

/* One chain, one transaction: what nft refuses in one leaves the others as they should be. */
static int firewall_keep_chain(
	const struct nft_chain *chain, uint32_t *transactions, int *ret_changed, struct err *err)
{
	_free_ struct nft_rule *rules = NULL;
	_text_ struct text script = {0};
	size_t count = 0;
	int changed, r = nft_read_rules(chain, &rules, &count, err);

	if (r < 0)
		return r;
	changed = firewall_script(chain, rules, count, &script);
	if (changed < 0)
		return err_set(err, -changed,
			"the chain %s %s %s drops by default, and nft cannot write its name; let "
			"it accept the devices \"" FIREWALL_DEVICES "\"",
			chain->family, chain->table, chain->name);
	r = changed ? nft_apply(text_string(&script), err) : 0;
	if (r < 0)
		return err_wrap(
			err, "the chain %s %s %s", chain->family, chain->table, chain->name);
	*transactions += changed > 0;
	*ret_changed = changed;
	if (changed)
		log_info("the firewall's chain %s %s %s: rules of ours changed, %d", chain->family,
			chain->table, chain->name, changed);
	return 0;
}

int firewall_keep(struct agent *agent, struct err *err)
{
	_free_ struct nft_chain *chains = NULL;
	uint32_t generation, transactions = 0;
	size_t count = 0;
	int result, r = nft_generation(&generation, err);

	if (r < 0 || generation == agent->firewall_generation)
		return r;
	result = nft_read_chains(&chains, &count, err);
	for (size_t i = 0; i < count; i++) {
		int changed = 0;

		r = firewall_keep_chain(&chains[i], &transactions, &changed, result ? NULL : err);
		result = result ? result : r;
		agent->changed += (unsigned long)changed;
	}
	if (result < 0)
		return result;
	/* Ours are known; one more, and somebody else has made a change meanwhile. */
	if (agent->nft_generation == generation)
		agent->nft_generation += transactions;
	agent->firewall_generation = generation + transactions;
	return 0;
}

int firewall_remove(struct err *err)
{
	_free_ struct nft_chain *chains = NULL;
	_text_ struct text script = {0};
	size_t count = 0;
	int r = nft_read_chains(&chains, &count, err);

	for (size_t i = 0; i < count && r == 0; i++) {
		_free_ struct nft_rule *rules = NULL;
		size_t rule_count = 0;

		r = nft_read_rules(&chains[i], &rules, &rule_count, err);
		if (r == 0)
			firewall_remove_script(&chains[i], rules, rule_count, &script);
	}
	return r == 0 && script.length ? nft_apply(text_string(&script), err) : r;
}
