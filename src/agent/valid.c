/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/valid.h"

#include "base/mem.h"

#include <string.h>

/* The runtimes' library has both, since the specification has named the first one anew. */
static const char *const valid_keys[] = {"cni.dev/valid-attachments", "cni.dev/attachments"};
_Static_assert(ARRAY_SIZE(valid_keys) == VALID_KEYS, "a list for each key");

static int valid_check_element(const struct json_at *at, struct err *err)
{
	const char *text;
	int r;

	if (!json_is_object(at->value))
		return json_error(at, err, "is %s; use an object with containerID and ifname",
			json_type_name(at->value));
	r = json_get_string(at, "containerID", JSON_REQUIRED, &text, err);
	return r < 0 ? r : json_get_string(at, "ifname", JSON_REQUIRED, &text, err);
}

int valid_read(const struct json_at *config, struct valid *ret_valid, struct err *err)
{
	struct valid valid = {0};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(valid_keys) && r == 0; i++) {
		struct json_at *list = &valid.list[i];

		r = json_get_array(config, valid_keys[i], JSON_OPTIONAL, list, err);
		for (size_t j = 0; r == 0 && list->value && j < json_array_size(list->value); j++) {
			struct json_at element = json_element(list, j);

			r = valid_check_element(&element, err);
		}
	}
	if (r == 0)
		*ret_valid = valid;
	return r;
}

bool valid_is_given(const struct valid *valid)
{
	return valid->list[0].value || valid->list[1].value;
}

bool valid_has(const struct valid *valid, const char *container, const char *ifname)
{
	for (size_t i = 0; i < ARRAY_SIZE(valid_keys); i++)
		for (size_t j = 0; j < json_array_size(valid->list[i].value); j++) {
			const json_t *item = json_array_get(valid->list[i].value, j);

			if (strcmp(json_string_value(json_object_get(item, "containerID")),
				    container) == 0 &&
				strcmp(json_string_value(json_object_get(item, "ifname")), ifname) ==
					0)
				return true;
		}
	return false;
}
