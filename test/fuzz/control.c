/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's socket with a real connection: the first byte says after how many bytes the peer
 * takes a breath, the rest is what it says. Whole requests have to be answered with whole JSON
 * objects, and the loop has to be as it was when the peer has gone.
 */
#include "fuzz.h"

#include "agent/control.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { REF_LISTEN, REF_CONNECTION, REF_MAX };

static struct control *control;
static struct loop *loop;
static char directory[] = "/tmp/podwire-fuzz-XXXXXX";

static void control_listener(struct loop *from, const struct loop_ref *ref, uint32_t events)
{
	(void)from;
	(void)events;
	control_accept(ref->data, ref->fd);
}

static void control_echo(void *context, struct control_request *request, struct text *reply)
{
	(void)context;
	control_reply(reply, json_incref(request->parameters));
}

static void control_remove(void)
{
	static const char *const names[] = {"agent.sock", "status.sock"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_free_ char *path = mem_format("%s/%s", directory, names[i]);

		unlink(path);
	}
	rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const loop_function functions[REF_MAX] = {control_listener, control_event};
	static const struct control_method methods[] = {
		{"io.podwire.Echo", false, control_echo}, {"io.podwire.Write", true, control_echo}};
	struct control_options options = {.directory = directory,
		.methods = methods,
		.method_count = ARRAY_SIZE(methods),
		.user = getuid(),
		.listen_ref = REF_LISTEN,
		.connection_ref = REF_CONNECTION};

	(void)argc;
	(void)argv;
	if (!mkdtemp(directory) || loop_open(&loop, functions, REF_MAX, NULL, NULL) < 0 ||
		control_open(loop, &options, &control, NULL) < 0)
		abort();
	atexit(control_remove);
	return 0;
}

static int control_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/agent.sock", directory);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	loop_turn(loop, 0, NULL);
	return fd;
}

/* The answers so far; each one is JSON. */
static void control_check(int fd)
{
	char buffer[65536];
	ssize_t n = recv(fd, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);

	if (n <= 0 || (size_t)n == sizeof(buffer) - 1)
		return;
	for (char *at = buffer; at < buffer + n; at += strlen(at) + 1) {
		_json_ json_t *tree = NULL;

		if (!memchr(at, 0, (size_t)(buffer + n - at)) ||
			json_read(at, strlen(at), &tree, NULL) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t portion = size ? data[0] * 16U + 1 : 1;
	int fd;

	if (size > 20000)
		return 0;
	fd = control_connect();
	for (size_t at = 1; at < size; at += portion) {
		size_t n = size - at < portion ? size - at : portion;

		if (send(fd, data + at, n, MSG_NOSIGNAL) < 0)
			break;
		loop_turn(loop, 0, NULL);
	}
	control_check(fd);
	close(fd);
	loop_turn(loop, 0, NULL);
	return 0;
}
