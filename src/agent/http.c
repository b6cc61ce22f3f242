/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HTTP_ACCEPT_AT_ONCE 16 /* others are waiting too */
#define HTTP_PAUSE_MS 100 /* where the node has no descriptor or memory left */
#define HTTP_DRAIN_MAX 65536 /* bytes that are taken and dropped behind an answer */

struct http_listener {
	struct http_listener *next;
	struct http *http;
	int fd;
	http_function function;
	void *context;
};

/* It reads until the request is whole, then writes, then waits for the peer to have read it. */
struct http_connection {
	struct http_listener *listener;
	int fd;
	uint64_t end_ns;
	struct text in, out;
	size_t sent, drained;
	bool answered;
};

struct http {
	struct loop *loop;
	struct http_options options;
	struct http_listener *listeners;
	struct http_connection *connection[HTTP_CONNECTIONS_MAX]; /* the oldest first */
	size_t count;
	struct loop_timer oldest, resume;
};

static const struct {
	unsigned int status;
	const char *reason;
} http_statuses[] = {
	{200, "OK"},
	{400, "Bad Request"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{431, "Request Header Fields Too Large"},
	{503, "Service Unavailable"},
	{505, "HTTP Version Not Supported"},
};

static const char *http_reason(unsigned int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(http_statuses); i++)
		if (http_statuses[i].status == status)
			return http_statuses[i].reason;
	return "";
}

/* --- connections --- */

/* All live equally long, so the oldest ends first. */
static void http_arm(struct http *http)
{
	if (http->count)
		loop_timer_set(http->loop, &http->oldest, http->connection[0]->end_ns);
	else
		loop_timer_cancel(http->loop, &http->oldest);
}

static void connection_close(struct http *http, struct http_connection *connection)
{
	size_t i = 0;

	while (http->connection[i] != connection)
		i++;
	memmove(&http->connection[i], &http->connection[i + 1],
		(--http->count - i) * sizeof(http->connection[0]));
	loop_remove(http->loop, connection->fd);
	mem_close(&connection->fd);
	text_clear(&connection->in);
	text_clear(&connection->out);
	free(connection);
	http_arm(http);
}

static void http_end_oldest(struct loop *loop, struct loop_timer *timer)
{
	struct http *http = timer->data;
	uint64_t now = clock_monotonic_ns();

	(void)loop;
	while (http->count && http->connection[0]->end_ns <= now)
		connection_close(http, http->connection[0]);
}

static void http_resume(struct loop *loop, struct loop_timer *timer)
{
	struct http *http = timer->data;

	for (struct http_listener *l = http->listeners; l; l = l->next)
		loop_change(loop, l->fd, EPOLLIN, NULL);
}

static void http_pause(struct http *http)
{
	for (struct http_listener *l = http->listeners; l; l = l->next)
		loop_change(http->loop, l->fd, 0, NULL);
	if (!http->resume.place)
		loop_timer_set_in(http->loop, &http->resume, HTTP_PAUSE_MS);
}

static void connection_open(struct http_listener *listener, int fd)
{
	struct http *http = listener->http;
	struct http_connection *connection;

	if (http->count == HTTP_CONNECTIONS_MAX)
		connection_close(http, http->connection[0]);
	connection = mem_new(1, sizeof(*connection));
	*connection = (struct http_connection){.listener = listener,
		.fd = fd,
		.end_ns = clock_monotonic_ns() + http->options.connection_ms * CLOCK_NS_PER_MS};
	http->connection[http->count++] = connection;
	if (loop_add(http->loop, http->options.connection_ref, fd, connection, EPOLLIN, NULL) < 0)
		connection_close(http, connection);
	else
		http_arm(http);
}

