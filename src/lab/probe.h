/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"
#include "lab/party.h"

/*
 * Real connections from inside the sources' namespaces: TCP by a request, UDP by a datagram, all
 * of one source at once.
 */

enum probe_outcome {
	PROBE_REACHED,
	PROBE_REFUSED,	   /* reset or port unreachable */
	PROBE_UNREACHABLE, /* no answer in time, or an error that says so */
	PROBE_OUTCOME_MAX,
};

struct probe {
	const struct party *from;
	const struct party *to; /* NULL: an address that is nobody's */
	struct addr address;
	uint16_t port;
	bool is_udp;
	size_t tag; /* the caller's */
	/* Results. */
	enum probe_outcome outcome;
	struct addr seen;  /* as whom the other end saw the source; all zero: it did not say */
	char answered[320]; /* "namespace/name" of the pod that answered, or "" */
};

struct probes {
	struct probe *list;
	size_t count, capacity;
};

const char *probe_outcome_name(enum probe_outcome outcome);
/* PROBE_OUTCOME_MAX: none. */
enum probe_outcome probe_outcome_parse(const char *name);

/* The caller fills what is above the results. */
struct probe *probes_add(struct probes *probes);
void probes_clear(struct probes *probes);
#define _probes_ _cleanup_(probes_clear)

#define PROBE_TIMEOUT_MS 1000

/* Fills the results. Probes of one source should stand together: they run at once. */
int probes_run(const struct lab *lab, struct probes *probes, unsigned int timeout_ms,
	struct err *err);

/* Whether the address that the other end saw is one of the source's own. */
bool probe_seen_is_own(const struct lab *lab, const struct probe *probe);
