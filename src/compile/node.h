/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/path.h"
#include "compile/rows.h"
#include "model/settings.h"
#include "model/node.h"
#include "model/store.h"

/*
 * Nodes to rows: who is a node, which pods are behind it, and how both are reached. Pure: what
 * the node's kernel knows comes in as facts.
 */

#define FACTS_WIRES 8
#define FACTS_SUBNETS 8

/* A device that carries node traffic. */
struct wire {
	unsigned int ifindex;
	unsigned int mtu;
	bool ethernet;
	char name[SETTINGS_DEVICE_SIZE];
	struct prefix subnet[FACTS_SUBNETS]; /* of its addresses */
	unsigned int subnet_count;
};

struct facts {
	unsigned int tunnel_ifindex;
	unsigned int pod_mtu;
	struct wire wire[FACTS_WIRES];
	unsigned int wire_count;
	uint64_t netns_cookie; /* of the node's network namespace; 0: unknown */
	struct addrs local; /* on this node's devices, whatever for; owned by who fills them */
	const struct paths *paths; /* of settings with the route `auto`; NULL: nothing is known */
};

/* An object that cannot be put into rows, or contradicts another one; only it is left out. */
struct problem {
	char *object; /* "Node n2" */
	char *text; /* what is wrong and what would be right */
	bool refused; /* false: a warning */
};

struct problems {
	struct problem *item;
	size_t count;
	size_t capacity;
};

void problems_add(struct problems *problems, const char *object, bool refused, const char *format,
	...) __attribute__((format(printf, 4, 5)));
void problems_clear(struct problems *problems);

/*
 * Appends the rows of all nodes and the settings row. Without this node's own object there are
 * none but an empty settings row: the programs then let the node's traffic pass and know no pods.
 */
void compile_nodes(struct store *store, const struct settings *settings,
	const struct facts *facts, struct rows *rows, struct problems *problems);

/* This node's object, NULL while there is none. */
const struct node *store_own_node(struct store *store, const struct settings *settings);

/*
 * The source of the node's own packets to pods: its InternalIP of the family, else the address
 * that it keeps of its pod range. The kernel's own choice could be any address of any device.
 */
struct addr own_source(const struct node *own, enum family family);

/* The node's pod range of a family, or NULL: none, or refused by compile_nodes. */
const struct prefix *node_usable_range(struct store *store, const struct settings *settings,
	enum family family, struct problems *problems);
