/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/text.h"

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

/*
 * NETLINK_NETFILTER: nftables, sets of ipset, connection tracking. Each call has a socket of its
 * own, in the namespace of the process. For the files of this folder.
 */

/* Begins a request of the subsystem (NFNL_SUBSYS_...); `flags`: NLM_F_DUMP and the like. */
struct nlmsghdr *netfilter_begin(
	void *buffer, unsigned int subsystem, unsigned int type, unsigned int flags, int family);

/* A list that a dump fills: `take` is a mnl_cb_t whose data is the dump itself. */
struct netfilter_dump {
	mnl_cb_t take;
	const void *context;
	void *item;
	size_t count, capacity;
};
/* 0 or -errno, and then no list. A dump that a change has interrupted begins again. */
int netfilter_dump(const struct nlmsghdr *request, struct netfilter_dump *dump);
/* One request, answered: 0 or -errno. */
int netfilter_ask(struct nlmsghdr *request);

/* Messages that take effect together or not at all, of one subsystem. All zeroes is an empty one. */
struct netfilter_batch {
	struct text data;
	uint32_t count;
};
#define _netfilter_batch_ __attribute__((cleanup(netfilter_batch_clear)))
void netfilter_batch_add(struct netfilter_batch *batch, const struct nlmsghdr *message);
/* Empties the batch. 0, or the first failure as -errno. */
int netfilter_batch_send(struct netfilter_batch *batch, unsigned int subsystem);
void netfilter_batch_clear(struct netfilter_batch *batch);

/* Attributes by their type, as netlink_read() sorts them; of a nest that is not there, none. */
void netfilter_read(const struct nlmsghdr *message, const struct nlattr **ret_table, size_t size);
void netfilter_read_nest(const struct nlattr *nest, const struct nlattr **ret_table, size_t size);
/* This subsystem's numbers are in network order. */
uint32_t netfilter_read_number(const struct nlattr *attribute, uint32_t otherwise);
void netfilter_read_text(const struct nlattr *attribute, char *ret_text, size_t size);
