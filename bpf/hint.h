/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

#include <stdbool.h>

#include "bpf/tables.h"

/*
 * Whether a look for flow records is worth its price. A hint is set with the first record of its
 * kind and never taken back; devices share hints, so one that is set says "maybe", one that is not
 * says "no".
 */

#define HINT_NODE 0 /* in place of a device: the node's own stack */

static __always_inline bool hint_has(__u32 device, enum hint hint)
{
	__u32 index = device % HINTS;
	const __u32 *hints = bpf_map_lookup_elem(&pw_hint, &index);

	return hints && *hints & hint;
}

/* One hint or several. */
static __always_inline void hint_set(__u32 device, __u32 hint)
{
	__u32 index = device % HINTS;
	__u32 *hints = bpf_map_lookup_elem(&pw_hint, &index);

	if (hints && (*hints & hint) != hint)
		__sync_fetch_and_or(hints, hint);
}
