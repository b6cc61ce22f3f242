/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/attachment.h"
#include "compile/rows.h"
#include "model/node.h"

/*
 * Appends the rows of one attachment: where its pod is, and how the node's own stack reaches it.
 * `own` is this node's object, NULL while there is none.
 */
void compile_attachment(
	const struct attachment *attachment, const struct node *own, struct rows *rows);
