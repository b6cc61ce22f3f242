/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/plan.h"
#include "compile/view.h"
#include "model/service.h"

/*
 * One Service and its slices to a plan: which frontends it has, and whom each of them leads to.
 * The rules are kube-proxy's (kubernetes.md section 2.1 to 2.4). Pure, and of one Service only:
 * what others claim is decided in compile/services.h.
 */

/* plan->owner is set. A Service that is not ours to serve leaves the plan empty. */
void plan_service(struct plan *plan, const struct service *service, const struct slices *slices,
	const struct service_view *view);

/* NULL, or why it is not ours to serve. */
const char *service_why_not(const struct service *service);

/* Does the Service name addresses that may be somebody else's? */
bool service_names_addresses(const struct service *service);
