/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

/*
 * What a plain (unquoted) scalar means: the table of sigs.k8s.io/yaml, which kubectl and the API
 * server go by. It is YAML 1.1 with differences: y and n are bools, 1:30 and dates are strings,
 * a leading zero is octal where the digits allow it and a decimal number where not.
 * `scalar` ends with a NUL. -EINVAL for what JSON cannot hold: infinity, 64 bits without a sign.
 */
int yaml_scalar_resolve(const char *scalar, json_t **ret_value, struct err *err);
