/* SPDX-License-Identifier: Apache-2.0 */
#include "model/object.h"

#include "base/json.h"
#include "base/text.h"
#include "base/word.h"
#include "model/field.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const struct kind_rule *const kind_rules[] = {
	[KIND_NODE] = &node_kind,
	[KIND_NAMESPACE] = &namespace_kind,
	[KIND_POD] = &pod_kind,
	[KIND_SERVICE] = &service_kind,
	[KIND_ENDPOINT_SLICE] = &endpoint_slice_kind,
	[KIND_NETWORK_POLICY] = &network_policy_kind,
};
_Static_assert(ARRAY_SIZE(kind_rules) == KIND_MAX, "a rule for each kind");

static const char *const protocol_texts[] = {
	[PROTOCOL_TCP] = "TCP",
	[PROTOCOL_UDP] = "UDP",
	[PROTOCOL_SCTP] = "SCTP",
};
_Static_assert(ARRAY_SIZE(protocol_texts) == PROTOCOL_MAX, "a name for each protocol");
const struct enum_names protocol_names = {"protocol", protocol_texts, PROTOCOL_MAX};

static const struct field meta_fields[] = {META_FIELDS};
const struct field_table meta_table = {.fields = meta_fields, .count = ARRAY_SIZE(meta_fields)};

const char *kind_name(enum kind kind)
{
	return kind_rules[kind]->name;
}

const char *kind_api_version(enum kind kind)
{
	return kind_rules[kind]->api_version;
}

bool kind_is_namespaced(enum kind kind)
{
	return kind_rules[kind]->namespaced;
}

/* The group is what stands before the '/'; "v1" is of the core group, which has no name. */
static size_t api_group_size(const char *api_version)
{
	const char *slash = strchr(api_version, '/');

	return slash ? (size_t)(slash - api_version) : 0;
}

/*
 * Whether somebody meant our kind and wrote its version wrong: an old or future version of its
 * group, the group that policies once had, or another of ours. Kinds of the same name that belong
 * to others (Knative's Service, Calico's NetworkPolicy) are not meant.
 */
static bool api_version_is_near(const char *api_version, const char *right)
{
	size_t size = api_group_size(api_version);

	if (strncmp(api_version, "extensions/", strlen("extensions/")) == 0)
		return true;
	if (size == api_group_size(right) && strncmp(api_version, right, size) == 0)
		return true;
	for (enum kind kind = 0; kind < KIND_MAX; kind++) {
		const char *ours = kind_rules[kind]->api_version;

		if (size == api_group_size(ours) && strncmp(api_version, ours, size) == 0)
			return true;
	}
	return false;
}

int kind_of(json_t *tree, enum kind *ret_kind, struct err *err)
{
	struct json_at root = json_root(tree), at = json_member(&root, "apiVersion");
	const char *api_version, *name;
	int r;

	if (!json_is_object(tree))
		return err_set(err, EINVAL, "%s is no object; use one with apiVersion and kind",
			json_type_name(tree));
	r = json_get_string(&root, "apiVersion", JSON_REQUIRED, &api_version, err);
	if (r == 0)
		r = json_get_string(&root, "kind", JSON_REQUIRED, &name, err);
	if (r < 0)
		return r;
	for (enum kind kind = 0; kind < KIND_MAX; kind++) {
		const char *right = kind_rules[kind]->api_version;

		if (strcmp(name, kind_rules[kind]->name) != 0)
			continue;
		if (strcmp(api_version, right) == 0) {
			*ret_kind = kind;
			return 0;
		}
		if (api_version_is_near(api_version, right)) {
			char shown[JSON_SHOW_SIZE];

			return json_error(&at, err, "%s is no version of %s that is read; use %s",
				json_show(at.value, shown), name, right);
		}
	}
	return err_set(err, ENOENT, "a kind that is not read");
}

static int object_check_name(struct object *object, const struct json_at *root, struct err *err)
{
	const struct kind_rule *rule = kind_rules[object->kind];
	struct json_at meta = json_member(root, "metadata"), name = json_member(&meta, "name");
	char shown[JSON_SHOW_SIZE];

	if (!rule->name_rule->holds(object->name))
		return json_error(&name, err, "%s is %s", json_show(name.value, shown),
			rule->name_rule->wanted);
	if (!rule->namespaced)
		word_release(&object->namespace);
	else if (!object->namespace)
		object->namespace = word_take("default");
	return 0;
}

static bool label_is_kept(const char *key, const char *const *kept)
{
	for (; *kept; kept++)
		if (strcmp(key, *kept) == 0)
			return true;
	return false;
}

void labels_keep(struct labels *labels, const char *const *kept)
{
	struct label *all = labels->list;
	size_t count = labels->count;

	labels->count = 0;
	for (size_t i = 0; i < count; i++) {
		if (label_is_kept(all[i].key, kept)) {
			all[labels->count++] = all[i];
			continue;
		}
		word_release(&all[i].key);
		word_release(&all[i].value);
	}
	labels->list = labels->count ? mem_copy(all, labels->count * sizeof(*all)) : NULL;
	free(all);
}

