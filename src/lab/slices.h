/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * EndpointSlices as the controllers of Kubernetes make them: from the selectors of Services, per
 * family, with named target ports resolved pod by pod; and from Endpoints objects of Services
 * without selector. Slices that users made are left alone.
 */
void slices_sync(struct lab *lab);
