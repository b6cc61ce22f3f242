/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/path.h"

#include "base/mem.h"

#include <limits.h>
#include <stdlib.h>

#define PATH_DOUBLINGS_MAX 20

const char *path_way_name(enum path_way way)
{
	static const char *const names[] = {[PATH_TUNNEL] = "tunnel", [PATH_CLOSING] = "closing",
		[PATH_OPEN] = "open", [PATH_DIRECT] = "direct"};

	_Static_assert(ARRAY_SIZE(names) == PATH_WAY_MAX, "a name for each way");
	return names[way];
}

struct path path_begin(
	const struct addr *router, const struct addr *next, enum path_way way, uint64_t now_ms)
{
	return (struct path){.router = *router,
		.next = *next,
		.way = way,
		.answered_ms = now_ms,
		.due_ms = now_ms};
}

void path_move(struct path *path, const struct addr *next, uint64_t now_ms)
{
	*path = path_begin(
		&path->router, next, path->way == PATH_TUNNEL ? PATH_TUNNEL : PATH_CLOSING, now_ms);
}

/*
 * Until something is sure the next question follows at once. What is sure and might become better
 * is asked for less and less often: a node that is not up yet, and one that waits for the other.
 */
static void path_wait(struct path *path, uint64_t now_ms, uint64_t interval_ms)
{
	unsigned int same = path->answers ? path->answers : path->misses;
	uint64_t wait = interval_ms;

	if (same < PATH_ENOUGH)
		wait = 0;
	else if (path->way != PATH_DIRECT && same - PATH_ENOUGH < PATH_DOUBLINGS_MAX)
		wait = (uint64_t)PATH_ANSWER_MS << (same - PATH_ENOUGH);
	path->due_ms = now_ms + (wait < interval_ms ? wait : interval_ms);
	path->asked = false;
}

/*
 * How long nothing may be answered before the guard closes. In two rounds of questions the other
 * node has noticed; a third one is for good measure.
 */
static uint64_t path_patience(uint64_t interval_ms)
{
	return 3 * (interval_ms + PATH_ENOUGH * PATH_ANSWER_MS);
}

void path_answered(struct path *path, bool taken, uint64_t now_ms, uint64_t interval_ms)
{
	path->misses = 0;
	if (path->answers < UINT_MAX)
		path->answers++;
	path->answered_ms = now_ms;
	if (path->answers >= PATH_ENOUGH && taken)
		path->way = PATH_DIRECT;
	else if ((path->answers >= PATH_ENOUGH || taken) && path->way < PATH_OPEN)
		path->way = PATH_OPEN;
	else if (!taken && path->way == PATH_DIRECT)
		path->way = PATH_OPEN;
	path_wait(path, now_ms, interval_ms);
}

void path_missed(struct path *path, uint64_t now_ms, uint64_t interval_ms)
{
	path->answers = 0;
	if (path->misses < UINT_MAX)
		path->misses++;
	if (path->misses >= PATH_ENOUGH && path->way > PATH_CLOSING)
		path->way = PATH_CLOSING;
	else if (path->misses > PATH_ENOUGH &&
		 now_ms - path->answered_ms >= path_patience(interval_ms))
		path->way = PATH_TUNNEL;
	path_wait(path, now_ms, interval_ms);
}

static int path_compare(const void *router, const void *path)
{
	return addr_compare(router, &((const struct path *)path)->router);
}

struct path *paths_find(const struct paths *paths, const struct addr *router)
{
	if (!paths->count)
		return NULL;
	return bsearch(router, paths->path, paths->count, sizeof(*paths->path), path_compare);
}

void paths_add(struct paths *paths, const struct path *path)
{
	paths->path = mem_grow(
		paths->path, &paths->capacity, paths->count + 1, sizeof(*paths->path));
	paths->path[paths->count++] = *path;
}

void paths_clear(struct paths *paths)
{
	free(paths->path);
	*paths = (struct paths){0};
}
