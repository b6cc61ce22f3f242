/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/probe.h"

#include "agent/reconcile.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "linux/neighbor.h"
#include "linux/question.h"

#include <errno.h>

#define PROBE_AT_ONCE 64 /* questions in one turn of the loop: others are waiting too */

/* --- whom to ask --- */

static const struct node_row *row_router(const struct row *row)
{
	const struct node_row *node = row->value;

	return row->table == TABLE_NODE &&
			       (node->flags & (NODE_ROUTER | NODE_OWN)) == NODE_ROUTER
		       ? node
		       : NULL;
}

/* The neighbor as it was known, or begun anew. *ret_changed if it is not reached as before. */
static struct path probe_neighbor(
	struct agent *agent, const struct row *row, uint64_t now, bool *ret_changed)
{
	const struct addr *router = row->key, *next = &row_router(row)->next;
	const struct path *known = paths_find(&agent->paths, router);
	struct path path;

	if (!known) {
		path = path_begin(router, next,
			question_way(agent->question_table, router, next), now);
		question_keep(agent->question_table, &path);
	} else {
		path = *known;
		if (!addr_equal(&path.next, next))
			path_move(&path, next, now);
	}
	path.ifindex = row_router(row)->ifindex;
	if (path.way != PATH_TUNNEL && (!known || !addr_equal(&known->next, next)))
		*ret_changed = true;
	return path;
}

static void probe_arm(struct agent *agent)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < agent->paths.count; i++)
		if (agent->paths.path[i].due_ms < due)
			due = agent->paths.path[i].due_ms;
	if (due == UINT64_MAX)
		loop_timer_cancel(agent->loop, &agent->probe);
	else
		loop_timer_set(agent->loop, &agent->probe, due * CLOCK_NS_PER_MS);
}

bool probe_meet(struct agent *agent, const struct rows *wanted)
{
	struct paths now_known = {0};
	uint64_t now = clock_monotonic_ms();
	bool changed = false;

	if (agent->settings.route != SETTINGS_ROUTE_AUTO)
		return false;
	for (size_t i = 0; i < wanted->count; i++) {
		struct path path;

		if (!row_router(&wanted->row[i]))
			continue;
		path = probe_neighbor(agent, &wanted->row[i], now, &changed);
		paths_add(&now_known, &path);
	}
	for (size_t i = 0; i < agent->paths.count; i++)
		if (!paths_find(&now_known, &agent->paths.path[i].router))
			question_forget(agent->question_table, &agent->paths.path[i].router);
	paths_clear(&agent->paths);
	agent->paths = now_known;
	probe_arm(agent);
	return changed;
}

/* --- asking --- */

static const struct addr *own_router(const struct node *own, enum family family, struct addr *addr)
{
	const struct prefix *range = own ? node_range(own, family) : NULL;

	if (!range)
		return NULL;
	*addr = pool_node_address(range);
	return addr;
}

static int probe_send(struct agent *agent, const struct path *path, struct err *err)
{
	const struct node *own = store_own_node(&agent->objects.store, &agent->settings);
	bool known = false;
	struct addr addr;
	int r = neighbor_resolve(agent->netlink, &path->next, path->ifindex, &known, err);

	if (r < 0)
		return r;
	if (!known)
		return -EHOSTUNREACH;
	if (!own_router(own, addr_family(&path->router), &addr))
		return -EADDRNOTAVAIL;
	return question_ask(agent->question_table, path, &addr, err);
}

/* What cannot be sent is missed; why, `podwire nodes` tells. */
static void probe_ask(struct agent *agent, struct path *path, uint64_t now)
{
	struct err err;

	path->error = probe_send(agent, path, &err);
	path->asked = true;
	path->due_ms = now + PATH_ANSWER_MS;
}

/* True if the node is reached in another way now. */
static bool probe_look(struct agent *agent, struct path *path, uint64_t now)
{
	uint64_t interval = agent->settings.route_probe_seconds * 1000ULL;
	enum path_way was = path->way;
	char text[ADDR_TEXT_SIZE];
	bool taken;

	if (question_is_answered(agent->question_table, &path->router, &taken))
		path_answered(path, taken, now, interval);
	else
		path_missed(path, now, interval);
	question_keep(agent->question_table, path);
	if (path->way == was)
		return false;
	if (was == PATH_DIRECT || path->way == PATH_DIRECT)
		log_info("pods of the neighbor %s are reached %s", addr_format(&path->next, text),
			path->way == PATH_DIRECT ? "directly" : "through the tunnel");
	return true;
}

static void probe_turn(struct loop *loop, struct loop_timer *timer)
{
	struct agent *agent = timer->data;
	uint64_t now = clock_monotonic_ms();
	unsigned int asked = 0;
	bool changed = false;

	(void)loop;
	for (size_t i = 0; i < agent->paths.count && asked < PROBE_AT_ONCE; i++) {
		struct path *path = &agent->paths.path[i];

		if (path->due_ms > now)
			continue;
		if (path->asked && probe_look(agent, path, now))
			changed = true;
		if (path->due_ms > now)
			continue;
		probe_ask(agent, path, now);
		asked++;
	}
	if (changed)
		reconcile(agent); /* and meets all neighbors again */
	else
		probe_arm(agent);
}

int probe_start(struct agent *agent, struct err *err)
{
	agent->probe = (struct loop_timer){.function = probe_turn, .data = agent};
	agent->facts.paths = &agent->paths;
	return question_open(
		programs_table_directory(agent->bpf_directory), &agent->question_table, err);
}

void probe_stop(struct agent *agent)
{
	paths_clear(&agent->paths);
	mem_close(&agent->question_table);
}
