/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What kube-proxy leaves on a node when it ends, in each of its modes. It is known by the names
 * that kube-proxy gives, and by these alone: the chains of kubelet begin with KUBE- too, and so do
 * those of others.
 *
 * Of iptables' tables the jumps into kube-proxy's chains go first, in one transaction a table, and
 * the chains, which nothing reaches then, after them. A connection that is translated goes on: its
 * translation is in its record of connection tracking, and the hooks that carry it out stay for the
 * sake of podwire's own table. So remove while podwire's agent is there.
 */

enum leftover_kind {
	LEFTOVER_PROCESS, /* a kube-proxy that runs, and would write all of it anew */
	LEFTOVER_NFTABLES, /* a table of its own: mode nftables */
	LEFTOVER_IPTABLES, /* chains in a table of iptables that nftables holds */
	LEFTOVER_LEGACY, /* chains in a table of the older iptables */
	LEFTOVER_COUNTER, /* that rules of mode iptables count by */
	LEFTOVER_IPSET, /* mode ipvs */
	LEFTOVER_DEVICE,
	LEFTOVER_IPVS, /* virtual servers: shown only, for they may be another's */
	LEFTOVER_SYSCTL, /* shown only: whoever wants it may have set it */
	LEFTOVER_FLOW, /* the caller's to find and remove: which are Services' it knows alone */
	LEFTOVER_KIND_MAX
};

enum leftover_state { LEFTOVER_FOUND, LEFTOVER_REMOVED, LEFTOVER_KEPT, LEFTOVER_FAILED,
	LEFTOVER_STATE_MAX };

#define LEFTOVER_NAME_SIZE 64

struct leftover {
	enum leftover_kind kind;
	enum leftover_state state;
	char name[LEFTOVER_NAME_SIZE];
	unsigned int count; /* of leftover_unit(kind) */
	unsigned int rules; /* of chains: those that are in them or lead to them */
	struct err why; /* kept or failed */
};

struct leftovers {
	struct leftover *item;
	size_t count, capacity;
};
#define _leftovers_ __attribute__((cleanup(leftovers_clear)))

const char *leftover_kind_name(enum leftover_kind kind);
const char *leftover_unit(enum leftover_kind kind);
const char *leftover_state_name(enum leftover_state state);

/* Adds what is in the caller's network namespace. Root. What cannot be asked is an error. */
int leftovers_find(struct leftovers *leftovers, struct err *err);
/* Each has its state then; what has gone meanwhile is removed. While kube-proxy runs, nothing is. */
void leftovers_remove(struct leftovers *leftovers);
struct leftover *leftovers_add(struct leftovers *leftovers, enum leftover_kind kind,
	unsigned int count, const char *format, ...) __attribute__((format(printf, 4, 5)));
void leftovers_clear(struct leftovers *leftovers);

#define LEFTOVER_FAMILIES 2

/*
 * For who asks again and again: is there anything in nftables or iptables? Almost nothing is asked
 * while nobody has changed a ruleset. It takes CAP_NET_ADMIN, and what was opened as root: nobody
 * else may read which tables of the older iptables there are, and asking for one makes it.
 */
struct leftovers_watch {
	int names[LEFTOVER_FAMILIES]; /* of the older tables, by family; -1: the kernel has none */
	uint32_t generation; /* of the rulesets when last looked at */
	uint64_t legacy; /* what the older tables came to */
	bool known; /* both */
	char found[LEFTOVER_NAME_SIZE]; /* empty: nothing */
};
void leftovers_watch_open(struct leftovers_watch *watch); /* as root */
void leftovers_watch_close(struct leftovers_watch *watch);
int leftovers_look(struct leftovers_watch *watch, struct err *err);

/* --- for the files leftovers_*.c --- */

enum leftover_name {
	LEFTOVER_NAME_CHAIN, /* reached from a chain of the kernel: where it is, kube-proxy was */
	LEFTOVER_NAME_INNER, /* reached from such a one */
	LEFTOVER_NAME_OTHER
};
enum leftover_name leftover_chain_name(const char *chain);
/* The first kind of names, one after the other; NULL behind the last one. */
const char *leftover_chain_at(size_t number);

/* Tables: kube-proxy's own one, and those of iptables that it uses. */
#define LEFTOVER_OWN_TABLE "kube-proxy"
enum leftover_table { LEFTOVER_TABLE_OWN, LEFTOVER_TABLE_NAT, LEFTOVER_TABLE_FILTER,
	LEFTOVER_TABLE_MANGLE, LEFTOVER_TABLES };
extern const char *const leftover_tables[LEFTOVER_TABLES];

int leftovers_find_nft(struct leftovers *leftovers, struct err *err);
int leftovers_remove_table(struct leftover *leftover, struct err *err);
int leftovers_remove_chains(struct leftover *leftover, struct err *err);
/* Without reading the whole: is one of the first kind there? `found` is empty where none is. */
int leftovers_look_nft(char found[LEFTOVER_NAME_SIZE], struct err *err);

int leftovers_find_legacy(struct leftovers *leftovers, struct err *err);
int leftovers_remove_legacy(struct leftover *leftover, struct err *err);
/* `names`: as in struct leftovers_watch. *ret_sum is another one where the tables have changed. */
int leftovers_sum_legacy(const int *names, uint64_t *ret_sum, struct err *err);
int leftovers_look_legacy(const int *names, char found[LEFTOVER_NAME_SIZE], struct err *err);

int leftovers_find_sets(struct leftovers *leftovers, struct err *err);
int leftovers_remove_set(struct leftover *leftover, struct err *err);
int leftovers_find_counters(struct leftovers *leftovers, struct err *err);
int leftovers_remove_counter(struct leftover *leftover, struct err *err);
