/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/addr.h"
#include "abi/netns.h"
#include "abi/node.h"
#include "abi/pod.h"
#include "abi/service.h"
#include "abi/settings.h"
#include "net/prefix.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What compile makes: rows of tables, sorted by table and key. Some tables are maps that the
 * programs read, with the types of abi/; the rest is what the kernel's own tables must hold for
 * the same purpose. Both are compared, printed and applied in the same way.
 */

/* In the order of making: what a packet may be sent to exists before the row that sends it. */
enum table {
	TABLE_ADDRESS, /* kernel: addresses on the tunnel device */
	TABLE_ROUTE, /* kernel: routes of the main table that bear our protocol */
	TABLE_NEIGHBOR, /* kernel: permanent neighbors of pods */
	TABLE_NODE,
	TABLE_RANGE,
	TABLE_POD,
	TABLE_BACKEND,
	TABLE_MEMBER,
	TABLE_MAGLEV,
	TABLE_SOURCE,
	TABLE_SERVICE,
	TABLE_NETNS,
	TABLE_SETTINGS,
	TABLE_MAX
};

struct address_key {
	struct addr addr;
	__u32 length; /* bits of 128 */
	__u32 ifindex;
};

struct address_value {
	__u32 unused;
};

enum route_kind { ROUTE_KIND_UNICAST, ROUTE_KIND_PROHIBIT, ROUTE_KIND_MAX };

struct route_key {
	struct addr first;
	__u32 length; /* bits of 128 */
	__u32 pad;
};

struct route_value {
	struct addr gateway; /* unspecified: on the link */
	struct addr source; /* preferred for the node's own packets; unspecified: the kernel's choice */
	__u32 kind; /* enum route_kind */
	__u32 ifindex;
	__u32 mtu; /* 0: the device's */
	__u32 pad;
};

struct neighbor_key {
	struct addr addr;
	__u32 ifindex;
	__u32 pad;
};

struct neighbor_value {
	__u8 mac[6];
	__u8 pad[2];
};

struct table_info {
	const char *name; /* as `podwire tables` shows it; of a map, without "pw_" */
	const char *map; /* the pinned map, or NULL for a table of the kernel's own */
	size_t key_size;
	size_t value_size;
};
extern const struct table_info table_infos[TABLE_MAX];

struct row {
	enum table table;
	void *key; /* both the rows' own */
	void *value;
};

struct rows_block;

struct rows {
	struct row *row;
	size_t count;
	size_t capacity;
	struct rows_block *blocks; /* what keys and values stand in, freed as a whole */
};

/* A name for the row with its content, never 0 but by chance. */
uint64_t row_digest(enum table table, const void *key, const void *value);

/* Copies key and value. Appended rows are sorted by rows_sort before rows are compared. */
void rows_add(struct rows *rows, enum table table, const void *key, const void *value);
/* Sorts, and drops a row whose key is there already: of two equal keys the first added stays. */
void rows_sort(struct rows *rows);
void rows_clear(struct rows *rows);
/* NULL where there is none. `rows` is sorted. */
const struct row *rows_find(const struct rows *rows, enum table table, const void *key);
