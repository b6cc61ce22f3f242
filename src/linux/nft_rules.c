/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/nft_rules.h"

#include "base/mem.h"

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

#define ATTEMPTS 8 /* a dump that a change has interrupted begins again */
#define COMMENT 0  /* of the pairs of type and length that user data consist of (libnftnl) */
#define EXPRESSION_NAME 32

static const struct {
	unsigned char number;
	const char *name;
} families[] = {{NFPROTO_IPV4, "ip"}, {NFPROTO_IPV6, "ip6"}, {NFPROTO_INET, "inet"}};

/* A list that a dump fills. */
struct dump {
	mnl_cb_t take;
	const char *table; /* for table_take: whose content */
	void *item;
	size_t count, capacity;
};

/* Attributes by type; those from `size` on are passed over. */
struct attributes {
	const struct nlattr **table;
	size_t size;
};

static int attribute_sort(const struct nlattr *attribute, void *data)
{
	const struct attributes *attributes = data;

	if (mnl_attr_get_type(attribute) < attributes->size)
		attributes->table[mnl_attr_get_type(attribute)] = attribute;
	return MNL_CB_OK;
}

static void message_read(const struct nlmsghdr *message, const struct nlattr **table, size_t size)
{
	struct attributes attributes = {table, size};

	mnl_attr_parse(message, sizeof(struct nfgenmsg), attribute_sort, &attributes);
}

static void nest_read(const struct nlattr *nest, const struct nlattr **table, size_t size)
{
	struct attributes attributes = {table, size};

	if (nest)
		mnl_attr_parse_nested(nest, attribute_sort, &attributes);
}

static uint32_t number_read(const struct nlattr *attribute, uint32_t otherwise)
{
	if (!attribute || mnl_attr_validate(attribute, MNL_TYPE_U32) < 0)
		return otherwise;
	return ntohl(mnl_attr_get_u32(attribute));
}

static void text_read(const struct nlattr *attribute, char *text, size_t size)
{
	*text = '\0';
	if (attribute)
		snprintf(text, size, "%.*s", (int)mnl_attr_get_payload_len(attribute),
			(const char *)mnl_attr_get_payload(attribute));
}

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
	struct dump *dump = data;
	struct nft_chain chain = {.family = family_name_of(header->nfgen_family)}, *list;
	char type[8];
	uint32_t number;

	message_read(message, table, ARRAY_SIZE(table));
	nest_read(table[NFTA_CHAIN_HOOK], hook, ARRAY_SIZE(hook));
	text_read(table[NFTA_CHAIN_TYPE], type, sizeof(type));
	number = number_read(hook[NFTA_HOOK_HOOKNUM], NF_INET_NUMHOOKS);
	if (!chain.family || strcmp(type, "filter") != 0 ||
		(number != NF_INET_LOCAL_IN && number != NF_INET_FORWARD))
		return MNL_CB_OK;
	chain.forward = number == NF_INET_FORWARD;
	chain.drops = number_read(table[NFTA_CHAIN_POLICY], NF_ACCEPT) == NF_DROP;
	text_read(table[NFTA_CHAIN_TABLE], chain.table, sizeof(chain.table));
	text_read(table[NFTA_CHAIN_NAME], chain.name, sizeof(chain.name));
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

	nest_read(data, immediate, ARRAY_SIZE(immediate));
	nest_read(immediate[NFTA_IMMEDIATE_DATA], value, ARRAY_SIZE(value));
	nest_read(value[NFTA_DATA_VERDICT], verdict, ARRAY_SIZE(verdict));
	return number_read(verdict[NFTA_VERDICT_CODE], otherwise);
}

/* A target of iptables that nftables has no expression for. */
static enum expression_sense target_sense(const struct nlattr *data)
{
	const struct nlattr *target[NFTA_TARGET_MAX + 1] = {0};
	char name[EXPRESSION_NAME];

	nest_read(data, target, ARRAY_SIZE(target));
	text_read(target[NFTA_TARGET_NAME], name, sizeof(name));
	return strcmp(name, "REJECT") == 0 || strcmp(name, "DROP") == 0 ? EXPRESSION_DROPS
									: EXPRESSION_OTHER;
}

static enum expression_sense expression_sense(const struct nlattr *expression)
{
	const struct nlattr *table[NFTA_EXPR_MAX + 1] = {0};
	char name[EXPRESSION_NAME];

	nest_read(expression, table, ARRAY_SIZE(table));
	text_read(table[NFTA_EXPR_NAME], name, sizeof(name));
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

