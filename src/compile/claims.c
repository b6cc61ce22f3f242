/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/claims.h"

#include "base/digest.h"
#include "base/mem.h"

#include <string.h>

#define CLAIMS_BUCKETS_MIN 64

void owners_add(struct owners *owners, uint32_t owner)
{
	owners->list = mem_grow(
		owners->list, &owners->capacity, owners->count + 1, sizeof(*owners->list));
	owners->list[owners->count++] = owner;
}

void claims_clear(struct claims *claims)
{
	free(claims->entry);
	free(claims->bucket);
	*claims = (struct claims){0};
}

static bool keys_equal(const struct service_key *a, const struct service_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static size_t claims_bucket(const struct claims *claims, const struct service_key *key)
{
	struct digest digest;

	digest_start(&digest, 0, 0);
	digest_add(&digest, key, sizeof(*key));
	return digest_end(&digest) & (claims->bucket_count - 1);
}

static uint32_t claims_first(const struct claims *claims, const struct service_key *key)
{
	return claims->bucket_count ? claims->bucket[claims_bucket(claims, key)] : CLAIMS_NONE;
}

/* All entries into twice as many buckets. Free entries have no owner. */
static void claims_spread(struct claims *claims)
{
	claims->bucket_count = claims->bucket_count ? 2 * claims->bucket_count : CLAIMS_BUCKETS_MIN;
	free(claims->bucket);
	claims->bucket = mem_new(claims->bucket_count, sizeof(*claims->bucket));
	memset(claims->bucket, 0xff, claims->bucket_count * sizeof(*claims->bucket));
	for (size_t i = 0; i < claims->count; i++) {
		struct claim_entry *entry = &claims->entry[i];
		uint32_t *bucket;

		if (entry->owner == CLAIMS_NONE)
			continue;
		bucket = &claims->bucket[claims_bucket(claims, &entry->key)];
		entry->next = *bucket;
		*bucket = (uint32_t)i;
	}
}

static uint32_t claims_new(struct claims *claims)
{
	uint32_t at;

	if (claims->used < claims->count) {
		at = claims->free;
		claims->free = claims->entry[at].next;
	} else {
		claims->entry = mem_grow(claims->entry, &claims->capacity, claims->count + 1,
			sizeof(*claims->entry));
		at = (uint32_t)claims->count++;
	}
	claims->used++;
	return at;
}

/* <0: a goes before b. *ret_rule is what says so. */
static int precedence(const struct claim_entry *a, const struct claim_entry *b,
	const struct claimant *claimants, enum claim_rule *ret_rule)
{
	const struct claimant *left = &claimants[a->owner], *right = &claimants[b->owner];

	*ret_rule = CLAIM_BY_RANK;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	*ret_rule = CLAIM_BY_AGE;
	if (left->created != right->created)
		return left->created < right->created ? -1 : 1;
	*ret_rule = CLAIM_BY_NAME;
	return strcmp(left->name, right->name);
}

static bool goes_before(const struct claim_entry *a, const struct claim_entry *b,
	const struct claimant *claimants)
{
	enum claim_rule rule;

	return precedence(a, b, claimants, &rule) < 0;
}

/* The best that claims the key itself. */
static const struct claim_entry *claims_best(const struct claims *claims,
	const struct claimant *claimants, const struct service_key *key)
{
	const struct claim_entry *best = NULL;

	for (uint32_t at = claims_first(claims, key); at != CLAIMS_NONE; at = claims->entry[at].next) {
		const struct claim_entry *entry = &claims->entry[at];

		if (!entry->waits && keys_equal(&entry->key, key) &&
			(!best || goes_before(entry, best, claimants)))
			best = entry;
	}
	return best;
}

/* Adds to `affected` all but `owner` that claim the key or wait behind it. */
static void claims_touch(const struct claims *claims, const struct service_key *key,
	uint32_t owner, struct owners *affected)
{
	for (uint32_t at = claims_first(claims, key); at != CLAIMS_NONE; at = claims->entry[at].next)
		if (claims->entry[at].owner != owner && keys_equal(&claims->entry[at].key, key))
			owners_add(affected, claims->entry[at].owner);
}

static bool claims_have(
	struct claims *claims, const struct claim_entry *wanted, uint32_t *ret_at)
{
	for (uint32_t at = claims_first(claims, &wanted->key); at != CLAIMS_NONE;
		at = claims->entry[at].next) {
		const struct claim_entry *entry = &claims->entry[at];

		if (entry->owner == wanted->owner && entry->waits == wanted->waits &&
			entry->rank == wanted->rank && keys_equal(&entry->key, &wanted->key)) {
			*ret_at = at;
			return true;
		}
	}
	return false;
}

static void claims_insert(struct claims *claims, struct claimant *claimants,
	const struct claim_entry *wanted, struct owners *affected)
{
	const struct claim_entry *before;
	struct claim_entry *entry;
	uint32_t at, *bucket;

	if (claims_have(claims, wanted, &at)) {
		claims->entry[at].stays = true;
		return;
	}
	if (claims->used + 1 > claims->bucket_count)
		claims_spread(claims);
	at = claims_new(claims);
	before = claims_best(claims, claimants, &wanted->key);
	entry = &claims->entry[at];
	*entry = *wanted;
	entry->stays = true;
	entry->next_of_owner = claimants[wanted->owner].first;
	claimants[wanted->owner].first = at;
	if (!entry->waits && (!before || goes_before(entry, before, claimants)))
		claims_touch(claims, &entry->key, entry->owner, affected);
	bucket = &claims->bucket[claims_bucket(claims, &entry->key)];
	entry->next = *bucket;
	*bucket = at;
}

static void claims_remove(struct claims *claims, const struct claimant *claimants, uint32_t at,
	struct owners *affected)
{
	struct claim_entry *entry = &claims->entry[at];
	uint32_t *link = &claims->bucket[claims_bucket(claims, &entry->key)];

	if (!entry->waits && claims_best(claims, claimants, &entry->key) == entry)
		claims_touch(claims, &entry->key, entry->owner, affected);
	while (*link != at)
		link = &claims->entry[*link].next;
	*link = entry->next;
	*entry = (struct claim_entry){.owner = CLAIMS_NONE, .next = claims->free};
	claims->free = at;
	claims->used--;
}

/* What lies before the claim; false where nothing does. */
static bool claim_gate(const struct service_key *key, enum claim_rank rank,
	struct service_key *ret_gate)
{
	*ret_gate = *key;
	if (rank == CLAIM_LOAD_BALANCER || rank == CLAIM_EXTERNAL) {
		ret_gate->port = 0;
		ret_gate->protocol = 0;
	} else if (rank == CLAIM_HOST_PORT) {
		ret_gate->addr.halves[0] = 0;
		ret_gate->addr.words[3] = 0;
		if (!addr_is_v4(&key->addr))
			ret_gate->addr.halves[1] = 0;
	}
	return !keys_equal(key, ret_gate);
}

/* Lets go of those that do not stay. */
static void claims_sweep(struct claims *claims, struct claimant *claimants, uint32_t owner,
	struct owners *affected)
{
	uint32_t at = claimants[owner].first;

	claimants[owner].first = CLAIMS_NONE;
	while (at != CLAIMS_NONE) {
		struct claim_entry *entry = &claims->entry[at];
		uint32_t next = entry->next_of_owner;

		if (entry->stays) {
			entry->stays = false;
			entry->next_of_owner = claimants[owner].first;
			claimants[owner].first = at;
		} else {
			claims_remove(claims, claimants, at, affected);
		}
		at = next;
	}
}

void claims_set(struct claims *claims, struct claimant *claimants, uint32_t owner,
	const struct plan *plan, struct owners *affected)
{
	if (claimants[owner].created != plan->created) {
		claims_sweep(claims, claimants, owner, affected); /* its precedence is another one */
		claimants[owner].created = plan->created;
	}
	for (size_t i = 0; i < plan->claims.count; i++) {
		const struct claim *claim = &plan->claims.list[i];
		struct claim_entry entry = {
			.key = claim->key, .owner = owner, .rank = (uint8_t)claim->rank};

		claims_insert(claims, claimants, &entry, affected);
		entry.waits = claim_gate(&claim->key, claim->rank, &entry.key);
		if (entry.waits)
			claims_insert(claims, claimants, &entry, affected);
	}
	claims_sweep(claims, claimants, owner, affected);
}

/* Only what is claimed as a whole keeps others from what is behind it. */
static const struct claim_entry *claims_gate_keeper(const struct claims *claims,
	const struct claimant *claimants, const struct claim *claim)
{
	const struct claim_entry *keeper;
	struct service_key gate;

	if (!claim_gate(&claim->key, claim->rank, &gate))
		return NULL;
	keeper = claims_best(claims, claimants, &gate);
	return keeper && keeper->rank < CLAIM_LOAD_BALANCER ? keeper : NULL;
}

uint32_t claims_holder(const struct claims *claims, const struct claimant *claimants,
	const struct claim *claim)
{
	const struct claim_entry *keeper = claims_gate_keeper(claims, claimants, claim);
	const struct claim_entry *best = claims_best(claims, claimants, &claim->key);

	if (keeper)
		return keeper->owner;
	return best ? best->owner : CLAIMS_NONE;
}

enum claim_rule claims_rule(const struct claims *claims, const struct claimant *claimants,
	const struct claim *claim, uint32_t owner)
{
	const struct claim_entry *best = claims_best(claims, claimants, &claim->key);
	struct claim_entry own = {.owner = owner, .rank = (uint8_t)claim->rank};
	enum claim_rule rule = CLAIM_BY_RANK;

	if (best && !claims_gate_keeper(claims, claimants, claim))
		precedence(best, &own, claimants, &rule);
	return rule;
}

/* An owner that claims a key twice, as two things, has it as the better one. */
void claims_decide(const struct claims *claims, const struct claimant *claimants, uint32_t owner,
	struct plan *plan)
{
	for (size_t i = 0; i < plan->claims.count; i++) {
		struct claim *claim = &plan->claims.list[i];
		const struct claim_entry *best = claims_best(claims, claimants, &claim->key);

		claim->won = !claims_gate_keeper(claims, claimants, claim) && best &&
			     best->owner == owner && best->rank == claim->rank;
	}
}
