/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/plan.h"
#include "compile/view.h"
#include "model/pod.h"

/* The host ports of a pod on this node, as frontends with one backend. Other pods have none. */
void plan_pod(struct plan *plan, const struct pod *pod, const struct service_view *view);
bool pod_has_host_ports(const struct pod *pod);
