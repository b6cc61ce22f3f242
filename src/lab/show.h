/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/* `get`: the objects as kubectl would print them. */
struct show {
	const char *kinds;	/* "pods", "svc,deploy" or "all" */
	const char *name;	/* NULL: all */
	const char *name_space; /* NULL: of every namespace */
	const char *format;	/* NULL: a table; json, yaml, name, wide */
};

int lab_show(const struct lab *lab, const struct show *show, struct err *err);
