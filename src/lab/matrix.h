/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/* `matrix`: who reaches whom, by real connections. */
struct matrix {
	unsigned int port;  /* 0: each Pod's first */
	bool all;	    /* every Pod, not one of each workload and node */
	const char *format; /* NULL: a table; json */
};

int lab_matrix(const struct lab *lab, const struct matrix *matrix, struct err *err);
