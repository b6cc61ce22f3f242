/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * What the API server does with an object before it stores it: what only the server writes is
 * taken from `old` (NULL: the object is new), defaults are filled in, and the model judges.
 * The reason names the field.
 */
int object_prepare(const struct lab *lab, json_t *tree, const json_t *old, struct err *err);
