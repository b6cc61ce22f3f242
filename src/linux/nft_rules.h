/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/text.h"

#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the node's rulesets consist of, read from the kernel without the program nft: a dump of the
 * chains, of the rules of one chain, of one table. So it costs little on a node with thousands of
 * rules. iptables and ip6tables of today write into nftables and are seen; the old ones (legacy)
 * are not.
 */

/* A base chain of type filter, in the family ip, ip6 or inet, at the hook input or forward. */
struct nft_chain {
	const char *family;
	char table[NFT_TABLE_MAXNAMELEN];
	char name[NFT_CHAIN_MAXNAMELEN];
	bool forward; /* else input */
	bool drops;   /* by its policy */
};

struct nft_rule {
	uint64_t handle;
	char comment[NFT_USERDATA_MAXLEN]; /* as nft and iptables show it; empty: none */
	bool drops; /* whatever comes: a drop or reject without a condition */
	/* Of a rule "iifname DEVICE counter accept" and nothing else, DEVICE as nft writes it. */
	char device[IFNAMSIZ + 1]; /* empty: any other rule */
	bool outgoing; /* oifname */
};

/* The caller frees the list. */
int nft_read_chains(struct nft_chain **ret_list, size_t *ret_count, struct err *err);
/* In the order of the chain. A chain that has gone has no rules. */
int nft_read_rules(const struct nft_chain *chain, struct nft_rule **ret_list, size_t *ret_count,
	struct err *err);
/*
 * All that the kernel says of a table: flags, chains, rules, handles. Whatever somebody changes in
 * it, the bytes are others. Empty: there is no such table.
 */
int nft_read_table(
	const char *family, const char *table, struct text *ret_content, struct err *err);
