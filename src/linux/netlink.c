/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/netlink.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/*
 * The kernel works a message off inside sendmsg() and leaves its answer in the socket's receive
 * buffer. So messages are sent in portions whose answers fit the smallest buffer in use
 * (rmem_default 208 KiB; an answer with its text occupies less than 1.3 KiB of it), and answers
 * are counted by their sequence numbers: one that belongs to an earlier, given up exchange is
 * passed over.
 */
#define NETLINK_PORTION 100
#define NETLINK_ANSWER_SECONDS 10
#define NETLINK_DUMP_TRIES 20
#define NETLINK_RECEIVE_SIZE (64 * 1024)

struct netlink {
	int fd;
	uint32_t sequence; /* of the last message that was sent */
	char *receive; /* NETLINK_RECEIVE_SIZE bytes */
};

static int netlink_set_up(int fd, struct err *err)
{
	/* Answers without a copy of the request, with the kernel's words; dumps filtered by it. */
	static const int options[] = {NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK};
	const struct timeval limit = {.tv_sec = NETLINK_ANSWER_SECONDS};
	const int on = 1;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (setsockopt(fd, SOL_NETLINK, options[i], &on, sizeof(on)) < 0)
			return err_system(
				err, errno, "netlink socket: setting option %d", options[i]);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return err_system(err, errno, "netlink socket: setting a time limit");
	return 0;
}

static struct netlink *netlink_new(int fd)
{
	struct netlink *netlink = mem_new(1, sizeof(*netlink));

	netlink->fd = fd;
	netlink->receive = mem_new(1, NETLINK_RECEIVE_SIZE);
	return netlink;
}

int netlink_open(struct netlink **ret_netlink, struct err *err)
{
	_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r;

	if (fd < 0)
		return err_system(err, errno, "opening a netlink socket");
	r = netlink_set_up(fd, err);
	if (r < 0)
		return r;
	*ret_netlink = netlink_new(TAKE_FD(fd));
	return 0;
}

int netlink_adopt(int fd, struct netlink **ret_netlink, struct err *err)
{
	int domain = -1, protocol = -1, r;
	socklen_t size = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_NETLINK)
		return err_set(err, EINVAL, "the descriptor is no netlink socket");
	size = sizeof(protocol);
	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0 ||
		protocol != NETLINK_ROUTE)
		return err_set(err, EINVAL, "the netlink socket is none of NETLINK_ROUTE");
	r = netlink_set_up(fd, err);
	if (r < 0)
		return r;
	*ret_netlink = netlink_new(fd);
	return 0;
}

uint64_t netlink_netns_cookie(const struct netlink *netlink)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	if (getsockopt(netlink->fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		return 0;
	return cookie;
}

void netlink_close(struct netlink **netlink)
{
	if (!*netlink)
		return;
	close((*netlink)->fd);
	free((*netlink)->receive);
	free(*netlink);
	*netlink = NULL;
}

struct nlmsghdr *netlink_begin(struct netlink_batch *batch, int type, int flags,
	unsigned int tolerate, const char *format, ...)
{
	struct netlink_message *message;
	struct nlmsghdr *header;
	va_list arguments;

	batch->data =
		mem_grow(batch->data, &batch->capacity, batch->length + NETLINK_MESSAGE_SIZE, 1);
	batch->message = mem_grow(batch->message, &batch->message_capacity, batch->count + 1,
		sizeof(*batch->message));
	message = &batch->message[batch->count++];
	message->offset = batch->length;
	message->tolerate = tolerate;
	message->result = -EINPROGRESS;
	va_start(arguments, format);
	vsnprintf(message->what, sizeof(message->what), format, arguments);
	va_end(arguments);

	header = mnl_nlmsg_put_header(batch->data + batch->length);
	header->nlmsg_type = (uint16_t)type;
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return header;
}

void netlink_end(struct netlink_batch *batch, struct nlmsghdr *message)
{
	batch->length += MNL_ALIGN(message->nlmsg_len);
}

void netlink_batch_clear(struct netlink_batch *batch)
{
	free(batch->data);
	free(batch->message);
	*batch = (struct netlink_batch){0};
}

uint32_t netlink_read_u32(const struct nlattr *attribute)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != sizeof(uint32_t))
		return 0;
	return mnl_attr_get_u32(attribute);
}

static void netlink_sort(
	const char *data, size_t length, const struct nlattr **ret_table, size_t size)
{
	memset(ret_table, 0, size * sizeof(*ret_table));
	while (length >= sizeof(struct nlattr)) {
		const struct nlattr *attribute = (const struct nlattr *)data;
		uint16_t type = mnl_attr_get_type(attribute);

		if (attribute->nla_len < sizeof(*attribute) || attribute->nla_len > length)
			return;
		if (type < size)
			ret_table[type] = attribute;
		if ((size_t)MNL_ALIGN(attribute->nla_len) >= length)
			return;
		data += MNL_ALIGN(attribute->nla_len);
		length -= MNL_ALIGN(attribute->nla_len);
	}
}

