/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"

#include <stdbool.h>

/* GC's lists of the attachments that the runtime still knows. */

#define VALID_KEYS 2

struct valid {
	struct json_at list[VALID_KEYS]; /* value NULL: not given */
};

/*
 * Judged whole before anything goes: what cannot be read might have been valid. The lists are
 * borrowed from `config`.
 */
int valid_read(const struct json_at *config, struct valid *ret_valid, struct err *err);
/* A request without any list says nothing about anything; an empty one, that nothing is valid. */
bool valid_is_given(const struct valid *valid);
/* What either list names is valid. */
bool valid_has(const struct valid *valid, const char *container, const char *ifname);
