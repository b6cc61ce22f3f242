/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/control.h"

#include "agent/http.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CONTROL_REQUEST_MAX (8UL << 20)
#define CONTROL_CONNECTIONS_MAX 1024 /* by each socket, where the limit of descriptors allows it */
#define CONTROL_PAUSE_MS 20
#define CONTROL_SILENCE_MS 60000 /* a peer that says nothing for so long is closed */

#define CONTROL_FILES_EACH (1 + CONTROL_FDS_MAX) /* descriptors that a connection may hold */
#define CONTROL_FILES_OTHER (256 + HTTP_CONNECTIONS_MAX) /* that the rest of the agent has */

enum control_socket { CONTROL_WRITE, CONTROL_READ, CONTROL_SOCKETS };

static const struct {
	const char *name;
	mode_t mode;
} control_sockets[CONTROL_SOCKETS] = {
	[CONTROL_WRITE] = {"agent.sock", 0600},
	[CONTROL_READ] = {"status.sock", 0660},
};

struct connection {
	struct control *control;
	enum control_socket socket;
	struct connection *next, **place;
	struct loop_timer silence;
	int fd;
	bool may_write, refused; /* refused: closed once the peer has been told */
	struct text in, out;
	size_t sent;
	int passed[CONTROL_FDS_MAX];
};

struct control {
	struct loop *loop;
	struct control_options options;
	int listener[CONTROL_SOCKETS];
	struct connection *connections;
	unsigned int connection_count[CONTROL_SOCKETS], connection_max;
	struct loop_timer resume;
};

void control_reply_error(struct text *reply, const char *name, const char *reason)
{
	_json_ json_t *tree = json_pack("{s:s, s:{s:s}}", "error", name, "parameters", "reason", reason);
	_free_ char *text = json_write(tree);

	text_append(reply, text);
}

void control_reply(struct text *reply, json_t *tree)
{
	_free_ char *text = json_write(tree);

	text_printf(reply, "{\"parameters\":");
	text_append(reply, text);
	text_append(reply, "}");
	json_decref(tree);
}

static int control_listen(struct control *control, enum control_socket which, struct err *err)
{
	_free_ char *path =
		mem_format("%s/%s", control->options.directory, control_sockets[which].name);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_system(err, errno, "a socket");
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ENAMETOOLONG, "%s: longer than the %zu bytes that a socket's "
			"path may have; choose another run directory",
			path, sizeof(address.sun_path) - 1);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path); /* of an agent before this one: the lock says that none runs */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(path, control_sockets[which].mode) < 0 ||
		chown(path, (uid_t)-1, control->options.user) < 0 || listen(fd, 128) < 0)
		return err_system(err, errno, "%s", path);
	if (loop_add(control->loop, control->options.listen_ref, fd, control, EPOLLIN, err) < 0)
		return err_wrap(err, "%s", path);
	control->listener[which] = TAKE_FD(fd);
	return 0;
}

/* Who is beyond the limit waits in the socket's queue, costs nothing there, and has its turn. */
static void control_pause(struct control *control, enum control_socket which)
{
	loop_change(control->loop, control->listener[which], 0, NULL);
	if (!control->resume.place)
		loop_timer_set_in(control->loop, &control->resume, CONTROL_PAUSE_MS);
}

static void control_resume(struct loop *loop, struct loop_timer *timer)
{
	struct control *control = timer->data;

	for (enum control_socket which = 0; which < CONTROL_SOCKETS; which++)
		loop_change(loop, control->listener[which], EPOLLIN, NULL);
}

/* A thousand pods may start at once, and the usual limit of descriptors is 1024. */
static unsigned int control_raise_limit(void)
{
	const rlim_t wanted = CONTROL_FILES_OTHER +
			      CONTROL_SOCKETS * CONTROL_CONNECTIONS_MAX * CONTROL_FILES_EACH;
	struct rlimit limit = {0};

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= wanted)
		return CONTROL_CONNECTIONS_MAX;
	if (limit.rlim_cur < 2 * CONTROL_FILES_OTHER)
		limit.rlim_cur = 2 * CONTROL_FILES_OTHER;
	return (unsigned int)(limit.rlim_cur - CONTROL_FILES_OTHER) /
	       (CONTROL_SOCKETS * CONTROL_FILES_EACH);
}

int control_open(struct loop *loop, const struct control_options *options,
	struct control **ret_control, struct err *err)
{
	_cleanup_(control_close) struct control *control = mem_new(1, sizeof(*control));
	int r;

