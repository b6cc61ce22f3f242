/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One epoll over listeners, UDP sockets and connections. The kind of a descriptor is known from
 * the tag that its epoll data points to, so the loop is one call per kind.
 *
 * A lab holds hundreds of these processes, forked from the command that made the pod. They stay
 * small because they hardly write: pages of the parent stay shared, and a connection costs one
 * small block.
 */
#include "lab/responder.h"

#include "base/mem.h"
#include "net/addr.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define HEADER_SIZE 8192 /* longer requests are refused (431) */
#define LINE_SIZE 1024
#define EVENTS 64

enum tag_kind { TAG_LISTENER, TAG_DATAGRAM, TAG_CONNECTION };

/* First member of all that epoll knows. */
struct tag {
	enum tag_kind kind;
	int fd;
};

struct connection {
	struct tag tag;
	char line[LINE_SIZE]; /* the answer's body, the same for the connection's whole life */
	size_t used;          /* bytes in `input` */
	size_t skip;          /* of a request's body, still to come */
	size_t pending;       /* bytes of `output` not yet sent; nothing is read meanwhile */
	bool closing;         /* after what is pending */
	char output[LINE_SIZE + 256];
	char input[HEADER_SIZE];
};

struct responder {
	const struct responder_identity *identity;
	int epoll;
	int spare; /* given up for a moment when descriptors run out, to turn a client away */
};

static void endpoint_read(const struct sockaddr_storage *from, struct addr *ret_addr, int *ret_port)
{
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;

		addr_set_v4(ret_addr, v4->sin_addr.s_addr);
		*ret_port = ntohs(v4->sin_port);
	} else {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

		memcpy(ret_addr, &v6->sin6_addr, sizeof(*ret_addr));
		*ret_port = ntohs(v6->sin6_port);
	}
}

/* Names of objects are DNS names, so nothing here needs an escape. */
static size_t line_format(const struct responder *r, const struct sockaddr_storage *client,
	const struct sockaddr_storage *local, const char *protocol, char line[LINE_SIZE])
{
	struct addr client_addr, local_addr;
	char client_text[ADDR_TEXT_SIZE], local_text[ADDR_TEXT_SIZE];
	int client_port, local_port, length;

	endpoint_read(client, &client_addr, &client_port);
	endpoint_read(local, &local_addr, &local_port);
	length = snprintf(line, LINE_SIZE,
		"{\"pod\":\"%s\",\"node\":\"%s\",\"client\":\"%s\",\"client_port\":%d,"
		"\"local\":\"%s\",\"local_port\":%d,\"proto\":\"%s\",\"container\":\"%s\"}\n",
		r->identity->pod, r->identity->node, addr_format(&client_addr, client_text),
		client_port, addr_format(&local_addr, local_text), local_port, protocol,
		r->identity->container);
	return length < LINE_SIZE ? (size_t)length : LINE_SIZE - 1;
}

static void tag_add(const struct responder *r, struct tag *tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};

	epoll_ctl(r->epoll, EPOLL_CTL_ADD, tag->fd, &event);
}

static void connection_free(struct connection *c)
{
	close(c->tag.fd);
	free(c);
}

/* Sends what is pending. False: the connection is over. */
static bool connection_flush(const struct responder *r, struct connection *c)
{
	struct epoll_event event = {.data.ptr = c};
	ssize_t sent = send(c->tag.fd, c->output, c->pending, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (sent > 0) {
		c->pending -= (size_t)sent;
		memmove(c->output, c->output + sent, c->pending);
	}
	if (c->pending == 0 && c->closing)
		return false;
	event.events = c->pending > 0 ? EPOLLOUT : EPOLLIN;
	epoll_ctl(r->epoll, EPOLL_CTL_MOD, c->tag.fd, &event);
	return true;
}

/* The value of a header field, up to its line's end, or NULL. `head` is NUL-terminated. */
static const char *header_find(const char *head, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':')
			return line + length + 1 + strspn(line + length + 1, " \t");
	}
	return NULL;
}

