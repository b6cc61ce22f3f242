/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/nft_rules.h"

#include "base/mem.h"
#include "linux/netfilter.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define COMMENT 0 /* of the pairs of type and length that user data consist of (libnftnl) */
#define EXPRESSION_NAME 32

static const struct {
	unsigned char number;
	const char *name;
} families[] = {{NFPROTO_IPV4, "ip"}, {NFPROTO_IPV6, "ip6"}, {NFPROTO_INET, "inet"}};

static const char *family_name_of(unsigned char number)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (families[i].number == number)
			return families[i].name;
	return NULL;
}

static unsigned char family_number_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (strcmp(families[i].name, name) == 0)
			return families[i].number;
	return NFPROTO_UNSPEC;
}

static int chain_take(const struct nlmsghdr *message, void *data)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *table[NFTA_CHAIN_MAX + 1] = {0}, *hook[NFTA_HOOK_MAX + 1] = {0};
	struct netfilter_dump *dump = data;
	struct nft_chain chain = {.family = family_name_of(header->nfgen_family)}, *list;
	char type[8];
	uint32_t number;

	netfilter_read(message, table, ARRAY_SIZE(table));
	netfilter_read_nest(table[NFTA_CHAIN_HOOK], hook, ARRAY_SIZE(hook));
	netfilter_read_text(table[NFTA_CHAIN_TYPE], type, sizeof(type));
	number = netfilter_read_number(hook[NFTA_HOOK_HOOKNUM], NF_INET_NUMHOOKS);
	if (!chain.family || strcmp(type, "filter") != 0 ||
		(number != NF_INET_LOCAL_IN && number != NF_INET_FORWARD))
		return MNL_CB_OK;
	chain.forward = number == NF_INET_FORWARD;
	chain.drops = netfilter_read_number(table[NFTA_CHAIN_POLICY], NF_ACCEPT) == NF_DROP;
	netfilter_read_text(table[NFTA_CHAIN_TABLE], chain.table, sizeof(chain.table));
	netfilter_read_text(table[NFTA_CHAIN_NAME], chain.name, sizeof(chain.name));
	list = dump->item = mem_grow(dump->item, &dump->capacity, dump->count + 1, sizeof(chain));
	list[dump->count++] = chain;
	return MNL_CB_OK;
}

static void comment_read(const struct nlattr *attribute, char comment[NFT_USERDATA_MAXLEN])
{
	const unsigned char *data = attribute ? mnl_attr_get_payload(attribute) : NULL;
	size_t left = attribute ? mnl_attr_get_payload_len(attribute) : 0;

	while (left >= 2 && left >= 2U + data[1]) {
		if (data[0] == COMMENT)
			snprintf(comment, NFT_USERDATA_MAXLEN, "%.*s", (int)data[1],
				(const char *)data + 2);
		left -= 2U + data[1];
		data += 2U + data[1];
	}
}

enum expression_sense { EXPRESSION_NEUTRAL, EXPRESSION_DROPS, EXPRESSION_OTHER };

static uint32_t verdict_read(const struct nlattr *data, uint32_t otherwise)
{
	const struct nlattr *immediate[NFTA_IMMEDIATE_MAX + 1] = {0};
	const struct nlattr *value[NFTA_DATA_MAX + 1] = {0}, *verdict[NFTA_VERDICT_MAX + 1] = {0};

	netfilter_read_nest(data, immediate, ARRAY_SIZE(immediate));
	netfilter_read_nest(immediate[NFTA_IMMEDIATE_DATA], value, ARRAY_SIZE(value));
	netfilter_read_nest(value[NFTA_DATA_VERDICT], verdict, ARRAY_SIZE(verdict));
	return netfilter_read_number(verdict[NFTA_VERDICT_CODE], otherwise);
}

/* A target of iptables that nftables has no expression for. */
static enum expression_sense target_sense(const struct nlattr *data)
{
	const struct nlattr *target[NFTA_TARGET_MAX + 1] = {0};
	char name[EXPRESSION_NAME];

	netfilter_read_nest(data, target, ARRAY_SIZE(target));
	netfilter_read_text(target[NFTA_TARGET_NAME], name, sizeof(name));
	return strcmp(name, "REJECT") == 0 || strcmp(name, "DROP") == 0 ? EXPRESSION_DROPS
									: EXPRESSION_OTHER;
}

static enum expression_sense expression_sense(const struct nlattr *expression)
{
	const struct nlattr *table[NFTA_EXPR_MAX + 1] = {0};
	char name[EXPRESSION_NAME];

	netfilter_read_nest(expression, table, ARRAY_SIZE(table));
	netfilter_read_text(table[NFTA_EXPR_NAME], name, sizeof(name));
	if (strcmp(name, "counter") == 0 || strcmp(name, "log") == 0)
		return EXPRESSION_NEUTRAL;
	if (strcmp(name, "reject") == 0)
		return EXPRESSION_DROPS;
	if (strcmp(name, "immediate") == 0)
		return verdict_read(table[NFTA_EXPR_DATA], NF_ACCEPT) == NF_DROP
			       ? EXPRESSION_DROPS
			       : EXPRESSION_OTHER;
	if (strcmp(name, "target") == 0)
		return target_sense(table[NFTA_EXPR_DATA]);
	return EXPRESSION_OTHER;
}

