/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gc.h"

#include "agent/pods.h"
#include "agent/wishes.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

/* The runtimes' library has both, since the specification has named the first one anew. */
static const char *const gc_keys[] = {"cni.dev/valid-attachments", "cni.dev/attachments"};

struct gc_valid {
	struct json_at list[ARRAY_SIZE(gc_keys)]; /* value NULL: not given */
};

static int gc_check_element(const struct json_at *at, struct err *err)
{
	const char *text;
	int r;

	if (!json_is_object(at->value))
		return json_error(at, err, "is %s; use an object with containerID and ifname",
			json_type_name(at->value));
	r = json_get_string(at, "containerID", JSON_REQUIRED, &text, err);
	return r < 0 ? r : json_get_string(at, "ifname", JSON_REQUIRED, &text, err);
}

/* Judged whole before anything goes: what cannot be read might have been valid. */
static int gc_read(const struct json_at *root, struct gc_valid *valid, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(gc_keys) && r == 0; i++) {
		struct json_at *list = &valid->list[i];

		r = json_get_array(root, gc_keys[i], JSON_OPTIONAL, list, err);
		for (size_t j = 0; r == 0 && list->value && j < json_array_size(list->value); j++) {
			struct json_at element = json_element(list, j);

			r = gc_check_element(&element, err);
		}
	}
	return r;
}

static bool gc_is_valid(const struct gc_valid *valid, const struct attachment *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(gc_keys); i++) {
		const json_t *item;
		size_t j;

		json_array_foreach(valid->list[i].value, j,
			item) if (strcmp(json_string_value(json_object_get(item, "containerID")),
					  a->container) == 0 &&
				  strcmp(json_string_value(json_object_get(item, "ifname")),
					  a->ifname) == 0) return true;
	}
	return false;
}

static unsigned int gc_sweep(
	struct agent *agent, const struct gc_valid *valid, const char *network, struct text *errors)
{
	unsigned int failed = 0;

	/* Removing one puts the last in its place. */
	for (size_t i = agent->attachments.count; i-- > 0;) {
		struct attachment *a = &agent->attachments.item[i];
		_free_ char *name = mem_format("%s:%s", a->container, a->ifname);
		struct err err;

		if (strcmp(a->network, network) != 0 || gc_is_valid(valid, a))
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
	struct gc_valid valid = {0};
	int r = cni_network_read(request, network, error);

	(void)call;
	if (r == 0)
		r = gc_read(&root, &valid, &error->reason);
	if (r < 0)
		return r;
	if ((valid.list[0].value || valid.list[1].value) &&
		gc_sweep(agent, &valid, network, &errors)) {
		error->code = CNI_IO;
		return err_set(&error->reason, EIO, "%s", text_string(&errors));
	}
	cni_reply_nothing(reply);
	return 0;
}
