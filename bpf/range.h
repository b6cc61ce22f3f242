/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <stdbool.h>

#include "bpf/tables.h"

/* Ranges of addresses: a handful by comparison, the nodes' by one hash lookup for each length. */

static __always_inline bool range_has(const struct settings_range *range, const struct addr *a)
{
	return (a->halves[0] & range->mask.halves[0]) == range->first.halves[0] &&
	       (a->halves[1] & range->mask.halves[1]) == range->first.halves[1];
}

static __always_inline bool range_in_own(const struct settings_row *now, const struct addr *a)
{
	return range_has(&now->own[SETTINGS_IPV4], a) || range_has(&now->own[SETTINGS_IPV6], a);
}

static __always_inline bool range_in_cluster(const struct settings_row *now, const struct addr *a)
{
	int i;

	for (i = 0; i < SETTINGS_RANGES; i++)
		if (range_has(&now->cluster[i], a))
			return true;
	return false;
}

/* Addresses that the API server gives to Services, given or not. */
static __always_inline bool range_in_service(const struct settings_row *now, const struct addr *a)
{
	int i;

	for (i = 0; i < SETTINGS_RANGES; i++)
		if (range_has(&now->service[i], a))
			return true;
	return false;
}

static __always_inline bool range_keeps_source(const struct settings_row *now, const struct addr *a)
{
	int i;

	for (i = 0; i < SETTINGS_RANGES; i++)
		if (range_has(&now->no_masquerade[i], a))
			return true;
	return false;
}

/* The node in whose pod range the address is, or NULL. */
static __always_inline const struct node_row *range_lookup(
	const struct settings_row *now, __u8 family, const struct addr *a)
{
	const struct settings_length *lengths =
		now->lengths[family == 4 ? SETTINGS_IPV4 : SETTINGS_IPV6];
	int i;

	for (i = 0; i < SETTINGS_LENGTHS; i++) {
		struct range_key key = {.length = lengths[i].length};
		const struct node_row *row;

		if (!key.length)
			break;
		key.first.halves[0] = a->halves[0] & lengths[i].mask.halves[0];
		key.first.halves[1] = a->halves[1] & lengths[i].mask.halves[1];
		row = bpf_map_lookup_elem(&pw_range, &key);
		if (row)
			return row;
	}
	return NULL;
}
