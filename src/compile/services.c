/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/services.h"

#include "base/digest.h"
#include "base/mem.h"
#include "compile/hostport.h"
#include "compile/service.h"

#include <arpa/inet.h>
#include <string.h>

#define ZONE_LABEL "topology.kubernetes.io/zone"

/* One call of services_update or services_compile. */
struct update {
	struct services *services;
	const struct services_input *input;
	struct service_view view;
	struct services_change *change; /* NULL: not wanted */
	struct rows *every; /* NULL: not wanted */
};

bool table_is_of_services(enum table table)
{
	return table == TABLE_BACKEND || table == TABLE_MEMBER || table == TABLE_MAGLEV ||
	       table == TABLE_SOURCE || table == TABLE_SERVICE;
}

static uint32_t owner_number(struct services *services, const char *title)
{
	void *known = hash_get(&services->numbers, title);
	uint32_t number;

	if (known)
		return (uint32_t)((uintptr_t)known - 1);
	if (services->free.count) {
		number = services->free.list[--services->free.count];
	} else {
		services->claimant = mem_grow(services->claimant, &services->capacity,
			services->count + 1, sizeof(*services->claimant));
		services->owner = mem_grow(services->owner, &services->owner_capacity,
			services->count + 1, sizeof(*services->owner));
		number = (uint32_t)services->count++;
	}
	hash_put(&services->numbers, title, (void *)(uintptr_t)(number + 1));
	services->claimant[number] = (struct claimant){
		.name = hash_key(&services->numbers, title), .first = CLAIMS_NONE};
	services->owner[number] = (struct owner){0};
	return number;
}

static void owner_clear_problems(struct owner *owner)
{
	if (owner->problems)
		problems_clear(owner->problems);
	mem_free_pointer(&owner->problems);
}

static void owner_forget(struct services *services, uint32_t number)
{
	hash_remove(&services->numbers, services->claimant[number].name);
	owner_clear_problems(&services->owner[number]);
	free(services->owner[number].held);
	services->owner[number] = (struct owner){0};
	services->claimant[number] = (struct claimant){.first = CLAIMS_NONE};
	owners_add(&services->free, number);
}

static void owner_mark(struct services *services, uint32_t number)
{
	if (services->owner[number].dirty)
		return;
	services->owner[number].dirty = true;
	owners_add(&services->dirty, number);
}

static void services_mark(
	struct services *services, const char *kind, const char *namespace, const char *name)
{
	_free_ char *title = mem_format("%s %s/%s", kind, namespace, name);

	owner_mark(services, owner_number(services, title));
}

void services_touch(struct services *services, const struct object *object)
{
	const struct endpoint_slice *slice = object_endpoint_slice_const(object);
	const struct pod *pod = object_pod_const(object);

	if (reserved_by_object(object))
		services->reserved_known = false;
	if (object->kind == KIND_SERVICE || (pod && pod_has_host_ports(pod)))
		services_mark(services, kind_name(object->kind), object->namespace, object->name);
	if (slice && endpoint_slice_service(slice))
		services_mark(services, kind_name(KIND_SERVICE), object->namespace,
			endpoint_slice_service(slice));
}

/* The owner's object; what stands behind the kind in its title is its key. */
static const struct object *owner_object(const struct update *update, uint32_t number)
{
	const char *title = update->services->claimant[number].name;
	const char *key = strchr(title, ' ') + 1;
	enum kind kind = title[0] == 'P' ? KIND_POD : KIND_SERVICE;

	return store_find(update->input->store, kind, key);
}

static void owner_plan(const struct update *update, uint32_t number, struct problems *problems,
	struct plan *ret_plan)
{
	const struct object *object = owner_object(update, number);
	const struct service *service = object ? object_service_const(object) : NULL;
	const struct pod *pod = object ? object_pod_const(object) : NULL;
	struct slices slices = {0};

	*ret_plan = (struct plan){.owner = update->services->claimant[number].name,
		.set_mask = update->services->set_mask ? update->services->set_mask : UINT64_MAX,
		.problems = problems};
	update->services->owner[number].names_addresses =
		service && service_names_addresses(service);
	if (pod)
		plan_pod(ret_plan, pod, &update->view);
	if (!service)
		return;
	slices.count = store_slices(update->input->store, object->namespace, object->name,
		&slices.list);
	plan_service(ret_plan, service, &slices, &update->view);
}

