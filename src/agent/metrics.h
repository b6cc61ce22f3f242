/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/metric.h"
#include "compile/rows.h"
#include "model/object.h"

/*
 * What Prometheus is told: podwire's own numbers, and those of kube-proxy that have a meaning here,
 * under its names, for dashboards and alerts that are there already. doc/metrics.md lists them all.
 */

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct agent;

/* When something happened that an EndpointSlice tells of. */
struct metrics_trigger {
	uint64_t at_ns; /* since 1970 */
	enum family family;
};

struct metrics {
	uint64_t started_ns, queued_ns, synced_ns; /* since 1970; 0: never */
	struct histogram sync, programming[FAMILY_MAX];
	struct {
		unsigned long total, pending;
	} service_changes, endpoint_changes;
	struct metrics_trigger *trigger; /* of changes that are not applied */
	size_t trigger_count, trigger_capacity;
	size_t endpoints[FAMILY_MAX]; /* in all slices */
	size_t rows[TABLE_MAX]; /* wanted, by the last reconciliation; not those of Services */
	unsigned long sync_errors;
};

void metrics_start(struct agent *agent);
void metrics_clear(struct agent *agent);
/* Something has changed, and is to be read and applied. */
void metrics_queued(struct agent *agent);
/* An object has changed: NULL stands for none. */
void metrics_changed(struct agent *agent, const struct object *old, const struct object *new);
/* A reconciliation, begun at that time, has applied what had changed, or has failed. */
void metrics_synced(struct agent *agent, uint64_t begun_monotonic_ns, bool good);

/* All of them, as text. */
void metrics_print(struct agent *agent, struct text *text);
