/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/probe.h"

#include "base/clock.h"
#include "base/json.h"
#include "lab/exec.h"
#include "lab/jobs.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define REQUEST "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
#define ANSWER_SIZE 2048
/* A datagram may be lost while the neighbour is looked for, so it is sent again. */
#define DATAGRAM_AGAIN_MS 250

static const char *const outcome_names[PROBE_OUTCOME_MAX] = {
	[PROBE_REACHED] = "reachable",
	[PROBE_REFUSED] = "refused",
	[PROBE_UNREACHABLE] = "unreachable",
};

const char *probe_outcome_name(enum probe_outcome outcome)
{
	return outcome_names[outcome];
}

enum probe_outcome probe_outcome_parse(const char *name)
{
	enum probe_outcome outcome;

	for (outcome = 0; outcome < PROBE_OUTCOME_MAX; outcome++)
		if (strcmp(outcome_names[outcome], name) == 0)
			break;
	return outcome;
}

struct probe *probes_add(struct probes *probes)
{
	struct probe *probe;

	probes->list = mem_grow(
		probes->list, &probes->capacity, probes->count + 1, sizeof(*probes->list));
	probe = &probes->list[probes->count++];
	*probe = (struct probe){.outcome = PROBE_UNREACHABLE};
	return probe;
}

void probes_clear(struct probes *probes)
{
	free(probes->list);
	*probes = (struct probes){0};
}

/* One connection under way. */
struct attempt {
	struct probe *probe;
	int fd; /* -1: over */
	bool is_connected;
	size_t used;
	char answer[ANSWER_SIZE];
};

static void attempt_end(struct attempt *attempt, enum probe_outcome outcome)
{
	_json_ json_t *said = NULL;
	const char *body = memchr(attempt->answer, '{', attempt->used);

	attempt->probe->outcome = outcome;
	mem_close(&attempt->fd);
	if (!body)
		return;
	said = json_loadb(body, attempt->used - (size_t)(body - attempt->answer),
		JSON_DISABLE_EOF_CHECK, NULL);
	addr_parse(tree_text(said, "client"), &attempt->probe->seen);
	snprintf(attempt->probe->answered, sizeof(attempt->probe->answered), "%s",
		tree_text(said, "pod"));
}

static void attempt_fail(struct attempt *attempt, int code)
{
	attempt_end(attempt, code == ECONNREFUSED || code == ECONNRESET ? PROBE_REFUSED
									: PROBE_UNREACHABLE);
}

static void attempt_start(struct attempt *attempt, struct probe *probe)
{
	bool is_v4 = addr_is_v4(&probe->address);
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(probe->port),
		.sin_addr.s_addr = probe->address.words[3]};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(probe->port)};

	memcpy(&v6.sin6_addr, &probe->address, sizeof(v6.sin6_addr));
	*attempt = (struct attempt){.probe = probe};
	attempt->fd = socket(is_v4 ? AF_INET : AF_INET6,
		(probe->is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (attempt->fd < 0 ||
		(connect(attempt->fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
			 is_v4 ? sizeof(v4) : sizeof(v6)) < 0 &&
			errno != EINPROGRESS))
		attempt_fail(attempt, errno);
	else if (probe->is_udp && send(attempt->fd, "?", 1, MSG_NOSIGNAL) < 0)
		attempt_fail(attempt, errno);
	else
		attempt->is_connected = probe->is_udp;
}

static void attempt_connected(struct attempt *attempt)
{
	int code = 0;
	socklen_t size = sizeof(code);

	getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &code, &size);
	if (code == 0 && send(attempt->fd, REQUEST, sizeof(REQUEST) - 1, MSG_NOSIGNAL) < 0)
		code = errno;
	if (code != 0)
		attempt_fail(attempt, code);
	attempt->is_connected = true;
}

static void attempt_read(struct attempt *attempt)
{
	ssize_t count = recv(attempt->fd, attempt->answer + attempt->used,
		ANSWER_SIZE - attempt->used, MSG_DONTWAIT);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count < 0) {
		attempt_fail(attempt, errno);
		return;
	}
	attempt->used += (size_t)count;
	if (count == 0 || attempt->probe->is_udp || attempt->used == ANSWER_SIZE)
		attempt_end(attempt, PROBE_REACHED);
}

static void attempt_work(struct attempt *attempt)
{
	if (attempt->is_connected)
		attempt_read(attempt);
	else
		attempt_connected(attempt);
}

