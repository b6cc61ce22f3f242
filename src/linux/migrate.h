/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <linux/bpf.h>

/*
 * From one layout of the tables to another: an upgrade, and by the same steps a rollback.
 *
 * Each layout has its own directory of pins, BPFDIR/HASH, and its programs know no other. What
 * compile owns is made anew from the objects. What the programs have learned themselves (flows,
 * fragments, counts, drops) exists nowhere else and is taken over:
 *
 * - A table of the same form is shared: one table, pinned in both directories, so that the
 *   programs of both layouts work on it while they replace each other.
 * - Of another form, rows are copied: the common beginning of key and value, zeros behind it. So a
 *   learned key or value may only grow at its end, where zero means "not known"; then each of two
 *   releases can read what the other has learned without knowing what the newer one added. An
 *   array has no rows that could be told from empty ones: where its form changes it starts anew.
 *
 * The order: share, load, fill what compile owns, copy, swap the programs, finish. Wherever that
 * breaks off, the next start, of either release, does it again: rows that are there are never
 * overwritten, and pins go only when nobody works on them any more.
 *
 * `own` is the directory of this layout, in `directory`.
 */

/* Pins in `own` what another layout has of this table, if it is a learned one of the same form. */
int migrate_share(const char *directory, const char *own, const struct bpf_map_info *form,
	struct err *err);
/* Copies learned rows of other layouts that ours lacks. Without another layout it does nothing. */
int migrate_copy(const char *directory, const char *own, struct err *err);
/* No program of another layout runs any more: what came meanwhile is copied, their pins go. */
int migrate_finish(const char *directory, const char *own, struct err *err);