void http_listen_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	struct http_listener *listener = ref->data;

	(void)loop;
	(void)events;
	for (unsigned int i = 0; i < HTTP_ACCEPT_AT_ONCE; i++) {
		int fd = accept4(ref->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			connection_open(listener, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			http_pause(listener->http);
		if (fd < 0)
			return; /* nobody waits any more, or one has gone meanwhile */
	}
}

/* --- requests and answers --- */

/*
 * Takes the first line apart: 200, or the status that says what is wrong. Of the headers none is
 * read, as no page depends on one.
 */
static unsigned int request_parse(char *line, const char **ret_method, const char **ret_path)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	if (strncmp(version, "HTTP/", 5) != 0)
		return 400;
	if (strncmp(version, "HTTP/1.", 7) != 0)
		return 505;
	if (strncmp(target, "http://", 7) == 0) /* as to a proxy; every server must take it */
		target = strchr(target + 7, '/');
	if (!target || *target != '/')
		return 400;
	target[strcspn(target, "?#")] = '\0';
	*ret_method = line;
	*ret_path = target;
	return strcmp(line, "GET") == 0 || strcmp(line, "HEAD") == 0 ? 200 : 405;
}

/* Empty lines before the first one are passed over. NULL where there is no line of text. */
static char *request_line(struct text *in)
{
	char *line = in->data + strspn(in->data, "\r\n");

	line[strcspn(line, "\r\n")] = '\0';
	return *line ? line : NULL;
}

static void answer_write(
	struct text *out, const struct http_answer *answer, unsigned int status, bool body)
{
	const char *type = answer->type ? answer->type : "text/plain; charset=utf-8";
	time_t now = time(NULL);
	char date[64];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	text_printf(out,
		"HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		"X-Content-Type-Options: nosniff\r\nConnection: close\r\n",
		status, http_reason(status), date, type, answer->body.length);
	text_append(out, text_string(&answer->headers));
	text_append(out, "\r\n");
	if (body)
		text_append(out, text_string(&answer->body));
}

static void connection_answer(struct http_connection *connection, unsigned int status)
{
	const struct http_listener *listener = connection->listener;
	const char *method = "", *path = NULL;
	struct http_answer answer = {.status = 200};
	char *line = status == 200 ? request_line(&connection->in) : NULL;

	if (status == 200)
		status = line ? request_parse(line, &method, &path) : 400;
	if (status == 200) {
		listener->function(listener->context, path, &answer);
		status = answer.status;
	} else {
		text_printf(&answer.body, "%s\n", http_reason(status));
	}
	if (status == 405)
		text_append(&answer.headers, "Allow: GET, HEAD\r\n");
	answer_write(&connection->out, &answer, status, strcmp(method, "HEAD") != 0);
	text_clear(&answer.headers);
	text_clear(&answer.body);
	connection->answered = true;
}

/* An empty line ends the request; what comes behind it is no matter of ours. */
static bool request_is_whole(const struct text *in)
{
	size_t length = in->length - strspn(in->data, "\r\n");
	const char *start = in->data + strspn(in->data, "\r\n");

	return memmem(start, length, "\n\r\n", 3) || memmem(start, length, "\n\n", 2);
}

/* Nothing is left to be read when it closes, or the peer would be told of an error instead. */
static void connection_drain(struct http *http, struct http_connection *connection, ssize_t n)
{
	connection->drained += n > 0 ? (size_t)n : 0;
	if (n == 0 || connection->drained > HTTP_DRAIN_MAX)
		connection_close(http, connection);
}

static void connection_send(struct http *http, struct http_connection *connection)
{
	while (connection->sent < connection->out.length) {
		ssize_t n = send(connection->fd, connection->out.data + connection->sent,
			connection->out.length - connection->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			loop_change(http->loop, connection->fd, EPOLLOUT, NULL);
			return;
		}
		if (n < 0) {
			connection_close(http, connection);
			return;
		}
		connection->sent += (size_t)n;
	}
	shutdown(connection->fd, SHUT_WR);
	loop_change(http->loop, connection->fd, EPOLLIN, NULL);
}

