/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"
#include "model/settings.h"
#include "model/store.h"

/*
 * Whom a packet to a Service may reach, said as plainly as kubernetes.md section 2 says it: no
 * index, no set, no order of work, each question answered from the objects alone. It shares no
 * code with compile.
 */

enum reference_from { FROM_INSIDE, FROM_OUTSIDE, FROM_ANOTHER_NODE, FROM_MAX };
enum reference_target { TO_ADDRESS, TO_THIS_NODE, TO_ANOTHER_NODE, TO_MAX };

struct reference_query {
	enum reference_target target;
	struct addr addr; /* of TO_ADDRESS; of a host port with an address; else unspecified */
	enum family family;
	uint16_t port;
	enum protocol protocol;
	enum reference_from from;
};

/* "none" (of no Service), "refuse", "drop", or the backends in order: "10.0.0.1:80 ". */
void reference_answer(struct store *store, const struct settings *settings,
	const struct reference_query *query, struct text *answer);
/* The ranges that may reach it, in order, or "all" where there is no filter. */
void reference_sources(struct store *store, const struct settings *settings,
	const struct reference_query *query, struct text *answer);
/* Backends that a UDP flow may stay with. */
void reference_serving(struct store *store, const struct settings *settings,
	const struct reference_query *query, struct text *answer);
