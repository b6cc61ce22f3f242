/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/service.h"
#include "compile/view.h"
#include "model/endpoints.h"

#include <stddef.h>

/*
 * Which endpoints of a Service's port a node may use. The rules are kube-proxy's
 * CategorizeEndpoints (kubernetes.md section 2.2).
 */

/* Sorted by address and port, each pair once: nodes with equal views number them alike. */
struct backends {
	struct backend_row *list;
	size_t count, capacity;
};

/* Of one Service, in any order. */
struct slices {
	const struct endpoint_slice *const *list;
	size_t count;
};

/* What a port of a Service is to its slices: they match by name and protocol, never by number. */
struct endpoint_wish {
	enum family family;
	const char *name; /* NULL: the port without a name */
	enum protocol protocol;
};

/* The most that one list has, or its owner would crowd the others out of the tables. */
#define ENDPOINTS_LIST_MAX 10000

enum endpoint_list {
	ENDPOINTS_CLUSTER, /* ready and near by the hints; none: all that serve to their end */
	ENDPOINTS_LOCAL, /* ready on this node; none: here those that serve to their end */
	ENDPOINTS_LISTS
};

/* What becomes of an endpoint in a list. */
enum endpoint_fate {
	ENDPOINT_USED,
	ENDPOINT_OTHER_FAMILY, /* of the whole slice, */
	ENDPOINT_FOREIGN,
	ENDPOINT_NO_PORT, /* as far as here */
	ENDPOINT_DUPLICATE,
	ENDPOINT_NOT_READY,
	ENDPOINT_TERMINATING,
	ENDPOINT_OTHER_NODE,
	ENDPOINT_OTHER_ZONE,
	ENDPOINT_ELSEWHERE,
	ENDPOINT_BEYOND,
	ENDPOINT_FATE_MAX
};

const char *endpoint_fate_name(enum endpoint_fate fate); /* "other-zone"; never changes */
const char *endpoint_fate_text(enum endpoint_fate fate); /* "its hints name other zones" */

/* An endpoint of a slice that has the port. */
struct candidate {
	const struct endpoint *endpoint;
	const struct endpoint_slice *slice;
	struct backend_row backend;
	bool local;
	enum endpoint_fate fate[ENDPOINTS_LISTS];
};

struct candidates {
	struct candidate *list;
	size_t count, capacity;
};

/* ENDPOINT_USED: its endpoints are candidates. */
enum endpoint_fate slice_fate(const struct endpoint_slice *slice, const struct endpoint_wish *wish);
/* Every candidate with its fate: whoever asks why one is not used is told by who decides it. */
void endpoints_judge(const struct slices *slices, const struct endpoint_wish *wish,
	const struct service_view *view, struct candidates *ret_candidates);
void candidates_clear(struct candidates *candidates);

struct choice {
	struct backends list[ENDPOINTS_LISTS];
	struct backends serving; /* whatever serves: a UDP flow may stay with it */
	size_t can_serve; /* how many do, with those beyond ENDPOINTS_LIST_MAX */
	size_t ready, terminating; /* who are there in the whole cluster, for whomever */
	size_t here; /* of these, on this node */
};

void endpoints_choose(const struct slices *slices, const struct endpoint_wish *wish,
	const struct service_view *view, struct choice *ret_choice);
void choice_clear(struct choice *choice);

bool backends_equal(const struct backends *a, const struct backends *b);
void backends_add(struct backends *backends, const struct backend_row *backend);
