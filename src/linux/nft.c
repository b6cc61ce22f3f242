/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/nft.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

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

#define NFT_OUTPUT_MAX (64 * 1024) /* of what nft says; more is not read, and nft is ended */
#define NFT_ARGUMENTS 4

static const char *const nft_paths[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"};

static const char *nft_find(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(nft_paths); i++)
		if (access(nft_paths[i], X_OK) == 0)
			return nft_paths[i];
	return NULL;
}

/* An agent that is not root passes the capability on by the ambient set, which an exec keeps. */
static int nft_hand_over_capability(void)
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
static void nft_exec(const char *path, char *const *arguments, int input, int output)
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
	r = nft_hand_over_capability();
	if (r == 0)
		execve(path, arguments, environment);
	dprintf(STDERR_FILENO, "starting %s: %s", path, strerror(r < 0 ? -r : errno));
	_exit(127);
}

/* Until its end or the time limit. */
static int nft_read(int fd, struct text *output, struct err *err)
{
	uint64_t deadline = clock_monotonic_ms() + NFT_SECONDS * 1000;
	char buffer[4096];

	while (output->length < NFT_OUTPUT_MAX) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_monotonic_ms();
		ssize_t size;

		if (now >= deadline)
			return err_set(
				err, ETIMEDOUT, "nft did not end within %d seconds", NFT_SECONDS);
		if (poll(&wait, 1, (int)(deadline - now)) <= 0)
			continue;
		size = read(fd, buffer, sizeof(buffer));
		if (size < 0 && errno != EINTR)
			return err_system(err, errno, "reading what nft says");
		if (size == 0)
			return 0;
		if (size > 0)
			text_append_bytes(output, buffer, (size_t)size);
	}
	return 0;
}

/* All of the text is in the file before nft starts, so that neither side waits for the other. */
static int nft_input(const char *text, int *ret_fd, struct err *err)
{
	size_t size = strlen(text);
	_close_ int fd = memfd_create("nft", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
		return err_system(err, errno, "preparing %zu bytes for nft", size);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int nft_run(
	const char *const *words, const char *input_text, struct text *output, struct err *err)
{
	const char *path = nft_find();
	char *arguments[NFT_ARGUMENTS + 2] = {(char *)path};
	_close_ int input = -1;
	int pipe_fds[2], status = 0, r;
	pid_t child;

	if (!path)
		return err_set(err, ENOENT,
			"there is no nft in /usr/sbin, /sbin or /usr/bin; "
			"install the package nftables");
	for (size_t i = 0; i < NFT_ARGUMENTS && words[i]; i++)
		arguments[i + 1] = (char *)words[i];
	r = nft_input(input_text, &input, err);
	if (r < 0)
		return r;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_system(err, errno, "making a pipe for nft");
	child = fork();
	if (child == 0)
		nft_exec(path, arguments, input, pipe_fds[1]);
	close(pipe_fds[1]);
	r = child < 0 ? err_system(err, errno, "starting nft") : nft_read(pipe_fds[0], output, err);
	close(pipe_fds[0]);
	if (child < 0)
		return r;
	if (r < 0)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0 || status == 0)
		return r;
	return err_set(err, EINVAL, "nft: %s",
		output->length ? text_string(output) : "it ended without a word");
}

int nft_apply(const char *text, struct err *err)
{
	static const char *const words[NFT_ARGUMENTS] = {"-f", "-"};
	_text_ struct text output = {0};

	return nft_run(words, text, &output, err);
}

int nft_table_exists(const char *family, const char *table, bool *ret_exists, struct err *err)
{
	static const char *const words[NFT_ARGUMENTS] = {"list", "tables"};
	_free_ char *line = mem_format("table %s %s\n", family, table);
	_text_ struct text output = {0};
	int r = nft_run(words, "", &output, err);

	if (r == 0)
		*ret_exists = strstr(text_string(&output), line) != NULL;
	return r;
}

int nft_delete_table(const char *family, const char *table, struct err *err)
{
	/* What is added first is there to be deleted, and both are one transaction. */
	_free_ char *text =
		mem_format("add table %s %s\ndelete table %s %s\n", family, table, family, table);

	return nft_apply(text, err);
}
