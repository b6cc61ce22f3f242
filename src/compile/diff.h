/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/rows.h"

enum change { CHANGE_ADD, CHANGE_SET, CHANGE_REMOVE, CHANGE_MAX };

struct difference {
	enum change change;
	const struct row *row; /* the wanted one; of REMOVE the held one. Owned by its rows. */
};

struct differences {
	struct difference *item;
	size_t count;
	size_t capacity;
};

/*
 * What turns `held` into `wanted`, both sorted: additions and changes in the order of tables, then
 * removals in the reverse order, so that nothing in use is ever missing (make before break).
 */
void rows_diff(const struct rows *held, const struct rows *wanted, struct differences *ret);
/* The same from what is to be written and what is to go, both sorted. */
void rows_changes(const struct rows *set, const struct rows *removed, struct differences *ret);
void differences_clear(struct differences *differences);
const char *change_sign(enum change change); /* "+", "~", "-" */
