/* SPDX-License-Identifier: Apache-2.0 */
/* The settings file. What is taken has to be within the ranges that its header promises. */
#include "fuzz.h"

#include "model/settings.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings s;
	struct err err = {0};

	if (settings_read((const char *)data, size, &s, &err) < 0) {
		if (!err.code || !*err.text)
			abort(); /* refused without a reason */
		return 0;
	}
	if (s.route >= SETTINGS_ROUTE_MAX || s.log_level >= LOG_LEVEL_MAX ||
		s.pod_ranges.count > SETTINGS_RANGES || s.device_count > SETTINGS_DEVICES ||
		s.masquerade_first > s.masquerade_last || s.masquerade_last > 65535 ||
		s.tunnel_port < 1 || s.tunnel_port > 65535 ||
		!memchr(s.node, 0, sizeof(s.node)) || __builtin_popcount(s.mark) != 1 ||
		(s.mark & ~s.mark_mask))
		abort();
	return 0;
}
