/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/*
 * The loop: one thread, one epoll, one timer heap on a timerfd, signals by signalfd. Nothing that
 * it calls may block.
 *
 * What is waited for is a typed reference {type, fd, data}. The owner has one table of functions
 * by type, so the table is the list of all that can happen. A function may add and remove any
 * descriptor, also its own and those whose events are still in the same batch: an event of a
 * descriptor that was removed meanwhile is dropped, even if the number is in use again.
 */
struct loop;

struct loop_ref {
	unsigned int type;
	int fd;
	void *data;
};

/* `events`: EPOLLIN and others of <sys/epoll.h>. */
typedef void (*loop_function)(struct loop *loop, const struct loop_ref *ref, uint32_t events);

struct loop_timer {
	void (*function)(struct loop *loop, struct loop_timer *timer);
	void *data;
	/* The loop's: */
	uint64_t due_ns;
	size_t place; /* in the heap, from 1; 0: not set */
};

/*
 * `functions[type]` for each of `function_count` types; the table must outlive the loop.
 * `owner` is for the functions (loop_owner).
 */
int loop_open(struct loop **ret_loop, const loop_function *functions, size_t function_count,
	void *owner, struct err *err);
void loop_close(struct loop **loop); /* closes none of the descriptors that were added */
void *loop_owner(const struct loop *loop);

/* The descriptor stays the caller's, who calls loop_remove before closing it. */
int loop_add(struct loop *loop, unsigned int type, int fd, void *data, uint32_t events,
	struct err *err);
int loop_change(struct loop *loop, int fd, uint32_t events, struct err *err);
void loop_remove(struct loop *loop, int fd);

/*
 * A timer is a member of what it belongs to; zeroed, with function and data filled in. Setting it
 * again moves it; it fires once. Cancel it before its memory goes; cancelling an unset one is fine.
 */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_monotonic_ns);
void loop_timer_set_in(struct loop *loop, struct loop_timer *timer, uint64_t milliseconds);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Blocks the signals of `set` for the process and calls `function` for each. Once per loop. */
int loop_signals(struct loop *loop, const sigset_t *set,
	void (*function)(struct loop *loop, int signal), struct err *err);

/* Runs until loop_end. Returns the number given to loop_end, or a negative errno. */
int loop_run(struct loop *loop, struct err *err);
/* One wait of at most `milliseconds` (-1: for ever) and what it brought. 0 or a negative errno. */
int loop_turn(struct loop *loop, int milliseconds, struct err *err);
void loop_end(struct loop *loop, int result);
