/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/tool.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *const tool_directories[] = {"/usr/sbin", "/sbin", "/usr/bin"};

static char *tool_find(const struct tool *tool)
{
	for (size_t i = 0; i < ARRAY_SIZE(tool_directories); i++) {
		_free_ char *path = mem_format("%s/%s", tool_directories[i], tool->name);

		if (access(path, X_OK) == 0)
			return TAKE_PTR(path);
	}
	return NULL;
}

bool tool_is_there(const struct tool *tool)
{
	_free_ char *path = tool_find(tool);

	return path != NULL;
}

/* An agent that is not root passes the capability on by the ambient set, which an exec keeps. */
static int tool_hand_over_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (geteuid() == 0)
		return 0;
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[CAP_TO_INDEX(CAP_NET_ADMIN)].inheritable |= CAP_TO_MASK(CAP_NET_ADMIN);
	if (syscall(SYS_capset, &header, data) < 0 ||
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) < 0)
		return -errno;
	return 0;
}

/* In the child. Does not return; the parent sees the exit status 127 and the words. */
static void tool_exec(const char *path, char *const *arguments, int input, int output)
{
	static char *const environment[] = {NULL};
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
		dup2(output, STDERR_FILENO) < 0)
		_exit(127);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	r = tool_hand_over_capability();
	if (r == 0)
		execve(path, arguments, environment);
	dprintf(STDERR_FILENO, "starting %s: %s", path, strerror(r < 0 ? -r : errno));
	_exit(127);
}

/* Until its end or the time limit. */
static int tool_read(const struct tool *tool, int fd, struct text *output, struct err *err)
{
	uint64_t deadline = clock_monotonic_ms() + tool->seconds * 1000ULL;
	char buffer[4096];

	while (output->length < tool->output_max) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_monotonic_ms();
		ssize_t size;

		if (now >= deadline)
			return err_set(err, ETIMEDOUT, "%s did not end within %u seconds",
				tool->name, tool->seconds);
		if (poll(&wait, 1, (int)(deadline - now)) <= 0)
			continue;
		size = read(fd, buffer, sizeof(buffer));
		if (size < 0 && errno != EINTR)
			return err_system(err, errno, "reading what %s says", tool->name);
		if (size == 0)
			return 0;
		if (size > 0)
			text_append_bytes(output, buffer, (size_t)size);
	}
	return 0;
}

/* All of the text is in the file before the tool starts, so that neither side waits for the other. */
static int tool_input(const struct tool *tool, const char *text, int *ret_fd, struct err *err)
{
	size_t size = strlen(text);
	_close_ int fd = memfd_create(tool->name, MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
		return err_system(err, errno, "preparing %zu bytes for %s", size, tool->name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int tool_run(const struct tool *tool, const char *const *words, const char *input_text,
	struct text *output, struct err *err)
{
	_free_ char *path = tool_find(tool);
	char *arguments[TOOL_ARGUMENTS + 2] = {path};
	_close_ int input = -1;
	int pipe_fds[2], status = 0, r;
	pid_t child;

	if (!path)
		return err_set(err, ENOENT,
			"there is no %s in /usr/sbin, /sbin or /usr/bin; install the package %s",
			tool->name, tool->package);
	for (size_t i = 0; i < TOOL_ARGUMENTS && words[i]; i++)
		arguments[i + 1] = (char *)words[i];
	r = tool_input(tool, input_text, &input, err);
	if (r < 0)
		return r;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_system(err, errno, "making a pipe for %s", tool->name);
	child = fork();
	if (child == 0)
		tool_exec(path, arguments, input, pipe_fds[1]);
	close(pipe_fds[1]);
	r = child < 0 ? err_system(err, errno, "starting %s", tool->name)
		      : tool_read(tool, pipe_fds[0], output, err);
	close(pipe_fds[0]);
	if (child < 0)
		return r;
	if (r < 0)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0 || status == 0)
		return r;
	return err_set(err, EINVAL, "%s: %s", tool->name,
		output->length ? text_string(output) : "it ended without a word");
}
