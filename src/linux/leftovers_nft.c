/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/leftovers.h"

#include "base/mem.h"
#include "linux/netfilter.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#define NFT_REQUEST_SIZE 512
#define NFT_NAME 32 /* iptables has no longer ones; what is longer is of others */
#define NFT_BATCH 4096 /* chains a transaction: 50,000 would be a message of several MB */

static const struct {
	int number;
	const char *name;
} nft_families[] = {{NFPROTO_IPV4, "ip"}, {NFPROTO_IPV6, "ip6"}};

struct nft_chain_name {
	int table; /* enum leftover_table */
	bool base; /* the kernel calls it */
	bool held; /* a chain of somebody else leads to it */
	char name[NFT_NAME];
	char holder[NFT_NAME];
};

/* A rule of kube-proxy's chains, or of another chain and leading to one of them. */
struct nft_rule_name {
	int table;
	bool inner;
	char chain[NFT_NAME], target[NFT_NAME];
	uint64_t handle;
};

/* What one family has: chains of kube-proxy and those that the kernel calls; rules, by table. */
struct nft_scan {
	struct nft_chain_name *chain;
	size_t chain_count;
	struct nft_rule_name *rule[LEFTOVER_TABLES];
	size_t rule_count[LEFTOVER_TABLES];
};

static void nft_scan_clear(struct nft_scan *scan)
{
	free(scan->chain);
	for (size_t i = 0; i < ARRAY_SIZE(scan->rule); i++)
		free(scan->rule[i]);
	*scan = (struct nft_scan){0};
}

static int table_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(leftover_tables); i++)
		if (strcmp(leftover_tables[i], name) == 0)
			return (int)i;
	return -1;
}

static bool is_kube_proxy(int table, const char *chain)
{
	return table == LEFTOVER_TABLE_OWN || leftover_chain_name(chain) != LEFTOVER_NAME_OTHER;
}

static int chain_take(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *at[NFTA_CHAIN_MAX + 1];
	char table[NFT_TABLE_MAXNAMELEN], name[NFT_CHAIN_MAXNAMELEN];
	struct nft_chain_name chain = {0}, *list;
	struct netfilter_dump *dump = data;

	netfilter_read(message, at, ARRAY_SIZE(at));
	netfilter_read_text(at[NFTA_CHAIN_TABLE], table, sizeof(table));
	netfilter_read_text(at[NFTA_CHAIN_NAME], name, sizeof(name));
	chain.table = table_number(table);
	chain.base = chain.table != LEFTOVER_TABLE_OWN && at[NFTA_CHAIN_HOOK];
	if (chain.table < 0 || (!chain.base && !is_kube_proxy(chain.table, name)))
		return MNL_CB_OK;
	snprintf(chain.name, sizeof(chain.name), "%.*s", NFT_NAME - 1, name);
	list = dump->item = mem_grow(dump->item, &dump->capacity, dump->count + 1, sizeof(chain));
	list[dump->count++] = chain;
	return MNL_CB_OK;
}

/* Where an expression leads; the last one that leads anywhere counts. */
static int target_take(const struct nlattr *expression, void *data)
{
	const struct nlattr *at[NFTA_EXPR_MAX + 1], *immediate[NFTA_IMMEDIATE_MAX + 1];
	const struct nlattr *value[NFTA_DATA_MAX + 1], *verdict[NFTA_VERDICT_MAX + 1];
	char name[NFT_NAME];

	netfilter_read_nest(expression, at, ARRAY_SIZE(at));
	netfilter_read_text(at[NFTA_EXPR_NAME], name, sizeof(name));
	if (strcmp(name, "immediate") != 0)
		return MNL_CB_OK;
	netfilter_read_nest(at[NFTA_EXPR_DATA], immediate, ARRAY_SIZE(immediate));
	netfilter_read_nest(immediate[NFTA_IMMEDIATE_DATA], value, ARRAY_SIZE(value));
	netfilter_read_nest(value[NFTA_DATA_VERDICT], verdict, ARRAY_SIZE(verdict));
	netfilter_read_text(verdict[NFTA_VERDICT_CHAIN], data, NFT_NAME);
	return MNL_CB_OK;
}