	nest_read(data, meta, ARRAY_SIZE(meta));
	key = number_read(meta[NFTA_META_KEY], NFT_META_LEN);
	rule->outgoing = key == NFT_META_OIFNAME;
	return key == NFT_META_OIFNAME || key == NFT_META_IIFNAME;
}

/* A name that is compared as a whole has its NUL; what is shorter is the beginning of a name. */
static bool device_compare(const struct nlattr *data, struct nft_rule *rule)
{
	const struct nlattr *compare[NFTA_CMP_MAX + 1] = {0}, *value[NFTA_DATA_MAX + 1] = {0};
	uint16_t size;

	nest_read(data, compare, ARRAY_SIZE(compare));
	nest_read(compare[NFTA_CMP_DATA], value, ARRAY_SIZE(value));
	if (number_read(compare[NFTA_CMP_OP], NFT_CMP_NEQ) != NFT_CMP_EQ || !value[NFTA_DATA_VALUE])
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

	nest_read(expression, table, ARRAY_SIZE(table));
	text_read(table[NFTA_EXPR_NAME], name, sizeof(name));
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

	nest_read(expression, table, ARRAY_SIZE(table));
	text_read(table[NFTA_EXPR_NAME], name, sizeof(name));
	if (strcmp(name, "match") != 0)
		return MNL_CB_OK;
	nest_read(table[NFTA_EXPR_DATA], match, ARRAY_SIZE(match));
	text_read(match[NFTA_MATCH_NAME], name, sizeof(name));
	if (strcmp(name, "comment") == 0)
		text_read(match[NFTA_MATCH_INFO], data, NFT_USERDATA_MAXLEN);
	return MNL_CB_OK;
}

static int rule_take(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *table[NFTA_RULE_MAX + 1] = {0};
	struct nft_rule rule = {0}, *list;
	struct dump *dump = data;

	message_read(message, table, ARRAY_SIZE(table));
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
	struct dump *dump = data;
	char name[NFT_TABLE_MAXNAMELEN], *bytes;
	size_t size;

	message_read(message, table, ARRAY_SIZE(table));
	text_read(table[NFTA_TABLE_NAME], name, sizeof(name));
	if (strcmp(name, dump->table) != 0)
		return MNL_CB_OK;
	size = mnl_nlmsg_get_payload_len(message) - header;
	bytes = dump->item = mem_grow(dump->item, &dump->capacity, dump->count + size, 1);
	memcpy(bytes + dump->count, mnl_nlmsg_get_payload_offset(message, header), size);
	dump->count += size;
	return MNL_CB_OK;
}

static struct nlmsghdr *request_begin(void *buffer, int type, unsigned char family)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	return message;
}

/* 0 or -errno; -EINTR when somebody has changed what was being dumped. */
static int dump_once(const struct nlmsghdr *request, struct dump *dump)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char buffer[32768]; /* the most that the kernel puts into one part of a dump */
	int r = MNL_CB_OK;

	if (!socket)
		return -errno;
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		r = MNL_CB_ERROR;
	while (r == MNL_CB_OK) {
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		r = size < 0 ? MNL_CB_ERROR
			     : mnl_cb_run(buffer, (size_t)size, 0, 0, dump->take, dump);
	}
	r = r < 0 ? -errno : 0;
	mnl_socket_close(socket);
	return r;
}

static int dump_run(const struct nlmsghdr *request, struct dump *dump)
{
	int r = -EINTR;

	for (int i = 0; i < ATTEMPTS && r == -EINTR; i++) {
		dump->count = 0;
		r = dump_once(request, dump);
	}
	if (r < 0)
		mem_free_pointer(&dump->item);
	return r;
}

int nft_read_chains(struct nft_chain **ret_list, size_t *ret_count, struct err *err)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct dump dump = {.take = chain_take};
	int r = dump_run(request_begin(buffer, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC), &dump);

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
	struct dump dump = {.take = rule_take};
	struct nlmsghdr *request =
		request_begin(buffer, NFT_MSG_GETRULE, family_number_of(chain->family));
	int r;

	mnl_attr_put_strz(request, NFTA_RULE_TABLE, chain->table);
	mnl_attr_put_strz(request, NFTA_RULE_CHAIN, chain->name);
	r = dump_run(request, &dump);
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
		struct dump dump = {.take = table_take, .table = table};
		struct nlmsghdr *request =
			request_begin(buffer, types[i], family_number_of(family));
		int r;

		mnl_attr_put_strz(request, NFTA_TABLE_NAME, table);
		r = dump_run(request, &dump);
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
