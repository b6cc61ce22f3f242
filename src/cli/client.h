/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <jansson.h>

/*
 * Asks the agent over its socket, in varlink's wire form: one JSON object and a NUL byte each way.
 * `directory` is the run directory. *ret_parameters is a new reference.
 */
int client_call(const char *directory, const char *method, json_t *parameters,
	json_t **ret_parameters, struct err *err);
