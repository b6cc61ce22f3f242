/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include "base/clock.h"
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

enum { TYPE_NOTE, TYPE_CLOSE_BOTH, TYPE_MAX };

struct notes {
	char text[256];
	int fds[2];
};

static void note(struct notes *notes, const char *what)
{
	strncat(notes->text, what, sizeof(notes->text) - strlen(notes->text) - 1);
}

static void on_note(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	uint64_t count;

	assert_int_equal(events, EPOLLIN);
	assert_int_equal(read(ref->fd, &count, sizeof(count)), sizeof(count));
	note(loop_owner(loop), ref->data);
}

/* Both descriptors are ready in one batch; whichever comes first takes both away. */
static void on_close_both(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	struct notes *notes = loop_owner(loop);

	note(notes, ref->data);
	for (int i = 0; i < 2; i++) {
		loop_remove(loop, notes->fds[i]);
		close(notes->fds[i]);
		/* The number is in use again at once, by something that is ready too. */
		assert_int_equal(eventfd(1, 0), notes->fds[i]);
		assert_int_equal(
			loop_add(loop, TYPE_NOTE, notes->fds[i], "new ", EPOLLIN, NULL), 0);
	}
}

static const loop_function functions[] = {
	[TYPE_NOTE] = on_note,
	[TYPE_CLOSE_BOTH] = on_close_both,
};
_Static_assert(ARRAY_SIZE(functions) == TYPE_MAX, "a function for each type");

static struct loop *loop_of(struct notes *notes)
{
	struct loop *loop = NULL;
	struct err err = {0};

	if (loop_open(&loop, functions, TYPE_MAX, notes, &err) < 0)
		fail_msg("%s", err.text);
	return loop;
}

static void test_descriptors(void **state)
{
	struct notes notes = {0};
	_cleanup_(loop_close) struct loop *loop = loop_of(&notes);
	_close_ int a = eventfd(1, 0), b = eventfd(0, 0);

	assert_int_equal(loop_add(loop, TYPE_NOTE, a, "a ", EPOLLIN, NULL), 0);
	assert_int_equal(loop_add(loop, TYPE_NOTE, b, "b ", EPOLLIN, NULL), 0);
	assert_int_equal(loop_add(loop, TYPE_NOTE, b, "b ", EPOLLIN, NULL), -EEXIST);
	assert_int_equal(loop_add(loop, TYPE_NOTE, -1, "", EPOLLIN, NULL), -EBADF);
	assert_int_equal(loop_turn(loop, 0, NULL), 0);
	assert_string_equal(notes.text, "a ");
	assert_int_equal(loop_change(loop, b, 0, NULL), 0);
	eventfd_write(b, 1);
	assert_int_equal(loop_turn(loop, 0, NULL), 0);
	assert_string_equal(notes.text, "a ");
	assert_int_equal(loop_change(loop, b, EPOLLIN, NULL), 0);
	assert_int_equal(loop_turn(loop, 0, NULL), 0);
	assert_string_equal(notes.text, "a b ");
	loop_remove(loop, b);
	loop_remove(loop, b);
	assert_int_equal(loop_change(loop, b, EPOLLIN, NULL), -ENOENT);
}

static void test_event_of_what_is_gone(void **state)
{
	struct notes notes = {.fds = {eventfd(1, 0), eventfd(1, 0)}};
	_cleanup_(loop_close) struct loop *loop = loop_of(&notes);

	for (int i = 0; i < 2; i++)
		assert_int_equal(
			loop_add(loop, TYPE_CLOSE_BOTH, notes.fds[i], "old ", EPOLLIN, NULL), 0);
	assert_int_equal(loop_turn(loop, 0, NULL), 0);
	assert_string_equal(notes.text, "old ");
	assert_int_equal(loop_turn(loop, 0, NULL), 0);
	assert_string_equal(notes.text, "old new new ");
	close(notes.fds[0]);
	close(notes.fds[1]);
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
	note(loop_owner(loop), timer->data);
}

static void on_last_timer(struct loop *loop, struct loop_timer *timer)
{
	loop_end(loop, 7);
}

