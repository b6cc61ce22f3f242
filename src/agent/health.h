/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/hash.h"
#include "model/object.h"
#include "model/settings.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What load balancers and monitors ask this node (kubernetes.md section 2.6), as kube-proxy answers:
 *
 *	healthzBindAddresses    /healthz and /livez: does the node follow its objects?
 *	healthCheckNodePort     of each Service that is to have one: how many endpoints are here?
 *	metricsBindAddresses    /metrics (metrics.h), /proxyMode, /healthz
 *
 * Listeners come and go with their Services. A port that somebody else holds is a problem in the
 * status, and tried again with each reconciliation.
 */

struct agent;
struct http_listener;

enum health_page { HEALTH_HEALTHZ, HEALTH_LIVEZ, HEALTH_PAGE_MAX };

struct health {
	struct http_listener *healthz[SETTINGS_BINDS], *metrics[SETTINGS_BINDS];
	struct hash services; /* "shop/web" -> struct health_service */
	uint64_t queued_ns; /* when the oldest change came that is not applied; 0: all are */
	uint64_t applied_ns; /* the last time, since 1970 */
	unsigned long answered[HEALTH_PAGE_MAX][2]; /* with 200, with 503 */
};

/* An object has changed: NULL stands for none. */
void health_changed(struct agent *agent, const struct object *old, const struct object *new);
/* Something has changed, and is to be read and applied. */
void health_queued(struct agent *agent);
/* All that had changed is applied. */
void health_applied(struct agent *agent);
/* Makes listeners as the settings and Services want them. Adds to the agent's problems. */
void health_keep(struct agent *agent);
void health_clear(struct agent *agent);