/* `data`: whether the expressions so far drop. A condition, or another end, ends the walk. */
static int expression_take(const struct nlattr *expression, void *data)
{
	enum expression_sense sense = expression_sense(expression);
	bool *drops = data;

	if (sense != EXPRESSION_NEUTRAL)
		*drops = sense == EXPRESSION_DROPS;
	return sense == EXPRESSION_OTHER ? MNL_CB_STOP : MNL_CB_OK;
}

/* --- rules by device: the expressions of one that accepts, in their order --- */

static bool device_meta(const struct nlattr *data, struct nft_rule *rule)
{
	const struct nlattr *meta[NFTA_META_MAX + 1] = {0};
	uint32_t key;

	netfilter_read_nest(data, meta, ARRAY_SIZE(meta));
	key = netfilter_read_number(meta[NFTA_META_KEY], NFT_META_LEN);
	rule->outgoing = key == NFT_META_OIFNAME;
	return key == NFT_META_OIFNAME || key == NFT_META_IIFNAME;
}

/* A name that is compared as a whole has its NUL; what is shorter is the beginning of a name. */
static bool device_compare(const struct nlattr *data, struct nft_rule *rule)
{
	const struct nlattr *compare[NFTA_CMP_MAX + 1] = {0}, *value[NFTA_DATA_MAX + 1] = {0};
	uint16_t size;

	netfilter_read_nest(data, compare, ARRAY_SIZE(compare));
	netfilter_read_nest(compare[NFTA_CMP_DATA], value, ARRAY_SIZE(value));
	if (netfilter_read_number(compare[NFTA_CMP_OP], NFT_CMP_NEQ) != NFT_CMP_EQ ||
		!value[NFTA_DATA_VALUE])
		return false;
	size = mnl_attr_get_payload_len(value[NFTA_DATA_VALUE]);
	if (size > IFNAMSIZ)
		return false;
	memcpy(rule->device, mnl_attr_get_payload(value[NFTA_DATA_VALUE]), size);
	rule->device[size] = size < IFNAMSIZ ? '*' : '\0';
	return true;
}

static bool device_count(const struct nlattr *data, struct nft_rule *rule)
{
	(void)data;
	(void)rule;
	return true;
}

static bool device_accept(const struct nlattr *data, struct nft_rule *rule)
{
	(void)rule;
	return verdict_read(data, NF_DROP) == NF_ACCEPT;
}

static const struct {
	const char *name;
	bool (*take)(const struct nlattr *data, struct nft_rule *rule);
} device_steps[] = {{"meta", device_meta}, {"cmp", device_compare}, {"counter", device_count},
	{"immediate", device_accept}};

struct device_walk {
	struct nft_rule *rule;
	size_t step;
};

static int device_take(const struct nlattr *expression, void *data)
{
	const struct nlattr *table[NFTA_EXPR_MAX + 1] = {0};
	struct device_walk *walk = data;
	char name[EXPRESSION_NAME];

	netfilter_read_nest(expression, table, ARRAY_SIZE(table));
	netfilter_read_text(table[NFTA_EXPR_NAME], name, sizeof(name));
	if (walk->step < ARRAY_SIZE(device_steps) &&
		strcmp(name, device_steps[walk->step].name) == 0 &&
		device_steps[walk->step].take(table[NFTA_EXPR_DATA], walk->rule)) {
		walk->step++;
		return MNL_CB_OK;
	}
	walk->step = 0;
	return MNL_CB_STOP;
}

static void device_read(const struct nlattr *expressions, struct nft_rule *rule)
{
	struct device_walk walk = {.rule = rule};

	mnl_attr_parse_nested(expressions, device_take, &walk);
	if (walk.step != ARRAY_SIZE(device_steps))
		*rule->device = '\0';
}

/* iptables keeps a comment in an expression of its own. */
static int match_comment_take(const struct nlattr *expression, void *data)
{
	const struct nlattr *table[NFTA_EXPR_MAX + 1] = {0}, *match[NFTA_MATCH_MAX + 1] = {0};
	char name[EXPRESSION_NAME];

	netfilter_read_nest(expression, table, ARRAY_SIZE(table));
	netfilter_read_text(table[NFTA_EXPR_NAME], name, sizeof(name));
	if (strcmp(name, "match") != 0)
		return MNL_CB_OK;
	netfilter_read_nest(table[NFTA_EXPR_DATA], match, ARRAY_SIZE(match));
	netfilter_read_text(match[NFTA_MATCH_NAME], name, sizeof(name));
	if (strcmp(name, "comment") == 0)
		netfilter_read_text(match[NFTA_MATCH_INFO], data, NFT_USERDATA_MAXLEN);
	return MNL_CB_OK;
}