static void connection_read(struct http *http, struct http_connection *connection)
{
	char buffer[HTTP_REQUEST_MAX];
	ssize_t n = recv(connection->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && !connection->answered)) {
		connection_close(http, connection);
		return;
	}
	if (connection->answered) {
		connection_drain(http, connection, n);
		return;
	}
	text_append_bytes(&connection->in, buffer, (size_t)n);
	if (request_is_whole(&connection->in))
		connection_answer(connection, 200);
	else if (connection->in.length >= HTTP_REQUEST_MAX)
		connection_answer(connection, 431);
	if (connection->answered)
		connection_send(http, connection);
}

void http_connection_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	struct http_connection *connection = ref->data;
	struct http *http = connection->listener->http;

	(void)loop;
	if (events & EPOLLOUT)
		connection_send(http, connection);
	else if (connection->sent < connection->out.length) /* it has gone without reading */
		connection_close(http, connection);
	else
		connection_read(http, connection);
}

/* --- listeners --- */

static socklen_t http_address(
	const struct addr *addr, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)ret_address;

	*ret_address = (struct sockaddr_storage){0};
	if (addr_family(addr) == FAMILY_IPV4) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons(port);
		ipv4->sin_addr.s_addr = addr->words[3];
		return sizeof(*ipv4);
	}
	ipv6->sin6_family = AF_INET6;
	ipv6->sin6_port = htons(port);
	memcpy(&ipv6->sin6_addr, addr, sizeof(ipv6->sin6_addr));
	return sizeof(*ipv6);
}

static int http_socket(const struct addr *addr, uint16_t port, int *ret_fd)
{
	struct sockaddr_storage address;
	socklen_t length = http_address(addr, port, &address);
	_close_ int fd = socket(
		address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	const int on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof(on));
	if (address.ss_family == AF_INET6)
		setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int http_listen(struct http *http, const struct addr *addr, uint16_t port, http_function function,
	void *context, struct http_listener **ret_listener, struct err *err)
{
	struct http_listener *listener;
	char text[ADDR_TEXT_SIZE];
	_close_ int fd = -1;
	int r = http_socket(addr, port, &fd);

	if (r < 0)
		return err_system(err, -r, "port %u of %s", port, addr_format(addr, text));
	listener = mem_new(1, sizeof(*listener));
	*listener = (struct http_listener){
		.http = http, .fd = fd, .function = function, .context = context};
	r = loop_add(http->loop, http->options.listen_ref, fd, listener, EPOLLIN, err);
	if (r < 0) {
		free(listener);
		return r;
	}
	(void)TAKE_FD(fd);
	listener->next = http->listeners;
	http->listeners = listener;
	*ret_listener = listener;
	return 0;
}

void http_listener_close(struct http_listener **listener)
{
	struct http_listener *closed = TAKE_PTR(*listener), **place;
	struct http *http = closed ? closed->http : NULL;

	if (!closed)
		return;
	for (size_t i = http->count; i-- > 0;)
		if (http->connection[i]->listener == closed)
			connection_close(http, http->connection[i]);
	for (place = &http->listeners; *place != closed; place = &(*place)->next)
		;
	*place = closed->next;
	loop_remove(http->loop, closed->fd);
	mem_close(&closed->fd);
	free(closed);
}

struct http *http_open(struct loop *loop, const struct http_options *options)
{
	struct http *http = mem_new(1, sizeof(*http));

	*http = (struct http){.loop = loop, .options = *options};
	if (!http->options.connection_ms)
		http->options.connection_ms = HTTP_CONNECTION_MS;
	http->oldest = (struct loop_timer){.function = http_end_oldest, .data = http};
	http->resume = (struct loop_timer){.function = http_resume, .data = http};
	return http;
}

void http_close(struct http **http)
{
	if (!*http)
		return;
	while ((*http)->listeners) {
		struct http_listener *listener = (*http)->listeners;

		http_listener_close(&listener);
	}
	loop_timer_cancel((*http)->loop, &(*http)->resume);
	free(*http);
	*http = NULL;
}