void netlink_read(
	const struct nlmsghdr *message, size_t header, const struct nlattr **ret_table, size_t size)
{
	const char *data = mnl_nlmsg_get_payload(message);
	size_t length = mnl_nlmsg_get_payload_len(message), start = MNL_ALIGN(header);

	netlink_sort(data + start, length > start ? length - start : 0, ret_table, size);
}

void netlink_read_nest(const struct nlattr *nest, const struct nlattr **ret_table, size_t size)
{
	netlink_sort(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), ret_table, size);
}

void netlink_read_text(const struct nlattr *attribute, char *ret_text, size_t size)
{
	snprintf(ret_text, size, "%.*s", (int)mnl_attr_get_payload_len(attribute),
		mnl_attr_get_str(attribute));
}

static bool netlink_is_tolerated(unsigned int tolerate, int code)
{
	if (tolerate & NETLINK_MAY_EXIST && code == EEXIST)
		return true;
	return tolerate & NETLINK_MAY_BE_MISSING &&
	       (code == ENOENT || code == ENODEV || code == ESRCH || code == EADDRNOTAVAIL);
}

/* mnl_nlmsg_ok() compares as signed numbers and takes a length of 2 GiB for a small one. */
static bool netlink_is_whole(const struct nlmsghdr *message, int size)
{
	return size >= (int)sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
	       message->nlmsg_len <= (uint32_t)size;
}

/* A positive errno, 0: none. The kernel's are below 4096 (MAX_ERRNO). */
static int netlink_code(int error)
{
	if (error == 0)
		return 0;
	return error < 0 && error >= -4095 ? -error : EPROTO;
}

/* The kernel's own words; empty where it says nothing. */
static void netlink_read_words(const struct nlmsghdr *answer, char *words, size_t size)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);
	size_t offset = sizeof(*error);
	const struct nlattr *at[NLMSGERR_ATTR_MAX + 1];

	*words = '\0';
	if (!(answer->nlmsg_flags & NLM_F_ACK_TLVS) ||
		mnl_nlmsg_get_payload_len(answer) < sizeof(*error))
		return;
	if (!(answer->nlmsg_flags & NLM_F_CAPPED) && error->msg.nlmsg_len > sizeof(error->msg))
		offset += error->msg.nlmsg_len - sizeof(error->msg);
	netlink_read(answer, offset, at, ARRAY_SIZE(at));
	if (at[NLMSGERR_ATTR_MSG])
		snprintf(words, size, " (%.*s)",
			(int)mnl_attr_get_payload_len(at[NLMSGERR_ATTR_MSG]),
			mnl_attr_get_str(at[NLMSGERR_ATTR_MSG]));
}

/* A whole datagram in netlink->receive; its size, or a negative errno. */
static int netlink_receive(struct netlink *netlink, struct err *err)
{
	ssize_t size;

	do
		size = recv(netlink->fd, netlink->receive, NETLINK_RECEIVE_SIZE, MSG_TRUNC);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return err_system(err, errno == EAGAIN ? ETIMEDOUT : errno,
			"waiting for the kernel's answer");
	if (size > NETLINK_RECEIVE_SIZE)
		return err_set(err, EMSGSIZE, "the kernel's answer has %zd bytes", size);
	return (int)size;
}

struct netlink_failures {
	unsigned int count;
	int code; /* of the first, positive */
	char words[256];
	const struct netlink_message *first;
};

static void netlink_take_answer(const struct nlmsghdr *answer, struct netlink_message *message,
	struct netlink_failures *failures)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);
	int code = netlink_code(error->error);

	message->result = netlink_is_tolerated(message->tolerate, code) ? 0 : -code;
	if (message->result == 0 || failures->count++)
		return;
	failures->code = code;
	failures->first = message;
	netlink_read_words(answer, failures->words, sizeof(failures->words));
}

/* Sends messages [first, first + count) and takes as many answers. */
static int netlink_commit_portion(struct netlink *netlink, struct netlink_batch *batch,
	size_t first, size_t count, struct netlink_failures *failures, struct err *err)
{
	size_t end =
		first + count < batch->count ? batch->message[first + count].offset : batch->length;
	char *data = batch->data + batch->message[first].offset;
	uint32_t base = netlink->sequence + 1;
	size_t missing = count;

	for (size_t i = first; i < first + count; i++) {
		struct nlmsghdr *header =
			(struct nlmsghdr *)(batch->data + batch->message[i].offset);

		header->nlmsg_seq = ++netlink->sequence;
	}
	if (send(netlink->fd, data, end - batch->message[first].offset, 0) < 0)
		return err_system(err, errno, "sending to the kernel");
	while (missing) {
		int size = netlink_receive(netlink, err);
		const struct nlmsghdr *answer = (const struct nlmsghdr *)netlink->receive;

		if (size < 0)
			return size;
		for (; netlink_is_whole(answer, size); answer = mnl_nlmsg_next(answer, &size)) {
			uint32_t place = answer->nlmsg_seq - base;

			if (answer->nlmsg_type != NLMSG_ERROR || place >= count ||
				mnl_nlmsg_get_payload_len(answer) < sizeof(struct nlmsgerr))
				continue;
			netlink_take_answer(answer, &batch->message[first + place], failures);
			missing--;
		}
	}
	return 0;
}

