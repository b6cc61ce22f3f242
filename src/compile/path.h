/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "net/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What probes have told about the wire to each neighbor, by family. Pure: the time, in
 * milliseconds of any clock that never goes back, is a parameter.
 *
 * A packet that is sent directly to a node whose guard is closed would be lost. So a node opens in
 * steps, and closes in the opposite order:
 *
 *   three answers, or one that says "taken"   OPEN: what comes directly is taken
 *   three answers, the last says "taken"      DIRECT: and packets are sent directly
 *   an answer that does not say "taken"       back to OPEN
 *   three misses                              CLOSING: what comes is taken, the other node is told no more
 *   nothing for three rounds of questions     TUNNEL: what comes directly is refused
 *
 * A node's answers say "taken" at OPEN and DIRECT. So within an interval after a node is at CLOSING
 * the other one has heard that, or has missed three answers itself, long before the guard closes.
 * Always true: while one node is at DIRECT, the other is not at TUNNEL, unless it has lost all that
 * it knew; then it opens at the first answer, which says "taken".
 */

enum path_way { PATH_TUNNEL, PATH_CLOSING, PATH_OPEN, PATH_DIRECT, PATH_WAY_MAX };

#define PATH_ENOUGH 3 /* answers, or misses */
#define PATH_ANSWER_MS 500 /* what has not come by then is missed */

struct path {
	struct addr router; /* the other node's address of its pod range: who it is */
	struct addr next; /* the neighbor */
	unsigned int ifindex; /* the device where it is */
	enum path_way way;
	unsigned int answers, misses; /* in a row; one of them is 0 */
	uint64_t answered_ms; /* when the last answer came */
	uint64_t due_ms; /* when to ask, or while `asked`, to look for the answer */
	bool asked;
	int error; /* why the last question could not be sent: a negative errno, or 0 */
};

/* In order of the router. */
struct paths {
	struct path *path;
	size_t count, capacity;
};

const char *path_way_name(enum path_way way); /* "tunnel", "closing", "open", "direct" */
/* A neighbor that is new, at first reached by `way`. It is asked at once. */
struct path path_begin(
	const struct addr *router, const struct addr *next, enum path_way way, uint64_t now_ms);
/* It has another address: nothing is known of the way there. */
void path_move(struct path *path, const struct addr *next, uint64_t now_ms);
/* The outcome of a question, and with it the time of the next one. */
void path_answered(struct path *path, bool taken, uint64_t now_ms, uint64_t interval_ms);
void path_missed(struct path *path, uint64_t now_ms, uint64_t interval_ms);

/* NULL where the node is no neighbor. */
struct path *paths_find(const struct paths *paths, const struct addr *router);
void paths_add(struct paths *paths, const struct path *path); /* in order */
void paths_clear(struct paths *paths);