static void datagrams_again(struct attempt *attempts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (attempts[i].fd >= 0 && attempts[i].probe->is_udp)
			send(attempts[i].fd, "?", 1, MSG_NOSIGNAL);
}

/* All at once; what is left when the time is over has reached nobody. */
static void attempts_run(struct attempt *attempts, size_t count, unsigned int timeout_ms)
{
	_free_ struct pollfd *wait = mem_new(count, sizeof(*wait));
	uint64_t now = clock_monotonic_ms(), end = now + timeout_ms;
	uint64_t again = now + DATAGRAM_AGAIN_MS;

	for (; now < end; now = clock_monotonic_ms()) {
		uint64_t until = again < end ? again : end;
		size_t left = 0;

		for (size_t i = 0; i < count; i++) {
			struct attempt *attempt = &attempts[i];

			wait[i] = (struct pollfd){.fd = attempt->fd,
				.events = attempt->is_connected ? POLLIN : POLLOUT};
			left += attempt->fd >= 0;
		}
		if (left == 0)
			return;
		poll(wait, count, until > now ? (int)(until - now) : 0);
		for (size_t i = 0; i < count; i++)
			if (wait[i].revents)
				attempt_work(&attempts[i]);
		if (clock_monotonic_ms() >= again) {
			datagrams_again(attempts, count);
			again += DATAGRAM_AGAIN_MS;
		}
	}
	for (size_t i = 0; i < count; i++)
		/* A connection that was made is one, also to a server that says nothing. */
		if (attempts[i].fd >= 0)
			attempt_end(&attempts[i], attempts[i].is_connected && !attempts[i].probe->is_udp
							  ? PROBE_REACHED
							  : PROBE_UNREACHABLE);
}

struct run {
	const struct lab *lab;
	struct probes *probes;
	size_t *first; /* of each group; one more at the end */
	unsigned int timeout_ms;
	struct err *err;
};

/* In a child: the probes of one source. */
static json_t *group_run(void *context, size_t group)
{
	const struct run *run = context;
	struct probe *probes = &run->probes->list[run->first[group]];
	size_t count = run->first[group + 1] - run->first[group];
	struct attempt *attempts = mem_new(count, sizeof(*attempts));
	struct rlimit files;
	json_t *answers = json_array();
	struct err err;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (party_enter(run->lab, probes[0].from, &err) < 0)
		return job_error("%s: %s", probes[0].from->title, err.text);
	for (size_t i = 0; i < count; i++)
		attempt_start(&attempts[i], &probes[i]);
	attempts_run(attempts, count, run->timeout_ms);
	for (size_t i = 0; i < count; i++) {
		char seen[ADDR_TEXT_SIZE];

		json_array_append_new(answers, json_pack("{s:i, s:s, s:s}", "outcome",
						       (int)probes[i].outcome, "seen",
						       addr_format(&probes[i].seen, seen), "pod",
						       probes[i].answered));
	}
	free(attempts);
	return answers;
}

static void group_done(void *context, size_t group, const json_t *answers)
{
	struct run *run = context;
	const char *error = job_error_text(answers);
	json_t *answer;
	size_t index;

	if (error) {
		err_set(run->err, EIO, "%s", error);
		return;
	}
	json_array_foreach(answers, index, answer)
	{
		struct probe *probe = &run->probes->list[run->first[group] + index];

		probe->outcome = (enum probe_outcome)json_integer_value(
			json_object_get(answer, "outcome"));
		addr_parse(tree_text(answer, "seen"), &probe->seen);
		snprintf(probe->answered, sizeof(probe->answered), "%s", tree_text(answer, "pod"));
	}
}

int probes_run(
	const struct lab *lab, struct probes *probes, unsigned int timeout_ms, struct err *err)
{
	_free_ size_t *first = mem_new(probes->count + 1, sizeof(*first));
	struct run run = {.lab = lab, .probes = probes, .first = first, .timeout_ms = timeout_ms,
		.err = err};
	size_t groups = 0;

	for (size_t i = 0; i < probes->count; i++)
		if (i == 0 || strcmp(probes->list[i].from->title,
				      probes->list[i - 1].from->title) != 0)
			first[groups++] = i;
	first[groups] = probes->count;
	err->code = 0;
	jobs_run(groups, JOBS_WIDTH, group_run, group_done, &run);
	return -err->code;
}

bool probe_seen_is_own(const struct lab *lab, const struct probe *probe)
{
	_free_ char *own = party_address(lab, probe->from, addr_family(&probe->seen));
	struct addr addr;

	return addr_parse(own, &addr) == 0 && addr_equal(&addr, &probe->seen);
}
