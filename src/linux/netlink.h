/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * NETLINK_ROUTE. All that changes something is appended to a batch (link.h, address.h, route.h,
 * neighbor.h, qdisc.h) and sent with few system calls; the kernel answers each message, and the
 * answer to the failing one is found by its description. All that reads is a dump.
 *
 * A socket acts in the network namespace that it was opened in, whoever uses it, so one handed
 * over by the plugin configures a pod without entering its namespace.
 */
struct netlink;

int netlink_open(struct netlink **ret_netlink, struct err *err);
/* Takes over `fd` on success: a NETLINK_ROUTE socket, else -EINVAL. */
int netlink_adopt(int fd, struct netlink **ret_netlink, struct err *err);
/* Of the network namespace that it acts in: a number that no other one ever has. 0: unknown. */
uint64_t netlink_netns_cookie(const struct netlink *netlink);
void netlink_close(struct netlink **netlink);

#define NETLINK_WHAT_SIZE 120

/* What counts as done already, by message. */
enum netlink_tolerate {
	NETLINK_TOLERATE_NOTHING = 0,
	NETLINK_MAY_BE_MISSING = 1 << 0, /* ENOENT, ENODEV, ESRCH, EADDRNOTAVAIL are success */
	NETLINK_MAY_EXIST = 1 << 1, /* EEXIST is success */
};

struct netlink_message {
	size_t offset; /* in the batch's data */
	unsigned int tolerate; /* enum netlink_tolerate */
	int result; /* of the commit: 0 or a negative errno; -EINPROGRESS before */
	char what[NETLINK_WHAT_SIZE]; /* "route 10.1.0.0/24" */
};

/* All zeroes is an empty batch. Clear it before it is used again. */
struct netlink_batch {
	char *data;
	size_t length, capacity;
	struct netlink_message *message;
	size_t count, message_capacity;
};

#define _netlink_batch_ __attribute__((cleanup(netlink_batch_clear)))

/*
 * For the files of this folder. Begins a message; the caller puts its family header and attributes
 * with libmnl, NETLINK_MESSAGE_SIZE bytes in all, and ends it before it begins another one.
 * `flags`: NLM_F_CREATE, NLM_F_REPLACE, NLM_F_EXCL. What is put is of bounded size by its types.
 */
#define NETLINK_MESSAGE_SIZE 2048
struct nlmsghdr *netlink_begin(struct netlink_batch *batch, int type, int flags,
	unsigned int tolerate, const char *format, ...) __attribute__((format(printf, 5, 6)));
void netlink_end(struct netlink_batch *batch, struct nlmsghdr *message);
void netlink_batch_clear(struct netlink_batch *batch);

/*
 * Sorts attributes by their type: those behind the family header of `header` bytes, or those of a
 * nest. `ret_table[type]` is NULL where there is none; types from `size` on are passed over.
 */
void netlink_read(const struct nlmsghdr *message, size_t header, const struct nlattr **ret_table,
	size_t size);
void netlink_read_nest(const struct nlattr *nest, const struct nlattr **ret_table, size_t size);
/* Host order as the kernel gives it; 0 where there is no attribute, or one of another size. */
uint32_t netlink_read_u32(const struct nlattr *attribute);
/* Cut to size, and always ended. */
void netlink_read_text(const struct nlattr *attribute, char *ret_text, size_t size);

/*
 * Sends all messages in order. The kernel goes on after one that it refuses, and so do we: each
 * message's `result` tells. Returns 0, or the first failure: its description, what the kernel
 * says about it, and how many others failed. An empty batch is success.
 */
int netlink_commit(struct netlink *netlink, struct netlink_batch *batch, struct err *err);

/*
 * Calls `each` for every object of a dump, or for the one answer of a request without
 * NLM_F_DUMP: messages of the type that belongs to the request, with their whole family header. The objects are collected first: a dump that was interrupted by a change
 * (NLM_F_DUMP_INTR) starts again, and `each` sees a whole one once. `each` returns 0 to go on;
 * another value ends the walk and is returned.
 */
typedef int (*netlink_each)(const struct nlmsghdr *message, void *context);
int netlink_request(struct netlink *netlink, struct nlmsghdr *request, const char *what,
	netlink_each each, void *context, struct err *err);
