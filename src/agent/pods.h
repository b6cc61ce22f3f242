/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"
#include "agent/control.h"
#include "linux/link.h"

/* What a container runtime asks for, by way of the plugin: io.podwire.cni.Run. */
void pods_run(void *agent, struct control_request *request, struct text *reply);

/*
 * Takes one away whole: rows, link, addresses, record. It is gone from the attachments also where
 * the kernel refuses to remove a row, which is the error.
 */
int pods_remove(struct agent *agent, struct attachment *attachment, struct err *err);

/*
 * Makes the pools of addresses from this node's usable ranges, holding what the records say is in
 * use. A pool whose range stays is kept as it is; without a range there is no pool.
 */
void pods_make_pools(struct agent *agent);

/*
 * Takes out of the records what has no link any more, for its namespace went without a DEL; and
 * deletes links of ours without a record, which an ADD that broke off has left behind. Returns how
 * many attachments have gone. `also`, which may be NULL, is shown every link of the node as well: to
 * ask for all of them costs the kernel the square of their number.
 */
unsigned int pods_compare_links(struct agent *agent, link_each also, void *context);

/* The rows that the attachments want. */
void pods_compile(struct agent *agent, struct rows *rows);
