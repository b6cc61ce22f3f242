/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/conntrack.h"

#include "base/mem.h"
#include "linux/netfilter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#define CONNTRACK_REQUEST_SIZE 512

static bool conntrack_read_target(const struct nlattr *nest, struct conntrack_flow *flow)
{
	const struct nlattr *tuple[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1];
	const struct nlattr *proto[CTA_PROTO_MAX + 1];

	netfilter_read_nest(nest, tuple, ARRAY_SIZE(tuple));
	netfilter_read_nest(tuple[CTA_TUPLE_IP], ip, ARRAY_SIZE(ip));
	netfilter_read_nest(tuple[CTA_TUPLE_PROTO], proto, ARRAY_SIZE(proto));
	if (!proto[CTA_PROTO_NUM] || mnl_attr_get_u8(proto[CTA_PROTO_NUM]) != IPPROTO_UDP ||
		!proto[CTA_PROTO_DST_PORT] ||
		mnl_attr_get_payload_len(nest) > sizeof(flow->tuple))
		return false;
	flow->port = mnl_attr_get_u16(proto[CTA_PROTO_DST_PORT]);
	flow->tuple_size = mnl_attr_get_payload_len(nest);
	memcpy(flow->tuple, mnl_attr_get_payload(nest), flow->tuple_size);
	if (ip[CTA_IP_V4_DST] && mnl_attr_get_payload_len(ip[CTA_IP_V4_DST]) == 4)
		addr_set_v4(&flow->target, mnl_attr_get_u32(ip[CTA_IP_V4_DST]));
	else if (ip[CTA_IP_V6_DST] && mnl_attr_get_payload_len(ip[CTA_IP_V6_DST]) == 16)
		memcpy(flow->target.bytes, mnl_attr_get_payload(ip[CTA_IP_V6_DST]), 16);
	else
		return false;
	return true;
}

static int conntrack_take(const struct nlmsghdr *message, void *data)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	struct conntrack_flow flow = {.family = header->nfgen_family}, *list;
	const struct nlattr *at[CTA_MAX + 1];
	struct netfilter_dump *dump = data;

	netfilter_read(message, at, ARRAY_SIZE(at));
	if (!(netfilter_read_number(at[CTA_STATUS], 0) & IPS_DST_NAT) || !at[CTA_TUPLE_ORIG] ||
		!conntrack_read_target(at[CTA_TUPLE_ORIG], &flow))
		return MNL_CB_OK;
	flow.id = htonl(netfilter_read_number(at[CTA_ID], 0));
	if (at[CTA_ZONE])
		flow.zone = mnl_attr_get_u16(at[CTA_ZONE]);
	list = dump->item = mem_grow(dump->item, &dump->capacity, dump->count + 1, sizeof(flow));
	list[dump->count++] = flow;
	return MNL_CB_OK;
}

int conntrack_read(struct conntrack_flow **ret_list, size_t *ret_count, struct err *err)
{
	char buffer[CONNTRACK_REQUEST_SIZE];
	struct netfilter_dump dump = {.take = conntrack_take};
	int r = netfilter_dump(netfilter_begin(buffer, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET,
				       NLM_F_DUMP, AF_UNSPEC),
		&dump);

	if (r < 0)
		return err_system(err, -r, "reading the kernel's connection tracking");
	*ret_list = dump.item;
	*ret_count = dump.count;
	return 0;
}

int conntrack_delete(const struct conntrack_flow *flow, struct err *err)
{
	char buffer[CONNTRACK_REQUEST_SIZE];
	struct nlmsghdr *request = netfilter_begin(
		buffer, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, 0, flow->family);
	int r;

	mnl_attr_put(request, CTA_TUPLE_ORIG | NLA_F_NESTED, flow->tuple_size, flow->tuple);
	mnl_attr_put(request, CTA_ID, sizeof(flow->id), &flow->id);
	if (flow->zone)
		mnl_attr_put_u16(request, CTA_ZONE, flow->zone);
	r = netfilter_ask(request);
	return r < 0 && r != -ENOENT ? err_system(err, -r, "removing a flow") : 0;
}
