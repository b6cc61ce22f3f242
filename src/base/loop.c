/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/*
 * epoll reports {fd, generation}; what stands behind a descriptor is in a table by its number.
 * loop_remove raises the generation, so an event that was already fetched for a descriptor that
 * is gone, or whose number is in use again, finds another one and is dropped.
 *
 * The loop's own two descriptors (timers, signals) are in the same table with types behind those
 * of the owner.
 */

#define LOOP_BATCH 64

struct loop_watch {
	struct loop_ref ref;
	uint32_t generation;
	bool used;
};

struct loop {
	int epoll, timer_fd, signal_fd;
	const loop_function *functions;
	size_t function_count;
	void *owner;
	struct loop_watch *watches; /* by descriptor */
	size_t watch_count;
	struct loop_timer **timers; /* a heap: timers[0] is due first */
	size_t timer_count, timer_capacity;
	uint64_t armed_ns; /* what the timerfd is set to; 0: not */
	void (*signal_function)(struct loop *loop, int signal);
	bool ended;
	int result;
};

enum loop_own_type { LOOP_TIMERS, LOOP_SIGNALS };

static void loop_watch_grow(struct loop *loop, int fd)
{
	size_t count = loop->watch_count ? loop->watch_count : 64;
	struct loop_watch *watches;

	if ((size_t)fd < loop->watch_count)
		return;
	while (count <= (size_t)fd)
		count *= 2;
	watches = mem_new(count, sizeof(*watches));
	for (size_t i = 0; i < loop->watch_count; i++)
		watches[i] = loop->watches[i];
	free(loop->watches);
	loop->watches = watches;
	loop->watch_count = count;
}

static int loop_control(struct loop *loop, int operation, int fd, uint32_t events, struct err *err)
{
	struct epoll_event event = {.events = events};

	event.data.u64 = (uint64_t)loop->watches[fd].generation << 32 | (uint32_t)fd;
	if (epoll_ctl(loop->epoll, operation, fd, &event) < 0)
		return err_system(err, errno, "watch descriptor %d", fd);
	return 0;
}

int loop_add(
	struct loop *loop, unsigned int type, int fd, void *data, uint32_t events, struct err *err)
{
	struct loop_watch *watch;
	int r;

	if (fd < 0)
		return err_set(err, EBADF, "watch descriptor %d: there is none", fd);
	loop_watch_grow(loop, fd);
	r = loop_control(loop, EPOLL_CTL_ADD, fd, events, err);
	if (r < 0)
		return r;
	watch = &loop->watches[fd];
	watch->ref = (struct loop_ref){.type = type, .fd = fd, .data = data};
	watch->used = true;
	return 0;
}

int loop_change(struct loop *loop, int fd, uint32_t events, struct err *err)
{
	if (fd < 0 || (size_t)fd >= loop->watch_count || !loop->watches[fd].used)
		return err_set(err, ENOENT, "watch descriptor %d: it was not added", fd);
	return loop_control(loop, EPOLL_CTL_MOD, fd, events, err);
}

void loop_remove(struct loop *loop, int fd)
{
	if (fd < 0 || (size_t)fd >= loop->watch_count || !loop->watches[fd].used)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
	loop->watches[fd].used = false;
	loop->watches[fd].generation++;
}

static void loop_timer_place(struct loop *loop, struct loop_timer *timer, size_t index)
{
	loop->timers[index] = timer;
	timer->place = index + 1;
}

static void loop_timer_up(struct loop *loop, struct loop_timer *timer, size_t index)
{
	while (index > 0) {
		struct loop_timer *parent = loop->timers[(index - 1) / 2];

		if (parent->due_ns <= timer->due_ns)
			break;
		loop_timer_place(loop, parent, index);
		index = (index - 1) / 2;
	}
	loop_timer_place(loop, timer, index);
}

static void loop_timer_down(struct loop *loop, struct loop_timer *timer, size_t index)
{
	for (;;) {
		size_t child = 2 * index + 1;

		if (child >= loop->timer_count)
			break;
		if (child + 1 < loop->timer_count &&
			loop->timers[child + 1]->due_ns < loop->timers[child]->due_ns)
			child++;
		if (timer->due_ns <= loop->timers[child]->due_ns)
			break;
		loop_timer_place(loop, loop->timers[child], index);
		index = child;
	}
	loop_timer_place(loop, timer, index);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	size_t index = timer->place - 1;
	struct loop_timer *last;

	if (timer->place == 0)
		return;
	timer->place = 0;
	last = loop->timers[--loop->timer_count];
	if (last == timer)
		return;
	if (last->due_ns < timer->due_ns)
		loop_timer_up(loop, last, index);
	else
		loop_timer_down(loop, last, index);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_monotonic_ns)
{
	loop_timer_cancel(loop, timer);
	loop->timers = mem_grow(loop->timers, &loop->timer_capacity, loop->timer_count + 1,
		sizeof(struct loop_timer *));
	timer->due_ns = due_monotonic_ns;
	loop_timer_up(loop, timer, loop->timer_count++);
}

