/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "linux/netlink.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A token bucket (tbf) as the root queue of a device: what leaves the device is held to a rate.
 * Bytes are those of frames, Ethernet header included, and of each segment of a large packet.
 */
struct shaper {
	uint64_t rate;	/* bytes per second */
	uint32_t burst; /* bytes that may pass at once */
	uint32_t limit; /* bytes that may wait */
};

/*
 * What a rate and a burst in bits, as container runtimes give them, amount to. Runtimes say "no
 * limit" of a burst by a huge number, with which a bucket would hold nothing back for minutes; and
 * one smaller than a frame would let none pass. So the burst is held between a few frames and a
 * fiftieth of a second of the rate. Pure.
 */
struct shaper shaper_of_bits(uint64_t rate_bits, uint64_t burst_bits);

/* In the place of the root queue that is there. */
void shaper_set(struct netlink_batch *batch, unsigned int ifindex, const struct shaper *shaper);

/* Every token bucket of the namespace. Of the burst the kernel tells only a rounded time: 0 here. */
typedef int (*shaper_each)(unsigned int ifindex, const struct shaper *shaper, void *context);
int shaper_dump(struct netlink *netlink, shaper_each each, void *context, struct err *err);
/* -ENOENT where the device's root queue is another one. */
int shaper_find(
	struct netlink *netlink, unsigned int ifindex, struct shaper *ret_shaper, struct err *err);
/* Whether a bucket that was found is the one that was set. */
bool shaper_is(const struct shaper *found, const struct shaper *wanted);