static void claim_lost(const struct update *update, const struct plan *plan,
	const struct claim *claim, uint32_t number)
{
	static const char *const ranks[] = {
		[CLAIM_CLUSTER] = "cluster address",
		[CLAIM_NODE_PORT] = "node port",
		[CLAIM_LOAD_BALANCER] = "load balancer address",
		[CLAIM_EXTERNAL] = "external address",
		[CLAIM_HOST_PORT] = "host port",
		[CLAIM_SET] = "name of a list of endpoints",
	};
	_Static_assert(ARRAY_SIZE(ranks) == CLAIM_RANK_MAX, "a name for each rank");
	const struct services *services = update->services;
	uint32_t holder = claims_holder(&services->claims, services->claimant, claim);
	const char *name = holder == CLAIMS_NONE ? "" : services->claimant[holder].name;
	char text[ADDR_TEXT_SIZE];

	if (holder == number)
		return; /* it has the same in a better way */
	if (claim->rank == CLAIM_SET)
		problems_add(plan->problems, plan->owner, true,
			"a list of its endpoints has the name of one of %s, which happens once in "
			"2^64; add or remove an endpoint",
			name);
	else if (claim->key.port)
		problems_add(plan->problems, plan->owner, true,
			"%s[%zu]%s: port %u of %s, %s, is held by %s", claim->field, claim->index,
			claim->member, ntohs(claim->key.port),
			addr_format(&claim->key.addr, text), ranks[claim->rank], name);
	else if (claim->rank == CLAIM_CLUSTER)
		problems_add(plan->problems, plan->owner, true, "%s[%zu]: %s is held by %s",
			claim->field, claim->index, addr_format(&claim->key.addr, text), name);
}

/* A row as it is held: table, key, digest. */
static size_t held_size(enum table table)
{
	return 1 + table_infos[table].key_size + sizeof(uint64_t);
}

static void services_count(struct services *services, enum table table, uint64_t digest, int sign)
{
	services->row_count[table] += (size_t)sign;
	services->row_sum[table] += sign > 0 ? digest : -digest;
}

static uint64_t held_digest(const unsigned char *held, enum table table)
{
	uint64_t digest;

	memcpy(&digest, held + 1 + table_infos[table].key_size, sizeof(digest));
	return digest;
}

static int held_compare(const unsigned char *held, const struct row *row)
{
	enum table table = (enum table)held[0];

	if (table != row->table)
		return table < row->table ? -1 : 1;
	return memcmp(held + 1, row->key, table_infos[table].key_size);
}

static void held_remove(const struct update *update, const unsigned char *held)
{
	static const struct service_row nothing; /* as large as any value of these tables */
	enum table table = (enum table)held[0];

	services_count(update->services, table, held_digest(held, table), -1);
	if (update->change)
		rows_add(&update->change->removed, table, held + 1, &nothing);
}
_Static_assert(sizeof(struct service_row) >= sizeof(struct maglev_row), "the largest value");
_Static_assert(sizeof(struct service_row) >= sizeof(struct backend_row), "the largest value");

/* What is held from now on. Both are sorted, so one walk over both finds the difference. */
static void owner_hold(const struct update *update, uint32_t number, const struct rows *rows)
{
	struct owner *owner = &update->services->owner[number];
	const unsigned char *old = owner->held, *end = old + owner->held_size;
	unsigned char *held, *at;
	size_t size = 0;

	for (size_t i = 0; i < rows->count; i++)
		size += held_size(rows->row[i].table);
	held = at = mem_new(size, 1);
	for (size_t i = 0; i < rows->count; i++) {
		const struct row *row = &rows->row[i];
		uint64_t digest = row_digest(row->table, row->key, row->value);
		bool same = false;

		for (; old < end && held_compare(old, row) < 0; old += held_size(old[0]))
			held_remove(update, old);
		if (old < end && held_compare(old, row) == 0) {
			same = held_digest(old, row->table) == digest;
			services_count(update->services, row->table,
				held_digest(old, row->table), -1);
			old += held_size(row->table);
		}
		services_count(update->services, row->table, digest, 1);
		if (!same && update->change)
			rows_add(&update->change->set, row->table, row->key, row->value);
		*at = (unsigned char)row->table;
		memcpy(at + 1, row->key, table_infos[row->table].key_size);
		memcpy(at + 1 + table_infos[row->table].key_size, &digest, sizeof(digest));
		at += held_size(row->table);
	}
	for (; old < end; old += held_size(old[0]))
		held_remove(update, old);
	free(owner->held);
	owner->held = held;
	owner->held_size = size;
}

