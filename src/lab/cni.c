/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/cni.h"

#include "base/clock.h"
#include "base/json.h"
#include "lab/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define CONFIGURATION "{\"cniVersion\":\"1.1.0\",\"name\":\"podwire\",\"type\":\"podwire-cni\"}"
#define OUTPUT_SIZE 16384
#define TIMEOUT_MS 60000
#define VARIABLES 9

int cni_plugin_find(const char *given, char **ret_path, struct err *err)
{
	char self[PATH_MAX] = "";
	_free_ char *path = NULL;
	ssize_t length;

	if (given) {
		path = realpath(given, NULL);
	} else {
		length = readlink("/proc/self/exe", self, sizeof(self) - 1);
		if (length > 0)
			self[length] = '\0';
		path = mem_format("%.*s/podwire-cni", (int)(strrchr(self, '/') - self), self);
	}
	if (!path || access(path, X_OK) < 0)
		return err_system(err, errno,
			"the CNI plugin %s (it is looked for beside podwire; --plugin FILE names "
			"another place)",
			given ? given : path);
	*ret_path = TAKE_PTR(path);
	return 0;
}

static _Noreturn void plugin_exec(
	const struct lab *lab, const struct cni_call *call, int input, int output)
{
	_free_ char *node = lab_namespace_path(lab, call->node);
	_free_ char *run = lab_node_directory(lab, call->node);
	const char *slash = strrchr(lab->settings.plugin, '/');
	char *argv[] = {(char *)"podwire-cni", NULL};
	char *environment[VARIABLES] = {
		mem_format("CNI_COMMAND=%s", call->command),
		mem_format("CNI_CONTAINERID=%s", call->container),
		mem_format("CNI_NETNS=%s", call->netns),
		mem_format("CNI_IFNAME=eth0"),
		mem_format("CNI_PATH=%.*s", (int)(slash - lab->settings.plugin),
			lab->settings.plugin),
		mem_format("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;"
			   "K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s",
			call->pod_namespace, call->pod_name, call->container, call->pod_uid),
		mem_format("PODWIRE_RUN_DIR=%s", run),
		mem_format("PATH=/usr/sbin:/usr/bin:/sbin:/bin"),
	};

	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	if (namespace_enter(node, NULL) == 0)
		execve(lab->settings.plugin, argv, environment);
	_exit(127);
}

/* Everything up to the end of file, or -ETIMEDOUT. */
static int output_read(int fd, char text[OUTPUT_SIZE])
{
	uint64_t end = clock_monotonic_ms() + TIMEOUT_MS;
	size_t used = 0;

	for (;;) {
		uint64_t now = clock_monotonic_ms();
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		ssize_t count;

		if (now >= end || poll(&wait, 1, (int)(end - now)) == 0)
			return -ETIMEDOUT;
		count = read(fd, text + used, OUTPUT_SIZE - 1 - used);
		if (count < 0 && errno != EINTR)
			return -errno;
		if (count == 0)
			break;
		if (count > 0)
			used += (size_t)count;
	}
	text[used] = '\0';
	return 0;
}

/* What a failed call is told with: msg and details of the error object. */
static int cni_err(const struct cni_call *call, const char *output, int status, struct err *err)
{
	_json_ json_t *error = json_loads(output, 0, NULL);
	const char *message = tree_text(error, "msg"), *details = tree_text(error, "details");

	if (!*message && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, EIO, "CNI %s: the plugin could not be started", call->command);
	if (!*message)
		return err_set(err, EIO, "CNI %s: the plugin ended with status %d: %s",
			call->command, status, output);
	return err_set(err, EIO, "CNI %s: %s%s%s (code %lld)", call->command, message,
		*details ? ": " : "", details,
		(long long)json_integer_value(json_object_get(error, "code")));
}

int cni_run(const struct lab *lab, const struct cni_call *call, json_t **ret_result, struct err *err)
{
	_close_ int input_read = -1, input_write = -1, output_end = -1, output_write = -1;
	char output[OUTPUT_SIZE];
	int in[2], out[2], status = 0, r;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_system(err, errno, "pipe");
	input_read = in[0];
	input_write = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_system(err, errno, "pipe");
	output_end = out[0];
	output_write = out[1];
	pid = fork();
	if (pid == 0)
		plugin_exec(lab, call, input_read, output_write);
	if (pid < 0)
		return err_system(err, errno, "fork");
	mem_close(&input_read);
	mem_close(&output_write);
	/* Less than a pipe holds, so this never waits for the plugin. */
	r = write(input_write, CONFIGURATION, sizeof(CONFIGURATION) - 1) < 0 ? -errno : 0;
	mem_close(&input_write);
	if (r == 0 || r == -EPIPE)
		r = output_read(output_end, output);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_system(err, -r, "CNI %s", call->command);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return cni_err(call, output, status, err);
	*ret_result = json_loads(output, 0, NULL);
	return 0;
}
