/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"

/*
 * Table pw_settings, one row: what the programs must know and objects or the settings file decide.
 * What decides the shape of a program (the layer-2 offset) is a load-time constant instead.
 */
#define SETTINGS_RANGES 8

/* addr & mask == first. An unused entry matches nothing: its mask is zero and `first` is not. */
struct settings_range {
	struct addr first;
	struct addr mask;
};

enum settings_family { SETTINGS_IPV4, SETTINGS_IPV6, SETTINGS_FAMILIES };
#define SETTINGS_LENGTHS 4

/* A length that some node's pod range has; 0 ends the list. */
struct settings_length {
	struct addr mask;
	__u32 length; /* bits of 128 */
	__u32 pad;
};

struct settings_row {
	struct settings_range own[SETTINGS_FAMILIES]; /* this node's pod ranges */
	struct settings_range cluster[SETTINGS_RANGES]; /* the cluster's pod ranges */
	struct settings_range no_masquerade[SETTINGS_RANGES];
	struct settings_range service[SETTINGS_RANGES]; /* the cluster's Service ranges */
	struct settings_length lengths[SETTINGS_FAMILIES][SETTINGS_LENGTHS]; /* a lookup each */
	struct addr tunnel_source[SETTINGS_FAMILIES]; /* this node's end, by underlay family */
	__u32 tunnel_ifindex;
	__u32 mark; /* "masquerade"; the rest of mark_mask is "has its tunnel key" */
	__u32 mark_mask;
	__u32 masquerade; /* 0: nothing is masqueraded */
	__be16 tunnel_port;
	__u16 tunnel_mtu; /* of what goes into the tunnel */
	__u32 ready; /* 0: this row is not written yet, and its ranges mean nothing */
};
_Static_assert(sizeof(struct settings_row) == 2 * 32 + 3 * 8 * 32 + 8 * 24 + 32 + 24, "no padding");
