/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/plan.h"

#include "base/digest.h"
#include "base/mem.h"
#include "compile/node.h"
#include "net/maglev.h"

#include <string.h>

/* Keys of digests: what a name is of. */
enum digest_purpose { DIGEST_SET = 1, DIGEST_SOURCES, DIGEST_PORT, DIGEST_BACKEND };
#define DIGEST_KEY UINT64_C(0x706f6477697265) /* "podwire" */

void plan_clear(struct plan *plan)
{
	for (size_t i = 0; i < plan->sets.count; i++) {
		free(plan->sets.list[i].backends.list);
		free(plan->sets.list[i].sources.list);
	}
	free(plan->claims.list);
	free(plan->sets.list);
	free(plan->targets.list);
	free(plan->rows.list);
	*plan = (struct plan){0};
}

size_t plan_claim(struct plan *plan, const struct claim *claim)
{
	plan->claims.list = mem_grow(plan->claims.list, &plan->claims.capacity,
		plan->claims.count + 1, sizeof(*claim));
	plan->claims.list[plan->claims.count] = *claim;
	return plan->claims.count++;
}

void plan_row(struct plan *plan, const struct plan_row *row)
{
	plan->rows.list = mem_grow(
		plan->rows.list, &plan->rows.capacity, plan->rows.count + 1, sizeof(*row));
	plan->rows.list[plan->rows.count++] = *row;
}

/* 0 means "none" in all tables. */
static uint64_t name_end(struct digest *digest, uint64_t mask)
{
	uint64_t name = digest_end(digest) & mask;

	return name ? name : 1;
}

size_t plan_target(struct plan *plan, const struct plan_target *target)
{
	struct plan_target *added;
	struct digest digest;

	plan->targets.list = mem_grow(plan->targets.list, &plan->targets.capacity,
		plan->targets.count + 1, sizeof(*target));
	added = &plan->targets.list[plan->targets.count];
	*added = *target;
	digest_start(&digest, DIGEST_KEY, DIGEST_PORT);
	digest_add_string(&digest, plan->owner);
	digest_add_string(&digest, target->wish.name);
	digest_add(&digest, &target->wish.protocol, sizeof(target->wish.protocol));
	added->name = name_end(&digest, UINT64_MAX);
	return plan->targets.count++;
}

static bool sets_equal(const struct plan_set *a, const struct plan_set *b)
{
	if (!backends_equal(&a->backends, &b->backends) || a->sources.count != b->sources.count)
		return false;
	for (size_t i = 0; i < a->sources.count; i++)
		if (prefix_compare(&a->sources.list[i], &b->sources.list[i]) != 0)
			return false;
	return true;
}

static size_t plan_add_set(struct plan *plan, const struct plan_set *set)
{
	struct claim claim = {.rank = CLAIM_SET, .key = {.scope = SERVICE_SCOPE_MAX}};
	struct plan_set *added;

	/* The lists of one port are often the same; those of other ports are found at the end. */
	for (size_t i = plan->sets.count; i-- > 0 && i + 4 > plan->sets.count;)
		if (plan->sets.list[i].id == set->id && sets_equal(&plan->sets.list[i], set)) {
			free(set->backends.list);
			free(set->sources.list);
			return i;
		}
	plan->sets.list = mem_grow(plan->sets.list, &plan->sets.capacity, plan->sets.count + 1,
		sizeof(*plan->sets.list));
	added = &plan->sets.list[plan->sets.count];
	*added = *set;
	claim.key.addr.halves[0] = set->id;
	added->claim = plan_claim(plan, &claim);
	plan->backends += set->backends.count;
	return plan->sets.count++;
}

