/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "compile/node.h"

/*
 * Addresses of nodes on which node ports are (kubernetes.md section 2.5), and this node's addresses
 * that its object does not name: host ports are on those too.
 */

/* Are node ports on this address? `named`: an InternalIP or ExternalIP of a Node. */
bool node_ports_are_on(
	const struct settings_node_ports *setting, const struct addr *addr, bool named);

/* Appends rows of pw_node for this node's other addresses; `underlay` says who it is. */
void compile_local(const struct settings *settings, const struct facts *facts,
	const struct node *own, const struct addr *underlay, struct rows *rows);
