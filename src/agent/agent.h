/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/attachments.h"
#include "agent/health.h"
#include "agent/metrics.h"
#include "agent/objects.h"
#include "base/loop.h"
#include "base/text.h"
#include "compile/node.h"
#include "compile/services.h"
#include "ipam/pool.h"
#include "linux/helper.h"
#include "linux/leftovers.h"
#include "linux/netlink.h"
#include "linux/programs.h"
#include "linux/tables.h"

#include <limits.h>

/*
 * The node daemon: one thread, one loop. It holds no truth of its own: objects come from the
 * directory, addresses from the records in /run, rows from the kernel. Whatever happens ends in
 * reconcile(): wanted rows against held ones, and only the difference is applied.
 */

#define AGENT_FAMILIES 2

struct control;
struct http;

struct agent {
	struct settings settings;
	char attachments_directory[PATH_MAX];
	char bpf_directory[PATH_MAX];
	struct loop *loop;
	struct netlink *netlink;
	struct programs *programs;
	struct tables tables;
	struct objects objects;
	struct attachments attachments;
	struct pool pool[AGENT_FAMILIES]; /* size 0: this node has no range of the family */
	struct facts facts;
	struct paths paths; /* of the neighbors; the facts point to them */
	struct loop_timer probe; /* when the next one is to be asked */
	int question_table; /* -1: not open yet */
	struct problems problems; /* of the last reconcile */
	struct services services;
	uint64_t services_compared_ns; /* with the kernel; 0: never */
	char *services_refused; /* NULL, or what the kernel has no room for */
	struct control *control;
	struct http *http;
	struct health health;
	struct metrics metrics;
	struct loop_timer retry, settle, repair;
	bool repair_soon; /* a comparison is due because something has changed */
	int monitor; /* -1: not listening */
	uint32_t nft_generation; /* of the ruleset in which our table was as we left it */
	struct text nft_table; /* what the kernel then said of it; empty: write it anew */
	uint32_t firewall_generation; /* of the one that others' chains were last seen in */
	struct leftovers_watch leftovers; /* of kube-proxy */
	struct loop_timer bury; /* deletes the links of removed pods in groups */
	unsigned int dying_group; /* the group that links of removed pods are put into */
	unsigned int dying_count; /* how many are in it */
	struct helper helper; /* the process that deletes them */
	int lock;
	int ready_fd; /* -1: nobody waits, or told already */
	bool ready;
	uint64_t started_ns;
	unsigned long reconciled, changed; /* how often; how many rows, links, filters in all */
	unsigned int crowded; /* rows for which their tables have no room */
	unsigned long repaired; /* things of ours that somebody else had changed */
	uint64_t compared_ns; /* when everything was last compared */
	char sockets_error[ERR_TEXT_SIZE]; /* why calls on sockets are not translated; empty: they are */
	char last_error[ERR_TEXT_SIZE]; /* of reconcile; empty: none */
	char objects_error[ERR_TEXT_SIZE]; /* why the objects cannot be read; empty: they can */
};

/* Descriptors that the loop waits for. */
enum agent_ref { AGENT_REF_LISTEN, AGENT_REF_CONNECTION, AGENT_REF_OBJECTS, AGENT_REF_HELPER,
	AGENT_REF_MONITOR, AGENT_REF_HTTP_LISTEN, AGENT_REF_HTTP, AGENT_REF_MAX };
