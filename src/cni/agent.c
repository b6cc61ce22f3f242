/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* The agent's socket: one JSON object and a NUL byte each way (varlink's wire form). */

#define AGENT_REPLY_MAX (1U << 20)

static bool agent_gone(char reason[AGENT_REASON_SIZE], const char *path, const char *what)
{
	snprintf(reason, AGENT_REASON_SIZE,
		"the podwire agent does not answer at %s (%s): see whether it runs on this node, "
		"and what its log says",
		path, what);
	return false;
}

static void agent_append(struct bytes *bytes, const char *name, const char *value, size_t size)
{
	bytes_append_text(bytes, name);
	bytes_append_json(bytes, value, size);
}

static void agent_write_request(const struct cni_request *request, struct bytes *ret)
{
	const struct bytes *config = &request->config;

	agent_append(ret, "{\"method\":\"io.podwire.cni.Run\",\"parameters\":{\"command\":",
		request->verb->name, strlen(request->verb->name));
	agent_append(ret, ",\"containerID\":", request->container, strlen(request->container));
	agent_append(ret, ",\"netns\":", request->netns, strlen(request->netns));
	agent_append(ret, ",\"ifname\":", request->ifname, strlen(request->ifname));
	agent_append(ret, ",\"args\":", request->arguments, strlen(request->arguments));
	agent_append(ret, ",\"path\":", request->path, strlen(request->path));
	agent_append(ret, ",\"config\":", config->data, config->length);
	bytes_append(ret, "}}", sizeof("}}")); /* with the NUL */
}

/* The descriptors travel on the first byte, so they are there before the request is whole. */
static ssize_t agent_send_part(
	int agent, const struct cni_request *request, char *data, size_t size, bool first)
{
	const int fds[] = {request->netns_fd, request->netlink_fd};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fds))] = {0};
	struct iovec part = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (first && request->netns_fd >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(header), fds, sizeof(fds));
	}
	return sendmsg(agent, &message, MSG_NOSIGNAL);
}

static bool agent_send(int agent, const struct cni_request *request)
{
	struct bytes bytes = {0};
	size_t sent = 0;

	agent_write_request(request, &bytes);
	while (sent < bytes.length) {
		ssize_t size = agent_send_part(
			agent, request, bytes.data + sent, bytes.length - sent, sent == 0);

		if (size < 0 && errno == EINTR)
			continue; /* stopped and continued, as a debugger does */
		if (size <= 0)
			return false;
		sent += (size_t)size;
	}
	return true;
}

static bool agent_receive(int agent, struct bytes *reply)
{
	char buffer[16384];

	while (reply->length < AGENT_REPLY_MAX) {
		struct pollfd wait = {.fd = agent, .events = POLLIN};
		int left = deadline_left();
		ssize_t size;

		if (left == 0)
			cni_fail(CNI_TRY_AGAIN,
				"the podwire agent did not answer within %d seconds", CNI_SECONDS);
		if (poll(&wait, 1, left) <= 0)
			continue;
		size = recv(agent, buffer, sizeof(buffer), 0);
		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			return false;
		bytes_append(reply, buffer, (size_t)size);
		if (reply->data[reply->length - 1] == '\0') {
			reply->length--;
			return true;
		}
	}
	cni_fail(CNI_IO, "the podwire agent's reply is longer than %u bytes", AGENT_REPLY_MAX);
}

static int agent_connect(const char *path)
{
	const struct timeval limit = {.tv_sec = CNI_SECONDS};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	do
		r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	while (r < 0 && errno == EINTR);
	return r < 0 ? -1 : fd;
}

bool agent_call(
	const struct cni_request *request, struct bytes *reply, char reason[AGENT_REASON_SIZE])
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int agent, length;

	length = snprintf(path, sizeof(path), "%s/agent.sock", request->run_directory);
	if (length < 0 || (size_t)length >= sizeof(path))
		cni_fail(CNI_INVALID_ENVIRONMENT,
			"PODWIRE_RUN_DIR: %s is too long for a socket's path",
			request->run_directory);
	agent = agent_connect(path);
	if (agent < 0)
		return agent_gone(reason, path, strerror(errno));
	if (!agent_send(agent, request) || !agent_receive(agent, reply))
		return agent_gone(reason, path, "it closed the connection without a reply");
	close(agent);
	return true;
}

/* Whether the reply is `start`, something, and a closing brace; that is then what is in between. */
static bool agent_reply_is(
	const struct bytes *reply, const char *start, const char **ret_data, size_t *ret_size)
{
	size_t length = strlen(start);

	if (reply->length <= length || memcmp(reply->data, start, length) != 0 ||
		reply->data[reply->length - 1] != '}')
		return false;
	*ret_data = reply->data + length;
	*ret_size = reply->length - length - 1;
	return true;
}

int agent_print(const struct bytes *reply)
{
	char version[CNI_VERSION_SIZE];
	const char *data;
	size_t size;

	if (!json_check(reply->data, reply->length, version))
		cni_fail(CNI_IO, "the podwire agent's reply is no JSON; is it of this release?");
	if (agent_reply_is(reply, "{\"parameters\":", &data, &size)) {
		if (size != strlen("{}") || memcmp(data, "{}", size) != 0)
			output_print(data, size);
		return 0;
	}
	if (agent_reply_is(
		    reply, "{\"error\":\"io.podwire.cni.Failed\",\"parameters\":", &data, &size)) {
		output_print(data, size);
		return 1;
	}
	cni_fail(CNI_IO, "the podwire agent refused the request: %.*s",
		(int)(reply->length < 400 ? reply->length : 400), reply->data);
}
