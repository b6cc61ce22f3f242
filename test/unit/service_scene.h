/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"
#include "model/store.h"

#include <stdint.h>

/*
 * Random Services, slices, nodes and pods, of so few addresses, ports and names that they meet.
 * The same seed gives the same objects.
 */

#define SCENE_ADDRESSES 6 /* of each kind and family */
#define SCENE_SERVICES 4
#define SCENE_SLICES 12
#define SCENE_PODS 4

enum scene_kind { SCENE_CLUSTER, SCENE_BALANCER, SCENE_EXTERNAL, SCENE_ENDPOINT, SCENE_KINDS };

/* The n-th address of a kind: load balancers and external addresses share some. */
struct addr scene_address(enum scene_kind kind, enum family family, unsigned int n);

/* One object, the next version of one that may be in the store, or the removal of one. */
struct scene_step {
	struct object *object; /* NULL: remove */
	enum kind kind;
	char *namespace, *name;
};

/* Randomly what happens next. The caller clears it. */
void scene_step(uint64_t *random, struct scene_step *ret_step);
void scene_step_clear(struct scene_step *step);
