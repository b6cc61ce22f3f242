/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/attachment.h"
#include "base/err.h"
#include "linux/netlink.h"
#include "net/addr.h"

/*
 * The pod's side of a pair, through the socket that the plugin opened in the pod's namespace.
 *
 * Each interface has a default route by its gateway. Where the namespace has one already, of
 * another interface or of another plugin, ours takes the next metric and so comes second: it
 * serves who binds to the interface, and a plugin like `sbr` that routes by source.
 */

/* Loopback, addresses, routes, limit. *ret_metric, by family: of the default routes; 0: the first.
 */
int inside_set(const struct attachment *a, struct netlink *inside,
	unsigned int ret_metric[FAMILY_MAX], struct err *err);

/* Whether all of it is there yet; what other plugins may change after us is not looked at. */
int inside_check(const struct attachment *a, struct netlink *inside, struct err *err);

/*
 * Where the namespace lives on, its interface gets out of the way of a new ADD at once; the link
 * itself is deleted a moment later (bury.h). Takes the socket.
 */
void inside_clear_name(const struct attachment *a, int *netlink_fd);