void loop_timer_set_in(struct loop *loop, struct loop_timer *timer, uint64_t milliseconds)
{
	loop_timer_set(loop, timer, clock_monotonic_ns() + milliseconds * CLOCK_NS_PER_MS);
}

/* Once per turn, before waiting: whatever moved the timers, the timerfd follows the first. */
static int loop_timers_arm(struct loop *loop, struct err *err)
{
	uint64_t due = loop->timer_count ? loop->timers[0]->due_ns : 0;
	struct itimerspec spec = {0};

	if (loop->timer_count && due == 0)
		due = 1; /* zero would disarm */
	if (due == loop->armed_ns)
		return 0;
	spec.it_value.tv_sec = (time_t)(due / CLOCK_NS_PER_S);
	spec.it_value.tv_nsec = (long)(due % CLOCK_NS_PER_S);
	if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
		return err_system(err, errno, "set the timer");
	loop->armed_ns = due;
	return 0;
}

/* Those that are due, each at most once: one that sets itself to now cannot stall the rest. */
static void loop_timers_fire(struct loop *loop)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t expirations;

	if (read(loop->timer_fd, &expirations, sizeof(expirations)) < 0)
		return; /* moved away between the event and now */
	loop->armed_ns = 0;
	for (size_t left = loop->timer_count; left && loop->timer_count && !loop->ended; left--) {
		struct loop_timer *timer = loop->timers[0];

		if (timer->due_ns > now)
			break;
		loop_timer_cancel(loop, timer);
		timer->function(loop, timer);
	}
}

static void loop_signals_read(struct loop *loop)
{
	struct signalfd_siginfo info;

	while (read(loop->signal_fd, &info, sizeof(info)) == sizeof(info))
		loop->signal_function(loop, (int)info.ssi_signo);
}

int loop_signals(struct loop *loop, const sigset_t *set,
	void (*function)(struct loop *loop, int signal), struct err *err)
{
	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return err_system(err, errno, "block signals");
	loop->signal_fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0)
		return err_system(err, errno, "make a descriptor for signals");
	loop->signal_function = function;
	return loop_add(loop, (unsigned int)loop->function_count + LOOP_SIGNALS, loop->signal_fd,
		NULL, EPOLLIN, err);
}

int loop_open(struct loop **ret_loop, const loop_function *functions, size_t function_count,
	void *owner, struct err *err)
{
	_cleanup_(loop_close) struct loop *loop = mem_new(1, sizeof(*loop));
	int r;

	loop->functions = functions;
	loop->function_count = function_count;
	loop->owner = owner;
	loop->timer_fd = loop->signal_fd = -1;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		return err_system(err, errno, "make an epoll");
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer_fd < 0)
		return err_system(err, errno, "make a timer");
	r = loop_add(loop, (unsigned int)function_count + LOOP_TIMERS, loop->timer_fd, NULL,
		EPOLLIN, err);
	if (r < 0)
		return r;
	*ret_loop = TAKE_PTR(loop);
	return 0;
}

void loop_close(struct loop **loop)
{
	struct loop *closed = TAKE_PTR(*loop);

	if (!closed)
		return;
	mem_close(&closed->epoll);
	mem_close(&closed->timer_fd);
	mem_close(&closed->signal_fd);
	for (size_t i = 0; i < closed->timer_count; i++)
		closed->timers[i]->place = 0;
	free(closed->timers);
	free(closed->watches);
	free(closed);
}

void *loop_owner(const struct loop *loop)
{
	return loop->owner;
}

static void loop_dispatch(struct loop *loop, const struct epoll_event *event)
{
	uint32_t fd = (uint32_t)event->data.u64, generation = (uint32_t)(event->data.u64 >> 32);
	const struct loop_watch *watch = &loop->watches[fd];
	struct loop_ref ref = watch->ref; /* the table may move while the function runs */

	if (!watch->used || watch->generation != generation)
		return;
	if (ref.type < loop->function_count)
		loop->functions[ref.type](loop, &ref, event->events);
	else if (ref.type == loop->function_count + LOOP_TIMERS)
		loop_timers_fire(loop);
	else
		loop_signals_read(loop);
}

int loop_turn(struct loop *loop, int milliseconds, struct err *err)
{
	struct epoll_event events[LOOP_BATCH];
	int count, r = loop_timers_arm(loop, err);

	if (r < 0)
		return r;
	count = epoll_wait(loop->epoll, events, LOOP_BATCH, milliseconds);
	if (count < 0)
		return errno == EINTR ? 0 : err_system(err, errno, "wait for events");
	for (int i = 0; i < count && !loop->ended; i++)
		loop_dispatch(loop, &events[i]);
	return 0;
}

int loop_run(struct loop *loop, struct err *err)
{
	loop->ended = false;
	while (!loop->ended) {
		int r = loop_turn(loop, -1, err);

		if (r < 0)
			return r;
	}
	return loop->result;
}

void loop_end(struct loop *loop, int result)
{
	loop->ended = true;
	loop->result = result;
}
