/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/spread.h"

#include "base/json.h"

#include <string.h>

#define AFFINITY "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"

bool node_suits(const json_t *node, const json_t *spec)
{
	json_t *labels = tree_at(node, "metadata.labels"), *term;
	json_t *terms = tree_at(spec, AFFINITY ".nodeSelectorTerms");
	bool suits = json_array_size(terms) == 0;
	size_t index;

	if (!tree_labels_match(json_object_get(spec, "nodeSelector"), labels))
		return false;
	json_array_foreach(terms, index, term)
	{
		suits = suits || tree_selector_match(term, labels);
	}
	return suits;
}

struct load {
	size_t siblings, pods;
};

/* What runs on `node` already, as far as it matters to a Pod of `owner`. */
static struct load load_count(const json_t *pods, const json_t *pod, const char *node)
{
	const char *owner = tree_owner(pod);
	struct load load = {0};
	json_t *other;
	size_t index;

	json_array_foreach(pods, index, other)
	{
		if (strcmp(tree_text(other, "spec.nodeName"), node) != 0)
			continue;
		load.pods++;
		load.siblings += *owner && strcmp(tree_owner(other), owner) == 0;
	}
	return load;
}

static const char *node_choose(const json_t *nodes, const json_t *pods, const json_t *pod)
{
	const char *best = NULL;
	struct load least = {0};
	json_t *node;
	size_t index;

	json_array_foreach(nodes, index, node)
	{
		struct load load;

		if (json_is_true(tree_at(node, "spec.unschedulable")) ||
			!node_suits(node, json_object_get(pod, "spec")))
			continue;
		load = load_count(pods, pod, tree_name(node));
		if (best && (load.siblings > least.siblings ||
				    (load.siblings == least.siblings && load.pods >= least.pods)))
			continue;
		best = tree_name(node);
		least = load;
	}
	return best;
}

void pods_spread(struct lab *lab)
{
	_json_ json_t *nodes = lab_list(lab, LAB_NODE), *pods = lab_list(lab, LAB_POD);
	json_t *pod;
	size_t index;

	json_array_foreach(pods, index, pod)
	{
		const char *given = tree_text(pod, "spec.nodeName"), *node = given;

		if (!*given)
			node = node_choose(nodes, pods, pod);
		else if (!lab_find(lab, LAB_NODE, "", given))
			node = NULL;
		if (node && !*given)
			json_object_set_new(
				json_object_get(pod, "spec"), "nodeName", json_string(node));
		if (!node)
			json_object_set_new(pod, "status",
				json_pack("{s:s, s:[{s:s, s:s, s:s, s:s}]}", "phase", "Pending",
					"conditions", "type", "PodScheduled", "status", "False",
					"reason", "Unschedulable", "message",
					*given ? "spec.nodeName names no node of the lab"
					       : "no node has the labels that nodeSelector and "
						 "affinity ask for"));
	}
}
