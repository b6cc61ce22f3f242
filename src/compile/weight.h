/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/endpoints.h"
#include "model/service.h"

/*
 * What a node tells load balancers of a Service with externalTrafficPolicy Local: how many ready
 * endpoints it has, counted by address. What is ending does not count, though it still serves.
 */
unsigned int service_weight(const struct service *service, const struct slices *slices,
	enum family family, const char *node);