	control->loop = loop;
	control->options = *options;
	control->connection_max = control_raise_limit();
	control->resume = (struct loop_timer){.function = control_resume, .data = control};
	for (enum control_socket which = 0; which < CONTROL_SOCKETS; which++)
		control->listener[which] = -1;
	for (enum control_socket which = 0; which < CONTROL_SOCKETS; which++) {
		r = control_listen(control, which, err);
		if (r < 0)
			return r;
	}
	*ret_control = TAKE_PTR(control);
	return 0;
}

static void connection_close_passed(struct connection *connection)
{
	for (unsigned int i = 0; i < CONTROL_FDS_MAX; i++)
		mem_close(&connection->passed[i]);
}

static void connection_close(struct connection *connection)
{
	loop_timer_cancel(connection->control->loop, &connection->silence);
	loop_remove(connection->control->loop, connection->fd);
	connection_close_passed(connection);
	mem_close(&connection->fd);
	text_clear(&connection->in);
	text_clear(&connection->out);
	*connection->place = connection->next;
	if (connection->next)
		connection->next->place = connection->place;
	connection->control->connection_count[connection->socket]--;
	free(connection);
}

void control_close(struct control **control)
{
	if (!*control)
		return;
	while ((*control)->connections)
		connection_close((*control)->connections);
	loop_timer_cancel((*control)->loop, &(*control)->resume);
	for (enum control_socket which = 0; which < CONTROL_SOCKETS; which++) {
		if ((*control)->listener[which] >= 0)
			loop_remove((*control)->loop, (*control)->listener[which]);
		mem_close(&(*control)->listener[which]);
	}
	free(*control);
	*control = NULL;
}

static void connection_is_silent(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	connection_close(timer->data);
}

/* Whoever may write is root or the agent itself, on the socket that only they can open. */
static bool control_peer_may_write(
	const struct control *control, enum control_socket which, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return which == CONTROL_WRITE &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == control->options.user);
}

void control_accept(struct control *control, int listener)
{
	enum control_socket which =
		listener == control->listener[CONTROL_WRITE] ? CONTROL_WRITE : CONTROL_READ;
	bool full = control->connection_count[which] >= control->connection_max;
	_close_ int fd =
		full ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct connection *connection;

	if (fd < 0) {
		control_pause(control, which);
		return;
	}
	connection = mem_new(1, sizeof(*connection));
	connection->control = control;
	connection->socket = which;
	connection->fd = fd;
	connection->may_write = control_peer_may_write(control, which, fd);
	for (unsigned int i = 0; i < CONTROL_FDS_MAX; i++)
		connection->passed[i] = -1;
	if (loop_add(control->loop, control->options.connection_ref, fd, connection, EPOLLIN, NULL) <
		0) {
		free(connection);
		return;
	}
	fd = -1;
	connection->silence = (struct loop_timer){.function = connection_is_silent,
		.data = connection};
	loop_timer_set_in(control->loop, &connection->silence, CONTROL_SILENCE_MS);
	connection->next = control->connections;
	connection->place = &control->connections;
	if (connection->next)
		connection->next->place = &connection->next;
	control->connections = connection;
	control->connection_count[which]++;
}

static void connection_dispatch(
	struct connection *connection, struct control_request *request, struct text *reply)
{
	const struct control_options *options = &connection->control->options;

	for (unsigned int i = 0; i < options->method_count; i++) {
		const struct control_method *method = &options->methods[i];

		if (strcmp(method->name, request->method) != 0)
			continue;
		if (method->writes && !connection->may_write)
			control_reply_error(reply, "org.varlink.service.PermissionDenied",
				"this needs root, by agent.sock");
		else
			method->function(options->context, request, reply);
		return;
	}
	control_reply_error(
		reply, "org.varlink.service.MethodNotFound", "the agent has no such method");
}

