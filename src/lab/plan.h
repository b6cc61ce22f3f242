/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/*
 * Who has which addresses in a lab. Ranges are fixed, so that documents and tests can name them:
 *
 *   nodes     10.89.S.0/24   fd89:0:0:S::/64   S: the subnet, from 1; host 1 is the gateway,
 *                                              10 the client outside, 10 + n is node n
 *   pods      10.244.0.0/16  fd44::/48         a /24 and a /64 for each node
 *   Services  10.96.0.0/16   fd96::/112        1: the API server, 10: names
 */

enum plan_host { PLAN_HOST_GATEWAY = 1, PLAN_HOST_OUTSIDE = 10, PLAN_HOST_NODES = 10 };
enum plan_service { PLAN_SERVICE_API = 1, PLAN_SERVICE_DNS = 10, PLAN_SERVICE_FIRST = 257 };

const char *plan_pod_range(enum family family);
const char *plan_service_range(enum family family);
unsigned int plan_node_prefix_length(enum family family);
/* The caller frees these. */
char *plan_node_address(enum family family, unsigned int subnet, unsigned int host);
char *plan_node_pod_range(enum family family, unsigned int number);
char *plan_service_address(enum family family, unsigned int number);
/* The subnet that the address belongs to, or 0. */
unsigned int plan_subnet(const struct lab_settings *settings, const char *address);

/* The first family of pods and Services. */
enum family plan_primary(const struct lab_settings *settings);

/* Gives every Node what it lacks: labels, spec.podCIDRs, status.addresses. */
int plan_nodes(struct lab *lab, struct err *err);
/* The Node's InternalIP of the family, or "". */
const char *node_address(const json_t *node, enum family family);
/* By the InternalIP. */
unsigned int node_subnet(const struct lab_settings *settings, const json_t *node);

/* The families of a list of addresses or ranges in text, by the first ':' in it. */
enum family text_family(const char *text);
