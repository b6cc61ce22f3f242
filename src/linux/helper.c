/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/helper.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/*
 * The answer is the whole struct below in one write, which a pipe takes as one (it is smaller than
 * PIPE_BUF). A child that died leaves the pipe empty and closed.
 */
struct helper_answer {
	int result;
	struct err err;
};
_Static_assert(sizeof(struct helper_answer) <= 4096, "PIPE_BUF");

static void helper_close_range(int first, int last)
{
	if (first <= last)
		close_range((unsigned int)first, (unsigned int)last, 0);
}

/* `keep` stays at its number, for the function knows it by that. */
static void helper_close_others(int answer, int keep)
{
	int low = keep > STDERR_FILENO && keep < answer ? keep : answer;
	int high = keep > answer ? keep : answer;

	helper_close_range(STDERR_FILENO + 1, low - 1);
	helper_close_range(low + 1, high - 1);
	helper_close_range(high + 1, INT_MAX);
}

static void helper_run(
	helper_function function, void *context, int keep, int answer_fd, pid_t parent)
{
	struct helper_answer answer = {0};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it died before we could ask to die with it */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	helper_close_others(answer_fd, keep);
	answer.result = function(context, &answer.err);
	if (write(answer_fd, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		_exit(1);
	_exit(0);
}

int helper_start(helper_function function, void *context, int keep, struct helper *ret_helper,
	struct err *err)
{
	pid_t parent = getpid(), child;
	int answer[2];

	if (pipe2(answer, O_CLOEXEC) < 0)
		return err_system(err, errno, "making a pipe for a helper");
	child = fork();
	if (child == 0)
		helper_run(function, context, keep, answer[1], parent);
	close(answer[1]);
	if (child < 0) {
		close(answer[0]);
		return err_system(err, errno, "starting a helper");
	}
	*ret_helper = (struct helper){.pid = child, .answer = answer[0]};
	return 0;
}

static ssize_t helper_read(int fd, struct helper_answer *answer)
{
	ssize_t size;

	do
		size = read(fd, answer, sizeof(*answer));
	while (size < 0 && errno == EINTR);
	return size;
}

int helper_finish(struct helper *helper, struct err *err)
{
	struct helper_answer answer = {0};
	ssize_t size = helper_read(helper->answer, &answer);
	int status = 0;
	pid_t reaped;

	close(helper->answer);
	do
		reaped = waitpid(helper->pid, &status, 0);
	while (reaped < 0 && errno == EINTR);
	*helper = (struct helper)HELPER_NONE;
	if (size != (ssize_t)sizeof(answer)) {
		if (reaped > 0 && WIFSIGNALED(status))
			return err_set(
				err, EIO, "the helper was killed by signal %d", WTERMSIG(status));
		return err_set(err, EIO, "the helper ended without an answer");
	}
	if (answer.result < 0 && err)
		*err = answer.err;
	return answer.result;
}
