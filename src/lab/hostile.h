/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * The profile "hostile": what real nodes and networks do to somebody else's packets, all at once.
 *
 * - The switch forwards a node's frame only if its source is that node's own address, as clouds do:
 *   a pod's address passes it in a tunnel or not at all. The client outside is not checked, so that
 *   it can still forge.
 * - Each node filters by reverse path, drops what comes in and what it would forward unless a rule
 *   accepts it, drops what its connection tracking calls invalid, and has the chains of Docker. Its
 *   firewall accepts replies, ICMP, the tunnel, ssh, the kubelet, web servers and node ports.
 * - Somebody on each node takes away every so often the routes that he does not know, and gives the
 *   ends of veth pairs other MACs, as services that configure networks do.
 *
 * All functions here are for forked children.
 */

/* In the fabric's namespace, once. */
int hostile_switch_make(struct err *err);
/* In the fabric's namespace: the only sources that may come from the port. */
int hostile_switch_port(const char *port, const char *const addresses[FAMILY_MAX], struct err *err);

/* In the node's namespace, before its eth0 is there. */
int hostile_sysctls_set(struct err *err);
/* In the node's namespace; again without harm. */
int hostile_firewall_make(struct err *err);
/* In the node's namespace: somebody who meddles, and ends with it. */
int hostile_meddler_start(const char *node_directory, struct err *err);
