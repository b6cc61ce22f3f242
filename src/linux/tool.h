/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Programs of the system that podwire starts and waits for. They are looked for in /usr/sbin, /sbin
 * and /usr/bin, never in PATH, get an empty environment and no descriptor but their pipes, and are
 * killed after `seconds`. An agent without root hands them CAP_NET_ADMIN, which therefore must
 * still be in its bounding set (privilege.h).
 */
#define TOOL_ARGUMENTS 4

struct tool {
	const char *name;
	const char *package; /* that brings it */
	unsigned int seconds;
	size_t output_max; /* of what it says; more is not read, and it is ended */
};

bool tool_is_there(const struct tool *tool);
/* `words`: TOOL_ARGUMENTS, or NULL behind the last one. What it says where it fails is the reason. */
int tool_run(const struct tool *tool, const char *const *words, const char *input,
	struct text *output, struct err *err);
