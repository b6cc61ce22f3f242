/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"
#include "agent/control.h"
#include "compile/plan.h"
#include "model/service.h"

/*
 * Answers about Services and flows. What is long is given in pieces, each with where the next one
 * begins, so that neither the loop waits nor memory grows with the cluster.
 */
void show_services(void *agent, struct control_request *request, struct text *reply);
void show_service(void *agent, struct control_request *request, struct text *reply);
void show_flows(void *agent, struct control_request *request, struct text *reply);

/* One owner of frontends, a Service or a pod with host ports, while its plan lives. */
struct show {
	struct agent *agent;
	struct services_input input;
	const struct object *object;
	char *title; /* "Service shop/web" */
	const struct service *service; /* NULL: a pod */
	struct plan plan;
};

/* False where nothing is planned for it. Either way show_end. */
bool show_start(struct show *show, struct agent *agent, const struct object *object);
void show_end(struct show *show);
/* Its ports, each in each family, with their frontends. */
json_t *show_targets(const struct show *show);

json_t *show_address(const struct addr *addr); /* "" where none is given */
const char *show_policy(enum traffic_policy policy);
const char *show_type(const struct service *service);
const char *show_string(const char *text); /* "" for NULL */

/* Optional parameters that are strings; -1 where the reply says what is wrong. */
int show_read_strings(struct control_request *request, struct text *reply,
	const char *const *keys, const char **values, size_t count);
