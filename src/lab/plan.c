/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/plan.h"

#include "base/mem.h"
#include "net/prefix.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LABEL_VALUE_MAX 63

const char *plan_pod_range(enum family family)
{
	return family == FAMILY_IPV4 ? "10.244.0.0/16" : "fd44::/48";
}

const char *plan_service_range(enum family family)
{
	return family == FAMILY_IPV4 ? "10.96.0.0/16" : "fd96::/112";
}

unsigned int plan_node_prefix_length(enum family family)
{
	return family == FAMILY_IPV4 ? 24 : 64;
}

/* IPv6 texts carry the same digits as IPv4 ones: node 12 is ::22, not ::16. */
char *plan_node_address(enum family family, unsigned int subnet, unsigned int host)
{
	return family == FAMILY_IPV4 ? mem_format("10.89.%u.%u", subnet, host)
				     : mem_format("fd89:0:0:%u::%u", subnet, host);
}

char *plan_node_pod_range(enum family family, unsigned int number)
{
	return family == FAMILY_IPV4 ? mem_format("10.244.%u.0/24", number)
				     : mem_format("fd44:0:0:%u::/64", number);
}

char *plan_service_address(enum family family, unsigned int number)
{
	return family == FAMILY_IPV4 ? mem_format("10.96.%u.%u", number >> 8, number & 0xff)
				     : mem_format("fd96::%x", number);
}

unsigned int plan_subnet(const struct lab_settings *settings, const char *address)
{
	struct addr addr;

	if (addr_parse(address, &addr) < 0)
		return 0;
	for (unsigned int subnet = 1; subnet <= settings->subnets; subnet++) {
		enum family family = addr_family(&addr);
		_free_ char *network = plan_node_address(family, subnet, 0);
		struct prefix prefix;

		if (addr_parse(network, &prefix.addr) < 0)
			return 0;
		prefix.length = plan_node_prefix_length(family) + (family == FAMILY_IPV4 ? 96 : 0);
		if (prefix_contains(&prefix, &addr))
			return subnet;
	}
	return 0;
}

enum family plan_primary(const struct lab_settings *settings)
{
	return settings->pod_families[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6;
}

enum family text_family(const char *text)
{
	return strchr(text, ':') ? FAMILY_IPV6 : FAMILY_IPV4;
}

const char *node_address(const json_t *node, enum family family)
{
	json_t *address;
	size_t index;

	json_array_foreach(tree_at(node, "status.addresses"), index, address)
	{
		const char *text = tree_text(address, "address");

		if (strcmp(tree_text(address, "type"), "InternalIP") == 0 &&
			text_family(text) == family)
			return text;
	}
	return "";
}

unsigned int node_subnet(const struct lab_settings *settings, const json_t *node)
{
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
		const char *address = node_address(node, f);

		if (*address)
			return plan_subnet(settings, address);
	}
	return 0;
}

static bool range_taken(const json_t *nodes, const char *range)
{
	struct prefix wanted, held;
	json_t *node, *text;
	size_t i, j;

	if (prefix_parse(range, &wanted, NULL) < 0)
		return true;
	json_array_foreach(nodes, i, node)
	{
		json_array_foreach(tree_at(node, "spec.podCIDRs"), j, text)
		{
			const char *other = json_string_value(text);

			if (other && prefix_parse(other, &held, NULL) == 0 &&
				prefix_overlaps(&wanted, &held))
				return true;
		}
	}
	return false;
}

static bool address_taken(const json_t *nodes, enum family family, const char *address)
{
	json_t *node;
	size_t index;

	json_array_foreach(nodes, index, node)
	{
		if (strcmp(node_address(node, family), address) == 0)
			return true;
	}
	return false;
}

/* Is `number` free for a Node: its ranges and its addresses on `subnet`? */
static bool number_free(
	const struct lab *lab, const json_t *nodes, unsigned int number, unsigned int subnet)
{
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
		_free_ char *range = plan_node_pod_range(f, number);
		_free_ char *address = plan_node_address(f, subnet, PLAN_HOST_NODES + number);

		if (lab->settings.pod_families[f] && range_taken(nodes, range))
			return false;
		if (lab->settings.node_families[f] && address_taken(nodes, f, address))
			return false;
	}
	return true;
}

/* "node7" would like to be number 7. */
static unsigned int number_wanted(const char *name)
{
	const char *digits = name + strlen(name);
	unsigned long number;

	while (digits > name && isdigit((unsigned char)digits[-1]))
		digits--;
	number = strtoul(digits, NULL, 10);
	return number <= LAB_NODES_MAX ? (unsigned int)number : 0;
}

