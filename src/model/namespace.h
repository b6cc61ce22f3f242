/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/object.h"

/* Has the label kubernetes.io/metadata.name always, as the API server sees to it. */
struct namespace {
	struct object object;
};

const struct namespace *object_namespace_const(const struct object *object);
