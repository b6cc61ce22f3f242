/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/diff.h"

#include "base/mem.h"

#include <string.h>

static const char *const change_signs[] = {
	[CHANGE_ADD] = "+", [CHANGE_SET] = "~", [CHANGE_REMOVE] = "-"};
_Static_assert(ARRAY_SIZE(change_signs) == CHANGE_MAX, "a sign for each change");

const char *change_sign(enum change change)
{
	return change_signs[change];
}

static void differences_add(
	struct differences *differences, enum change change, const struct row *row)
{
	differences->item = mem_grow(differences->item, &differences->capacity,
		differences->count + 1, sizeof(*differences->item));
	differences->item[differences->count++] = (struct difference){change, row};
}

void rows_diff(const struct rows *held, const struct rows *wanted, struct differences *ret)
{
	for (size_t i = 0; i < wanted->count; i++) {
		const struct row *row = &wanted->row[i];
		const struct row *old = rows_find(held, row->table, row->key);

		if (!old)
			differences_add(ret, CHANGE_ADD, row);
		else if (memcmp(old->value, row->value, table_infos[row->table].value_size))
			differences_add(ret, CHANGE_SET, row);
	}
	for (size_t i = held->count; i-- > 0;) {
		const struct row *row = &held->row[i];

		if (!rows_find(wanted, row->table, row->key))
			differences_add(ret, CHANGE_REMOVE, row);
	}
}

void rows_changes(const struct rows *set, const struct rows *removed, struct differences *ret)
{
	for (size_t i = 0; i < set->count; i++)
		differences_add(ret, CHANGE_SET, &set->row[i]);
	for (size_t i = removed->count; i-- > 0;)
		differences_add(ret, CHANGE_REMOVE, &removed->row[i]);
}

void differences_clear(struct differences *differences)
{
	free(differences->item);
	*differences = (struct differences){0};
}
