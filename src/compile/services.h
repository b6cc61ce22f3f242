/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/claims.h"
#include "compile/rows.h"
#include "compile/view.h"

/*
 * All Services, and the host ports of this node's pods: each is an owner of rows. A change of an
 * object makes anew the rows of its owner, and of those that win or lose a claim by it, so it
 * costs the same beside ten other Services as beside ten thousand. Of the rows that owners have,
 * only keys and digests are kept.
 *
 * Whatever the order of changes, the rows are those that services_compile makes from nothing.
 */

struct owner {
	unsigned char *held; /* table, key and digest of each of its rows, in order */
	size_t held_size;
	struct problems *problems; /* NULL: none */
	uint16_t without_local[POLICY_MAX][FAMILY_MAX]; /* as its plan says */
	bool dirty, listed;
	bool names_addresses; /* that may be reserved */
};

struct services {
	struct hash numbers; /* "Service shop/web" -> its number and 1 */
	struct claimant *claimant; /* by number */
	struct owner *owner; /* by number */
	size_t count, capacity, owner_capacity;
	struct owners free; /* numbers of those that have gone */
	struct owners dirty;
	struct claims claims;
	struct reserved reserved;
	bool reserved_known;
	uint64_t view; /* digest of what of this node decides */
	uint64_t set_mask; /* 0: all ones; tests take less, for names of sets to collide */
	/* Of all rows, by table: how many, and the sum of their digests. */
	size_t row_count[TABLE_MAX];
	uint64_t row_sum[TABLE_MAX];
	size_t without_local[POLICY_MAX][FAMILY_MAX]; /* of all owners */
};

/* What there is to compile from, besides what was touched. */
struct services_input {
	struct store *store;
	const struct settings *settings;
	const struct facts *facts;
};

struct services_change {
	struct rows set; /* new or of another value, sorted */
	struct rows removed; /* sorted; without values */
};

/* An object is in the store anew, or in another version, or no longer: call for both versions. */
void services_touch(struct services *services, const struct object *object);
/* Makes anew what was touched. Appends to *change, which the caller clears. */
void services_update(struct services *services, const struct services_input *input,
	struct services_change *change);
/* Makes everything anew, whatever was touched, and appends all rows. */
void services_compile(
	struct services *services, const struct services_input *input, struct rows *rows);
void services_problems(const struct services *services, struct problems *problems);

/*
 * For who shows one owner, "Service shop/web": its plan as objects are now, with claims decided;
 * false where it has none, and none of its claims waits for another to go.
 */
bool services_plan(struct services *services, const struct services_input *input,
	const char *title, struct plan *ret_plan);
struct service_view services_view(
	struct services *services, const struct services_input *input);
const struct problems *services_problems_of(const struct services *services, const char *title);
/* Who has what is claimed; NULL: nobody. And why not the owner. */
const char *services_holder(const struct services *services, const struct claim *claim);
enum claim_rule services_rule(
	const struct services *services, const char *title, const struct claim *claim);
void services_clear(struct services *services);
void services_change_clear(struct services_change *change);

/* Is the table made here, and by nobody else? */
bool table_is_of_services(enum table table);