static unsigned int subnet_of_number(const struct lab_settings *settings, unsigned int number)
{
	return (number - 1) % settings->subnets + 1;
}

static unsigned int number_choose(const struct lab *lab, const json_t *nodes, const char *name)
{
	unsigned int wanted = number_wanted(name);

	if (wanted && number_free(lab, nodes, wanted, subnet_of_number(&lab->settings, wanted)))
		return wanted;
	for (unsigned int n = 1; n <= LAB_NODES_MAX; n++)
		if (number_free(lab, nodes, n, subnet_of_number(&lab->settings, n)))
			return n;
	return 0;
}

static void ranges_complete(const struct lab *lab, json_t *node, unsigned int number)
{
	json_t *spec = tree_child(node, "spec"), *ranges = json_object_get(spec, "podCIDRs");

	if (json_array_size(ranges) == 0) {
		ranges = json_array();
		json_object_set_new(spec, "podCIDRs", ranges);
		for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
			_free_ char *range = plan_node_pod_range(f, number);

			if (lab->settings.pod_families[f])
				json_array_append_new(ranges, json_string(range));
		}
	}
	json_object_set(spec, "podCIDR", json_array_get(ranges, 0));
}

/* Keeps the given addresses that lie on the lab's subnets, and adds what is missing. */
static void addresses_complete(
	const struct lab *lab, json_t *node, unsigned int number, unsigned int subnet)
{
	json_t *status = tree_child(node, "status"), *addresses = json_array();

	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
		const char *given = node_address(node, f);
		_free_ char *own = plan_node_address(f, subnet, PLAN_HOST_NODES + number);

		if (!lab->settings.node_families[f])
			continue;
		if (*given && plan_subnet(&lab->settings, given) != subnet) {
			lab_say(lab,
				"node %s: the address %s is on no subnet of the lab and becomes %s",
				tree_name(node), given, own);
			given = "";
		}
		json_array_append_new(addresses, json_pack("{s:s, s:s}", "type", "InternalIP",
							 "address", *given ? given : own));
	}
	json_array_append_new(addresses,
		json_pack("{s:s, s:s}", "type", "Hostname", "address", tree_name(node)));
	json_object_set_new(status, "addresses", addresses);
	json_object_set_new(status, "conditions",
		json_pack("[{s:s, s:s, s:s}]", "type", "Ready", "status", "True", "reason",
			"LabNodeReady"));
}

static int node_plan(struct lab *lab, const json_t *nodes, json_t *node, struct err *err)
{
	json_t *labels = tree_child(tree_child(node, "metadata"), "labels");
	const char *name = tree_name(node);
	unsigned int subnet = node_subnet(&lab->settings, node);
	unsigned int number = number_choose(lab, nodes, name);

	if (strcmp(name, LAB_FABRIC) == 0 || strcmp(name, LAB_OUTSIDE) == 0)
		return err_set(err, EINVAL,
			"Node \"%s\": the lab itself uses this name; give the node another", name);
	if (number == 0)
		return err_set(err, ENOSPC, "Node \"%s\": a lab has at most %d nodes", name,
			LAB_NODES_MAX);
	if (subnet == 0)
		subnet = subnet_of_number(&lab->settings, number);
	if (strlen(name) <= LABEL_VALUE_MAX)
		tree_default_text(labels, "kubernetes.io/hostname", name);
	tree_default_text(labels, "kubernetes.io/os", "linux");
	tree_default_text(labels, "kubernetes.io/arch", "amd64");
	ranges_complete(lab, node, number);
	addresses_complete(lab, node, number, subnet);
	return 0;
}

static bool node_is_planned(const struct lab *lab, const json_t *node)
{
	bool complete = json_array_size(tree_at(node, "spec.podCIDRs")) > 0 &&
			tree_at(node, "status.conditions");

	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		if (lab->settings.node_families[f] &&
			plan_subnet(&lab->settings, node_address(node, f)) == 0)
			complete = false;
	return complete;
}

int plan_nodes(struct lab *lab, struct err *err)
{
	json_t *nodes = lab_list(lab, LAB_NODE), *node;
	size_t index;
	int r = 0;

	/* What is given counts before anything is chosen. */
	json_array_foreach(nodes, index, node)
	{
		json_t *only = tree_at(node, "spec.podCIDR");

		if (only && !tree_at(node, "spec.podCIDRs"))
			json_object_set_new(
				json_object_get(node, "spec"), "podCIDRs", json_pack("[O]", only));
	}
	json_array_foreach(nodes, index, node)
	{
		if (r == 0 && !node_is_planned(lab, node))
			r = node_plan(lab, nodes, node, err);
	}
	json_decref(nodes);
	return r;
}
