/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

/*
 * libmicrohttpd reads the requests and writes the answers; its epoll is one descriptor of the loop.
 * The listeners are ours, for it has one address a daemon; and so is the choice of whom to end, for
 * it ends only who says nothing, and turns away who comes where there is no room. A connection
 * that is to end is shut down: the library notices that, and closes it.
 */

#define HTTP_ACCEPT_AT_ONCE 16 /* others are waiting too */
#define HTTP_PAUSE_MS 100 /* where the node has no descriptor or memory left */

struct http_listener {
	struct http_listener *next;
	struct http *http;
	int fd;
	http_function function;
	void *context;
};

struct http_connection {
	struct http_listener *listener;
	int fd; /* the library's */
	struct loop_timer end;
};

struct http {
	struct loop *loop;
	struct http_options options;
	struct MHD_Daemon *daemon;
	int daemon_fd; /* its epoll */
	struct http_listener *listeners;
	struct http_listener *accepting; /* whose connection the library is being given */
	struct http_connection *connection[HTTP_CONNECTIONS_MAX]; /* the oldest first */
	size_t count;
	struct loop_timer again, resume;
};

/* --- connections --- */

/* The library may have more to do at once than it does in one go. */
static void http_run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG milliseconds;

	MHD_run(http->daemon);
	if (MHD_get_timeout(http->daemon, &milliseconds) == MHD_YES)
		loop_timer_set_in(http->loop, &http->again, milliseconds);
}

static void http_run_again(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	http_run(timer->data);
}

void http_connection_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	(void)loop;
	(void)events;
	http_run(ref->data);
}

static void connection_end(struct loop *loop, struct loop_timer *timer)
{
	struct http_connection *connection = timer->data;

	(void)loop;
	shutdown(connection->fd, SHUT_RDWR);
}

static struct http_connection *connection_open(struct http *http, struct MHD_Connection *library)
{
	struct http_connection *connection = mem_new(1, sizeof(*connection));

	*connection = (struct http_connection){.listener = http->accepting,
		.fd = MHD_get_connection_info(library, MHD_CONNECTION_INFO_CONNECTION_FD)
			      ->connect_fd,
		.end = {.function = connection_end, .data = connection}};
	loop_timer_set_in(http->loop, &connection->end, http->options.connection_ms);
	http->connection[http->count++] = connection;
	return connection;
}

static void connection_close(struct http *http, struct http_connection *connection)
{
	size_t i = 0;

	while (http->connection[i] != connection)
		i++;
	memmove(&http->connection[i], &http->connection[i + 1],
		(--http->count - i) * sizeof(http->connection[0]));
	loop_timer_cancel(http->loop, &connection->end);
	free(connection);
}

/* What the library keeps with a connection is our part of it. */
static void connection_notify(void *http, struct MHD_Connection *library, void **connection,
	enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*connection = connection_open(http, library);
	else
		connection_close(http, *connection);
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

void http_listen_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	struct http_listener *listener = ref->data;
	struct http *http = listener->http;

	(void)loop;
	(void)events;
	for (unsigned int i = 0; i < HTTP_ACCEPT_AT_ONCE; i++) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int fd = accept4(ref->fd, (struct sockaddr *)&peer, &length,
			SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				http_pause(http);
			return; /* nobody waits any more, or one has gone meanwhile */
		}
		if (http->count == HTTP_CONNECTIONS_MAX) {
			shutdown(http->connection[0]->fd, SHUT_RDWR);
			http_run(http);
		}
		http->accepting = listener;
		MHD_add_connection(http->daemon, fd, (struct sockaddr *)&peer, length);
	}
}

/* --- answers --- */

static void answer_fill(struct http_answer *answer, const struct http_listener *listener,
	const char *method, const char *url)
{
	/* As to a proxy; every server must take it. */
	const char *path = strncmp(url, "http://", 7) == 0 ? strchr(url + 7, '/') : url;

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		answer->status = MHD_HTTP_METHOD_NOT_ALLOWED;
		answer->header = MHD_HTTP_HEADER_ALLOW;
		text_append(&answer->value, "GET, HEAD");
	} else if (!path || *path != '/') {
		answer->status = MHD_HTTP_BAD_REQUEST;
	} else {
		listener->function(listener->context, path, answer);
	}
}

static enum MHD_Result answer_send(struct MHD_Connection *connection, struct http_answer *answer)
{
	const char *type = answer->type ? answer->type : "text/plain; charset=utf-8";
	size_t length = answer->body.length;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		length, text_take(&answer->body), MHD_RESPMEM_MUST_FREE);
	enum MHD_Result sent = MHD_NO;

	if (response && MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) &&
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") &&
		MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") &&
		(!answer->header || MHD_add_response_header(response, answer->header,
					    text_string(&answer->value))))
		sent = MHD_queue_response(connection, answer->status, response);
	if (response)
		MHD_destroy_response(response); /* the connection holds it */
	return sent;
}

/* Called once the headers are there. A body is not waited for: no page wants one. */
static enum MHD_Result http_request(void *http, struct MHD_Connection *library, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **request)
{
	const struct http_connection *connection =
		MHD_get_connection_info(library, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	const struct http_listener *listener = connection->listener;
	struct http_answer answer = {.status = MHD_HTTP_OK};
	enum MHD_Result r;

	if (!listener)
		return MHD_NO; /* closed meanwhile */
	answer_fill(&answer, listener, method, url);
	r = answer_send(library, &answer);
	text_clear(&answer.value);
	return r;
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
	for (size_t i = 0; i < http->count; i++) {
		if (http->connection[i]->listener == closed) {
			http->connection[i]->listener = NULL;
			shutdown(http->connection[i]->fd, SHUT_RDWR);
		}
	}
	for (place = &http->listeners; *place != closed; place = &(*place)->next)
		;
	*place = closed->next;
	loop_remove(http->loop, closed->fd);
	mem_close(&closed->fd);
	free(closed);
}

int http_open(struct loop *loop, const struct http_options *options, struct http **ret_http,
	struct err *err)
{
	_cleanup_(http_close) struct http *http = mem_new(1, sizeof(*http));
	int r;

	*http = (struct http){.loop = loop, .options = *options, .daemon_fd = -1};
	if (!http->options.connection_ms)
		http->options.connection_ms = HTTP_CONNECTION_MS;
	http->again = (struct loop_timer){.function = http_run_again, .data = http};
	http->resume = (struct loop_timer){.function = http_resume, .data = http};
	/*
	 * No stricter than it is by itself: then 0.9.75 would refuse a request without Host, with an
	 * answer that has its head twice.
	 */
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
		http_request, http, MHD_OPTION_NOTIFY_CONNECTION, connection_notify, http,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)HTTP_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_REQUEST_MAX,
		MHD_OPTION_END);
	if (!http->daemon)
		return err_set(err, ENOMEM, "libmicrohttpd does not start");
	http->daemon_fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	r = loop_add(loop, options->connection_ref, http->daemon_fd, http, EPOLLIN, err);
	if (r == 0)
		*ret_http = TAKE_PTR(http);
	return r;
}

void http_close(struct http **http)
{
	struct http *closed = TAKE_PTR(*http);

	if (!closed)
		return;
	while (closed->listeners) {
		struct http_listener *listener = closed->listeners;

		http_listener_close(&listener);
	}
	loop_remove(closed->loop, closed->daemon_fd);
	if (closed->daemon)
		MHD_stop_daemon(closed->daemon);
	loop_timer_cancel(closed->loop, &closed->again);
	loop_timer_cancel(closed->loop, &closed->resume);
	free(closed);
}
