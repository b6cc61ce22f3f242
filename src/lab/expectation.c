/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/mem.h"
#include "lab/check.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char *const fields[] = {
	"from", "to", "port", "protocol", "family", "expect", "source", "name"};

/* A field misspelt would be an expectation that is never checked. */
static int fields_check(const struct json_at *at, struct err *err)
{
	json_t *value;
	const char *key;

	json_object_foreach(at->value, key, value)
	{
		bool is_known = false;

		for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
			is_known = is_known || strcmp(key, fields[i]) == 0;
		if (!is_known)
			return json_error(at, err,
				"\"%s\" is no field; use from, to, port, protocol, family, expect, "
				"source, name",
				key);
	}
	return 0;
}

static int family_parse(const struct json_at *at, struct expectation *e, struct err *err)
{
	const char *text = "both";

	if (json_get_string(at, "family", JSON_OPTIONAL, &text, err) < 0)
		return -err->code;
	e->families[FAMILY_IPV4] = strcasecmp(text, "ipv4") == 0 || strcasecmp(text, "both") == 0;
	e->families[FAMILY_IPV6] = strcasecmp(text, "ipv6") == 0 || strcasecmp(text, "both") == 0;
	if (!e->families[FAMILY_IPV4] && !e->families[FAMILY_IPV6])
		return json_error(at, err, "family: \"%s\": use ipv4, ipv6 or both", text);
	return 0;
}

static int source_parse(const struct json_at *at, struct expectation *e, struct err *err)
{
	const char *text = NULL;

	if (json_get_string(at, "source", JSON_OPTIONAL, &text, err) < 0)
		return -err->code;
	if (!text)
		return 0;
	if (e->outcome != PROBE_REACHED)
		return json_error(
			at, err, "source: nobody sees a source unless expect is reachable");
	if (strcmp(text, "pod") == 0)
		e->source = CHECK_SOURCE_POD;
	else if (strcmp(text, "node") == 0)
		e->source = CHECK_SOURCE_NODE;
	else if (addr_parse(text, &e->address) == 0)
		e->source = CHECK_SOURCE_ADDRESS;
	else
		return json_error(at, err, "source: \"%s\": use pod, node or an address", text);
	return 0;
}

static int expectation_parse(const struct json_at *at, struct expectation *e, struct err *err)
{
	const char *from, *to, *protocol = "TCP", *expect = "reachable";

	if (!json_is_object(at->value))
		return json_error(at, err, "use an object with from, to, expect and others");
	if (fields_check(at, err) < 0 ||
		json_get_string(at, "from", JSON_REQUIRED, &from, err) < 0 ||
		json_get_string(at, "to", JSON_REQUIRED, &to, err) < 0 ||
		json_get_port(at, "port", JSON_OPTIONAL, &e->port, err) < 0 ||
		json_get_string(at, "protocol", JSON_OPTIONAL, &protocol, err) < 0 ||
		json_get_string(at, "expect", JSON_OPTIONAL, &expect, err) < 0 ||
		family_parse(at, e, err) < 0)
		return -err->code;
	e->is_udp = strcasecmp(protocol, "UDP") == 0;
	if (!e->is_udp && strcasecmp(protocol, "TCP") != 0)
		return json_error(at, err, "protocol: \"%s\": use TCP or UDP", protocol);
	e->outcome = probe_outcome_parse(expect);
	if (e->outcome == PROBE_OUTCOME_MAX)
		return json_error(at, err,
			"expect: \"%s\": use reachable, refused or unreachable", expect);
	if (source_parse(at, e, err) < 0)
		return -err->code;
	e->from = mem_string(from);
	e->to = mem_string(to);
	return 0;
}

int expectations_parse(json_t *tree, struct expectations *ret_expectations, struct err *err)
{
	struct expectations all = {0};
	struct json_at root = json_root(tree), list = root;

	if (json_is_object(tree) && json_get_array(&root, "check", JSON_REQUIRED, &list, err) < 0)
		return -err->code;
	if (!json_is_array(list.value) || json_array_size(list.value) == 0)
		return json_error(&list, err, "use a list of expectations (from, to, expect, ...)");
	for (size_t i = 0; i < json_array_size(list.value); i++) {
		struct json_at at = json_element(&list, i);

		all.list = mem_grow(all.list, &all.capacity, all.count + 1, sizeof(*all.list));
		all.list[all.count] = (struct expectation){0};
		if (expectation_parse(&at, &all.list[all.count], err) < 0) {
			expectations_clear(&all);
			return -err->code;
		}
		all.count++;
	}
	*ret_expectations = all;
	return 0;
}

void expectations_clear(struct expectations *expectations)
{
	for (size_t i = 0; i < expectations->count; i++) {
		free(expectations->list[i].from);
		free(expectations->list[i].to);
	}
	free(expectations->list);
	*expectations = (struct expectations){0};
}