static void test_timers(void **state)
{
	struct notes notes = {0};
	_cleanup_(loop_close) struct loop *loop = loop_of(&notes);
	struct loop_timer timers[] = {
		{.function = on_timer, .data = "c "},
		{.function = on_timer, .data = "a "},
		{.function = on_timer, .data = "never "},
		{.function = on_timer, .data = "b "},
		{.function = on_last_timer},
	};
	uint64_t now = clock_monotonic_ns();

	loop_timer_set(loop, &timers[0], now + 3 * CLOCK_NS_PER_MS);
	loop_timer_set(loop, &timers[1], 0);
	loop_timer_set(loop, &timers[2], now + 2 * CLOCK_NS_PER_MS);
	loop_timer_set(loop, &timers[3], now + 900 * CLOCK_NS_PER_S);
	loop_timer_set(loop, &timers[3], now + 1 * CLOCK_NS_PER_MS);
	loop_timer_set_in(loop, &timers[4], 10);
	loop_timer_cancel(loop, &timers[2]);
	loop_timer_cancel(loop, &timers[2]);
	assert_int_equal(loop_run(loop, NULL), 7);
	assert_string_equal(notes.text, "a b c ");
	assert_true(clock_monotonic_ns() - now >= 10 * CLOCK_NS_PER_MS);
}

static void on_again(struct loop *loop, struct loop_timer *timer)
{
	note(loop_owner(loop), "again ");
	loop_timer_set(loop, timer, 0);
}

/* One that is always due leaves room for the others. */
static void test_timer_that_never_rests(void **state)
{
	struct notes notes = {0};
	_cleanup_(loop_close) struct loop *loop = loop_of(&notes);
	_close_ int fd = eventfd(1, 0);
	struct loop_timer timer = {.function = on_again};

	assert_int_equal(loop_add(loop, TYPE_NOTE, fd, "fd ", EPOLLIN, NULL), 0);
	loop_timer_set(loop, &timer, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_turn(loop, 100, NULL), 0);
	assert_non_null(strstr(notes.text, "again "));
	assert_non_null(strstr(notes.text, "fd "));
}

#define MANY 200

static void on_ordered(struct loop *loop, struct loop_timer *timer)
{
	uint64_t *last = loop_owner(loop);

	assert_true(timer->due_ns >= *last);
	*last = timer->due_ns;
}

/* A heap under random sets, moves and cancels fires in order, and just those that are set. */
static void test_timers_at_random(void **state)
{
	uint64_t last = 0, seed = 5;
	struct loop *loop = NULL;
	struct loop_timer timers[MANY] = {0};

	assert_int_equal(loop_open(&loop, functions, TYPE_MAX, &last, NULL), 0);
	for (int i = 0; i < 5000; i++) {
		struct loop_timer *timer = &timers[check_random(&seed) % MANY];

		timer->function = on_ordered;
		if (check_random(&seed) % 3)
			loop_timer_set(loop, timer, check_random(&seed) % 1000 + 1);
		else
			loop_timer_cancel(loop, timer);
	}
	assert_int_equal(loop_turn(loop, 100, NULL), 0);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(timers[i].place, 0);
	assert_true(last > 0);
	loop_close(&loop);
	loop_close(&loop);
}

static void on_signal(struct loop *loop, int signal)
{
	note(loop_owner(loop), signal == SIGUSR1 ? "usr1 " : "term ");
	if (signal == SIGTERM)
		loop_end(loop, 0);
}

static void test_signals(void **state)
{
	struct notes notes = {0};
	_cleanup_(loop_close) struct loop *loop = loop_of(&notes);
	sigset_t set, before;

	sigprocmask(SIG_BLOCK, NULL, &before);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	assert_int_equal(loop_signals(loop, &set, on_signal, NULL), 0);
	raise(SIGUSR1);
	raise(SIGTERM);
	assert_int_equal(loop_run(loop, NULL), 0);
	assert_string_equal(notes.text, "usr1 term ");
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_event_of_what_is_gone),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_timer_that_never_rests),
		cmocka_unit_test(test_timers_at_random),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