static int rule_take(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *at[NFTA_RULE_MAX + 1];
	char table[NFT_TABLE_MAXNAMELEN], chain[NFT_CHAIN_MAXNAMELEN];
	struct nft_rule_name rule = {0}, *list;
	struct netfilter_dump *dump = data;

	netfilter_read(message, at, ARRAY_SIZE(at));
	netfilter_read_text(at[NFTA_RULE_TABLE], table, sizeof(table));
	netfilter_read_text(at[NFTA_RULE_CHAIN], chain, sizeof(chain));
	rule.table = table_number(table);
	rule.inner = is_kube_proxy(rule.table, chain);
	if (!rule.inner && at[NFTA_RULE_EXPRESSIONS])
		mnl_attr_parse_nested(at[NFTA_RULE_EXPRESSIONS], target_take, rule.target);
	if (!rule.inner && !is_kube_proxy(rule.table, rule.target))
		return MNL_CB_OK;
	if (at[NFTA_RULE_HANDLE] && mnl_attr_validate(at[NFTA_RULE_HANDLE], MNL_TYPE_U64) == 0)
		rule.handle = be64toh(mnl_attr_get_u64(at[NFTA_RULE_HANDLE]));
	snprintf(rule.chain, sizeof(rule.chain), "%.*s", NFT_NAME - 1, chain);
	list = dump->item = mem_grow(dump->item, &dump->capacity, dump->count + 1, sizeof(rule));
	list[dump->count++] = rule;
	return MNL_CB_OK;
}

static struct nft_chain_name *scan_find(
	const struct nft_scan *scan, int table, const char *name)
{
	for (size_t i = 0; i < scan->chain_count; i++)
		if (scan->chain[i].table == table && strcmp(scan->chain[i].name, name) == 0)
			return &scan->chain[i];
	return NULL;
}

/* A rule that leads from a chain of the kernel to one of kube-proxy. */
static bool rule_is_jump(const struct nft_scan *scan, const struct nft_rule_name *rule)
{
	const struct nft_chain_name *chain =
		rule->inner ? NULL : scan_find(scan, rule->table, rule->chain);

	return chain && chain->base;
}

/* What is reached from a chain that is somebody else's is in use, whoever has made it. */
static void scan_hold(struct nft_scan *scan, int table)
{
	for (size_t i = 0; i < scan->rule_count[table]; i++) {
		const struct nft_rule_name *rule = &scan->rule[table][i];
		struct nft_chain_name *target;

		if (rule->inner || rule_is_jump(scan, rule))
			continue;
		target = scan_find(scan, table, rule->target);
		if (!target)
			continue;
		target->held = true;
		memcpy(target->holder, rule->chain, sizeof(target->holder));
	}
}

static unsigned int scan_chains(const struct nft_scan *scan, int table)
{
	unsigned int count = 0;

	for (size_t i = 0; i < scan->chain_count; i++)
		count += scan->chain[i].table == table && !scan->chain[i].base;
	return count;
}

static int scan_rules(struct nft_scan *scan, int family, int table)
{
	char buffer[NFT_REQUEST_SIZE];
	struct netfilter_dump dump = {.take = rule_take};
	struct nlmsghdr *request = netfilter_begin(
		buffer, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE, NLM_F_DUMP, family);
	int r;

	mnl_attr_put_strz(request, NFTA_RULE_TABLE, leftover_tables[table]);
	r = netfilter_dump(request, &dump);
	scan->rule[table] = dump.item;
	scan->rule_count[table] = dump.count;
	return r;
}

/* Rules are read of those tables alone that have chains of kube-proxy. */
static int nft_scan(int family, struct nft_scan *scan, struct err *err)
{
	char buffer[NFT_REQUEST_SIZE];
	struct netfilter_dump dump = {.take = chain_take};
	int r = netfilter_dump(netfilter_begin(buffer, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN,
				       NLM_F_DUMP, family),
		&dump);

	scan->chain = dump.item;
	scan->chain_count = r < 0 ? 0 : dump.count;
	for (int i = 0; i < LEFTOVER_TABLES && r == 0; i++) {
		if (scan_chains(scan, i))
			r = scan_rules(scan, family, i);
		scan_hold(scan, i);
	}
	return r < 0 ? err_system(err, -r, "reading the node's nftables") : 0;
}

