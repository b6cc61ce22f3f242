/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server with a real connection: the first byte says after how many bytes the peer takes a
 * breath, the rest is what it says. Whatever comes is answered with HTTP or not at all.
 */
#include "fuzz.h"

#include "agent/http.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REF_LISTEN, REF_CONNECTION, REF_MAX };

static struct http *http;
static struct http_listener *listener;
static struct loop *loop;
static struct sockaddr_in address;

static void http_echo(void *context, const char *path, struct http_answer *answer)
{
	(void)context;
	if (*path != '/')
		abort();
	text_append(&answer->body, path);
}

/* A loopback address of this process's own, so that fuzzers beside it do not meet. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const loop_function functions[REF_MAX] = {http_listen_event, http_connection_event};
	const struct http_options options = {
		.listen_ref = REF_LISTEN, .connection_ref = REF_CONNECTION};
	uint32_t own = 0x7f010000 + (uint32_t)getpid() % 65536;
	struct addr addr;

	(void)argc;
	(void)argv;
	address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(10256),
		.sin_addr.s_addr = htonl(own)};
	addr_set_v4(&addr, htonl(own));
	if (loop_open(&loop, functions, REF_MAX, NULL, NULL) < 0 ||
		http_open(loop, &options, &http, NULL) < 0)
		abort();
	if (http_listen(http, &addr, 10256, http_echo, NULL, &listener, NULL) < 0)
		abort();
	return 0;
}

/* libFuzzer's alarm may interrupt it; it goes on meanwhile. */
static void http_connect_to(int fd)
{
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == EISCONN)
			return;
		if (errno != EINTR && errno != EALREADY)
			abort();
	}
}

static int http_connect(void)
{
	const struct linger at_once = {.l_onoff = 1}; /* leaves no port waiting behind it */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	http_connect_to(fd);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	loop_turn(loop, 0, NULL);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char begin[] = "HTTP/1.1 ";
	size_t portion = size ? data[0] * 16U + 1 : 1;
	char answer[32768];
	ssize_t n;
	int fd;

	if (size > 20000)
		return 0;
	fd = http_connect();
	for (size_t at = 1; at < size; at += portion) {
		if (send(fd, data + at, size - at < portion ? size - at : portion,
			    MSG_NOSIGNAL) < 0)
			break;
		loop_turn(loop, 0, NULL);
	}
	n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	if (n > 0 && strncmp(answer, begin, strlen(begin)) != 0)
		abort();
	close(fd);
	loop_turn(loop, 0, NULL);
	return 0;
}
