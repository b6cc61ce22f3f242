/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * What the API server gives a Service: families, cluster addresses, node ports. Addresses and
 * ports go upwards from a cursor, so one that was freed is not given again at once.
 */
int services_complete(struct lab *lab, struct err *err);

/* spec.clusterIPs of the family, or "" (also for "None"). */
const char *service_address(const json_t *service, enum family family);
bool service_is_headless(const json_t *service);
