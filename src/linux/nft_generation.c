/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>

static int generation_attribute(const struct nlattr *attribute, void *data)
{
	if (mnl_attr_get_type(attribute) == NFTA_GEN_ID &&
		mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
		*(uint32_t *)data = ntohl(mnl_attr_get_u32(attribute));
	return MNL_CB_OK;
}

static int generation_message(const struct nlmsghdr *message, void *data)
{
	return mnl_attr_parse(message, sizeof(struct nfgenmsg), generation_attribute, data);
}

static int generation_ask(struct mnl_socket *socket, uint32_t *generation)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;
	ssize_t n;

	message->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
	message->nlmsg_flags = NLM_F_REQUEST;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->version = NFNETLINK_V0;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (n < 0 || mnl_cb_run(buffer, (size_t)n, 0, 0, generation_message, generation) < 0)
		return -errno;
	return 0;
}

int nft_generation(uint32_t *ret_generation, struct err *err)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	uint32_t generation = 0;
	int r;

	if (!socket)
		return err_system(err, errno, "a netfilter socket");
	r = generation_ask(socket, &generation);
	mnl_socket_close(socket);
	if (r < 0)
		return err_system(err, -r, "the generation of the nft ruleset");
	*ret_generation = generation;
	return 0;
}
