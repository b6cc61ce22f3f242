/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/slices.h"

#include "base/mem.h"
#include "lab/plan.h"
#include "lab/services.h"

#include <string.h>

#define MANAGER_LABEL "endpointslice.kubernetes.io/managed-by"
#define MANAGER_SELECTOR "endpointslice-controller.k8s.io"
#define MANAGER_MIRROR "endpointslicemirroring-controller.k8s.io"
#define ENDPOINTS_PER_SLICE 100

/* What a sync wants: key -> slice. */
struct sync {
	const struct lab *lab;
	json_t *wanted;
};

/* The number that a pod gives to a target port; 0: it has no port of this name. */
static json_int_t target_resolve(const json_t *pod, const json_t *target, const char *protocol)
{
	json_t *container, *port;
	size_t i, j;

	if (!json_is_string(target))
		return json_integer_value(target);
	json_array_foreach(tree_at(pod, "spec.containers"), i, container)
	{
		json_array_foreach(json_object_get(container, "ports"), j, port)
		{
			if (strcmp(tree_text(port, "name"), json_string_value(target)) == 0 &&
				strcmp(tree_text(port, "protocol"), protocol) == 0)
				return json_integer_value(json_object_get(port, "containerPort"));
		}
	}
	return 0;
}

/* The slice's ports for this pod. A new reference. */
static json_t *ports_resolve(const json_t *service, const json_t *pod)
{
	json_t *ports = json_array(), *port;
	size_t index;

	json_array_foreach(tree_at(service, "spec.ports"), index, port)
	{
		const char *protocol = tree_text(port, "protocol");
		json_int_t number =
			target_resolve(pod, json_object_get(port, "targetPort"), protocol);
		json_t *app = json_object_get(port, "appProtocol"), *entry;

		if (number == 0)
			continue;
		entry = json_pack("{s:s, s:s, s:I}", "name", tree_text(port, "name"), "protocol",
			protocol, "port", number);
		if (app)
			json_object_set(entry, "appProtocol", app);
		json_array_append_new(ports, entry);
	}
	return ports;
}

static const char *pod_address(const json_t *pod, enum family family)
{
	json_t *entry;
	size_t index;

	json_array_foreach(tree_at(pod, "status.podIPs"), index, entry)
	{
		const char *text = tree_text(entry, "ip");

		if (*text && text_family(text) == family)
			return text;
	}
	return "";
}

static bool pod_is_ready(const json_t *pod)
{
	json_t *condition;
	size_t index;

	json_array_foreach(tree_at(pod, "status.conditions"), index, condition)
	{
		if (strcmp(tree_text(condition, "type"), "Ready") == 0)
			return strcmp(tree_text(condition, "status"), "True") == 0;
	}
	return false;
}

static json_t *endpoint_new(
	const struct lab *lab, const json_t *service, const json_t *pod, const char *address)
{
	bool is_ready = pod_is_ready(pod);
	bool is_published =
		is_ready || json_is_true(tree_at(service, "spec.publishNotReadyAddresses"));
	const char *node = tree_text(pod, "spec.nodeName");
	json_t *labels = tree_at(lab_find(lab, LAB_NODE, "", node), "metadata.labels");
	const char *zone = json_string_value(json_object_get(labels, "topology.kubernetes.io/zone"));
	const char *hostname = tree_text(pod, "spec.hostname");
	json_t *endpoint = json_pack("{s:[s], s:{s:b, s:b, s:b}, s:s, s:{s:s, s:s, s:s, s:s}}",
		"addresses", address, "conditions", "ready", is_published, "serving", is_ready,
		"terminating", 0, "nodeName", node, "targetRef", "kind", "Pod", "namespace",
		tree_namespace(pod), "name", tree_name(pod), "uid", tree_uid(pod));

	if (zone)
		json_object_set_new(endpoint, "zone", json_string(zone));
	if (*hostname && strcmp(tree_text(pod, "spec.subdomain"), tree_name(service)) == 0)
		json_object_set_new(endpoint, "hostname", json_string(hostname));
	return endpoint;
}

/* The wanted slice of these ports with room for an endpoint; made if there is none. */
static json_t *slice_for(struct sync *sync, const json_t *service, enum family family,
	const char *manager, const json_t *ports)
{
	for (unsigned int chunk = 0;; chunk++) {
		json_t *identity = json_pack("[s, O, i]", family_name(family), ports, (int)chunk);
		_free_ char *suffix = name_suffix(tree_hash(identity), 5);
		_free_ char *name = mem_format("%.57s-%s", tree_name(service), suffix);
		_free_ char *key =
			tree_key_format(LAB_ENDPOINT_SLICE, tree_namespace(service), name);
		json_t *slice = json_object_get(sync->wanted, key), *labels;

		json_decref(identity);
		if (slice && json_array_size(json_object_get(slice, "endpoints")) >=
				     ENDPOINTS_PER_SLICE)
			continue;
		if (slice)
			return slice;
		slice = tree_new(LAB_ENDPOINT_SLICE, tree_namespace(service), name);
		labels = json_pack("{s:s, s:s}", "kubernetes.io/service-name", tree_name(service),
			MANAGER_LABEL, manager);
		if (service_is_headless(service))
			json_object_set_new(
				labels, "service.kubernetes.io/headless", json_string(""));
		json_object_set_new(json_object_get(slice, "metadata"), "labels", labels);
		json_object_set_new(json_object_get(slice, "metadata"), "ownerReferences",
			owner_new(service));
		json_object_set_new(slice, "addressType", json_string(family_name(family)));
		json_object_set(slice, "ports", (json_t *)ports);
		json_object_set_new(slice, "endpoints", json_array());
		json_object_set_new(sync->wanted, key, slice);
		return slice;
	}
}