static struct nlmsghdr *nft_request(
	void *buffer, unsigned int type, int family, const char *table)
{
	struct nlmsghdr *request = netfilter_begin(buffer, NFNL_SUBSYS_NFTABLES, type, 0, family);

	/* Of messages about tables, chains and rules alike, the first attribute names the table. */
	mnl_attr_put_strz(request, NFTA_TABLE_NAME, table);
	return request;
}

static int own_table_exists(int family, bool *ret_exists)
{
	char buffer[NFT_REQUEST_SIZE];
	int r = netfilter_ask(nft_request(buffer, NFT_MSG_GETTABLE, family, LEFTOVER_OWN_TABLE));

	*ret_exists = r == 0;
	return r == -ENOENT ? 0 : r;
}

int leftovers_find_nft(struct leftovers *leftovers, struct err *err)
{
	for (size_t f = 0; f < ARRAY_SIZE(nft_families); f++) {
		_cleanup_(nft_scan_clear) struct nft_scan scan = {0};
		bool own = false;
		int r = nft_scan(nft_families[f].number, &scan, err);

		if (r < 0)
			return r;
		r = own_table_exists(nft_families[f].number, &own);
		if (r < 0)
			return err_system(err, -r, "asking for the table " LEFTOVER_OWN_TABLE);
		for (int i = 0; i < LEFTOVER_TABLES; i++) {
			unsigned int chains = scan_chains(&scan, i);
			struct leftover *leftover;

			if (i ? !chains : !own)
				continue;
			leftover = leftovers_add(leftovers, i ? LEFTOVER_IPTABLES : LEFTOVER_NFTABLES,
				chains, "%s %s", nft_families[f].name, leftover_tables[i]);
			leftover->rules = (unsigned int)scan.rule_count[i];
		}
	}
	return 0;
}

/* --- removing --- */

/* "ip nat": the family's number, and the table's name in *ret_table. */
static int leftover_place(const struct leftover *leftover, const char **ret_table)
{
	const char *space = strchr(leftover->name, ' ');

	*ret_table = space + 1;
	for (size_t f = 0; f < ARRAY_SIZE(nft_families); f++)
		if (strncmp(nft_families[f].name, leftover->name, (size_t)(space - leftover->name)) ==
			0 && strlen(nft_families[f].name) == (size_t)(space - leftover->name))
			return nft_families[f].number;
	return NFPROTO_UNSPEC;
}

int leftovers_remove_table(struct leftover *leftover, struct err *err)
{
	_netfilter_batch_ struct netfilter_batch batch = {0};
	char buffer[NFT_REQUEST_SIZE];
	const char *table;
	int r, family = leftover_place(leftover, &table);

	netfilter_batch_add(&batch, nft_request(buffer, NFT_MSG_DELTABLE, family, table));
	r = netfilter_batch_send(&batch, NFNL_SUBSYS_NFTABLES);
	return r < 0 && r != -ENOENT ? err_system(err, -r, "removing it") : 0;
}

static int remove_jumps(const struct nft_scan *scan, int family, int table)
{
	_netfilter_batch_ struct netfilter_batch batch = {0};
	char buffer[NFT_REQUEST_SIZE];

	for (size_t i = 0; i < scan->rule_count[table]; i++) {
		const struct nft_rule_name *rule = &scan->rule[table][i];
		struct nlmsghdr *request;

		if (!rule_is_jump(scan, rule))
			continue;
		request = nft_request(buffer, NFT_MSG_DELRULE, family, leftover_tables[table]);
		mnl_attr_put_strz(request, NFTA_RULE_CHAIN, rule->chain);
		mnl_attr_put_u64(request, NFTA_RULE_HANDLE, htobe64(rule->handle));
		netfilter_batch_add(&batch, request);
	}
	return netfilter_batch_send(&batch, NFNL_SUBSYS_NFTABLES);
}

