/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "net/addr.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The kernel's connection tracking: UDP flows whose target it translates. Such a flow never ends as
 * long as its sender goes on, and goes on to where it was led once, whoever is there now. (A TCP
 * connection ends by itself, and must not be broken.)
 */

#define CONNTRACK_TUPLE_SIZE 128

struct conntrack_flow {
	struct addr target; /* as the sender wrote it */
	unsigned short port;
	/* By which the kernel finds it again, in its own form. */
	unsigned char tuple[CONNTRACK_TUPLE_SIZE];
	unsigned short tuple_size;
	unsigned short zone;
	unsigned int id; /* network order */
	unsigned char family;
};

/* Translated UDP flows of both families; the caller frees the list. */
int conntrack_read(struct conntrack_flow **ret_list, size_t *ret_count, struct err *err);
/* One that has gone is no error. Another flow of the same ends stays. */
int conntrack_delete(const struct conntrack_flow *flow, struct err *err);
