/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"
#include "base/text.h"
#include "linux/nft_rules.h"

/*
 * Others' firewalls. Docker, firewalld and many an administrator let the node drop what it forwards
 * and what comes for itself unless a rule accepts it. Between pods podwire needs no such rule:
 * their packets never meet a firewall of the node. But what a pod says to its node, and what leaves
 * the cluster masqueraded, goes through the node's stack, and one chain that drops is enough to end
 * it, whatever other chains accept. So each chain that drops by default gets rules of ours at its
 * head. They say what iptables can say as well, so that it goes on showing its tables; they count,
 * and they bear the comment FIREWALL_COMMENT, by which they are found again.
 */

#define FIREWALL_COMMENT "podwire"

/*
 * Adds to the script what makes the chain as it should be; nothing where it is. A chain that no
 * longer drops by default loses our rules. Returns how many rules it changes, or -EINVAL where
 * nft's language has no way to write the chain's name.
 */
int firewall_script(const struct nft_chain *chain, const struct nft_rule *rules, size_t count,
	struct text *script);

/* Cheap as long as nobody has changed any ruleset of the node since the last time. */
int firewall_keep(struct agent *agent, struct err *err);
/* For uninstall. */
int firewall_remove(struct err *err);
