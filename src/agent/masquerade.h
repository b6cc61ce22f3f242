/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"

/*
 * The one nft table of ours, which is constant: masquerading by our mark, and no tracking of the
 * tunnel. The program nft writes it, and what the kernel then says of it is remembered byte for
 * byte: so whether somebody has changed it is asked of the kernel, and nothing is executed unless
 * somebody has.
 */

#define MASQUERADE_FAMILY "inet"
#define MASQUERADE_TABLE "podwire"

/* As one transaction, whatever is there. */
int masquerade_write(struct agent *agent, struct err *err);
/* Writes it anew where it is not as we left it: then 1, else 0. Cheap while nobody changes any. */
int masquerade_keep(struct agent *agent, struct err *err);
