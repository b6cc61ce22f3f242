/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * nftables, by the program `nft` (libnftables is GPL-2-only), see tool.h.
 *
 * The caller waits for it, 3 ms as a rule: at start and in helpers, not for every packet's sake.
 */
#define NFT_SECONDS 10

/* The text is one transaction. What nft says becomes the reason. */
int nft_apply(const char *text, struct err *err);

/* `family`: "inet", "ip", ... */
int nft_table_exists(const char *family, const char *table, bool *ret_exists, struct err *err);
/* A table that is not there is no error. */
int nft_delete_table(const char *family, const char *table, struct err *err);

/*
 * A number that changes with every change of any ruleset of the namespace, by whomever. One
 * message to the kernel: cheap enough to ask every few seconds.
 */
int nft_generation(uint32_t *ret_generation, struct err *err);
