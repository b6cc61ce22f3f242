/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/party.h"

#include "base/json.h"
#include "lab/plan.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

void parties_add(struct parties *parties, enum party_kind kind, const json_t *object)
{
	parties->list = mem_grow(
		parties->list, &parties->capacity, parties->count + 1, sizeof(*parties->list));
	parties->list[parties->count++] = (struct party){
		.kind = kind,
		.object = object,
		.title = object ? tree_title(object) : mem_string(LAB_OUTSIDE),
	};
}

void parties_clear(struct parties *parties)
{
	for (size_t i = 0; i < parties->count; i++)
		free(parties->list[i].title);
	free(parties->list);
	*parties = (struct parties){0};
}

static const json_t *owner_reference(const json_t *object)
{
	return json_array_get(tree_at(object, "metadata.ownerReferences"), 0);
}

const char *pod_workload(const struct lab *lab, const json_t *pod)
{
	const json_t *owner = owner_reference(pod);
	const char *name = tree_text(owner, "name");

	if (strcmp(tree_text(owner, "kind"), "ReplicaSet") == 0) {
		const json_t *above = owner_reference(
			lab_find(lab, LAB_REPLICA_SET, tree_namespace(pod), name));

		if (above)
			return tree_text(above, "name");
	}
	return *name ? name : tree_name(pod);
}

static bool name_matches(const char *pattern, const char *name)
{
	return fnmatch(pattern, name, 0) == 0;
}

static void pods_find(const struct lab *lab, const char *name_space, const char *name, bool by_workload,
	struct parties *parties)
{
	_json_ json_t *pods = lab_list(lab, LAB_POD);
	json_t *pod;
	size_t index;

	json_array_foreach(pods, index, pod)
	{
		const char *own = by_workload ? pod_workload(lab, pod) : tree_name(pod);

		if (name_matches(name_space, tree_namespace(pod)) && name_matches(name, own))
			parties_add(parties, PARTY_POD, pod);
	}
}

int parties_find(
	const struct lab *lab, const char *text, struct parties *ret_parties, struct err *err)
{
	_json_ json_t *nodes = lab_list(lab, LAB_NODE);
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
	_free_ char *name_space = slash ? mem_format("%.*s", (int)(slash - text), text)
					: mem_string("default");
	_parties_ struct parties found = {0};
	json_t *node;
	size_t index;

	if (!slash && strcmp(text, LAB_OUTSIDE) == 0)
		parties_add(&found, PARTY_OUTSIDE, NULL);
	json_array_foreach(nodes, index, node)
	{
		if (!slash && name_matches(text, tree_name(node)))
			parties_add(&found, PARTY_NODE, node);
	}
	if (found.count == 0)
		pods_find(lab, name_space, name, false, &found);
	if (found.count == 0)
		pods_find(lab, name_space, name, true, &found);
	if (found.count == 0)
		return err_set(err, ENOENT,
			"\"%s\" is nobody in lab \"%s\": use outside, a node (`podwire lab get "
			"nodes`) or NAMESPACE/POD (`podwire lab get pods -A`)",
			text, lab->name);
	*ret_parties = found;
	found = (struct parties){0};
	return 0;
}

char *party_namespace(const struct lab *lab, const struct party *party)
{
	if (party->kind == PARTY_POD)
		return lab_pod_namespace_path(lab, party->object);
	return lab_namespace_path(lab, party->title);
}

char *party_address(const struct lab *lab, const struct party *party, enum family family)
{
	json_t *entry;
	size_t index;

	if (party->kind == PARTY_OUTSIDE)
		return lab->settings.node_families[family]
			       ? plan_node_address(family, 1, PLAN_HOST_OUTSIDE)
			       : mem_string("");
	if (party->kind == PARTY_NODE)
		return mem_string(node_address(party->object, family));
	json_array_foreach(tree_at(party->object, "status.podIPs"), index, entry)
	{
		if (text_family(tree_text(entry, "ip")) == family)
			return mem_string(tree_text(entry, "ip"));
	}
	return mem_string("");
}
