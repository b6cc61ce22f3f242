/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/path.h"

#include "check.h"

#include <string.h>

#define INTERVAL_MS 300000ULL
#define PATIENCE_MS (3 * (INTERVAL_MS + PATH_ENOUGH * PATH_ANSWER_MS))

static struct addr addr_of(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static struct path fresh(enum path_way way)
{
	struct addr router = addr_of("10.244.2.1"), next = addr_of("10.89.1.2");

	return path_begin(&router, &next, way, 0);
}

/*
 * One letter per question: 'a' an answer, 't' an answer that says "taken", '.' a miss. Each is
 * asked when it is due and looked for a little later.
 */
static enum path_way play(struct path *path, const char *outcomes)
{
	for (; *outcomes; outcomes++) {
		uint64_t now = path->due_ms + PATH_ANSWER_MS;

		path->asked = true;
		if (*outcomes == '.')
			path_missed(path, now, INTERVAL_MS);
		else
			path_answered(path, *outcomes == 't', now, INTERVAL_MS);
		assert_false(path->asked);
		assert_true(path->due_ms >= now && path->due_ms <= now + INTERVAL_MS);
		assert_true(!path->answers || !path->misses);
	}
	return path->way;
}

static void test_sequences(void **state)
{
	static const struct {
		enum path_way from;
		const char *outcomes;
		enum path_way to;
	} cases[] = {
		/* opening */
		{PATH_TUNNEL, "", PATH_TUNNEL},
		{PATH_TUNNEL, "a", PATH_TUNNEL},
		{PATH_TUNNEL, "aa", PATH_TUNNEL},
		{PATH_TUNNEL, "aaa", PATH_OPEN},
		{PATH_TUNNEL, "aaaaaaaa", PATH_OPEN}, /* the other node does not take it */
		{PATH_TUNNEL, "t", PATH_OPEN},
		{PATH_TUNNEL, "tt", PATH_OPEN},
		{PATH_TUNNEL, "ttt", PATH_DIRECT},
		{PATH_TUNNEL, "aaat", PATH_DIRECT},
		{PATH_TUNNEL, "aat", PATH_DIRECT},
		{PATH_TUNNEL, "tta", PATH_OPEN},
		{PATH_TUNNEL, "aa.a", PATH_TUNNEL}, /* three in a row, and not in all */
		{PATH_TUNNEL, "tt.t", PATH_OPEN},
		{PATH_TUNNEL, "........", PATH_TUNNEL},

		/* what is open stays so when something is lost now and then */
		{PATH_DIRECT, ".", PATH_DIRECT},
		{PATH_DIRECT, "..", PATH_DIRECT},
		{PATH_DIRECT, "..t", PATH_DIRECT},
		{PATH_DIRECT, "..t..t..t", PATH_DIRECT},
		{PATH_OPEN, "..a..a", PATH_OPEN},

		/* closing */
		{PATH_DIRECT, "...", PATH_CLOSING},
		{PATH_OPEN, "...", PATH_CLOSING},
		{PATH_DIRECT, "....", PATH_CLOSING}, /* the other one may not know it yet */
		{PATH_DIRECT, "...a", PATH_CLOSING},
		{PATH_DIRECT, "...t", PATH_OPEN},
		{PATH_DIRECT, "...aaat", PATH_DIRECT},
		{PATH_DIRECT, "...ttt", PATH_DIRECT},

		/* the other node has begun anew, and refuses what comes directly */
		{PATH_DIRECT, "a", PATH_OPEN},
		{PATH_DIRECT, "ttta", PATH_OPEN},
		{PATH_DIRECT, "tttat", PATH_DIRECT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path path = fresh(cases[i].from);

		if (play(&path, cases[i].outcomes) != cases[i].to)
			fail_msg("%s, then \"%s\": %s instead of %s", path_way_name(cases[i].from),
				cases[i].outcomes, path_way_name(path.way),
				path_way_name(cases[i].to));
	}
}

/* After three rounds of questions no node that asks as often can still go directly. */
static void test_closed_at_last(void **state)
{
	struct path path = fresh(PATH_DIRECT);
	uint64_t answered;

	(void)state;
	play(&path, "ttt");
	answered = path.answered_ms;
	for (unsigned int i = 0; i < 1000 && path.way != PATH_TUNNEL; i++) {
		uint64_t now = path.due_ms + PATH_ANSWER_MS;

		play(&path, ".");
		assert_int_equal(path.way == PATH_TUNNEL, now - answered >= PATIENCE_MS);
	}
	assert_int_equal(path.way, PATH_TUNNEL);
	assert_true(path.due_ms - answered <= 5 * INTERVAL_MS);
	assert_int_equal(play(&path, "ttt"), PATH_DIRECT);
}

/* What is unsure is asked again at once, what is sure in due time. */
static void test_times(void **state)
{
	struct path path = fresh(PATH_TUNNEL);
	uint64_t before, last = 0;

	(void)state;
	assert_int_equal(path.due_ms, 0);
	play(&path, "tt");
	assert_int_equal(path.due_ms, 2 * PATH_ANSWER_MS);
	play(&path, "t");
	assert_int_equal(path.due_ms, 3 * PATH_ANSWER_MS + INTERVAL_MS);
	before = path.due_ms;
	play(&path, ".."); /* something is wrong: three misses take 1.5 s */
	assert_int_equal(path.due_ms, before + 2 * PATH_ANSWER_MS);

	/* A node that never answers is asked less and less often, down to once per interval. */
	path = fresh(PATH_TUNNEL);
	play(&path, "..");
	for (unsigned int i = 0; i < 100; i++) {
		before = path.due_ms;
		play(&path, ".");
		assert_true(path.due_ms - before >= last);
		last = path.due_ms - before;
	}
	assert_int_equal(last, INTERVAL_MS + PATH_ANSWER_MS);
}

static void test_short_interval(void **state)
{
	struct path path = fresh(PATH_TUNNEL);

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		path_missed(&path, i * 100ULL, 1);
		assert_true(path.due_ms <= i * 100ULL + 1);
	}
}

static void test_moved(void **state)
{
	struct addr next = addr_of("10.89.1.77");

	(void)state;
	for (enum path_way way = PATH_TUNNEL; way < PATH_WAY_MAX; way++) {
		struct path path = fresh(way);

		play(&path, "tt");
		way = path.way > way ? path.way : way;
		path_move(&path, &next, 12345);
		assert_true(addr_equal(&path.next, &next));
		assert_int_equal(path.way, PATH_CLOSING);
		assert_int_equal(path.answers + path.misses, 0);
		assert_int_equal(path.due_ms, 12345);
		assert_int_equal(play(&path, "ttt"), PATH_DIRECT);
	}
}

static void test_moved_while_closed(void **state)
{
	struct addr next = addr_of("10.89.1.77");
	struct path path = fresh(PATH_TUNNEL);

	(void)state;
	path_move(&path, &next, 1);
	assert_int_equal(path.way, PATH_TUNNEL);
}

struct player {
	struct path path;
	unsigned int luck; /* how many of four questions the wire and the firewalls let pass */
	bool carried, taken; /* of the question that waits for its answer */
};

/* What is due next: a question, whose answer says what the other node does now, or its outcome. */
static void move(struct player *one, const struct player *other, uint64_t interval, uint64_t *random)
{
	struct path *path = &one->path;
	uint64_t now = path->due_ms;

	if (!path->asked) {
		one->carried = check_random(random) % 4 < one->luck;
		one->taken = other->path.way >= PATH_OPEN;
		path->asked = true;
		path->due_ms = now + PATH_ANSWER_MS;
	} else if (one->carried) {
		path_answered(path, one->taken, now, interval);
	} else {
		path_missed(path, now, interval);
	}
}

/*
 * Two nodes, and what each asks is carried always, never, or now and then, independently, which
 * changes from time to time: while one sends directly, the other takes it.
 */
static void play_two_nodes(uint64_t interval, uint64_t seed)
{
	unsigned int direct = 0, closed = 0;
	uint64_t random = seed;

	for (unsigned int history = 0; history < 1000; history++) {
		struct player player[2] = {{fresh(PATH_TUNNEL), 4, false, false},
			{fresh(PATH_TUNNEL), 4, false, false}};

		player[1].path.due_ms = check_random(&random) % 1000;
		for (unsigned int i = 0; i < 300; i++) {
			unsigned int first = player[0].path.due_ms <= player[1].path.due_ms ? 0 : 1;
			enum path_way was = player[first].path.way, way[2];

			if (check_random(&random) % 32 == 0)
				player[check_random(&random) % 2].luck = check_random(&random) % 5;
			move(&player[first], &player[!first], interval, &random);
			way[0] = player[0].path.way;
			way[1] = player[1].path.way;
			assert_false(way[0] == PATH_DIRECT && way[1] == PATH_TUNNEL);
			assert_false(way[1] == PATH_DIRECT && way[0] == PATH_TUNNEL);
			direct += way[0] == PATH_DIRECT && way[1] == PATH_DIRECT;
			closed += was != PATH_TUNNEL && way[first] == PATH_TUNNEL;
		}
	}
	assert_true(direct > 1000);
	assert_true(closed > 50);
}

static void test_two_nodes(void **state)
{
	(void)state;
	play_two_nodes(1000, 1);
	play_two_nodes(10000, 2);
	play_two_nodes(INTERVAL_MS, 3);
}

static void test_find(void **state)
{
	struct paths paths = {0};
	struct addr missing = addr_of("10.244.3.1");

	(void)state;
	assert_null(paths_find(&paths, &missing));
	for (unsigned char i = 1; i < 50; i++) {
		struct path path = fresh(PATH_TUNNEL);

		path.router = addr_of("10.244.0.1");
		path.router.bytes[14] = (unsigned char)(2 * i);
		paths_add(&paths, &path);
	}
	for (size_t i = 0; i < paths.count; i++)
		assert_ptr_equal(paths_find(&paths, &paths.path[i].router), &paths.path[i]);
	assert_null(paths_find(&paths, &missing));
	paths_clear(&paths);
}

static void test_names(void **state)
{
	(void)state;
	for (enum path_way a = PATH_TUNNEL; a < PATH_WAY_MAX; a++)
		for (enum path_way b = PATH_TUNNEL; b < a; b++)
			assert_string_not_equal(path_way_name(a), path_way_name(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_closed_at_last),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_short_interval),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_moved_while_closed),
		cmocka_unit_test(test_two_nodes),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
