/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gc.h"

#include "agent/pods.h"
#include "agent/valid.h"
#include "agent/wishes.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

static unsigned int gc_sweep(
	struct agent *agent, const struct valid *valid, const char *network, struct text *errors)
{
	unsigned int failed = 0;

	/* Removing one puts the last in its place. */
	for (size_t i = agent->attachments.count; i-- > 0;) {
		struct attachment *a = &agent->attachments.item[i];
		_free_ char *name = mem_format("%s:%s", a->container, a->ifname);
		struct err err;

		if (strcmp(a->network, network) != 0 || valid_has(valid, a->container, a->ifname))
			continue;
		log_info("attachment %s is no longer valid and is removed", name);
		if (pods_remove(agent, a, &err) < 0)
			text_printf(errors, "%s%s: %s", failed++ ? "; " : "", name, err.text);
	}
	return failed;
}

int gc_run(struct agent *agent, const struct cni_request *request, struct control_request *call,
	struct text *reply, struct cni_error *error)
{
	struct json_at root = json_root(request->config);
	char network[ATTACHMENT_NETWORK_SIZE];
	_text_ struct text errors = {0};
	struct valid valid = {0};
	int r = cni_network_read(request, network, error);

	(void)call;
	if (r == 0)
		r = valid_read(&root, &valid, &error->reason);
	if (r < 0)
		return r;
	if (valid_is_given(&valid) && gc_sweep(agent, &valid, network, &errors)) {
		error->code = CNI_IO;
		return err_set(&error->reason, EIO, "%s", text_string(&errors));
	}
	cni_reply_nothing(reply);
	return 0;
}
