/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/settings.h"
#include "model/store.h"

/* What the node of the scene has been told: by its settings file, and by the API server. */

/* Three nodes; all that is of the `underlay` family comes first. */
void objects_read(int underlay, struct store *store);
void settings_make(
	int underlay, const char *route, bool masquerade, struct settings *settings);