static int rule_take(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *table[NFTA_RULE_MAX + 1] = {0};
	struct nft_rule rule = {0}, *list;
	struct netfilter_dump *dump = data;

	netfilter_read(message, table, ARRAY_SIZE(table));
	if (table[NFTA_RULE_HANDLE] &&
		mnl_attr_validate(table[NFTA_RULE_HANDLE], MNL_TYPE_U64) == 0)
		rule.handle = be64toh(mnl_attr_get_u64(table[NFTA_RULE_HANDLE]));
	comment_read(table[NFTA_RULE_USERDATA], rule.comment);
	if (table[NFTA_RULE_EXPRESSIONS]) {
		mnl_attr_parse_nested(table[NFTA_RULE_EXPRESSIONS], expression_take, &rule.drops);
		device_read(table[NFTA_RULE_EXPRESSIONS], &rule);
		if (!*rule.comment)
			mnl_attr_parse_nested(table[NFTA_RULE_EXPRESSIONS], match_comment_take,
				rule.comment);
	}
	list = dump->item = mem_grow(dump->item, &dump->capacity, dump->count + 1, sizeof(rule));
	list[dump->count++] = rule;
	return MNL_CB_OK;
}

/* Of messages about tables, chains and rules alike, the first attribute names the table. */
_Static_assert((int)NFTA_TABLE_NAME == (int)NFTA_CHAIN_TABLE &&
		       (int)NFTA_TABLE_NAME == (int)NFTA_RULE_TABLE,
	"one attribute for all");

static int table_take(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *table[NFTA_TABLE_NAME + 1] = {0};
	const size_t header = sizeof(struct nfgenmsg); /* has the generation, which is none of it */
	struct netfilter_dump *dump = data;
	char name[NFT_TABLE_MAXNAMELEN], *bytes;
	size_t size;

	netfilter_read(message, table, ARRAY_SIZE(table));
	netfilter_read_text(table[NFTA_TABLE_NAME], name, sizeof(name));
	if (strcmp(name, (const char *)dump->context) != 0)
		return MNL_CB_OK;
	size = mnl_nlmsg_get_payload_len(message) - header;
	bytes = dump->item = mem_grow(dump->item, &dump->capacity, dump->count + size, 1);
	memcpy(bytes + dump->count, mnl_nlmsg_get_payload_offset(message, header), size);
	dump->count += size;
	return MNL_CB_OK;
}

static struct nlmsghdr *nft_begin(void *buffer, int type, unsigned char family)
{
	return netfilter_begin(
		buffer, NFNL_SUBSYS_NFTABLES, (unsigned int)type, NLM_F_DUMP, family);
}

int nft_read_chains(struct nft_chain **ret_list, size_t *ret_count, struct err *err)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct netfilter_dump dump = {.take = chain_take};
	int r = netfilter_dump(nft_begin(buffer, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC), &dump);

	if (r < 0)
		return err_system(err, -r, "reading the chains of the node's firewall");
	*ret_list = dump.item;
	*ret_count = dump.count;
	return 0;
}

int nft_read_rules(const struct nft_chain *chain, struct nft_rule **ret_list, size_t *ret_count,
	struct err *err)
{
	char buffer[MNL_NLMSG_HDRLEN + 64 + NFT_TABLE_MAXNAMELEN + NFT_CHAIN_MAXNAMELEN];
	struct netfilter_dump dump = {.take = rule_take};
	struct nlmsghdr *request =
		nft_begin(buffer, NFT_MSG_GETRULE, family_number_of(chain->family));
	int r;

	mnl_attr_put_strz(request, NFTA_RULE_TABLE, chain->table);
	mnl_attr_put_strz(request, NFTA_RULE_CHAIN, chain->name);
	r = netfilter_dump(request, &dump);
	if (r < 0)
		return err_system(err, -r, "reading the rules of %s %s %s", chain->family,
			chain->table, chain->name);
	*ret_list = dump.item;
	*ret_count = dump.count;
	return 0;
}

int nft_read_table(
	const char *family, const char *table, struct text *ret_content, struct err *err)
{
	static const int types[] = {NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE};
	_text_ struct text content = {0};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		char buffer[MNL_NLMSG_HDRLEN + 64 + NFT_TABLE_MAXNAMELEN];
		struct netfilter_dump dump = {.take = table_take, .context = table};
		struct nlmsghdr *request =
			nft_begin(buffer, types[i], family_number_of(family));
		int r;

		mnl_attr_put_strz(request, NFTA_TABLE_NAME, table);
		r = netfilter_dump(request, &dump);
		if (r < 0)
			return err_system(err, -r, "reading the table %s %s", family, table);
		text_append_bytes(&content, dump.item, dump.count);
		free(dump.item);
	}
	text_clear(ret_content);
	*ret_content = content;
	content = (struct text){0};
	return 0;
}
