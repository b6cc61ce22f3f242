/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"
#include "compile/rows.h"

/*
 * A row as one line, "range 10.244.2.0/24 tunnel 10.89.1.2": the same text in `podwire tables`,
 * `podwire diff`, golden files and bug reports. Devices are numbers, as facts give them.
 */
void row_print(const struct row *row, struct text *text);
void rows_print(const struct rows *rows, struct text *text);
