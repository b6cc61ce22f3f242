/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/up.h"

#include "base/clock.h"
#include "base/json.h"
#include "lab/cgroups.h"
#include "lab/cni.h"
#include "lab/converge.h"
#include "lab/down.h"
#include "lab/manifest.h"
#include "lab/plan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define NODES_DEFAULT 3

/* What the child could do: told by its exit status. */
enum up_result { UP_DONE, UP_FAILED, UP_DONE_WITHOUT_SOME_PODS };

/* Until there are as many as asked for, under the first free names. */
static void nodes_make(struct lab *lab, unsigned int wanted)
{
	_json_ json_t *given = lab_list(lab, LAB_NODE);
	size_t count = json_array_size(given);

	if (wanted == 0 && count == 0)
		wanted = NODES_DEFAULT;
	for (unsigned int number = 1; count < wanted && number <= LAB_NODES_MAX; number++) {
		_free_ char *name = mem_format("node%u", number);

		if (lab_find(lab, LAB_NODE, "", name))
			continue;
		lab_put(lab, tree_new(LAB_NODE, "", name));
		count++;
	}
}

static void up_say(const struct lab *lab, uint64_t began_ms)
{
	_json_ json_t *nodes = lab_list(lab, LAB_NODE), *pods = lab_list(lab, LAB_POD);
	_json_ json_t *services = lab_list(lab, LAB_SERVICE);
	_free_ char *option = strcmp(lab->name, "default") == 0
				      ? mem_string("")
				      : mem_format(" --name %s", lab->name);

	lab_say(lab,
		"lab \"%s\" is up: %zu nodes, %zu pods, %zu services, in %.1f s\n"
		"go on with: podwire lab get pods -A -o wide%s | podwire lab matrix%s | "
		"podwire lab down%s",
		lab->name, json_array_size(nodes), json_array_size(pods), json_array_size(services),
		(double)(clock_monotonic_ms() - began_ms) / 1000, option, option, option);
}

/* In the child. */
static int up_work(struct lab *lab, const struct up *up, struct err *err)
{
	uint64_t began_ms = clock_monotonic_ms();
	int r;

	basics_make(lab);
	if (cgroups_make(lab, err) < 0)
		lab_say(lab, "without cgroups, so nodes have no Services in the socket call: %s",
			err->text);
	if (manifests_apply(lab, up->manifests, err) < 0)
		return UP_FAILED;
	nodes_make(lab, up->nodes);
	if (plan_nodes(lab, err) < 0 || lab_ground(lab, err) < 0)
		return UP_FAILED;
	r = lab_converge(lab, err);
	if (r < 0 && r != -ENETUNREACH)
		return UP_FAILED;
	up_say(lab, began_ms);
	return r < 0 ? UP_DONE_WITHOUT_SOME_PODS : UP_DONE;
}

static _Noreturn void up_child(struct lab *lab, const struct up *up, const sigset_t *signals)
{
	struct err err = {0};
	int result;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, signals, NULL);
	result = up_work(lab, up, &err);
	if (result != UP_DONE)
		fprintf(stderr, "podwire lab up: %s\n", err.text);
	fflush(NULL);
	_exit(result);
}

/* Waits for the child, or for a signal that ends the command; then the child ends too. */
static int child_wait(pid_t pid, const sigset_t *wanted, struct err *err)
{
	int status = 0, number = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (sigwait(wanted, &number) == 0 && number != SIGCHLD) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return err_set(err, EINTR, "interrupted; what was made is taken away again");
		}
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == UP_DONE)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == UP_DONE_WITHOUT_SOME_PODS)
		return err_set(err, ENETUNREACH, "the lab is up, but not all of its Pods");
	if (WIFEXITED(status))
		return err_set(err, EIO, "what was made is taken away again");
	return err_set(err, EIO, "the command ended by signal %d; what was made is taken away again",
		WTERMSIG(status));
}

int lab_up(const struct up *up, struct err *err)
{
	_lab_ struct lab *lab = NULL;
	sigset_t signals, before;
	struct err ignored;
	pid_t pid;
	int r;

	if (lab_open(up->name, LAB_CREATE, &lab, err) < 0)
		return -err->code;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &before);
	lab->quiet = up->quiet;
	lab->settings = up->settings;
	lab->settings.plugin = NULL;
	r = cni_plugin_find(up->settings.plugin, &lab->settings.plugin, err);
	if (r == 0) {
		fflush(NULL);
		pid = fork();
		if (pid == 0)
			up_child(lab, up, &before);
		r = pid < 0 ? err_system(err, errno, "fork") : child_wait(pid, &signals, err);
	}
	if (r < 0 && r != -ENETUNREACH) {
		/* The child's helpers share the lock: it is to be had again when all have ended. */
		mem_close(&lab->lock);
		if (lab_lock(lab->directory, &lab->lock, &ignored) == 0)
			lab_directory_clear(lab->directory, &ignored);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}
