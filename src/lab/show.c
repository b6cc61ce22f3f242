/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/show.h"

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static json_t *age(const json_t *object)
{
	struct tm utc = {0};
	long seconds;
	_free_ char *text = NULL;

	strptime(tree_text(object, "metadata.creationTimestamp"), "%Y-%m-%dT%H:%M:%SZ", &utc);
	seconds = (long)(time(NULL) - timegm(&utc));
	text = seconds < 120	? mem_format("%lds", seconds)
	       : seconds < 7200 ? mem_format("%ldm", seconds / 60)
				: mem_format("%ldh", seconds / 3600);
	return json_string(text);
}

/* Values of a key in a list of objects, as a list: the printer joins it. */
static json_t *pluck(const json_t *list, const char *key)
{
	json_t *values = json_array(), *entry;
	size_t index;

	json_array_foreach(list, index, entry)
	{
		json_t *value = tree_at(entry, key);

		if (value)
			json_array_append(values, value);
	}
	return values;
}

static json_t *labels_text(const json_t *labels)
{
	json_t *list = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)labels, key, value)
	{
		_free_ char *text = mem_format("%s=%s", key, json_string_value(value));

		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *ratio(json_int_t part, json_int_t whole)
{
	_free_ char *text = mem_format("%lld/%lld", (long long)part, (long long)whole);

	return json_string(text);
}

static void pod_row(const json_t *pod, json_t *row)
{
	json_t *statuses = tree_at(pod, "status.containerStatuses"), *status;
	json_int_t ready = 0;
	size_t index;

	json_array_foreach(statuses, index, status)
	{
		ready += json_is_true(json_object_get(status, "ready"));
	}
	json_object_set_new(row, "ready",
		ratio(ready, (json_int_t)json_array_size(tree_at(pod, "spec.containers"))));
	json_object_set_new(row, "status", json_string(tree_text(pod, "status.phase")));
	json_object_set_new(row, "ip", pluck(tree_at(pod, "status.podIPs"), "ip"));
	json_object_set_new(row, "node", json_string(tree_text(pod, "spec.nodeName")));
	json_object_set_new(row, "message", json_string(tree_text(pod, "status.message")));
}

static json_t *service_ports(const json_t *service)
{
	json_t *ports = json_array(), *port;
	size_t index;

	json_array_foreach(tree_at(service, "spec.ports"), index, port)
	{
		long long node = json_integer_value(json_object_get(port, "nodePort"));
		long long number = json_integer_value(json_object_get(port, "port"));
		const char *protocol = tree_text(port, "protocol");
		_free_ char *text = node ? mem_format("%lld:%lld/%s", number, node, protocol)
					 : mem_format("%lld/%s", number, protocol);

		json_array_append_new(ports, json_string(text));
	}
	return ports;
}

static void service_row(const json_t *service, json_t *row)
{
	json_t *external = pluck(tree_at(service, "status.loadBalancer.ingress"), "ip");
	json_t *given = tree_at(service, "spec.externalIPs");
	json_t *addresses = tree_at(service, "spec.clusterIPs");

	if (given)
		json_array_extend(external, given);
	if (*tree_text(service, "spec.externalName"))
		json_array_append(external, tree_at(service, "spec.externalName"));
	json_object_set_new(row, "type", json_string(tree_text(service, "spec.type")));
	if (addresses)
		json_object_set(row, "clusterIPs", addresses);
	json_object_set_new(row, "external", external);
	json_object_set_new(row, "ports", service_ports(service));
	json_object_set_new(row, "selector", labels_text(tree_at(service, "spec.selector")));
}

static void node_row(const json_t *node, json_t *row)
{
	json_t *addresses = json_array(), *entry;
	size_t index;

	json_array_foreach(tree_at(node, "status.addresses"), index, entry)
	{
		if (strcmp(tree_text(entry, "type"), "InternalIP") == 0)
			json_array_append(addresses, json_object_get(entry, "address"));
	}
	json_object_set_new(row, "status", json_string("Ready"));
	json_object_set_new(row, "ip", addresses);
	json_object_set(row, "ranges", tree_at(node, "spec.podCIDRs"));
}

static void slice_row(const json_t *slice, json_t *row)
{
	json_t *addresses = json_array(), *endpoint;
	size_t index;

	json_array_foreach(json_object_get(slice, "endpoints"), index, endpoint)
	{
		json_array_extend(addresses, json_object_get(endpoint, "addresses"));
	}
	json_object_set(row, "type", json_object_get(slice, "addressType"));
	json_object_set_new(row, "ports", pluck(json_object_get(slice, "ports"), "port"));
	json_object_set_new(row, "endpoints", addresses);
}

static void policy_row(const json_t *policy, json_t *row)
{
	json_object_set_new(
		row, "selector", labels_text(tree_at(policy, "spec.podSelector.matchLabels")));
	json_object_set(row, "types", tree_at(policy, "spec.policyTypes"));
}

static void workload_row(const json_t *workload, json_t *row)
{
	bool is_daemon = tree_kind(workload) == LAB_DAEMON_SET;
	const json_t *status = json_object_get(workload, "status");

	json_object_set_new(row, "ready",
		ratio(json_integer_value(json_object_get(
			      status, is_daemon ? "numberReady" : "readyReplicas")),
			json_integer_value(json_object_get(
				status, is_daemon ? "desiredNumberScheduled" : "replicas"))));
}

static void plain_row(const json_t *object, json_t *row)
{
	json_object_set_new(row, "status", json_string(tree_text(object, "status.phase")));
}

#define COLUMNS_MAX 9
static const struct output_column pod_columns[COLUMNS_MAX] = {{.title = "NAMESPACE", .key = "namespace"},
	{.title = "NAME", .key = "name"}, {.title = "READY", .key = "ready"}, {.title = "STATUS", .key = "status"}, {.title = "AGE", .key = "age"},
	{.title = "IP", .key = "ip", .wide = true}, {.title = "NODE", .key = "node", .wide = true},
	{.title = "MESSAGE", .key = "message", .wide = true}};
static const struct output_column service_columns[COLUMNS_MAX] = {{.title = "NAMESPACE", .key = "namespace"},
	{.title = "NAME", .key = "name"}, {.title = "TYPE", .key = "type"}, {.title = "CLUSTER-IP", .key = "clusterIPs"},
	{.title = "EXTERNAL-IP", .key = "external"}, {.title = "PORT(S)", .key = "ports"}, {.title = "AGE", .key = "age"},
	{.title = "SELECTOR", .key = "selector", .wide = true}};
static const struct output_column node_columns[COLUMNS_MAX] = {{.title = "", .key = "namespace"}, {.title = "NAME", .key = "name"},
	{.title = "STATUS", .key = "status"}, {.title = "AGE", .key = "age"}, {.title = "INTERNAL-IP", .key = "ip", .wide = true},
	{.title = "POD-CIDR", .key = "ranges", .wide = true}};
static const struct output_column slice_columns[COLUMNS_MAX] = {{.title = "NAMESPACE", .key = "namespace"},
	{.title = "NAME", .key = "name"}, {.title = "ADDRESSTYPE", .key = "type"}, {.title = "PORTS", .key = "ports"}, {.title = "ENDPOINTS", .key = "endpoints"},
	{.title = "AGE", .key = "age"}};
static const struct output_column policy_columns[COLUMNS_MAX] = {{.title = "NAMESPACE", .key = "namespace"},
	{.title = "NAME", .key = "name"}, {.title = "POD-SELECTOR", .key = "selector"}, {.title = "AGE", .key = "age"},
	{.title = "TYPES", .key = "types", .wide = true}};
static const struct output_column workload_columns[COLUMNS_MAX] = {{.title = "NAMESPACE", .key = "namespace"},
	{.title = "NAME", .key = "name"}, {.title = "READY", .key = "ready"}, {.title = "AGE", .key = "age"}};
static const struct output_column plain_columns[COLUMNS_MAX] = {{.title = "NAMESPACE", .key = "namespace"},
	{.title = "NAME", .key = "name"}, {.title = "STATUS", .key = "status"}, {.title = "AGE", .key = "age"}};

/* The first column is the namespace, shown with -A. */
static const struct show_kind {
	void (*row)(const json_t *object, json_t *row);
	const struct output_column *columns;
} show_kinds[LAB_KIND_MAX] = {
	[LAB_NAMESPACE] = {plain_row, plain_columns},
	[LAB_NODE] = {node_row, node_columns},
	[LAB_POD] = {pod_row, pod_columns},
	[LAB_SERVICE] = {service_row, service_columns},
	[LAB_ENDPOINTS] = {plain_row, plain_columns},
	[LAB_ENDPOINT_SLICE] = {slice_row, slice_columns},
	[LAB_NETWORK_POLICY] = {policy_row, policy_columns},
	[LAB_DEPLOYMENT] = {workload_row, workload_columns},
	[LAB_REPLICA_SET] = {workload_row, workload_columns},
	[LAB_REPLICATION_CONTROLLER] = {workload_row, workload_columns},
	[LAB_STATEFUL_SET] = {workload_row, workload_columns},
	[LAB_DAEMON_SET] = {workload_row, workload_columns},
	[LAB_JOB] = {workload_row, workload_columns},
};

/* As kubectl's "all", plus what belongs to the network. */
static const enum lab_kind all_kinds[] = {LAB_POD, LAB_SERVICE, LAB_ENDPOINT_SLICE,
	LAB_NETWORK_POLICY, LAB_DAEMON_SET, LAB_DEPLOYMENT, LAB_REPLICA_SET,
	LAB_REPLICATION_CONTROLLER, LAB_STATEFUL_SET, LAB_JOB};

static int kinds_parse(const char *text, bool wanted[LAB_KIND_MAX], struct err *err)
{
	while (*text) {
		size_t length = strcspn(text, ",");
		_free_ char *word = mem_format("%.*s", (int)length, text);
		enum lab_kind kind = lab_kind_from_word(word);
		bool is_all = strcmp(word, "all") == 0;

		for (size_t i = 0; is_all && i < ARRAY_SIZE(all_kinds); i++)
			wanted[all_kinds[i]] = true;
		if (kind < LAB_KIND_MAX)
			wanted[kind] = true;
		else if (!is_all)
			return err_set(err, EINVAL,
				"the lab keeps no \"%s\"; it keeps pods, services, endpointslices, "
				"networkpolicies, nodes, namespaces, deployments, replicasets, "
				"statefulsets, daemonsets, jobs",
				word);
		text += length + (text[length] == ',');
	}
	return 0;
}

/* What `show` asks for of one kind. A new reference. */
static json_t *objects_select(const struct lab *lab, const struct show *show, enum lab_kind kind)
{
	_json_ json_t *all = lab_list(lab, kind);
	json_t *selected = json_array(), *object;
	size_t index;

	json_array_foreach(all, index, object)
	{
		if (lab_kinds[kind].namespaced && show->name_space &&
			strcmp(tree_namespace(object), show->name_space) != 0)
			continue;
		if (!show->name || strcmp(tree_name(object), show->name) == 0)
			json_array_append(selected, object);
	}
	return selected;
}

static void table_print(const struct show *show, enum lab_kind kind, const json_t *objects)
{
	const struct lab_kind_info *info = &lab_kinds[kind];
	const struct output_column *columns = show_kinds[kind].columns;
	_json_ json_t *rows = json_array();
	enum output_format format = show->format ? output_format_parse(show->format) : OUTPUT_TABLE;
	bool skips = show->name_space || !info->namespaced;
	unsigned int count = 0;
	json_t *object;
	size_t index;

	json_array_foreach(objects, index, object)
	{
		_free_ char *qualified = mem_format("%s%s%s/%s", info->singular,
			*info->group ? "." : "", info->group, tree_name(object));
		json_t *row = json_pack("{s:s, s:s, s:o, s:s}", "namespace", tree_namespace(object),
			"name", tree_name(object), "age", age(object), "qualified", qualified);

		show_kinds[kind].row(object, row);
		json_array_append_new(rows, row);
	}
	while (columns[count].title)
		count++;
	output_rows(rows, columns + skips, count - skips, format, "qualified");
}

static int trees_print(const struct show *show, json_t *objects)
{
	_json_ json_t *list = json_pack("{s:s, s:s, s:O, s:{s:s}}", "apiVersion", "v1", "kind", "List",
		"items", objects, "metadata", "resourceVersion", "");
	json_t *tree = show->name && json_array_size(objects) == 1 ? json_array_get(objects, 0)
								   : list;
	_free_ char *text = strcmp(show->format, "yaml") == 0 ? yaml_write(tree)
							      : json_write_pretty(tree);

	fputs(text, stdout);
	if (strcmp(show->format, "json") == 0)
		putchar('\n');
	return 0;
}

static int nothing_found(const struct show *show, struct err *err)
{
	if (show->name)
		return err_set(err, ENOENT, "%s \"%s\" not found%s%s", show->kinds, show->name,
			show->name_space ? " in namespace " : "",
			show->name_space ? show->name_space : "");
	fprintf(stderr, "No resources found%s%s%s.\n", show->name_space ? " in namespace " : "",
		show->name_space ? show->name_space : "",
		show->name_space ? " (-A shows every namespace)" : "");
	return 0;
}

int lab_show(const struct lab *lab, const struct show *show, struct err *err)
{
	bool wanted[LAB_KIND_MAX] = {false};
	_json_ json_t *found = json_array();
	bool is_tree = show->format && (strcmp(show->format, "json") == 0 ||
						strcmp(show->format, "yaml") == 0);
	unsigned int tables = 0;

	if (show->format && !is_tree && strcmp(show->format, "wide") != 0 &&
		strcmp(show->format, "name") != 0)
		return err_set(err, EINVAL, "-o %s: use json, yaml, name or wide", show->format);
	if (kinds_parse(show->kinds, wanted, err) < 0)
		return -err->code;
	for (enum lab_kind kind = 0; kind < LAB_KIND_MAX; kind++) {
		_json_ json_t *objects = wanted[kind] ? objects_select(lab, show, kind) : NULL;

		if (json_array_size(objects) == 0)
			continue;
		json_array_extend(found, objects);
		if (is_tree)
			continue;
		if (tables++ > 0 && (!show->format || strcmp(show->format, "name") != 0))
			putchar('\n');
		table_print(show, kind, objects);
	}
	if (is_tree && (json_array_size(found) > 0 || !show->name))
		return trees_print(show, found);
	return json_array_size(found) == 0 ? nothing_found(show, err) : 0;
}
