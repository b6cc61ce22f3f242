/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"
#include "lab/probe.h"

/*
 * `check`: a table of expectations against real packets. A list (or the list under `check`) of
 *
 *   from:     outside, a node, NAMESPACE/POD or NAMESPACE/WORKLOAD; '*' and '?' match
 *   to:       the same, or an address, or service/NAMESPACE/NAME for its cluster addresses
 *   port:     of the other end; without it the Pod's first port
 *   protocol: TCP (default) or UDP
 *   family:   ipv4 or ipv6; without it every family that both have
 *   expect:   reachable (default), refused or unreachable
 *   source:   whom the other end sees: pod (the source's own address), node (that of its node),
 *             or an address
 */

enum check_source { CHECK_SOURCE_ANY, CHECK_SOURCE_POD, CHECK_SOURCE_NODE, CHECK_SOURCE_ADDRESS };

struct expectation {
	char *from, *to;
	uint16_t port; /* 0: the first */
	bool is_udp;
	bool families[FAMILY_MAX];
	enum probe_outcome outcome;
	enum check_source source;
	struct addr address; /* with CHECK_SOURCE_ADDRESS */
};

struct expectations {
	struct expectation *list;
	size_t count, capacity;
};

int expectations_parse(json_t *tree, struct expectations *ret_expectations, struct err *err);
void expectations_clear(struct expectations *expectations);

struct check {
	const char *path;
	unsigned int wait_seconds; /* what fails is tried again for so long */
};

/* Prints what is not as expected. *ret_failed: how many connections. */
int lab_check(const struct lab *lab, const struct check *check, size_t *ret_failed, struct err *err);
