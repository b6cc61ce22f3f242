/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/services.h"

#include "agent/repair.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "compile/print.h"

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <string.h>

/* One list of differences on its way into the kernel. */
struct apply {
	struct agent *agent;
	struct hash lost; /* sets that are not whole */
	struct hash kept; /* sets that a frontend goes on using, since its new ones are lost */
	size_t refused; /* frontends */
	size_t done; /* rows */
	struct text first; /* of them, and why */
	struct err err;
};

struct services_input services_input(const struct agent *agent)
{
	return (struct services_input){.store = (struct store *)&agent->objects.store,
		.settings = &agent->settings,
		.facts = &agent->facts};
}

void services_wanted(struct agent *agent, struct rows *rows)
{
	_cleanup_(services_clear) struct services services = {0};
	struct services_input input = services_input(agent);

	services_compile(&services, &input, rows);
}

int services_held(struct agent *agent, struct rows *rows, struct err *err)
{
	return tables_read(&agent->tables, table_is_of_services, rows, err);
}

/* Which set a row is of. */
static uint64_t row_set(const struct row *row)
{
	size_t offset = row->table == TABLE_SOURCE ? offsetof(struct source_key, set) : 0;
	uint64_t set;

	memcpy(&set, (const char *)row->key + offset, sizeof(set));
	return set;
}

static void sets_add(struct hash *sets, uint64_t set)
{
	if (set)
		hash_put_bytes(sets, &set, sizeof(set), sets);
}

static bool sets_have(const struct hash *sets, uint64_t set)
{
	return sets->count && hash_get_bytes(sets, &set, sizeof(set));
}

#define FRONTEND_SETS 5

static void frontend_sets(const struct service_row *row, uint64_t sets[FRONTEND_SETS])
{
	sets[0] = row->inside.set;
	sets[1] = row->outside.set;
	sets[2] = row->here.set;
	sets[3] = row->serving;
	sets[4] = row->sources;
}

static bool frontend_is_whole(const struct apply *apply, const struct service_row *row)
{
	uint64_t sets[FRONTEND_SETS];

	frontend_sets(row, sets);
	for (unsigned int i = 0; i < FRONTEND_SETS; i++)
		if (sets_have(&apply->lost, sets[i]))
			return false;
	return true;
}

/* It stays as it is in the kernel, so its sets stay too. */
static void frontend_refuse(struct apply *apply, const struct row *row)
{
	struct service_row held;
	uint64_t sets[FRONTEND_SETS];

	if (apply->refused++ == 0) {
		row_print(row, &apply->first);
		text_printf(&apply->first, ": %s", apply->err.text);
	}
	if (tables_get(&apply->agent->tables, row->table, row->key, &held) < 0)
		return;
	frontend_sets(&held, sets);
	for (unsigned int i = 0; i < FRONTEND_SETS; i++)
		sets_add(&apply->kept, sets[i]);
}

static bool apply_row(struct apply *apply, const struct difference *difference)
{
	return tables_apply(&apply->agent->tables, difference,
		       apply->err.code ? NULL : &apply->err) == 0;
}

static bool is_of_lost_set(const struct apply *apply, const struct difference *difference)
{
	return difference->change != CHANGE_REMOVE && difference->row->table != TABLE_SERVICE &&
	       sets_have(&apply->lost, row_set(difference->row));
}

/* What has been written of sets that are not whole makes room again. */
static void apply_take_back(struct apply *apply, const struct difference *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct difference back = {.change = CHANGE_REMOVE, .row = list[i].row};

		if (is_of_lost_set(apply, &list[i]))
			tables_apply(&apply->agent->tables, &back, NULL);
	}
}

/* A row of a set; rows of one set follow each other in each table. */
static void apply_set(struct apply *apply, const struct difference *list, size_t at)
{
	const struct row *row = list[at].row;
	size_t first = at;

	if (sets_have(&apply->lost, row_set(row)) || apply_row(apply, &list[at]))
		return;
	sets_add(&apply->lost, row_set(row));
	while (first && list[first - 1].row->table == row->table &&
		row_set(list[first - 1].row) == row_set(row))
		first--;
	apply_take_back(apply, list + first, at - first);
}

static void apply_frontend(struct apply *apply, const struct difference *difference)
{
	if (frontend_is_whole(apply, difference->row->value) && apply_row(apply, difference))
		apply->done++;
	else
		frontend_refuse(apply, difference->row);
}

static void apply_remove(struct apply *apply, const struct difference *difference)
{
	bool is_kept = difference->row->table != TABLE_SERVICE &&
		       sets_have(&apply->kept, row_set(difference->row));

	if (!is_kept && apply_row(apply, difference))
		apply->done++;
}

