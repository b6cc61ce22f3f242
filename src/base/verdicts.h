/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/verdict.h"

/* The words of abi/verdict.h. NULL for a number that is no verdict. */
const char *verdict_name(unsigned int verdict);
const char *verdict_sentence(unsigned int verdict);
enum verdict_kind verdict_kind(unsigned int verdict);
const char *verdict_kind_name(enum verdict_kind kind);
const char *hook_name(unsigned int hook);
