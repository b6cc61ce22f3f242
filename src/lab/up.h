/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"
#include "model/load.h"

struct up {
	const char *name;
	unsigned int nodes; /* 0: those of the manifests, else 3 */
	struct lab_settings settings; /* `plugin` may be NULL: found */
	struct load_result *manifests;
	bool quiet;
};

/*
 * Makes a lab. A child does the work, so that whatever ends it (an error, a crash, a signal to the
 * command) leaves the parent to take away what it had made.
 */
int lab_up(const struct up *up, struct err *err);
