/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * What kube-proxy has left, as a problem of the node: its rules answer for Services too. Those are
 * asked less often than anything: in the kernel's stack, behind the packet path. But they translate
 * what the node's own processes send by UDP, and what podwire leaves to the stack.
 */
void leftovers_tell(struct agent *agent);