size_t plan_set(struct plan *plan, const struct backends *backends)
{
	struct plan_set set = {.backends.count = backends->count};
	struct digest digest;

	if (!backends->count)
		return PLAN_NO_SET;
	set.backends.list =
		mem_copy(backends->list, backends->count * sizeof(*backends->list));
	digest_start(&digest, DIGEST_KEY, DIGEST_SET);
	digest_add_string(&digest, plan->owner);
	digest_add(&digest, backends->list, backends->count * sizeof(*backends->list));
	set.id = name_end(&digest, plan->set_mask);
	return plan_add_set(plan, &set);
}

size_t plan_sources(struct plan *plan, const struct prefixes *sources)
{
	struct plan_set set = {.sources.count = sources->count};
	struct digest digest;

	if (!sources->count)
		return PLAN_NO_SET;
	set.sources.list = mem_copy(sources->list, sources->count * sizeof(*sources->list));
	digest_start(&digest, DIGEST_KEY, DIGEST_SOURCES);
	digest_add_string(&digest, plan->owner);
	for (size_t i = 0; i < sources->count; i++) {
		digest_add(&digest, &sources->list[i].addr, sizeof(sources->list[i].addr));
		digest_add(&digest, &sources->list[i].length, sizeof(sources->list[i].length));
	}
	set.id = name_end(&digest, plan->set_mask);
	return plan_add_set(plan, &set);
}

static int set_order(const void *left, const void *right)
{
	const struct plan_set *a = *(struct plan_set *const *)left;
	const struct plan_set *b = *(struct plan_set *const *)right;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return (a > b) - (a < b);
}

/* Finds the sets that stand in the plan twice. Two of one name and other content: the first stays. */
static void plan_unite_sets(struct plan *plan)
{
	_free_ struct plan_set **sorted = mem_new(plan->sets.count, sizeof(*sorted));
	size_t first = 0;

	for (size_t i = 0; i < plan->sets.count; i++)
		sorted[i] = &plan->sets.list[i];
	if (plan->sets.count)
		qsort(sorted, plan->sets.count, sizeof(*sorted), set_order);
	for (size_t i = 0; i < plan->sets.count; i++) {
		if (sorted[first]->id != sorted[i]->id)
			first = i;
		sorted[i]->first = (size_t)(sorted[first] - plan->sets.list);
		if (sets_equal(sorted[first], sorted[i]))
			continue;
		plan->claims.list[sorted[i]->claim].won = false;
		problems_add(plan->problems, plan->owner, true,
			"two of its ports have lists of endpoints with one name, which happens once "
			"in 2^64; add or remove an endpoint");
	}
}

/* The set, or NULL where there is none or its name is another's: then nobody is in it. */
static struct plan_set *plan_use(struct plan *plan, size_t at, unsigned int uses)
{
	struct plan_set *set;

	if (at == PLAN_NO_SET)
		return NULL;
	set = &plan->sets.list[at];
	if (!plan->claims.list[set->claim].won)
		return NULL;
	set = &plan->sets.list[set->first];
	set->uses |= uses;
	return set;
}

static void plan_list(
	struct plan *plan, size_t at, unsigned int uses, struct service_list *list)
{
	const struct plan_set *set = plan_use(plan, at, uses);

	if (!set)
		return;
	list->set = set->id;
	list->count = (__u32)set->backends.count;
	if (uses & SET_MAGLEV)
		list->maglev = (__u16)maglev_size(set->backends.count);
	list->answer = SERVICE_REFUSE;
}

static unsigned int outside_uses(const struct plan *plan, const struct plan_row *row)
{
	size_t at = row->list[LIST_OUTSIDE];

	return row->maglev && at != PLAN_NO_SET && plan->sets.list[at].backends.count > 1
		       ? SET_LIST | SET_MAGLEV
		       : SET_LIST;
}