static void owner_count_local(struct services *services, uint32_t number, const struct plan *plan)
{
	struct owner *owner = &services->owner[number];

	for (enum plan_policy policy = 0; policy < POLICY_MAX; policy++) {
		for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++) {
			services->without_local[policy][family] +=
				(size_t)plan->without_local[policy][family] -
				owner->without_local[policy][family];
			owner->without_local[policy][family] = plan->without_local[policy][family];
		}
	}
}

static void owner_compile(const struct update *update, uint32_t number)
{
	struct services *services = update->services;
	struct problems problems = {0};
	struct rows rows = {0};
	struct plan plan;

	owner_clear_problems(&services->owner[number]);
	owner_plan(update, number, &problems, &plan);
	claims_decide(&services->claims, services->claimant, number, &plan);
	for (size_t i = 0; i < plan.claims.count; i++)
		if (!plan.claims.list[i].won)
			claim_lost(update, &plan, &plan.claims.list[i], number);
	plan_rows(&plan, &rows);
	rows_sort(&rows);
	owner_hold(update, number, &rows);
	owner_count_local(services, number, &plan);
	if (update->every)
		for (size_t i = 0; i < rows.count; i++)
			rows_add(update->every, rows.row[i].table, rows.row[i].key,
				rows.row[i].value);
	if (problems.count)
		services->owner[number].problems = mem_copy(&problems, sizeof(problems));
	rows_clear(&rows);
	plan_clear(&plan);
}

/* All claims come first: whoever is affected by one need not claim again, only look again. */
static void update_run(struct update *update)
{
	struct services *services = update->services;
	struct owners all = services->dirty;
	size_t dirty = all.count;

	services->dirty = (struct owners){0};
	for (size_t i = 0; i < dirty; i++) {
		struct plan plan;

		owner_plan(update, all.list[i], NULL, &plan);
		claims_set(&services->claims, services->claimant, all.list[i], &plan, &all);
		plan_clear(&plan);
	}
	for (size_t i = 0; i < all.count; i++) {
		struct owner *owner = &services->owner[all.list[i]];

		if (owner->listed)
			continue;
		owner->listed = true;
		owner->dirty = false;
		owner_compile(update, all.list[i]);
	}
	for (size_t i = 0; i < all.count; i++) {
		struct owner *owner = &services->owner[all.list[i]];

		if (owner->listed && !owner->held_size && !owner->problems &&
			services->claimant[all.list[i]].first == CLAIMS_NONE)
			owner_forget(services, all.list[i]);
		owner->listed = false;
	}
	free(all.list);
}

static void services_mark_all(struct services *services, struct store *store)
{
	static const enum kind kinds[] = {KIND_SERVICE, KIND_POD};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct object *object;
		size_t position = 0;

		while ((object = store_next(store, kinds[i], &position)))
			services_touch(services, object);
	}
	for (size_t i = 0; i < services->count; i++)
		if (services->claimant[i].name)
			owner_mark(services, (uint32_t)i);
}

/* The same in any order. */
static uint64_t addresses_digest(const struct addrs *addrs)
{
	struct digest digest;
	uint64_t sum = 0;

	for (size_t i = 0; i < addrs->count; i++) {
		digest_start(&digest, 0, 1);
		digest_add(&digest, &addrs->list[i], sizeof(addrs->list[i]));
		sum += digest_end(&digest);
	}
	return sum;
}

/* What of this node decides about every Service. */
static uint64_t view_digest(const struct service_view *view)
{
	struct digest digest;

	digest_start(&digest, 0, 0);
	digest_add_string(&digest, view->zone);
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX && view->own; family++) {
		const struct addr *addr = node_internal_ip(view->own, family);

		if (addr)
			digest_add(&digest, addr, sizeof(*addr));
	}
	return digest_end(&digest) + addresses_digest(&view->facts->local);
}

