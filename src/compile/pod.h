/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/attachment.h"
#include "compile/rows.h"

/* Appends the rows of one attachment: where its pod is, and how the node's own stack reaches it. */
void compile_attachment(const struct attachment *attachment, struct rows *rows);