static void plan_add_row(struct plan *plan, const struct plan_row *planned, struct rows *rows)
{
	unsigned int members = planned->row.affinity_seconds ? SET_MEMBERS : 0;
	struct service_row row = planned->row;
	const struct plan_set *set;

	if (row.cluster_port && plan->claims.list[planned->cluster].won)
		row.cluster = plan->claims.list[planned->cluster].key.addr;
	else
		row.cluster_port = 0;
	set = plan_use(plan, planned->sources, SET_SOURCES);
	if (set)
		row.sources = set->id;
	if (planned->sources == PLAN_NO_SET || set) {
		plan_list(plan, planned->list[LIST_INSIDE], SET_LIST | members, &row.inside);
		plan_list(plan, planned->list[LIST_OUTSIDE], outside_uses(plan, planned) | members,
			&row.outside);
		plan_list(plan, planned->list[LIST_HERE], SET_LIST | members, &row.here);
	}
	set = plan_use(plan, planned->serving, SET_MEMBERS);
	if (set)
		row.serving = set->id;
	rows_add(rows, TABLE_SERVICE, &planned->key, &row);
}

static void set_add_backends(const struct plan_set *set, struct rows *rows)
{
	for (size_t i = 0; i < set->backends.count; i++) {
		struct backend_key key = {.set = set->id, .index = (__u32)i};

		rows_add(rows, TABLE_BACKEND, &key, &set->backends.list[i]);
	}
}

static void set_add_members(const struct plan_set *set, struct rows *rows)
{
	for (size_t i = 0; i < set->backends.count; i++) {
		const struct backend_row *backend = &set->backends.list[i];
		struct member_key key = {
			.set = set->id, .addr = backend->addr, .port = backend->port};
		struct member_row row = {.index = (__u32)i};

		rows_add(rows, TABLE_MEMBER, &key, &row);
	}
}

static uint64_t backend_name(const struct backend_row *backend)
{
	struct digest digest;

	digest_start(&digest, DIGEST_KEY, DIGEST_BACKEND);
	digest_add(&digest, &backend->addr, sizeof(backend->addr));
	digest_add(&digest, &backend->port, sizeof(backend->port));
	return digest_end(&digest);
}

static void set_add_maglev(const struct plan_set *set, struct rows *rows)
{
	size_t slots = maglev_size(set->backends.count);
	_free_ uint64_t *name = mem_new(set->backends.count, sizeof(*name));
	_free_ uint16_t *slot = mem_new(slots + MAGLEV_CHUNK, sizeof(*slot));

	for (size_t i = 0; i < set->backends.count; i++)
		name[i] = backend_name(&set->backends.list[i]);
	maglev_fill(name, set->backends.count, slot, slots);
	for (size_t i = 0; i < slots; i += MAGLEV_CHUNK) {
		struct maglev_key key = {.set = set->id, .chunk = (__u32)(i / MAGLEV_CHUNK)};

		rows_add(rows, TABLE_MAGLEV, &key, &slot[i]);
	}
}

static void set_add_sources(const struct plan_set *set, struct rows *rows)
{
	struct source_row row = {.allowed = 1};

	for (size_t i = 0; i < set->sources.count; i++) {
		const struct prefix *range = &set->sources.list[i];
		struct source_key key = {.length = 64 + range->length};

		memcpy(key.set, &set->id, sizeof(key.set));
		memcpy(key.addr, &range->addr, sizeof(key.addr));
		rows_add(rows, TABLE_SOURCE, &key, &row);
	}
}

/* Rows of sets that no row leads to are left out. */
void plan_rows(struct plan *plan, struct rows *rows)
{
	plan_unite_sets(plan);
	for (size_t i = 0; i < plan->rows.count; i++)
		if (plan->claims.list[plan->rows.list[i].claim].won)
			plan_add_row(plan, &plan->rows.list[i], rows);
	for (size_t i = 0; i < plan->sets.count; i++) {
		const struct plan_set *set = &plan->sets.list[i];

		if (set->uses & SET_LIST)
			set_add_backends(set, rows);
		if (set->uses & SET_MEMBERS)
			set_add_members(set, rows);
		if (set->uses & SET_MAGLEV)
			set_add_maglev(set, rows);
		if (set->uses & SET_SOURCES)
			set_add_sources(set, rows);
	}
}
