/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

/*
 * What stands in for a container: it answers on each port that the container declares, in both
 * families. TCP: HTTP/1.1, any method and path; UDP: one datagram for each datagram. The body is
 * one line of JSON that says who answered and whom it saw:
 *
 *   {"pod":"ns/name","node":...,"client":ADDRESS,"client_port":...,"local":ADDRESS,
 *    "local_port":...,"proto":"TCP","container":...}
 */

struct responder_identity {
	const char *pod; /* "namespace/name" */
	const char *node;
	const char *container;
};

/*
 * Opens the listeners of `container` (an element of spec.containers) in the current network
 * namespace and serves until killed. What could not be opened is written as a JSON array of
 * sentences to `report`, which is then closed: end of file means that the rest answers.
 */
_Noreturn void responder_run(
	const struct responder_identity *identity, const json_t *container, int report);