static void services_mark_names(struct services *services)
{
	for (size_t i = 0; i < services->count; i++)
		if (services->owner[i].names_addresses)
			owner_mark(services, (uint32_t)i);
}

static struct update update_start(struct services *services, const struct services_input *input)
{
	const struct node *own = store_own_node(input->store, input->settings);
	struct update update = {.services = services,
		.input = input,
		.view = {.node = input->settings->node,
			.zone = own ? labels_get(&own->object.labels, ZONE_LABEL) : NULL,
			.own = own,
			.settings = input->settings,
			.facts = input->facts,
			.reserved = &services->reserved}};
	uint64_t view = view_digest(&update.view);

	if (!services->reserved_known) {
		reserved_clear(&services->reserved);
		reserved_make(input->store, input->settings, &services->reserved);
		services->reserved_known = true;
		services_mark_names(services);
	}
	if (services->view != view)
		services_mark_all(services, input->store);
	services->view = view;
	return update;
}

/* What one owner has lost and another one has got is only set. */
static void change_settle(struct services_change *change)
{
	size_t kept = 0;

	rows_sort(&change->set);
	rows_sort(&change->removed);
	for (size_t i = 0; i < change->removed.count; i++) {
		const struct row *row = &change->removed.row[i];

		if (!rows_find(&change->set, row->table, row->key))
			change->removed.row[kept++] = *row;
	}
	change->removed.count = kept;
}

void services_update(struct services *services, const struct services_input *input,
	struct services_change *change)
{
	struct update update = update_start(services, input);

	update.change = change;
	update_run(&update);
	change_settle(change);
}

void services_compile(
	struct services *services, const struct services_input *input, struct rows *rows)
{
	struct update update;

	services_mark_all(services, input->store);
	services->reserved_known = false;
	update = update_start(services, input);
	update.every = rows;
	update_run(&update);
}

struct service_view services_view(
	struct services *services, const struct services_input *input)
{
	return update_start(services, input).view;
}

bool services_plan(struct services *services, const struct services_input *input,
	const char *title, struct plan *ret_plan)
{
	void *known = hash_get(&services->numbers, title);
	struct update update = update_start(services, input);
	uint32_t number = (uint32_t)((uintptr_t)known - 1);

	if (!known)
		return false;
	owner_plan(&update, number, NULL, ret_plan);
	claims_decide(&services->claims, services->claimant, number, ret_plan);
	return true;
}

const struct problems *services_problems_of(const struct services *services, const char *title)
{
	static const struct problems none;
	void *known = hash_get(&services->numbers, title);
	const struct problems *own =
		known ? services->owner[(uintptr_t)known - 1].problems : NULL;

	return own ? own : &none;
}

const char *services_holder(const struct services *services, const struct claim *claim)
{
	uint32_t holder = claims_holder(&services->claims, services->claimant, claim);

	return holder == CLAIMS_NONE ? NULL : services->claimant[holder].name;
}

enum claim_rule services_rule(
	const struct services *services, const char *title, const struct claim *claim)
{
	void *known = hash_get(&services->numbers, title);

	return known ? claims_rule(&services->claims, services->claimant, claim,
			       (uint32_t)((uintptr_t)known - 1))
		     : CLAIM_BY_RANK;
}

void services_problems(const struct services *services, struct problems *problems)
{
	for (size_t i = 0; i < services->count; i++) {
		const struct problems *own = services->owner[i].problems;

		for (size_t j = 0; own && j < own->count; j++)
			problems_add(problems, own->item[j].object, own->item[j].refused, "%s",
				own->item[j].text);
	}
}

void services_change_clear(struct services_change *change)
{
	rows_clear(&change->set);
	rows_clear(&change->removed);
}

void services_clear(struct services *services)
{
	for (size_t i = 0; i < services->count; i++) {
		owner_clear_problems(&services->owner[i]);
		free(services->owner[i].held);
	}
	hash_clear(&services->numbers, NULL);
	free(services->claimant);
	free(services->owner);
	free(services->free.list);
	free(services->dirty.list);
	claims_clear(&services->claims);
	reserved_clear(&services->reserved);
	*services = (struct services){0};
}
