/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONFIG_MAX (1U << 20)
#define FAIL_TEXT_SIZE 1024
#define FAIL_SIZE (6 * (FAIL_TEXT_SIZE + CNI_VERSION_SIZE) + 256) /* a byte escaped takes six */

/* Attachments are the agent's; DEL alone must succeed without it, for the runtime repeats it. */
static const struct cni_verb verbs[] = {
	{"ADD", CNI_NEED_CONTAINER | CNI_NEED_NETNS | CNI_SEND_NETNS, false, CNI_TRY_AGAIN},
	{"DEL", CNI_NEED_CONTAINER | CNI_SEND_NETNS, true, CNI_TRY_AGAIN},
	{"CHECK", CNI_NEED_CONTAINER | CNI_NEED_NETNS | CNI_SEND_NETNS, false, CNI_TRY_AGAIN},
	{"STATUS", 0, false, CNI_PLUGIN_UNAVAILABLE},
	{"GC", 0, false, CNI_TRY_AGAIN},
	{"VERSION", 0, true, CNI_TRY_AGAIN},
};

static const char versions[] = "[\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]";

/* Of the configuration: what every answer repeats. */
static char version[CNI_VERSION_SIZE] = CNI_VERSION_DEFAULT;

static long long deadline; /* in milliseconds of CLOCK_MONOTONIC */

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

void deadline_start(void)
{
	deadline = now() + CNI_SECONDS * 1000LL;
}

int deadline_left(void)
{
	long long left = deadline - now();

	return left > 0 ? (int)left : 0;
}

static void output_write(const char *data, size_t size)
{
	while (size) {
		ssize_t written = write(STDOUT_FILENO, data, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			_exit(1); /* nobody is there to be told */
		data += written;
		size -= (size_t)written;
	}
}

void output_print(const char *data, size_t size)
{
	output_write(data, size);
	output_write("\n", 1);
}

/* In a buffer that is there from the start: the reason may be that there is no memory. */
_Noreturn void cni_fail(enum cni_code code, const char *format, ...)
{
	static char room[FAIL_SIZE];
	struct bytes out = {.data = room, .capacity = sizeof(room)};
	char text[FAIL_TEXT_SIZE], number[16];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!json_is_text(text, strlen(text)))
		for (char *at = text; *at; at++)
			if ((unsigned char)*at >= 0x80)
				*at = '?';
	snprintf(number, sizeof(number), "%d", (int)code);
	bytes_append_text(&out, "{\"cniVersion\":");
	bytes_append_json(&out, version, strlen(version));
	bytes_append_text(&out, ",\"code\":");
	bytes_append_text(&out, number);
	bytes_append_text(&out, ",\"msg\":");
	bytes_append_json(&out, text, strlen(text));
	bytes_append_text(&out, "}");
	output_print(out.data, out.length);
	_exit(1);
}

static const struct cni_verb *verb_find(void)
{
	const char *name = getenv("CNI_COMMAND");

	if (!name || !*name)
		cni_fail(CNI_INVALID_ENVIRONMENT, "CNI_COMMAND: is not set; container runtimes "
						  "start this plugin with ADD, DEL, "
						  "CHECK, STATUS, GC or VERSION in it");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(name, verbs[i].name) == 0)
			return &verbs[i];
	cni_fail(CNI_INVALID_ENVIRONMENT,
		"CNI_COMMAND: \"%.40s\" is none; use ADD, DEL, CHECK, STATUS, GC or VERSION", name);
}

static void config_read(struct bytes *config)
{
	char buffer[16384];

	for (;;) {
		struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
		int left = deadline_left();
		ssize_t size;

		if (left == 0)
			cni_fail(CNI_IO, "standard input did not end within %d seconds",
				CNI_SECONDS);
		if (poll(&wait, 1, left) <= 0)
			continue;
		size = read(STDIN_FILENO, buffer, sizeof(buffer));
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			cni_fail(CNI_IO, "reading standard input: %s", strerror(errno));
		if (size == 0)
			break;
		if (config->length + (size_t)size > CONFIG_MAX)
			cni_fail(CNI_DECODE,
				"the network configuration on standard input is longer than %u "
				"bytes",
				CONFIG_MAX);
		bytes_append(config, buffer, (size_t)size);
	}
	if (!json_check(config->data, config->length, version))
		cni_fail(CNI_DECODE, "the network configuration on standard input is no JSON");
}

static int print_versions(void)
{
	struct bytes out = {0};

	bytes_append_text(&out, "{\"cniVersion\":");
	bytes_append_json(&out, version, strlen(version));
	bytes_append_text(&out, ",\"supportedVersions\":");
	bytes_append_text(&out, versions);
	bytes_append_text(&out, "}");
	output_print(out.data, out.length);
	return 0;
}

int main(void)
{
	struct cni_request request = {.verb = verb_find()};
	struct bytes reply = {0};
	char reason[AGENT_REASON_SIZE];

	deadline_start();
	config_read(&request.config);
	if (strcmp(request.verb->name, "VERSION") == 0)
		return print_versions();
	environment_read(&request);
	netns_enter(&request);
	if (agent_call(&request, &reply, reason))
		return agent_print(&reply);
	if (!request.verb->alone)
		cni_fail(request.verb->absent, "%s", reason);
	remove_attachment(&request);
	return 0;
}
