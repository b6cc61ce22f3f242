/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/tables.h"

#include "base/mem.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#define TABLES_KEY_MAX 64 /* more than any key of a map has */
#define TABLES_PIECE 512
#define TABLES_PIECE_MAX 65536

static int tables_open_one(const char *directory, const char *map, int *ret_fd, struct err *err)
{
	_free_ char *path = mem_format("%s/%s", directory, map);
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return err_system(err, errno, "opening the table pinned at %s", path);
	*ret_fd = fd;
	return 0;
}

/* An array has all its rows from the start. */
static unsigned int tables_size(int fd)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0 || info.type == BPF_MAP_TYPE_ARRAY)
		return 0;
	return info.max_entries;
}

static void tables_empty(struct tables *tables)
{
	*tables = (struct tables){
		.count = -1, .drop = -1, .flow = -1, .session = -1, .usage = -1};
	for (int i = 0; i < TABLE_MAX; i++)
		tables->fd[i] = -1;
}

int tables_open(const char *directory, struct tables *ret_tables, struct err *err)
{
	_cleanup_(tables_close) struct tables tables;
	const struct {
		const char *map;
		int *fd;
	} learned[] = {{"pw_count", &tables.count}, {"pw_drop", &tables.drop},
		{"pw_flow", &tables.flow}, {"pw_session", &tables.session},
		{"pw_usage", &tables.usage}};
	int r = 0;

	tables_empty(&tables);
	for (int i = 0; i < TABLE_MAX; i++) {
		if (!table_infos[i].map)
			continue;
		r = tables_open_one(directory, table_infos[i].map, &tables.fd[i], err);
		if (r < 0)
			return r;
		tables.size[i] = tables_size(tables.fd[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(learned) && r == 0; i++)
		r = tables_open_one(directory, learned[i].map, learned[i].fd, err);
	if (r < 0)
		return r;
	*ret_tables = tables;
	tables_empty(&tables);
	return 0;
}

void tables_close(struct tables *tables)
{
	for (int i = 0; i < TABLE_MAX; i++)
		mem_close(&tables->fd[i]);
	mem_close(&tables->count);
	mem_close(&tables->drop);
	mem_close(&tables->flow);
	mem_close(&tables->session);
	mem_close(&tables->usage);
}

/* A map is read a piece at a time, so many rows in a system call. */
struct piece {
	unsigned char *keys, *values;
	__u32 count;
};

static void piece_make(struct piece *piece, const struct table_info *info, __u32 count)
{
	free(piece->keys);
	free(piece->values);
	piece->count = count;
	piece->keys = mem_new(count, info->key_size);
	piece->values = mem_new(count, info->value_size);
}

static void piece_clear(struct piece *piece)
{
	free(piece->keys);
	free(piece->values);
}

static int tables_walk(int fd, enum table table,
	void (*each)(enum table table, const void *key, const void *value, void *context),
	void *context, struct err *err)
{
	const struct table_info *info = &table_infos[table];
	_cleanup_(piece_clear) struct piece piece = {0};
	unsigned char at[TABLES_KEY_MAX];
	void *from = NULL;

	piece_make(&piece, info, TABLES_PIECE);
	for (;;) {
		__u32 count = piece.count;
		int r = bpf_map_lookup_batch(
			fd, from, at, piece.keys, piece.values, &count, NULL);

		if (r < 0 && errno == ENOSPC && piece.count < TABLES_PIECE_MAX) {
			piece_make(&piece, info, 2 * piece.count); /* a bucket has more rows */
			continue;
		}
		if (r < 0 && errno != ENOENT)
			return err_system(err, errno, "reading the table %s", info->map);
		for (__u32 i = 0; i < count; i++)
			each(table, piece.keys + i * info->key_size,
				piece.values + i * info->value_size, context);
		if (r < 0)
			return 0;
		from = at;
	}
}

static void tables_add_row(enum table table, const void *key, const void *value, void *context)
{
	rows_add(context, table, key, value);
}

int tables_read(const struct tables *tables, bool (*is_wanted)(enum table table),
	struct rows *rows, struct err *err)
{
	for (enum table table = 0; table < TABLE_MAX; table++) {
		int r = 0;

		if (tables->fd[table] >= 0 && is_wanted(table))
			r = tables_walk(tables->fd[table], table, tables_add_row, rows, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void tables_sum_row(enum table table, const void *key, const void *value, void *context)
{
	struct table_sum *sum = context;

	sum->count++;
	sum->sum += row_digest(table, key, value);
}

int tables_sum(
	const struct tables *tables, enum table table, struct table_sum *ret_sum, struct err *err)
{
	*ret_sum = (struct table_sum){0};
	return tables_walk(tables->fd[table], table, tables_sum_row, ret_sum, err);
}

int tables_get(const struct tables *tables, enum table table, const void *key, void *value)
{
	return bpf_map_lookup_elem(tables->fd[table], key, value) < 0 ? -errno : 0;
}

int tables_apply(const struct tables *tables, const struct difference *difference, struct err *err)
{
	const struct row *row = difference->row;
	const struct table_info *info = &table_infos[row->table];
	int fd = tables->fd[row->table];

	if (difference->change == CHANGE_REMOVE) {
		/* An array's row cannot go; the settings' one is only ever replaced. */
		if (bpf_map_delete_elem(fd, row->key) < 0 && errno != ENOENT && errno != EINVAL)
			return err_system(err, errno, "removing a row of the table %s", info->map);
		return 0;
	}
	if (bpf_map_update_elem(fd, row->key, row->value, BPF_ANY) == 0)
		return 0;
	if (errno == E2BIG || errno == ENOSPC) /* a hash says the one, a trie the other */
		return err_set(err, E2BIG, "the table %s is full", info->map);
	return err_system(err, errno, "writing a row of the table %s", info->map);
}

int tables_read_counts(const struct tables *tables,
	void (*each)(const struct table_count *count, void *context), void *context,
	struct err *err)
{
	int processors = libbpf_num_possible_cpus();
	_free_ struct count_row *values = NULL;

	if (processors < 0)
		return err_system(err, -processors, "counting the processors");
	values = mem_new((size_t)processors, sizeof(*values));
	for (__u32 index = 0; index < COUNT_INDEX(HOOK_MAX, 0); index++) {
		struct table_count count = {.hook = (enum hook)(index / COUNT_VERDICTS),
			.verdict = index % COUNT_VERDICTS};

		if (bpf_map_lookup_elem(tables->count, &index, values) < 0)
			return err_system(err, errno, "reading the table pw_count");
		for (int i = 0; i < processors; i++) {
			count.sum.packets += values[i].packets;
			count.sum.bytes += values[i].bytes;
		}
		if (count.sum.packets)
			each(&count, context);
	}
	return 0;
}

int tables_read_drops(const struct tables *tables,
	void (*each)(const struct drop_key *key, const struct drop_row *row, void *context),
	void *context, struct err *err)
{
	struct drop_key key, next;
	const void *from = NULL;
	struct drop_row row;

	while (bpf_map_get_next_key(tables->drop, from, &next) == 0) {
		key = next;
		from = &key;
		if (bpf_map_lookup_elem(tables->drop, &key, &row) == 0)
			each(&key, &row, context);
	}
	if (errno != ENOENT)
		return err_system(err, errno, "reading the table pw_drop");
	return 0;
}

bool tables_get_usage(
	const struct tables *tables, const struct usage_key *port, struct usage_row *ret_usage)
{
	return bpf_map_lookup_elem(tables->usage, port, ret_usage) == 0;
}

#define TABLES_LEARNED_PIECE 2048 /* more than a bucket has; milliseconds to go through */

/* Fills keys and values; *ret_count of them. 1: there is more behind *place. */
static int tables_piece(int fd, const char *name, uint32_t *place, void *keys, void *values,
	__u32 *ret_count, struct err *err)
{
	uint32_t next = 0;
	int r;

	*ret_count = TABLES_LEARNED_PIECE;
	r = bpf_map_lookup_batch(fd, *place ? place : NULL, &next, keys, values, ret_count, NULL);
	if (r < 0 && errno != ENOENT)
		return err_system(err, errno, "reading the table %s", name);
	*place = next;
	return r == 0;
}

int tables_read_sessions(const struct tables *tables, uint32_t *place,
	void (*each)(const struct session_key *key, const struct session_row *row, void *context),
	void *context, struct err *err)
{
	_free_ struct session_key *keys = mem_new(TABLES_LEARNED_PIECE, sizeof(*keys));
	_free_ struct session_row *rows = mem_new(TABLES_LEARNED_PIECE, sizeof(*rows));
	__u32 count;
	int r = tables_piece(tables->session, "pw_session", place, keys, rows, &count, err);

	for (__u32 i = 0; r >= 0 && i < count; i++)
		each(&keys[i], &rows[i], context);
	return r;
}

int tables_read_flows(const struct tables *tables, uint32_t *place,
	void (*each)(const struct flow_key *key, const struct flow_row *row, void *context),
	void *context, struct err *err)
{
	_free_ struct flow_key *keys = mem_new(TABLES_LEARNED_PIECE, sizeof(*keys));
	_free_ struct flow_row *rows = mem_new(TABLES_LEARNED_PIECE, sizeof(*rows));
	__u32 count;
	int r = tables_piece(tables->flow, "pw_flow", place, keys, rows, &count, err);

	for (__u32 i = 0; r >= 0 && i < count; i++)
		each(&keys[i], &rows[i], context);
	return r;
}

bool tables_get_session(const struct tables *tables, const struct session_key *key,
	struct session_row *ret_row)
{
	return bpf_map_lookup_elem(tables->session, key, ret_row) == 0;
}

bool tables_get_flow(
	const struct tables *tables, const struct flow_key *key, struct flow_row *ret_row)
{
	return bpf_map_lookup_elem(tables->flow, key, ret_row) == 0;
}
