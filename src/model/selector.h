/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/object.h"

/* meta/v1 LabelSelector. An empty one matches everything; a nil one is a NULL pointer. */

enum selector_operator {
	SELECTOR_IN,
	SELECTOR_NOT_IN, /* true also where the key is missing */
	SELECTOR_EXISTS,
	SELECTOR_DOES_NOT_EXIST,
	SELECTOR_OPERATOR_MAX
};

struct requirement {
	char *key;
	enum selector_operator operator;
	struct strings values; /* one or more for In and NotIn, else none */
};

struct selector {
	struct labels match_labels;
	struct {
		struct requirement *list;
		size_t count;
	} requirements;
};

bool selector_matches(const struct selector *selector, const struct labels *labels);
