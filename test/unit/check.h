/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every unit test includes: cmocka with what it needs before it, and short ways to say things.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"

/* A small generator with a state of one's own: the same numbers in every run and on every machine.
 */
static inline uint32_t check_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* 0: passed. The name of the case is printed where one of a table fails. */
static inline void check_case(const char *name, const char *got, const char *wanted)
{
	if (strcmp(got ? got : "(none)", wanted ? wanted : "(none)") == 0)
		return;
	print_error("case: %s\n got:    %s\n wanted: %s\n", name, got ? got : "(none)",
		wanted ? wanted : "(none)");
	fail();
}
