/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * Makes the machinery agree with the objects, whatever is there: starts and stops nodes and Pods,
 * completes the objects as the controllers would, tells agents and resolvers, saves. New Pods run
 * and are in the EndpointSlices before old ones go.
 *
 * An object that cannot be completed is an error before anything is touched. A Pod that gets no
 * network leaves all else in place; it is reported at the end.
 */
int lab_converge(struct lab *lab, struct err *err);

/* The network without nodes: the fabric and the client outside. For a new lab. */
int lab_ground(const struct lab *lab, struct err *err);