static void pod_offer(
	struct sync *sync, const json_t *service, const json_t *pod, enum family family)
{
	const char *address = pod_address(pod, family);
	json_t *ports, *slice;

	if (!*address)
		return;
	ports = ports_resolve(service, pod);
	if (json_array_size(ports) > 0 || json_array_size(tree_at(service, "spec.ports")) == 0) {
		slice = slice_for(sync, service, family, MANAGER_SELECTOR, ports);
		json_array_append_new(json_object_get(slice, "endpoints"),
			endpoint_new(sync->lab, service, pod, address));
	}
	json_decref(ports);
}

static void service_select(struct sync *sync, const json_t *service, const json_t *pods)
{
	json_t *selector = tree_at(service, "spec.selector"), *family, *pod;
	size_t i, j;

	json_array_foreach(tree_at(service, "spec.ipFamilies"), i, family)
	{
		enum family f = strcmp(json_string_value(family), "IPv4") == 0 ? FAMILY_IPV4
									       : FAMILY_IPV6;

		json_array_foreach(pods, j, pod)
		{
			if (strcmp(tree_namespace(pod), tree_namespace(service)) == 0 &&
				tree_labels_match(selector, tree_at(pod, "metadata.labels")))
				pod_offer(sync, service, pod, f);
		}
	}
}

static void addresses_mirror(struct sync *sync, const json_t *service, const json_t *addresses,
	const json_t *ports, bool is_ready)
{
	json_t *address;
	size_t index;

	json_array_foreach(addresses, index, address)
	{
		const char *ip = tree_text(address, "ip");
		json_t *slice = slice_for(sync, service, text_family(ip), MANAGER_MIRROR, ports);
		json_t *endpoint = json_pack("{s:[s], s:{s:b}}", "addresses", ip, "conditions",
			"ready", is_ready);

		if (*tree_text(address, "nodeName"))
			json_object_set(endpoint, "nodeName", json_object_get(address, "nodeName"));
		if (*tree_text(address, "hostname"))
			json_object_set(endpoint, "hostname", json_object_get(address, "hostname"));
		json_array_append_new(json_object_get(slice, "endpoints"), endpoint);
	}
}

/* A Service without selector takes its endpoints from the Endpoints object of its name. */
static void service_mirror(struct sync *sync, const json_t *service)
{
	json_t *endpoints = lab_find(sync->lab, LAB_ENDPOINTS, tree_namespace(service),
		tree_name(service));
	json_t *subset, *port;
	size_t i, j;

	json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
	{
		json_t *ports = json_object_get(subset, "ports");
		json_t *copy = ports ? json_deep_copy(ports) : json_array();

		json_array_foreach(copy, j, port)
		{
			tree_default_text(port, "name", "");
			tree_default_text(port, "protocol", "TCP");
		}
		addresses_mirror(sync, service, json_object_get(subset, "addresses"), copy, true);
		addresses_mirror(
			sync, service, json_object_get(subset, "notReadyAddresses"), copy, false);
		json_decref(copy);
	}
}

/* An unchanged slice keeps its identity; those of ours that are not wanted go. */
static void sync_apply(struct lab *lab, struct sync *sync)
{
	json_t *slices = lab_list(lab, LAB_ENDPOINT_SLICE), *slice;
	const char *key;
	size_t index;

	json_array_foreach(slices, index, slice)
	{
		const char *manager = json_string_value(
			json_object_get(tree_at(slice, "metadata.labels"), MANAGER_LABEL));
		_free_ char *held = tree_key(slice);
		json_t *metadata = tree_at(json_object_get(sync->wanted, held), "metadata");

		if (!manager || (strcmp(manager, MANAGER_SELECTOR) != 0 &&
					strcmp(manager, MANAGER_MIRROR) != 0))
			continue;
		if (metadata) {
			json_object_set(metadata, "uid", tree_at(slice, "metadata.uid"));
			json_object_set(metadata, "creationTimestamp",
				tree_at(slice, "metadata.creationTimestamp"));
		} else {
			lab_remove(lab, slice);
		}
	}
	json_object_foreach(sync->wanted, key, slice)
	{
		json_object_set(lab->objects, key, slice);
	}
	json_decref(slices);
}

void slices_sync(struct lab *lab)
{
	struct sync sync = {.lab = lab, .wanted = json_object()};
	json_t *services = lab_list(lab, LAB_SERVICE), *pods = lab_list(lab, LAB_POD), *service;
	size_t index;

	json_array_foreach(services, index, service)
	{
		if (strcmp(tree_text(service, "spec.type"), "ExternalName") == 0)
			continue;
		if (json_object_size(tree_at(service, "spec.selector")) > 0)
			service_select(&sync, service, pods);
		else
			service_mirror(&sync, service);
	}
	sync_apply(lab, &sync);
	json_decref(sync.wanted);
	json_decref(services);
	json_decref(pods);
}
