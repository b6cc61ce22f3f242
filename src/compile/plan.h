/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/endpoints.h"
#include "compile/rows.h"

#include <stdint.h>

/*
 * What one owner, a Service or a pod with host ports, wants: the frontends that it claims and the
 * rows that it has where it is given them. Claims are decided among all owners (claims.h), rows
 * come afterwards, so each half can be made anew without the other owners.
 */

/* In order of precedence (hazards.md D1). */
enum claim_rank {
	CLAIM_CLUSTER, /* an address, with all its ports */
	CLAIM_NODE_PORT,
	CLAIM_LOAD_BALANCER,
	CLAIM_EXTERNAL,
	CLAIM_HOST_PORT,
	CLAIM_SET, /* the name of a set, which two owners may share only by accident */
	CLAIM_RANK_MAX
};

struct claim {
	struct service_key key; /* port 0 of protocol 0: the address itself */
	enum claim_rank rank;
	bool won;
	const char *field; /* "spec.externalIPs": which field says so, */
	size_t index; /* its place in that list, */
	const char *member; /* and ".nodePort" or "" */
};

/* What a set's rows are for. */
enum set_use {
	SET_LIST = 1 << 0, /* to be chosen from */
	SET_MEMBERS = 1 << 1, /* to be asked whether somebody is in it */
	SET_MAGLEV = 1 << 2, /* with slots */
	SET_SOURCES = 1 << 3, /* it holds ranges, not backends */
};

struct plan_set {
	uint64_t id;
	struct backends backends;
	struct prefixes sources;
	size_t claim;
	size_t first; /* the first set of the plan with the same name, mostly itself */
	unsigned int uses; /* of the rows that are made; enum set_use */
};

/* A port of the owner in one family, and who is there for it. */
struct plan_target {
	struct endpoint_wish wish; /* what it is to slices */
	uint16_t port; /* as clients write it: of the Service, or of the pod's host */
	uint64_t name; /* in service_row.port */
	size_t ready, terminating, here; /* as in struct choice */
	size_t used; /* by whom the whole cluster is served */
};

enum plan_list { LIST_INSIDE, LIST_OUTSIDE, LIST_HERE, LIST_MAX };

#define PLAN_NO_SET SIZE_MAX
#define PLAN_NO_TARGET SIZE_MAX

/* Which of a Service's two traffic policies. */
enum plan_policy { POLICY_INTERNAL, POLICY_EXTERNAL, POLICY_MAX };

struct plan_row {
	struct service_key key;
	struct service_row row; /* without what depends on sets */
	size_t claim;
	size_t target; /* or PLAN_NO_TARGET: an address, with what no port of it takes */
	size_t cluster; /* the claim of row.cluster; without row.cluster_port: none */
	size_t list[LIST_MAX], serving, sources; /* sets, or PLAN_NO_SET */
	bool maglev; /* for what comes from outside */
};

struct plan {
	const char *owner; /* "Service shop/web" */
	uint64_t created; /* who was first keeps what two claim */
	uint64_t set_mask; /* all ones; tests take less, for sets to collide */
	struct {
		struct claim *list;
		size_t count, capacity;
	} claims;
	struct {
		struct plan_set *list;
		size_t count, capacity;
	} sets;
	struct {
		struct plan_target *list;
		size_t count, capacity;
	} targets;
	struct {
		struct plan_row *list;
		size_t count, capacity;
	} rows;
	size_t backends; /* in all sets */
	/* Ports that drop, since the policy is Local and all endpoints are elsewhere. */
	uint16_t without_local[POLICY_MAX][FAMILY_MAX];
	struct problems *problems; /* NULL: not wanted */
};

/* Beyond these an owner would crowd the others out of the tables. */
#define PLAN_BACKENDS_MAX 65536 /* of all its sets */
#define PLAN_ROWS_MAX 16384

void plan_clear(struct plan *plan);

/* The place of the claim. */
size_t plan_claim(struct plan *plan, const struct claim *claim);
/* The place of the set, or PLAN_NO_SET for one without backends or ranges. Copies. */
size_t plan_set(struct plan *plan, const struct backends *backends);
size_t plan_sources(struct plan *plan, const struct prefixes *sources);
void plan_row(struct plan *plan, const struct plan_row *row);
/* Gives it a name that no other owner's port has. Returns its place; the wish's name is borrowed. */
size_t plan_target(struct plan *plan, const struct plan_target *target);

/* The rows of what was won. */
void plan_rows(struct plan *plan, struct rows *rows);
