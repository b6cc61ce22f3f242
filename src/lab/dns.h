/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * Names. On each node a dnsmasq listens on the cluster's DNS addresses, which are bound to the
 * node's loopback, so that a pod's questions never leave its node. All of them read the same two
 * files: records that a SIGHUP takes up (dns/hosts), and those that need a new start (dns/conf:
 * SRV and CNAME). The records are those of the Kubernetes DNS specification 1.1.0.
 */

/* Writes the files and makes the resolvers take them up. */
int dns_refresh(struct lab *lab, struct err *err);

/* What a Pod finds in /etc/resolv.conf by its dnsPolicy; NULL: the machine's own. For free(). */
char *dns_resolv_conf(const struct lab *lab, const json_t *pod);
/* And in /etc/hosts. For free(). */
char *dns_hosts_file(const json_t *pod);
