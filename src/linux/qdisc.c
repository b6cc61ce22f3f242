/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/qdisc.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The one filter that we keep on a block: all protocols, this preference and number. */
#define BLOCK_PREFERENCE 1
#define BLOCK_HANDLE 1

static struct tcmsg *qdisc_header(struct nlmsghdr *message)
{
	struct tcmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->tcm_family = AF_UNSPEC;
	return header;
}

static struct nlmsghdr *qdisc_begin(struct netlink_batch *batch, int type, int flags,
	unsigned int tolerate, unsigned int ifindex)
{
	struct nlmsghdr *message =
		netlink_begin(batch, type, flags, tolerate, "clsact on device %u", ifindex);
	struct tcmsg *header = qdisc_header(message);

	header->tcm_ifindex = (int)ifindex;
	header->tcm_parent = TC_H_CLSACT;
	/* With the number a DEL of what is not there is EINVAL, without it ENOENT. */
	header->tcm_handle = type == RTM_NEWQDISC ? TC_H_MAKE(TC_H_CLSACT, 0) : 0;
	return message;
}

void qdisc_add_clsact(struct netlink_batch *batch, unsigned int ifindex, uint32_t ingress_block,
	uint32_t egress_block)
{
	struct nlmsghdr *message = qdisc_begin(
		batch, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, NETLINK_MAY_EXIST, ifindex);

	mnl_attr_put_strz(message, TCA_KIND, "clsact");
	if (ingress_block)
		mnl_attr_put_u32(message, TCA_INGRESS_BLOCK, ingress_block);
	if (egress_block)
		mnl_attr_put_u32(message, TCA_EGRESS_BLOCK, egress_block);
	netlink_end(batch, message);
}

void qdisc_delete_clsact(struct netlink_batch *batch, unsigned int ifindex)
{
	netlink_end(batch, qdisc_begin(batch, RTM_DELQDISC, 0, NETLINK_MAY_BE_MISSING, ifindex));
}

static void block_header(struct nlmsghdr *message, uint32_t block, uint32_t handle)
{
	struct tcmsg *header = qdisc_header(message);

	header->tcm_ifindex = (int)TCM_IFINDEX_MAGIC_BLOCK;
	header->tcm_block_index = block;
	header->tcm_handle = handle;
	header->tcm_info = TC_H_MAKE(BLOCK_PREFERENCE << 16, htons(ETH_P_ALL));
}

void block_set_program(struct netlink_batch *batch, uint32_t block, int program, const char *name)
{
	struct nlmsghdr *message = netlink_begin(batch, RTM_NEWTFILTER,
		NLM_F_CREATE | NLM_F_REPLACE, 0, "program %s on block %u", name, block);
	struct nlattr *options;

	block_header(message, block, BLOCK_HANDLE);
	mnl_attr_put_strz(message, TCA_KIND, "bpf");
	options = mnl_attr_nest_start(message, TCA_OPTIONS);
	mnl_attr_put_u32(message, TCA_BPF_FD, (uint32_t)program);
	mnl_attr_put_strz(message, TCA_BPF_NAME, name);
	mnl_attr_put_u32(message, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	mnl_attr_nest_end(message, options);
	netlink_end(batch, message);
}

static int block_take(const struct nlmsghdr *message, void *context)
{
	struct block_program *program = context;
	const struct nlattr *at[TCA_MAX + 1], *option[TCA_BPF_MAX + 1];

	netlink_read(message, sizeof(struct tcmsg), at, ARRAY_SIZE(at));
	if (!at[TCA_OPTIONS])
		return 0;
	netlink_read_nest(at[TCA_OPTIONS], option, ARRAY_SIZE(option));
	if (option[TCA_BPF_ID])
		program->id = netlink_read_u32(option[TCA_BPF_ID]);
	if (option[TCA_BPF_NAME])
		netlink_read_text(option[TCA_BPF_NAME], program->name, sizeof(program->name));
	return 0;
}

int block_find_program(
	struct netlink *netlink, uint32_t block, struct block_program *ret_program, struct err *err)
{
	char buffer[NETLINK_MESSAGE_SIZE], what[NETLINK_WHAT_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct block_program program = {0};
	int r;

	request->nlmsg_type = RTM_GETTFILTER;
	request->nlmsg_flags = NLM_F_REQUEST;
	block_header(request, block, BLOCK_HANDLE);
	mnl_attr_put_strz(request, TCA_KIND, "bpf");
	snprintf(what, sizeof(what), "program on block %u", block);
	r = netlink_request(netlink, request, what, block_take, &program, err);
	if (r == -EINVAL || r == -ENOENT) /* no such block, or no such filter */
		return err_set(err, ENOENT, "%s: there is none", what);
	if (r < 0)
		return r;
	*ret_program = program;
	return 0;
}

struct clsact_walk {
	clsact_each each;
	void *context;
};

static int clsact_visit(const struct nlmsghdr *message, void *context)
{
	const struct clsact_walk *walk = context;
	const struct tcmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *at[TCA_MAX + 1];
	struct clsact clsact = {.ifindex = (unsigned int)header->tcm_ifindex};
	char kind[16] = "";

	netlink_read(message, sizeof(*header), at, ARRAY_SIZE(at));
	if (at[TCA_KIND])
		netlink_read_text(at[TCA_KIND], kind, sizeof(kind));
	if (strcmp(kind, "clsact") != 0)
		return 0;
	clsact.ingress_block = netlink_read_u32(at[TCA_INGRESS_BLOCK]);
	clsact.egress_block = netlink_read_u32(at[TCA_EGRESS_BLOCK]);
	return walk->each(&clsact, walk->context);
}

int qdisc_dump_clsact(struct netlink *netlink, clsact_each each, void *context, struct err *err)
{
	struct clsact_walk walk = {each, context};
	char buffer[NETLINK_MESSAGE_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	qdisc_header(request);
	request->nlmsg_type = RTM_GETQDISC;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	return netlink_request(netlink, request, "reading the qdiscs", clsact_visit, &walk, err);
}
