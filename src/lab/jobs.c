/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/jobs.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct job {
	size_t index;
	pid_t pid;
	int pipe;
	char *text;
	size_t used, capacity;
};

json_t *job_error(const char *format, ...)
{
	va_list arguments;
	_free_ char *text = NULL;

	va_start(arguments, format);
	text = mem_vformat(format, arguments);
	va_end(arguments);
	return json_pack("{s:s}", "error", text);
}

const char *job_error_text(const json_t *answer)
{
	return answer ? json_string_value(json_object_get(answer, "error"))
		      : "the helper process died without an answer";
}

static _Noreturn void job_child(job_work *work, void *context, size_t index, int out)
{
	sigset_t none;
	json_t *answer;

	/* Work must not outlive a command that was killed, but ^C is for the command to judge. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	answer = work(context, index);
	json_dumpfd(answer, out, JSON_COMPACT | JSON_ENCODE_ANY);
	_exit(0);
}

static bool job_start(struct job *job, size_t index, job_work *work, void *context)
{
	int ends[2];

	*job = (struct job){.index = index, .pipe = -1};
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	fflush(NULL);
	job->pid = fork();
	if (job->pid == 0)
		job_child(work, context, index, ends[1]);
	close(ends[1]);
	if (job->pid < 0) {
		close(ends[0]);
		return false;
	}
	job->pipe = ends[0];
	return true;
}

/* False at the end of the answer. */
static bool job_read(struct job *job)
{
	ssize_t count;

	job->text = mem_grow(job->text, &job->capacity, job->used + 4096, 1);
	count = read(job->pipe, job->text + job->used, job->capacity - job->used);
	if (count > 0)
		job->used += (size_t)count;
	return count > 0 || (count < 0 && errno == EINTR);
}

static void job_finish(struct job *job, job_done *done, void *context)
{
	json_t *answer = json_loadb(job->text, job->used, JSON_DECODE_ANY, NULL);

	close(job->pipe);
	while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
		;
	done(context, job->index, answer);
	json_decref(answer);
	free(job->text);
}

void jobs_run(size_t count, size_t width, job_work *work, job_done *done, void *context)
{
	_free_ struct job *running = mem_new(width, sizeof(*running));
	_free_ struct pollfd *wait = mem_new(width, sizeof(*wait));
	size_t next = 0, active = 0;

	while (next < count || active > 0) {
		while (next < count && active < width) {
			if (job_start(&running[active], next, work, context))
				active++;
			else
				done(context, next, NULL);
			next++;
		}
		for (size_t i = 0; i < active; i++)
			wait[i] = (struct pollfd){.fd = running[i].pipe, .events = POLLIN};
		if (poll(wait, active, -1) < 0)
			continue;
		for (size_t i = active; i-- > 0;) {
			if (wait[i].revents == 0 || job_read(&running[i]))
				continue;
			job_finish(&running[i], done, context);
			running[i] = running[--active];
		}
	}
}

int process_detach(int keep)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (keep >= 0 && keep != 3)
		dup2(keep, 3);
	close_range(keep >= 0 ? 4 : 3, ~0U, 0);
	return keep >= 0 ? 3 : -1;
}

pid_t process_fork_orphan(void)
{
	int ends[2];
	pid_t child, grandchild = -1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		grandchild = -errno;
	} else if (child == 0) {
		grandchild = fork();
		if (grandchild == 0) {
			close(ends[0]);
			close(ends[1]);
			return 0;
		}
		_exit(write(ends[1], &grandchild, sizeof(grandchild)) != sizeof(grandchild));
	} else {
		if (read(ends[0], &grandchild, sizeof(grandchild)) != sizeof(grandchild))
			grandchild = -ECHILD;
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
	close(ends[1]);
	return grandchild;
}

unsigned long long process_start_time(pid_t pid)
{
	char path[32], text[1024];
	unsigned long long start = 0;
	_close_ int fd = -1;
	ssize_t count;
	char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	count = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (count <= 0)
		return 0;
	text[count] = '\0';
	/* The name may hold anything; field 3 follows its last parenthesis, the start is field 22. */
	end = strrchr(text, ')');
	if (!end || sscanf(end + 1,
			    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			    "%*d %*d %llu",
			    &start) != 1)
		return 0;
	return start;
}
