/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sockets.h"

#include "base/log.h"
#include "base/mem.h"
#include "linux/cgroup.h"

#include <stdio.h>
#include <string.h>

static int sockets_try(const struct agent *agent, struct err *err)
{
	_free_ char *path = NULL;
	int r = 0;

	if (*agent->settings.cgroup)
		path = mem_string(agent->settings.cgroup);
	else
		r = cgroup_find(&path, err);
	return r < 0 ? r : programs_attach_cgroup(agent->programs, path, err);
}

void sockets_attach(struct agent *agent)
{
	struct err err = {0};
	int r = sockets_try(agent, &err);

	agent->changed += r > 0;
	if (r < 0) {
		problems_add(&agent->problems, "settings", false,
			"cgroup: Services are not in the socket call, but in the packet path alone: %s",
			err.text);
		if (strcmp(agent->sockets_error, err.text) != 0)
			log_warning("Services are not in the socket call: %s", err.text);
	}
	snprintf(agent->sockets_error, sizeof(agent->sockets_error), "%s", r < 0 ? err.text : "");
}
