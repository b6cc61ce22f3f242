/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/plan.h"

/*
 * Who has what two owners claim. A claim is won where no other on the same key goes before it, and
 * where its gate is not another's: the gate of a port is the address that it is on, which the
 * Service whose cluster address it is has as a whole; the gate of a host port on one address is
 * the node port on all of them.
 *
 * A claim goes before another by rank, then by age of the owner, then by its name. So the outcome
 * depends on who claims what, never on who came first here.
 */

/* Owners are numbered by the caller, who knows their names. */
struct claimant {
	const char *name; /* the caller's */
	uint64_t created;
	uint32_t first; /* of its claims, or CLAIMS_NONE */
};

#define CLAIMS_NONE UINT32_MAX

/* What makes a claim go before another one. */
enum claim_rule { CLAIM_BY_RANK, CLAIM_BY_AGE, CLAIM_BY_NAME, CLAIM_RULE_MAX };

struct claim_entry {
	struct service_key key;
	uint32_t owner, next; /* in the bucket, or of what is free */
	uint32_t next_of_owner;
	uint8_t rank; /* enum claim_rank */
	bool waits; /* it claims something else, whose gate this is */
	bool stays; /* while an owner's claims are compared */
};

struct claims {
	struct claim_entry *entry;
	size_t count, capacity; /* with the free ones */
	uint32_t free;
	uint32_t *bucket;
	size_t bucket_count, used;
};

/* Who has to be looked at again, by number. Each may stand in it more than once. */
struct owners {
	uint32_t *list;
	size_t count, capacity;
};

void owners_add(struct owners *owners, uint32_t owner);

/*
 * What `owner` claims is from now on what the plan says. Whoever else may win or lose something
 * by that is added to `affected`.
 */
void claims_set(struct claims *claims, struct claimant *claimants, uint32_t owner,
	const struct plan *plan, struct owners *affected);
/* Fills `won` in the plan's claims, which have been set. */
void claims_decide(const struct claims *claims, const struct claimant *claimants, uint32_t owner,
	struct plan *plan);
/* Who has the key or, where `gate`, what the key is behind; CLAIMS_NONE: nobody. */
uint32_t claims_holder(const struct claims *claims, const struct claimant *claimants,
	const struct claim *claim);
/* Why the holder's claim goes before this one of `owner`, which was lost. */
enum claim_rule claims_rule(const struct claims *claims, const struct claimant *claimants,
	const struct claim *claim, uint32_t owner);
void claims_clear(struct claims *claims);
