/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/event.h"
#include "abi/flow.h"
#include "abi/verdict.h"
#include "base/err.h"
#include "compile/diff.h"
#include "compile/rows.h"

#include <stdbool.h>

/* The pinned tables, as rows. The agent finds them by their pins: listing by id takes SYS_ADMIN. */

struct tables {
	int fd[TABLE_MAX]; /* -1 for a table of the kernel's own */
	unsigned int size[TABLE_MAX]; /* the most rows that a hash can have; 0: no limit of ours */
	int count;
	int drop;
	int flow;
	int session;
	int usage;
};

/* `directory` holds the pins of one layout. */
int tables_open(const char *directory, struct tables *ret_tables, struct err *err);
void tables_close(struct tables *tables);

/* Appends every row of the maps that are wanted to `rows`; the caller sorts. */
int tables_read(const struct tables *tables, bool (*is_wanted)(enum table table),
	struct rows *rows, struct err *err);

/* What all rows of a map come to, without keeping any: how many, and the sum of their digests. */
struct table_sum {
	size_t count;
	uint64_t sum;
};
int tables_sum(
	const struct tables *tables, enum table table, struct table_sum *ret_sum, struct err *err);

/* The value of one row; -ENOENT: there is none. */
int tables_get(const struct tables *tables, enum table table, const void *key, void *value);
/* Applies one difference of a map. Removing what is gone is no error. */
int tables_apply(const struct tables *tables, const struct difference *difference, struct err *err);

struct table_count {
	enum hook hook;
	unsigned int verdict;
	struct count_row sum; /* over all processors */
};

/* Calls back for each verdict that has counted anything. */
int tables_read_counts(const struct tables *tables,
	void (*each)(const struct table_count *count, void *context), void *context,
	struct err *err);
/*
 * A piece of what the programs have learned, for who must not wait for the whole: rows from *place
 * on, which is 0 at first and then where the next piece begins. Returns 1 while there is more.
 */
int tables_read_sessions(const struct tables *tables, uint32_t *place,
	void (*each)(const struct session_key *key, const struct session_row *row, void *context),
	void *context, struct err *err);
int tables_read_flows(const struct tables *tables, uint32_t *place,
	void (*each)(const struct flow_key *key, const struct flow_row *row, void *context),
	void *context, struct err *err);
/* One row of them; false where there is none. */
bool tables_get_usage(
	const struct tables *tables, const struct usage_key *port, struct usage_row *ret_usage);
bool tables_get_session(const struct tables *tables, const struct session_key *key,
	struct session_row *ret_row);
bool tables_get_flow(
	const struct tables *tables, const struct flow_key *key, struct flow_row *ret_row);

int tables_read_drops(const struct tables *tables,
	void (*each)(const struct drop_key *key, const struct drop_row *row, void *context),
	void *context, struct err *err);
