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

struct choice {
	struct backends cluster; /* ready and near by the hints; none: all that serve to their end */
	struct backends local; /* ready on this node; none: here those that serve to their end */
	struct backends serving; /* whatever serves: a UDP flow may stay with it */
	bool any; /* is there one in the whole cluster, for whomever */
};

void endpoints_choose(const struct slices *slices, const struct endpoint_wish *wish,
	const struct service_view *view, struct choice *ret_choice);
void choice_clear(struct choice *choice);

bool backends_equal(const struct backends *a, const struct backends *b);
void backends_add(struct backends *backends, const struct backend_row *backend);