/* One request, without its NUL. */
static void connection_answer(struct connection *connection, const char *text, size_t length)
{
	struct control_request request;
	_json_ json_t *tree = NULL, *nothing = json_object();
	struct json_at parameters;
	_text_ struct text reply = {0};
	struct err err = {0};
	struct json_at root;

	memcpy(request.fd, connection->passed, sizeof(request.fd));
	for (unsigned int i = 0; i < CONTROL_FDS_MAX; i++)
		connection->passed[i] = -1;
	if (json_read(text, length, &tree, &err) < 0) {
		control_reply_error(&reply, "io.podwire.BadRequest", err.text);
	} else {
		root = json_root(tree);
		if (!json_is_object(tree)) {
			control_reply_error(&reply, "io.podwire.BadRequest", "is no JSON object");
		} else if (json_get_string(&root, "method", JSON_REQUIRED, &request.method, &err) < 0 ||
			json_get_object(&root, "parameters", JSON_OPTIONAL, &parameters, &err) < 0) {
			control_reply_error(&reply, "io.podwire.BadRequest", err.text);
		} else {
			request.parameters = parameters.value ? parameters.value : nothing;
			connection_dispatch(connection, &request, &reply);
		}
	}
	for (unsigned int i = 0; i < CONTROL_FDS_MAX; i++)
		mem_close(&request.fd[i]);
	text_append_bytes(&connection->out, text_string(&reply), reply.length + 1);
}

/* Returns false where the connection is closed. */
static bool connection_send(struct connection *connection)
{
	while (connection->sent < connection->out.length) {
		ssize_t n = send(connection->fd, connection->out.data + connection->sent,
			connection->out.length - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			loop_change(connection->control->loop, connection->fd, EPOLLOUT, NULL);
			return true;
		}
		if (n < 0) {
			connection_close(connection);
			return false;
		}
		connection->sent += (size_t)n;
	}
	if (connection->refused) {
		connection_close(connection);
		return false;
	}
	text_clear(&connection->out);
	connection->sent = 0;
	loop_change(connection->control->loop, connection->fd, EPOLLIN, NULL);
	return true;
}

/* What the peer sends beyond is not read, so it sees the end at once. */
static bool connection_refuse(struct connection *connection)
{
	text_clear(&connection->in);
	control_reply_error(
		&connection->out, "io.podwire.BadRequest", "a request has at most 8 MiB");
	text_append_bytes(&connection->out, "", 1);
	connection->refused = true;
	return connection_send(connection);
}
_Static_assert(CONTROL_REQUEST_MAX == 8UL << 20, "as the text says");

static void connection_take_fds(struct connection *connection, struct msghdr *message)
{
	struct cmsghdr *header;

	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fds[CONTROL_FDS_MAX];

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		if (count > CONTROL_FDS_MAX)
			count = CONTROL_FDS_MAX;
		memcpy(fds, CMSG_DATA(header), count * sizeof(int));
		connection_close_passed(connection);
		for (size_t i = 0; i < count; i++)
			connection->passed[i] = fds[i];
	}
}

/* One read; false where the connection is closed. */
static bool connection_receive(struct connection *connection)
{
	char buffer[65536], passed[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
	struct iovec part = {.iov_base = buffer, .iov_len = sizeof(buffer)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = passed,
		.msg_controllen = sizeof(passed)};
	ssize_t n = recvmsg(connection->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		connection_close(connection);
		return false;
	}
	if (connection->in.length + (size_t)n > CONTROL_REQUEST_MAX)
		return connection_refuse(connection);
	connection_take_fds(connection, &message);
	text_append_bytes(&connection->in, buffer, (size_t)n);
	return true;
}

/*
 * One request that is whole. The next waits until the answer before it is off, so that a peer which
 * asks and never reads costs one answer and no more; and until others have had their turn: this
 * connection goes on when it can take an answer, which it can.
 */
static void connection_serve(struct connection *connection)
{
	struct text rest = {0};
	size_t length;
	char *end;

	if (connection->out.length || !connection->in.length)
		return;
	end = memchr(connection->in.data, '\0', connection->in.length);
	if (!end)
		return;
	length = (size_t)(end - connection->in.data);
	connection_answer(connection, connection->in.data, length);
	text_append_bytes(&rest, end + 1, connection->in.length - length - 1);
	text_clear(&connection->in);
	connection->in = rest;
	if (connection_send(connection) && connection->in.length)
		loop_change(connection->control->loop, connection->fd, EPOLLOUT, NULL);
}

void control_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	struct connection *connection = ref->data;

	if ((events & EPOLLOUT) && !connection_send(connection))
		return;
	if (connection->out.length) {
		if (events & (EPOLLHUP | EPOLLERR))
			connection_close(connection);
		return;
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !connection_receive(connection))
		return;
	loop_timer_set_in(loop, &connection->silence, CONTROL_SILENCE_MS);
	connection_serve(connection);
}