/* Of all chains first the rules, by which one leads to another, then the chains. */
static int remove_each(
	const struct nft_scan *scan, int family, int table, unsigned int type, int attribute)
{
	_netfilter_batch_ struct netfilter_batch batch = {0};
	char buffer[NFT_REQUEST_SIZE];
	int r = 0;

	for (size_t i = 0; i < scan->chain_count && r == 0; i++) {
		const struct nft_chain_name *chain = &scan->chain[i];
		struct nlmsghdr *request;

		if (chain->table != table || chain->base || chain->held)
			continue;
		request = nft_request(buffer, type, family, leftover_tables[table]);
		mnl_attr_put_strz(request, (uint16_t)attribute, chain->name);
		netfilter_batch_add(&batch, request);
		if (batch.count == NFT_BATCH)
			r = netfilter_batch_send(&batch, NFNL_SUBSYS_NFTABLES);
	}
	return r < 0 ? r : netfilter_batch_send(&batch, NFNL_SUBSYS_NFTABLES);
}

static void say_held(const struct nft_scan *scan, int table, struct leftover *leftover)
{
	for (size_t i = 0; i < scan->chain_count; i++) {
		const struct nft_chain_name *chain = &scan->chain[i];

		if (chain->table != table || !chain->held)
			continue;
		leftover->state = LEFTOVER_KEPT;
		err_set(&leftover->why, EBUSY, "the chain %s stays: a rule of %s leads to it",
			chain->name, chain->holder);
	}
}

int leftovers_remove_chains(struct leftover *leftover, struct err *err)
{
	_cleanup_(nft_scan_clear) struct nft_scan scan = {0};
	const char *name;
	int family = leftover_place(leftover, &name), table = table_number(name);
	int r = nft_scan(family, &scan, err);

	if (r < 0)
		return r;
	r = remove_jumps(&scan, family, table);
	if (r == 0)
		r = remove_each(&scan, family, table, NFT_MSG_DELRULE, NFTA_RULE_CHAIN);
	if (r == 0)
		r = remove_each(&scan, family, table, NFT_MSG_DELCHAIN, NFTA_CHAIN_NAME);
	if (r < 0)
		return err_system(err, -r, "removing its chains");
	say_held(&scan, table, leftover);
	return 0;
}

/* --- looking --- */

static int look_table(int family, const char *table, const char **ret_chain)
{
	char buffer[NFT_REQUEST_SIZE];
	const char *chain;

	for (size_t i = 0; (chain = leftover_chain_at(i)); i++) {
		struct nlmsghdr *request =
			nft_request(buffer, NFT_MSG_GETCHAIN, family, table);
		int r;

		mnl_attr_put_strz(request, NFTA_CHAIN_NAME, chain);
		r = netfilter_ask(request);
		if (r == 0)
			*ret_chain = chain;
		if (r != -ENOENT)
			return r;
	}
	return 0;
}

int leftovers_look_nft(char found[LEFTOVER_NAME_SIZE], struct err *err)
{
	int r = 0;

	*found = '\0';
	for (size_t f = 0; f < ARRAY_SIZE(nft_families) && r == 0 && !*found; f++) {
		const char *chain = NULL;
		bool own = false;

		r = own_table_exists(nft_families[f].number, &own);
		if (own)
			snprintf(found, LEFTOVER_NAME_SIZE, "the nftables table %s " LEFTOVER_OWN_TABLE,
				nft_families[f].name);
		for (int i = LEFTOVER_TABLE_NAT; i < LEFTOVER_TABLES && r == 0 && !*found; i++) {
			r = look_table(nft_families[f].number, leftover_tables[i], &chain);
			if (chain)
				snprintf(found, LEFTOVER_NAME_SIZE, "the iptables chain %s %s %s",
					nft_families[f].name, leftover_tables[i], chain);
		}
	}
	return r < 0 ? err_system(err, -r, "looking for what kube-proxy has left") : 0;
}