int object_parse(json_t *tree, struct object **ret_object, struct err *err)
{
	_cleanup_(object_free) struct object *object = NULL;
	struct json_at root = json_root(tree);
	enum kind kind;
	int r = kind_of(tree, &kind, err);

	if (r < 0)
		return r;
	object = mem_new(1, kind_rules[kind]->table->size);
	object->kind = kind;
	field_table_preset(kind_rules[kind]->table, object);
	r = field_table_read(kind_rules[kind]->table, &root, object, err);
	if (r == 0)
		r = object_check_name(object, &root, err);
	if (r < 0)
		return r;
	if (kind_rules[kind]->labels)
		labels_keep(&object->labels, kind_rules[kind]->labels);
	*ret_object = TAKE_PTR(object);
	return 0;
}

void object_free(struct object **object)
{
	struct object *freed = TAKE_PTR(*object);

	if (!freed)
		return;
	field_table_clear(kind_rules[freed->kind]->table, freed);
	word_release(&freed->place.source);
	free(freed);
}

bool object_equal(const struct object *a, const struct object *b)
{
	return a->kind == b->kind && field_table_equal(kind_rules[a->kind]->table, a, b);
}

char *object_key(const struct object *object)
{
	if (!object->namespace)
		return mem_string(object->name);
	return mem_format("%s/%s", object->namespace, object->name);
}

char *object_title(const struct object *object)
{
	_free_ char *key = object_key(object);

	return mem_format("%s %s", kind_name(object->kind), key);
}

const char *protocol_name(enum protocol protocol)
{
	return protocol < PROTOCOL_MAX ? protocol_texts[protocol] : "?";
}

uint8_t protocol_number(enum protocol protocol)
{
	static const uint8_t numbers[] = {
		[PROTOCOL_TCP] = IPPROTO_TCP,
		[PROTOCOL_UDP] = IPPROTO_UDP,
		[PROTOCOL_SCTP] = IPPROTO_SCTP,
	};
	_Static_assert(ARRAY_SIZE(numbers) == PROTOCOL_MAX, "a number for each protocol");

	return numbers[protocol];
}

bool addr_is_given(const struct addr *addr)
{
	return addr->halves[0] || addr->halves[1];
}

const char *addr_special(const struct addr *addr)
{
	if (addr_is_unspecified(addr))
		return "is the unspecified address";
	if (addr_is_loopback(addr))
		return "is a loopback address";
	if (addr_is_link_local(addr))
		return "is a link-local address";
	if (addr_is_multicast(addr))
		return "is a multicast address";
	if (addr_is_broadcast(addr))
		return "is the broadcast address";
	return NULL;
}

int addrs_check_pair(struct addrs *addrs, struct addr *first, const struct json_at *at,
	const char *first_name, const char *list_name, struct err *err)
{
	struct json_at single = json_member(at, first_name), list = json_member(at, list_name);

	if (addrs->count == 0 && addr_is_given(first)) {
		addrs->list = mem_copy(first, sizeof(*first));
		addrs->count = 1;
		list = single;
	}
	if (addrs->count > 0 && addr_is_given(first) && !addr_equal(first, &addrs->list[0]))
		return json_error(&single, err, "differs from the first of %s; it must be the same",
			list_name);
	if (addrs->count > 2 ||
		(addrs->count == 2 && addr_family(&addrs->list[0]) == addr_family(&addrs->list[1])))
		return json_error(&list, err,
			"more than one address of a family; use at most one of "
			"IPv4 and one of IPv6");
	for (size_t i = 0; i < addrs->count; i++) {
		const char *special = addr_special(&addrs->list[i]);
		char text[ADDR_TEXT_SIZE];

		if (special)
			return json_error(
				&list, err, "%s %s", addr_format(&addrs->list[i], text), special);
	}
	if (addrs->count > 0)
		*first = addrs->list[0];
	return 0;
}

static int label_key_order(const void *key, const void *label)
{
	return strcmp(key, ((const struct label *)label)->key);
}

const char *labels_get(const struct labels *labels, const char *key)
{
	const struct label *label;

	if (labels->count == 0)
		return NULL;
	label = bsearch(key, labels->list, labels->count, sizeof(*labels->list), label_key_order);
	return label ? label->value : NULL;
}

bool labels_contain(const struct labels *labels, const struct labels *wanted)
{
	for (size_t i = 0; i < wanted->count; i++) {
		const char *value = labels_get(labels, wanted->list[i].key);

		if (!value || strcmp(value, wanted->list[i].value) != 0)
			return false;
	}
	return true;
}

bool labels_equal(const struct labels *a, const struct labels *b)
{
	return a->count == b->count && labels_contain(a, b);
}
