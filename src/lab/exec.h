/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/party.h"

/*
 * Turns the calling process into `argv`, in the party's network namespace and, for a Pod, with its
 * host name, /etc/resolv.conf and /etc/hosts in a mount namespace that ends with the process.
 * Returns only on failure.
 */
int party_exec(const struct lab *lab, const struct party *party, char **argv, struct err *err);

/* Moves the calling process into the party's network namespace and cgroup. */
int party_enter(const struct lab *lab, const struct party *party, struct err *err);

/* Moves the calling process into the network namespace that a file holds. */
int namespace_enter(const char *path, struct err *err);