static void answer_format(struct connection *c, const char *status, bool is_head)
{
	int length = snprintf(c->output, sizeof(c->output),
		"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		"Connection: %s\r\n\r\n%s",
		status, strlen(c->line), c->closing ? "close" : "keep-alive",
		is_head ? "" : c->line);

	c->pending = (size_t)length;
}

/* Judges one complete head, cuts it off the input and prepares the answer. */
static void request_answer(struct connection *c, char *end)
{
	size_t head = (size_t)(end - c->input) + 4;
	const char *field;

	*end = '\0';
	field = header_find(c->input, "Content-Length");
	c->skip = field ? strtoul(field, NULL, 10) : 0;
	field = header_find(c->input, "Connection");
	c->closing = strstr(c->input, " HTTP/1.1") ? field && strncasecmp(field, "close", 5) == 0
						   : !field || strncasecmp(field, "keep", 4) != 0;
	/* The end of a chunked body is not looked for: what follows it is not a request. */
	if (header_find(c->input, "Transfer-Encoding"))
		c->closing = true;
	answer_format(c, "200 OK", strncmp(c->input, "HEAD ", 5) == 0);
	c->used -= head;
	memmove(c->input, c->input + head, c->used);
}

/* Answers the next request in the input if it is complete. */
static void input_judge(struct connection *c)
{
	char *newline, *end;

	if (c->skip > 0) {
		size_t part = c->skip < c->used ? c->skip : c->used;

		c->skip -= part;
		c->used -= part;
		memmove(c->input, c->input + part, c->used);
	}
	c->input[c->used] = '\0';
	newline = strchr(c->input, '\n');
	if (!newline)
		end = NULL;
	else if (!memmem(c->input, (size_t)(newline - c->input), " HTTP/", 6)) {
		/* A line by hand, as from nc: the bare line is the answer. */
		c->pending = strlen(c->line);
		memcpy(c->output, c->line, c->pending);
		c->closing = true;
		return;
	} else
		end = strstr(c->input, "\r\n\r\n");
	if (end)
		request_answer(c, end);
	else if (c->used == HEADER_SIZE - 1) {
		c->closing = true;
		answer_format(c, "431 Request Header Fields Too Large", false);
	}
}

/* Answers all complete requests, as long as the client takes the answers. */
static bool connection_drain(const struct responder *r, struct connection *c)
{
	while (c->pending == 0) {
		input_judge(c);
		if (c->pending == 0)
			return true;
		if (!connection_flush(r, c))
			return false;
	}
	return true;
}

static bool connection_work(const struct responder *r, struct connection *c)
{
	ssize_t count;

	if (c->pending > 0)
		return connection_flush(r, c) && connection_drain(r, c);
	count = recv(c->tag.fd, c->input + c->used, HEADER_SIZE - 1 - c->used, MSG_DONTWAIT);
	if (count == 0)
		return false;
	if (count < 0)
		return errno == EAGAIN || errno == EINTR;
	c->used += (size_t)count;
	return connection_drain(r, c);
}

static void listener_work(struct responder *r, const struct tag *listener)
{
	struct sockaddr_storage client, local;
	socklen_t client_size = sizeof(client), local_size = sizeof(local);
	struct connection *c;
	int yes = 1, fd;

	fd = accept4(listener->fd, (struct sockaddr *)&client, &client_size,
		SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		/* Left in the queue the connection would wake the loop for ever. */
		close(r->spare);
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		r->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return;
	}
	if (fd < 0)
		return;
	if (getsockname(fd, (struct sockaddr *)&local, &local_size) < 0) {
		close(fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	c = mem_new(1, sizeof(*c));
	c->tag = (struct tag){.kind = TAG_CONNECTION, .fd = fd};
	line_format(r, &client, &local, "TCP", c->line);
	tag_add(r, &c->tag);
}

/* Where the datagram was sent to is where the answer must come from. */
static bool local_from_control(struct msghdr *message, struct sockaddr_storage *local)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

			((struct sockaddr_in *)local)->sin_addr = info->ipi_addr;
			info->ipi_spec_dst = info->ipi_addr;
			info->ipi_ifindex = 0;
			return true;
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

			((struct sockaddr_in6 *)local)->sin6_addr = info->ipi6_addr;
			if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
				info->ipi6_ifindex = 0;
			return true;
		}
	}
	return false;
}

