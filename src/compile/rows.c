/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/rows.h"

#include "base/digest.h"
#include "base/mem.h"

#include <string.h>

const struct table_info table_infos[TABLE_MAX] = {
	[TABLE_ADDRESS] = {"address", NULL, sizeof(struct address_key), sizeof(struct address_value)},
	[TABLE_ROUTE] = {"route", NULL, sizeof(struct route_key), sizeof(struct route_value)},
	[TABLE_NEIGHBOR] = {"neighbor", NULL, sizeof(struct neighbor_key),
		sizeof(struct neighbor_value)},
	[TABLE_NODE] = {"node", "pw_node", sizeof(struct addr), sizeof(struct node_row)},
	[TABLE_RANGE] = {"range", "pw_range", sizeof(struct range_key), sizeof(struct node_row)},
	[TABLE_POD] = {"pod", "pw_pod", sizeof(struct addr), sizeof(struct pod_row)},
	[TABLE_BACKEND] = {"backend", "pw_backend", sizeof(struct backend_key),
		sizeof(struct backend_row)},
	[TABLE_MEMBER] = {"member", "pw_member", sizeof(struct member_key),
		sizeof(struct member_row)},
	[TABLE_MAGLEV] = {"maglev", "pw_maglev", sizeof(struct maglev_key),
		sizeof(struct maglev_row)},
	[TABLE_SOURCE] = {"source", "pw_source", sizeof(struct source_key),
		sizeof(struct source_row)},
	[TABLE_SERVICE] = {"service", "pw_service", sizeof(struct service_key),
		sizeof(struct service_row)},
	[TABLE_NETNS] = {"netns", "pw_netns", sizeof(__u64), sizeof(struct netns_row)},
	[TABLE_SETTINGS] = {"settings", "pw_settings", sizeof(__u32), sizeof(struct settings_row)},
};

/*
 * Rows come and go by the ten thousand, so they are not allocated one by one: what lives on would
 * keep the pages between them. From its largest size on a block is pages of its own.
 */
struct rows_block {
	struct rows_block *next;
	size_t used, size;
	_Alignas(8) char memory[];
};

#define ROWS_BLOCK_MIN 1024
#define ROWS_BLOCK_MAX (256 * 1024)
_Static_assert(sizeof(struct settings_row) < ROWS_BLOCK_MAX / 2, "any row fits");

static size_t rows_align(size_t size)
{
	return (size + 7) & ~(size_t)7; /* keys and values have 8-byte members */
}

static void *rows_take(struct rows *rows, size_t size)
{
	struct rows_block *block = rows->blocks;
	void *taken;

	if (!block || block->size - block->used < size) {
		size_t next = block ? 2 * block->size : ROWS_BLOCK_MIN;

		while (next < size)
			next *= 2;
		if (next > ROWS_BLOCK_MAX)
			next = ROWS_BLOCK_MAX;
		block = mem_new(1, sizeof(*block) + next);
		block->size = next;
		block->next = rows->blocks;
		rows->blocks = block;
	}
	taken = block->memory + block->used;
	block->used += size;
	return taken;
}

void rows_add(struct rows *rows, enum table table, const void *key, const void *value)
{
	const struct table_info *info = &table_infos[table];
	size_t value_offset = rows_align(info->key_size);
	struct row *row;

	rows->row = mem_grow(rows->row, &rows->capacity, rows->count + 1, sizeof(*rows->row));
	row = &rows->row[rows->count++];
	row->table = table;
	row->key = rows_take(rows, value_offset + rows_align(info->value_size));
	row->value = (char *)row->key + value_offset;
	memcpy(row->key, key, info->key_size);
	memcpy(row->value, value, info->value_size);
}

uint64_t row_digest(enum table table, const void *key, const void *value)
{
	struct digest digest;

	digest_start(&digest, (uint64_t)table, 0);
	digest_add(&digest, key, table_infos[table].key_size);
	digest_add(&digest, value, table_infos[table].value_size);
	return digest_end(&digest);
}

static int row_compare(const void *left, const void *right)
{
	const struct row *a = left, *b = right;

	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return memcmp(a->key, b->key, table_infos[a->table].key_size);
}

/* Stable, so that "the first added stays" means something; rows come nearly sorted. */
static void rows_merge_sort(struct row *row, struct row *scratch, size_t count)
{
	size_t half = count / 2, left = 0, right = half, at = 0;

	if (count < 2)
		return;
	rows_merge_sort(row, scratch, half);
	rows_merge_sort(row + half, scratch, count - half);
	while (left < half && right < count)
		scratch[at++] = row_compare(&row[right], &row[left]) < 0 ? row[right++]
									 : row[left++];
	while (left < half)
		scratch[at++] = row[left++];
	while (right < count)
		scratch[at++] = row[right++];
	memcpy(row, scratch, count * sizeof(*row));
}

void rows_sort(struct rows *rows)
{
	_free_ struct row *scratch = mem_new(rows->count, sizeof(*scratch));
	size_t kept = 0;

	rows_merge_sort(rows->row, scratch, rows->count);
	for (size_t i = 0; i < rows->count; i++)
		if (!kept || row_compare(&rows->row[kept - 1], &rows->row[i]) != 0)
			rows->row[kept++] = rows->row[i];
	rows->count = kept;
}

void rows_clear(struct rows *rows)
{
	while (rows->blocks) {
		struct rows_block *next = rows->blocks->next;

		free(rows->blocks);
		rows->blocks = next;
	}
	free(rows->row);
	*rows = (struct rows){0};
}

const struct row *rows_find(const struct rows *rows, enum table table, const void *key)
{
	struct row wanted = {.table = table, .key = (void *)key};

	if (!rows->count)
		return NULL;
	return bsearch(&wanted, rows->row, rows->count, sizeof(*rows->row), row_compare);
}