int netlink_commit(struct netlink *netlink, struct netlink_batch *batch, struct err *err)
{
	struct netlink_failures failures = {0};
	int r;

	for (size_t first = 0; first < batch->count; first += NETLINK_PORTION) {
		size_t count = batch->count - first;

		if (count > NETLINK_PORTION)
			count = NETLINK_PORTION;
		r = netlink_commit_portion(netlink, batch, first, count, &failures, err);
		if (r < 0)
			return err ? err_wrap(err, "%s", batch->message[first].what) : r;
	}
	if (failures.count == 0)
		return 0;
	if (failures.count == 1)
		return err_set(err, failures.code, "%s: %s%s", failures.first->what,
			strerror(failures.code), failures.words);
	return err_set(err, failures.code, "%s: %s%s; so did %u other changes of %zu",
		failures.first->what, strerror(failures.code), failures.words, failures.count - 1,
		batch->count);
}

/* What a request brought: the datagrams of its objects one behind the other. */
struct netlink_answers {
	char *data;
	size_t length, capacity;
	bool interrupted;
	bool done;
	int code; /* positive errno that the kernel ended with; 0: none */
	char words[256];
};

static void netlink_answers_take(
	struct netlink_answers *answers, const struct nlmsghdr *message, bool is_dump)
{
	size_t size = MNL_ALIGN(message->nlmsg_len);

	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		answers->interrupted = true;
	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

		answers->done = true;
		if (mnl_nlmsg_get_payload_len(message) < sizeof(error->error))
			return;
		answers->code = netlink_code(error->error);
		if (message->nlmsg_type == NLMSG_ERROR)
			netlink_read_words(message, answers->words, sizeof(answers->words));
		return;
	}
	answers->data = mem_grow(answers->data, &answers->capacity, answers->length + size, 1);
	memcpy(answers->data + answers->length, message, message->nlmsg_len);
	answers->length += size;
	if (!is_dump)
		answers->done = true;
}

static int netlink_exchange(struct netlink *netlink, struct nlmsghdr *request,
	struct netlink_answers *answers, struct err *err)
{
	bool is_dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;

	request->nlmsg_seq = ++netlink->sequence;
	if (send(netlink->fd, request, request->nlmsg_len, 0) < 0)
		return err_system(err, errno, "sending to the kernel");
	while (!answers->done) {
		int size = netlink_receive(netlink, err);
		const struct nlmsghdr *message = (const struct nlmsghdr *)netlink->receive;

		if (size < 0)
			return size;
		for (; netlink_is_whole(message, size); message = mnl_nlmsg_next(message, &size))
			if (message->nlmsg_seq == request->nlmsg_seq && !answers->done)
				netlink_answers_take(answers, message, is_dump);
	}
	return 0;
}

/* What answers a request: the type, and the bytes before its attributes. */
static const struct {
	uint16_t request, answer;
	size_t header;
} netlink_kinds[] = {
	{RTM_GETLINK, RTM_NEWLINK, sizeof(struct ifinfomsg)},
	{RTM_GETADDR, RTM_NEWADDR, sizeof(struct ifaddrmsg)},
	{RTM_GETROUTE, RTM_NEWROUTE, sizeof(struct rtmsg)},
	{RTM_GETNEIGH, RTM_NEWNEIGH, sizeof(struct ndmsg)},
	{RTM_GETQDISC, RTM_NEWQDISC, sizeof(struct tcmsg)},
	{RTM_GETTFILTER, RTM_NEWTFILTER, sizeof(struct tcmsg)},
};

static bool netlink_answers_it(uint16_t request, const struct nlmsghdr *message)
{
	for (size_t i = 0; i < ARRAY_SIZE(netlink_kinds); i++)
		if (netlink_kinds[i].request == request)
			return message->nlmsg_type == netlink_kinds[i].answer &&
			       mnl_nlmsg_get_payload_len(message) >= netlink_kinds[i].header;
	return false;
}

static int netlink_walk(const struct netlink_answers *answers, uint16_t request, netlink_each each,
	void *context)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < answers->length;) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)(answers->data + at);

		at += MNL_ALIGN(message->nlmsg_len);
		if (netlink_answers_it(request, message))
			r = each(message, context);
	}
	return r;
}

int netlink_request(struct netlink *netlink, struct nlmsghdr *request, const char *what,
	netlink_each each, void *context, struct err *err)
{
	for (unsigned int tries = 0; tries < NETLINK_DUMP_TRIES; tries++) {
		struct netlink_answers answers = {0};
		_free_ char *data = NULL;
		int r = netlink_exchange(netlink, request, &answers, err);

		data = answers.data;
		if (r < 0)
			return err ? err_wrap(err, "%s", what) : r;
		if (answers.interrupted)
			continue;
		if (answers.code)
			return err_set(err, answers.code, "%s: %s%s", what, strerror(answers.code),
				answers.words);
		return netlink_walk(&answers, request->nlmsg_type, each, context);
	}
	return err_set(
		err, EAGAIN, "%s: changed under each of %d readings", what, NETLINK_DUMP_TRIES);
}
