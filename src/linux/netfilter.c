/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/netfilter.h"

#include "base/mem.h"
#include "linux/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define NETFILTER_ATTEMPTS 8 /* a dump that a change has interrupted begins again */
#define NETFILTER_PART 32768 /* the most that the kernel puts into one part of a dump */

struct nlmsghdr *netfilter_begin(
	void *buffer, unsigned int subsystem, unsigned int type, unsigned int flags, int family)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;

	message->nlmsg_type = (uint16_t)(subsystem << 8 | type);
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = (unsigned char)family;
	header->version = NFNETLINK_V0;
	return message;
}

static int dump_once(const struct nlmsghdr *request, struct netfilter_dump *dump)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char buffer[NETFILTER_PART];
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

int netfilter_dump(const struct nlmsghdr *request, struct netfilter_dump *dump)
{
	int r = -EINTR;

	for (int i = 0; i < NETFILTER_ATTEMPTS && r == -EINTR; i++) {
		dump->count = 0;
		r = dump_once(request, dump);
	}
	if (r < 0)
		mem_free_pointer(&dump->item);
	return r;
}

static int answer_take(const struct nlmsghdr *message, void *data)
{
	(void)message;
	(void)data;
	return MNL_CB_OK;
}

int netfilter_ask(struct nlmsghdr *request)
{
	struct netfilter_dump dump = {.take = answer_take};

	request->nlmsg_flags |= NLM_F_ACK;
	return dump_once(request, &dump);
}

/* --- batches --- */

void netfilter_batch_add(struct netfilter_batch *batch, const struct nlmsghdr *message)
{
	static const char padding[MNL_ALIGNTO];
	struct nlmsghdr numbered = *message;

	numbered.nlmsg_seq = ++batch->count;
	text_append_bytes(&batch->data, &numbered, sizeof(numbered));
	text_append_bytes(&batch->data, mnl_nlmsg_get_payload(message),
		message->nlmsg_len - sizeof(numbered));
	text_append_bytes(
		&batch->data, padding, MNL_ALIGN(message->nlmsg_len) - message->nlmsg_len);
}

/* The beginning or the end of a batch. */
static void batch_frame(struct text *data, int type, unsigned int subsystem, uint32_t number)
{
	char buffer[64];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;

	message->nlmsg_type = (uint16_t)type;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = number;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	memset(header, 0, sizeof(*header));
	header->res_id = htons((uint16_t)subsystem);
	text_append_bytes(data, message, message->nlmsg_len);
}

/* What the kernel refuses is told at once; that all is done, by the answer to the last message. */
static int batch_wait(struct mnl_socket *socket, uint32_t last)
{
	int first = 0;

	for (;;) {
		char buffer[NETFILTER_PART];
		ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
		int left = (int)size;

		if (size < 0)
			return errno == ENOBUFS && first ? first : -errno;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
			const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

			if (message->nlmsg_type != NLMSG_ERROR)
				continue;
			first = first ? first : error->error;
			if (message->nlmsg_seq == last || message->nlmsg_seq == 0)
				return first;
		}
	}
}

static struct nlmsghdr *batch_last(struct netfilter_batch *batch)
{
	struct nlmsghdr *message = NULL;

	for (size_t at = 0; at < batch->data.length; at += MNL_ALIGN(message->nlmsg_len))
		message = (struct nlmsghdr *)(batch->data.data + at);
	return message;
}

static int batch_exchange(struct mnl_socket *socket, const struct text *data, uint32_t last)
{
	int size = (int)data->length * 2;

	/* A batch is one message, however long. Who may not ask for the room is told so. */
	setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (mnl_socket_sendto(socket, data->data, data->length) < 0)
		return -errno;
	return batch_wait(socket, last);
}

int netfilter_batch_send(struct netfilter_batch *batch, unsigned int subsystem)
{
	_netfilter_batch_ struct netfilter_batch sent = *batch;
	_text_ struct text data = {0};
	struct mnl_socket *socket;
	int r;

	*batch = (struct netfilter_batch){0};
	if (!sent.count)
		return 0;
	socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	batch_last(&sent)->nlmsg_flags |= NLM_F_ACK;
	batch_frame(&data, NFNL_MSG_BATCH_BEGIN, subsystem, 0);
	text_append_bytes(&data, sent.data.data, sent.data.length);
	batch_frame(&data, NFNL_MSG_BATCH_END, subsystem, sent.count + 1);
	r = batch_exchange(socket, &data, sent.count);
	mnl_socket_close(socket);
	return r;
}

void netfilter_batch_clear(struct netfilter_batch *batch)
{
	text_clear(&batch->data);
	batch->count = 0;
}

/* --- reading --- */

void netfilter_read(const struct nlmsghdr *message, const struct nlattr **ret_table, size_t size)
{
	netlink_read(message, sizeof(struct nfgenmsg), ret_table, size);
}

void netfilter_read_nest(const struct nlattr *nest, const struct nlattr **ret_table, size_t size)
{
	memset(ret_table, 0, size * sizeof(*ret_table));
	if (nest)
		netlink_read_nest(nest, ret_table, size);
}

uint32_t netfilter_read_number(const struct nlattr *attribute, uint32_t otherwise)
{
	if (!attribute || mnl_attr_validate(attribute, MNL_TYPE_U32) < 0)
		return otherwise;
	return ntohl(mnl_attr_get_u32(attribute));
}

void netfilter_read_text(const struct nlattr *attribute, char *ret_text, size_t size)
{
	*ret_text = '\0';
	if (attribute)
		netlink_read_text(attribute, ret_text, size);
}
