/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define CLIENT_REPLY_MAX (256UL << 20)
#define CLIENT_TIMEOUT_SECONDS 30

static int client_connect(const char *path, int *ret_fd)
{
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = {.tv_sec = CLIENT_TIMEOUT_SECONDS};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int client_open(const char *directory, int *ret_fd, struct err *err)
{
	_free_ char *path = mem_format("%s/status.sock", directory);
	int r = client_connect(path, ret_fd);

	if (r == -EACCES)
		return err_set(err, EACCES, "%s: not permitted; be root, or of the group of that file",
			path);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return err_set(err, ECONNREFUSED,
			"no agent answers at %s; start one with `podwire agent`, or name its "
			"directory with --run-dir",
			path);
	return r < 0 ? err_system(err, -r, "%s", path) : 0;
}

static int client_send(int fd, const char *method, json_t *parameters, struct err *err)
{
	_free_ char *text = NULL;
	size_t length, sent = 0;
	json_t *request = json_pack("{s:s}", "method", method);

	if (parameters)
		json_object_set(request, "parameters", parameters);
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	for (length = strlen(text) + 1; sent < length;) {
		ssize_t n = send(fd, text + sent, length - sent, MSG_NOSIGNAL);

		if (n < 0)
			return err_system(err, errno, "asking the agent");
		sent += (size_t)n;
	}
	return 0;
}

static int client_receive(int fd, char **ret_text, struct err *err)
{
	_free_ char *text = NULL;
	size_t capacity = 0, length = 0;

	for (;;) {
		ssize_t n;

		text = mem_grow(text, &capacity, length + 65536, 1);
		n = recv(fd, text + length, capacity - length, 0);
		if (n <= 0)
			return err_system(err, n ? errno : ECONNRESET, "the agent's answer");
		length += (size_t)n;
		if (text[length - 1] == '\0')
			break;
		if (length > CLIENT_REPLY_MAX)
			return err_set(err, EMSGSIZE, "the agent's answer has no end");
	}
	*ret_text = TAKE_PTR(text);
	return 0;
}

int client_call(const char *directory, const char *method, json_t *parameters,
	json_t **ret_parameters, struct err *err)
{
	const char *failure, *reason = "no reason given";
	json_t *reply, *found;
	_free_ char *text = NULL;
	_close_ int fd = -1;
	json_error_t error;
	int r;

	r = client_open(directory, &fd, err);
	if (r == 0)
		r = client_send(fd, method, parameters, err);
	if (r == 0)
		r = client_receive(fd, &text, err);
	if (r < 0)
		return r;
	reply = json_loads(text, 0, &error);
	if (!reply)
		return err_set(err, EBADMSG, "the agent's answer is no JSON: %s", error.text);
	failure = json_string_value(json_object_get(reply, "error"));
	found = json_object_get(reply, "parameters");
	if (failure) {
		json_unpack(found, "{s:s}", "reason", &reason);
		r = err_set(err, EREMOTEIO, "%s", reason);
	} else {
		*ret_parameters = json_incref(found);
	}
	json_decref(reply);
	return r;
}