static void datagram_work(const struct responder *r, const struct tag *socket)
{
	char data[1], line[LINE_SIZE], control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct sockaddr_storage client, local;
	socklen_t local_size = sizeof(local);
	struct iovec part = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr message = {.msg_name = &client, .msg_namelen = sizeof(client),
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control)};

	if (recvmsg(socket->fd, &message, MSG_DONTWAIT) < 0)
		return;
	if (getsockname(socket->fd, (struct sockaddr *)&local, &local_size) < 0 ||
		!local_from_control(&message, &local))
		return;
	part.iov_base = line;
	part.iov_len = line_format(r, &client, &local, "UDP", line);
	/* The control message of the request now names the source of the answer. */
	sendmsg(socket->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int socket_open(int domain, int type, int port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	bool is_v6 = domain == AF_INET6;
	int yes = 1;
	_close_ int fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (is_v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	else if (is_v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof(yes));
	else
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes));
	if (bind(fd, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
		    is_v6 ? sizeof(v6) : sizeof(v4)) < 0)
		return -errno;
	if (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Returns a sentence about what went wrong, or NULL. */
static char *port_open(struct responder *r, const char *protocol, int port)
{
	static const int domains[] = {AF_INET, AF_INET6};
	bool is_tcp = strcmp(protocol, "TCP") == 0;

	if (!is_tcp && strcmp(protocol, "UDP") != 0)
		return mem_format("port %d/%s: the lab answers on TCP and UDP only", port, protocol);
	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		int fd = socket_open(domains[i], is_tcp ? SOCK_STREAM : SOCK_DGRAM, port);
		struct tag *tag;

		if (fd == -EAFNOSUPPORT)
			continue;
		if (fd == -EADDRINUSE)
			return mem_format("port %d/%s of container %s is taken by another process "
					  "in the same network namespace",
				port, protocol, r->identity->container);
		if (fd < 0)
			return mem_format("port %d/%s of container %s: %s", port, protocol,
				r->identity->container, strerror(-fd));
		tag = mem_new(1, sizeof(*tag));
		*tag = (struct tag){.kind = is_tcp ? TAG_LISTENER : TAG_DATAGRAM, .fd = fd};
		tag_add(r, tag);
	}
	return NULL;
}

static void ports_open(struct responder *r, const json_t *container, int report)
{
	json_t *problems = json_array(), *port;
	size_t index;

	json_array_foreach(json_object_get(container, "ports"), index, port)
	{
		const char *protocol = json_string_value(json_object_get(port, "protocol"));
		_free_ char *problem = port_open(r, protocol ? protocol : "TCP",
			(int)json_integer_value(json_object_get(port, "containerPort")));

		if (problem)
			json_array_append_new(problems, json_string(problem));
	}
	json_dumpfd(problems, report, JSON_COMPACT);
	json_decref(problems);
	close(report);
}

_Noreturn void responder_run(
	const struct responder_identity *identity, const json_t *container, int report)
{
	struct responder r = {.identity = identity};
	struct epoll_event events[EVENTS];
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	r.epoll = epoll_create1(EPOLL_CLOEXEC);
	r.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ports_open(&r, container, report);
	for (;;) {
		int count = epoll_wait(r.epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			struct tag *tag = events[i].data.ptr;

			if (tag->kind == TAG_LISTENER)
				listener_work(&r, tag);
			else if (tag->kind == TAG_DATAGRAM)
				datagram_work(&r, tag);
			else if (!connection_work(&r, (struct connection *)tag))
				connection_free((struct connection *)tag);
		}
	}
}