static void apply_one(struct apply *apply, const struct difference *list, size_t at)
{
	if (list[at].change == CHANGE_REMOVE)
		apply_remove(apply, &list[at]);
	else if (list[at].row->table == TABLE_SERVICE)
		apply_frontend(apply, &list[at]);
	else
		apply_set(apply, list, at);
}

/* Of lost sets nothing stays, in whatever table; the rest is what was done. */
static void apply_settle(struct apply *apply, const struct differences *differences)
{
	if (apply->lost.count)
		apply_take_back(apply, differences->item, differences->count);
	for (size_t i = 0; i < differences->count; i++) {
		const struct difference *difference = &differences->item[i];

		if (difference->change != CHANGE_REMOVE &&
			difference->row->table != TABLE_SERVICE &&
			!is_of_lost_set(apply, difference))
			apply->done++;
	}
}

/* Said once, not each time that it is tried in vain. */
static void services_say_refused(struct agent *agent, const struct apply *apply)
{
	_free_ char *before = TAKE_PTR(agent->services_refused);

	agent->services_refused = mem_format(
		"%zu frontends of Services are closed or lead where they led before; the first: %s",
		apply->refused, text_string(&apply->first));
	if (!before || strcmp(before, agent->services_refused) != 0)
		log_error("%s", agent->services_refused);
}

/* How many frontends were refused. */
static size_t services_apply(struct agent *agent, const struct differences *differences)
{
	struct apply apply = {.agent = agent};

	for (size_t i = 0; i < differences->count; i++)
		apply_one(&apply, differences->item, i);
	apply_settle(&apply, differences);
	agent->changed += apply.done;
	hash_clear(&apply.lost, NULL);
	hash_clear(&apply.kept, NULL);
	if (apply.refused)
		services_say_refused(agent, &apply);
	text_clear(&apply.first);
	return apply.refused;
}

static void services_apply_touched(struct agent *agent)
{
	struct services_input input = services_input(agent);
	struct services_change change = {0};
	struct differences differences = {0};

	services_update(&agent->services, &input, &change);
	rows_changes(&change.set, &change.removed, &differences);
	services_apply(agent, &differences);
	differences_clear(&differences);
	services_change_clear(&change);
}

static int services_apply_all(struct agent *agent, struct err *err)
{
	struct services_input input = services_input(agent);
	struct rows wanted = {0}, held = {0};
	struct differences differences = {0};
	int r = services_held(agent, &held, err);

	if (r == 0) {
		services_compile(&agent->services, &input, &wanted);
		rows_sort(&wanted);
		rows_sort(&held);
		rows_diff(&held, &wanted, &differences);
		if (!services_apply(agent, &differences))
			mem_free_pointer(&agent->services_refused);
	}
	differences_clear(&differences);
	rows_clear(&wanted);
	rows_clear(&held);
	malloc_trim(0); /* megabytes that are not needed again */
	return r;
}

/* Does the kernel have what it was given? 1: yes. */
static int services_compare(struct agent *agent, struct err *err)
{
	for (enum table table = 0; table < TABLE_MAX; table++) {
		struct table_sum sum;
		int r;

		if (!table_is_of_services(table))
			continue;
		r = tables_sum(&agent->tables, table, &sum, err);
		if (r < 0)
			return r;
		if (sum.count != agent->services.row_count[table] ||
			sum.sum != agent->services.row_sum[table])
			return 0;
	}
	return 1;
}

static bool services_compare_is_due(const struct agent *agent)
{
	return clock_monotonic_ns() - agent->services_compared_ns >=
	       (REPAIR_INTERVAL_MS - REPAIR_GAP_MS) * CLOCK_NS_PER_MS;
}

static int services_compare_all(struct agent *agent, struct err *err)
{
	bool known = agent->services_compared_ns && !agent->services_refused;
	int r = known ? services_compare(agent, err) : 0;

	if (r == 0)
		r = services_apply_all(agent, err);
	if (r >= 0)
		agent->services_compared_ns = clock_monotonic_ns();
	return r < 0 ? r : 0;
}

int services_keep(struct agent *agent, struct err *err)
{
	int r = 0;

	if (agent->services_compared_ns)
		services_apply_touched(agent);
	if (services_compare_is_due(agent))
		r = services_compare_all(agent, err);
	services_problems(&agent->services, &agent->problems);
	if (agent->services_refused)
		problems_add(&agent->problems, "tables", true, "%s", agent->services_refused);
	return r;
}
