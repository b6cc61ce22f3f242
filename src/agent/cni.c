/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cni.h"

#include "agent/control.h"

#include "base/json.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char cni_gateway_ipv4[] = "169.254.1.1", cni_gateway_ipv6[] = "fe80::1";

static const char *const cni_versions[] = {[CNI_VERSION_0_3_1] = "0.3.1",
	[CNI_VERSION_0_4_0] = "0.4.0",
	[CNI_VERSION_1_0_0] = "1.0.0",
	[CNI_VERSION_1_1_0] = "1.1.0"};
_Static_assert(ARRAY_SIZE(cni_versions) == CNI_VERSION_MAX, "a name for each version");

static const char *const cni_commands[] = {[CNI_ADD] = "ADD",
	[CNI_DEL] = "DEL",
	[CNI_CHECK] = "CHECK",
	[CNI_STATUS] = "STATUS",
	[CNI_GC] = "GC"};
_Static_assert(ARRAY_SIZE(cni_commands) == CNI_COMMAND_MAX, "a name for each command");

/* The first version that has the command. */
static const enum cni_version cni_since[CNI_COMMAND_MAX] = {[CNI_CHECK] = CNI_VERSION_0_4_0,
	[CNI_STATUS] = CNI_VERSION_1_1_0,
	[CNI_GC] = CNI_VERSION_1_1_0};

static int cni_fail(struct cni_error *error, enum cni_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int cni_fail(struct cni_error *error, enum cni_code code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	error->reason.code = EINVAL;
	va_start(arguments, format);
	vsnprintf(error->reason.text, sizeof(error->reason.text), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int cni_read_command(
	const struct json_at *root, struct cni_request *request, struct cni_error *error)
{
	const char *text = "";

	if (json_get_string(root, "command", JSON_REQUIRED, &text, &error->reason) < 0)
		return cni_fail(error, CNI_DECODE, "the plugin's request has no command");
	for (enum cni_command command = 0; command < CNI_COMMAND_MAX; command++)
		if (strcmp(text, cni_commands[command]) == 0) {
			request->command = command;
			return 0;
		}
	return cni_fail(error, CNI_INVALID_ENVIRONMENT,
		"CNI_COMMAND: \"%s\" is none; use ADD, DEL, CHECK, STATUS, GC or VERSION", text);
}

static int cni_read_version(struct cni_request *request, struct cni_error *error)
{
	const char *text = json_string_value(json_object_get(request->config, "cniVersion"));

	if (!text)
		return cni_fail(error, CNI_INVALID_CONFIG,
			"cniVersion: is missing; use \"1.1.0\" or an older one down to \"0.3.1\"");
	for (enum cni_version version = 0; version < CNI_VERSION_MAX; version++)
		if (strcmp(text, cni_versions[version]) == 0) {
			request->version = version;
			return 0;
		}
	return cni_fail(error, CNI_INCOMPATIBLE_VERSION,
		"cniVersion: \"%s\" is not supported; use 0.3.1, 0.4.0, 1.0.0 or 1.1.0", text);
}

static int cni_read_config(
	const struct json_at *root, struct cni_request *request, struct cni_error *error)
{
	const char *text = "";
	struct err why;

	if (json_get_string(root, "config", JSON_REQUIRED, &text, &why) < 0)
		return cni_fail(error, CNI_DECODE, "the plugin's request has no configuration");
	if (json_read(text, strlen(text), &request->config, &why) < 0)
		return cni_fail(error, CNI_DECODE,
			"the network configuration on standard input: %s", why.text);
	if (!json_is_object(request->config))
		return cni_fail(error, CNI_DECODE,
			"the network configuration on standard input is %s; use an object",
			json_type_name(request->config));
	if (cni_read_version(request, error) < 0 && request->command != CNI_DEL)
		return -EINVAL;
	if (request->version < cni_since[request->command])
		return cni_fail(error, CNI_INCOMPATIBLE_VERSION,
			"cniVersion: \"%s\" has no %s; use \"%s\" or newer",
			cni_versions[request->version], cni_commands[request->command],
			cni_versions[cni_since[request->command]]);
	return 0;
}

struct cni_argument {
	const char *name;
	char *value;
	size_t size;
};

/* CNI_ARGS is "KEY=VALUE;KEY=VALUE"; keys that are not ours are somebody else's. */
static int cni_read_arguments(
	const char *text, struct cni_request *request, struct cni_error *error)
{
	const struct cni_argument arguments[] = {
		{"K8S_POD_NAMESPACE=", request->pod_namespace, sizeof(request->pod_namespace)},
		{"K8S_POD_NAME=", request->pod_name, sizeof(request->pod_name)},
		{"K8S_POD_UID=", request->pod_uid, sizeof(request->pod_uid)},
		{"IP=", request->ip, sizeof(request->ip)},
		{"MAC=", request->mac, sizeof(request->mac)},
	};

	while (*text) {
		size_t length = strcspn(text, ";");

		for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
			size_t name = strlen(arguments[i].name);

			if (strncmp(text, arguments[i].name, name) != 0)
				continue;
			if (length - name >= arguments[i].size)
				return cni_fail(error, CNI_INVALID_ENVIRONMENT,
					"CNI_ARGS: the value of %.*s is longer than %zu bytes",
					(int)name - 1, arguments[i].name, arguments[i].size - 1);
			memcpy(arguments[i].value, text + name, length - name);
			arguments[i].value[length - name] = '\0';
		}
		text += length + (text[length] == ';');
	}
	return 0;
}

static bool cni_is_uid(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") ==
	       strlen(text);
}

/* As the plugin has them; a record's file is named CONTAINERID:IFNAME. */
static bool cni_is_container(const char *text)
{
	return isalnum((unsigned char)*text) && cni_is_uid(text) && !strchr(text, ':');
}

static bool cni_is_ifname(const char *text)
{
	for (const char *at = text; *at; at++)
		if (strchr("/:\x7f", *at) || (unsigned char)*at <= ' ')
			return false;
	return strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

/* They are written down and shown, and objects are found by them. */
static int cni_check_names(const struct cni_request *request, struct cni_error *error)
{
	const struct {
		const char *name, *value, *kind;
		bool (*holds)(const char *value);
	} rules[] = {
		{"CNI_CONTAINERID", request->container, "identifier", cni_is_container},
		{"CNI_IFNAME", request->ifname, "name of an interface", cni_is_ifname},
		{"CNI_ARGS: K8S_POD_NAMESPACE", request->pod_namespace, "name of a namespace",
			name_is_label},
		{"CNI_ARGS: K8S_POD_NAME", request->pod_name, "name of a pod", name_is_subdomain},
		{"CNI_ARGS: K8S_POD_UID", request->pod_uid, "uid", cni_is_uid},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		_json_ json_t *value = json_string(rules[i].value);
		char shown[JSON_SHOW_SIZE];

		if (*rules[i].value && !rules[i].holds(rules[i].value))
			return cni_fail(error, CNI_INVALID_ENVIRONMENT, "%s: %s is no %s",
				rules[i].name, json_show(value, shown), rules[i].kind);
	}
	return 0;
}

int cni_request_read(json_t *parameters, struct cni_request *ret_request, struct cni_error *error)
{
	_cleanup_(cni_request_clear) struct cni_request request = {
		.version = CNI_VERSION_1_0_0, .container = "", .netns = "", .ifname = ""};
	struct json_at root = json_root(parameters);
	const char *arguments = "";
	int r = cni_read_command(&root, &request, error);

	if (r == 0)
		r = cni_read_config(&root, &request, error);
	if (r < 0)
		return r;
	if (json_get_string(
		    &root, "containerID", JSON_OPTIONAL, &request.container, &error->reason) < 0 ||
		json_get_string(&root, "netns", JSON_OPTIONAL, &request.netns, &error->reason) <
			0 ||
		json_get_string(&root, "ifname", JSON_OPTIONAL, &request.ifname, &error->reason) <
			0 ||
		json_get_string(&root, "args", JSON_OPTIONAL, &arguments, &error->reason) < 0) {
		error->code = CNI_DECODE;
		return -EINVAL;
	}
	r = cni_read_arguments(arguments, &request, error);
	if (r == 0)
		r = cni_check_names(&request, error);
	if (r < 0 && request.command != CNI_DEL)
		return r;
	*ret_request = request;
	request.config = NULL;
	return 0;
}

void cni_request_clear(struct cni_request *request)
{
	json_cleanup(&request->config);
}

static const char *cni_mac(const unsigned char *mac, char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
	return text;
}

static json_t *cni_interface_tree(
	const struct cni_request *request, const struct cni_interface *interface)
{
	char mac[18];
	json_t *tree = json_pack(
		"{s:s, s:s}", "name", interface->name, "mac", cni_mac(interface->mac, mac));

	if (interface->sandbox)
		json_object_set_new(tree, "sandbox", json_string(interface->sandbox));
	if (request->version >= CNI_VERSION_1_1_0)
		json_object_set_new(tree, "mtu", json_integer(interface->mtu));
	return tree;
}

static json_t *cni_address_tree(
	const struct cni_request *request, const struct addr *addr, size_t interface)
{
	bool v4 = addr_family(addr) == FAMILY_IPV4;
	char text[ADDR_TEXT_SIZE];
	json_t *tree = json_pack("{s:o, s:s, s:i}", "address",
		json_sprintf("%s/%d", addr_format(addr, text), v4 ? 32 : 128), "gateway",
		v4 ? cni_gateway_ipv4 : cni_gateway_ipv6, "interface", (int)interface);

	if (request->version < CNI_VERSION_1_0_0)
		json_object_set_new(tree, "version", json_string(v4 ? "4" : "6"));
	return tree;
}

static json_t *cni_route_tree(
	const struct cni_request *request, const struct cni_result *result, enum family family)
{
	bool v4 = family == FAMILY_IPV4;
	json_t *tree = json_pack("{s:s, s:s}", "dst", v4 ? "0.0.0.0/0" : "::/0", "gw",
		v4 ? cni_gateway_ipv4 : cni_gateway_ipv6);

	if (result->metric[family] && request->version >= CNI_VERSION_1_1_0)
		json_object_set_new(
			tree, "priority", json_integer((json_int_t)result->metric[family]));
	return tree;
}

/* A list of the previous result, to append to. */
static json_t *cni_list_of(const struct cni_result *result, const char *key)
{
	const json_t *list = json_object_get(result->previous, key);

	return json_is_array(list) ? json_deep_copy(list) : json_array();
}

static json_t *cni_result_tree(const struct cni_request *request, const struct cni_result *result)
{
	json_t *interfaces = cni_list_of(result, "interfaces"), *ips = cni_list_of(result, "ips"),
	       *routes = cni_list_of(result, "routes"),
	       *dns = json_deep_copy(json_object_get(result->previous, "dns"));
	size_t inside = json_array_size(interfaces) + 1; /* the pod's side is our second one */

	for (unsigned int i = 0; i < ARRAY_SIZE(result->interface); i++)
		json_array_append_new(
			interfaces, cni_interface_tree(request, &result->interface[i]));
	for (unsigned int i = 0; i < result->address_count; i++) {
		const struct addr *addr = &result->address[i];

		json_array_append_new(ips, cni_address_tree(request, addr, inside));
		json_array_append_new(routes, cni_route_tree(request, result, addr_family(addr)));
	}
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "cniVersion", cni_versions[request->version],
		"interfaces", interfaces, "ips", ips, "routes", routes, "dns",
		dns ? dns : json_object());
}

static int cni_check_lists(const json_t *previous, struct cni_error *error)
{
	static const char *const lists[] = {"interfaces", "ips", "routes"};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const json_t *list = json_object_get(previous, lists[i]);

		if (list && !json_is_array(list) && !json_is_null(list))
			return cni_fail(error, CNI_INVALID_CONFIG,
				"prevResult.%s: is %s; use a list", lists[i], json_type_name(list));
	}
	return 0;
}

int cni_previous_read(
	const struct cni_request *request, const json_t **ret_previous, struct cni_error *error)
{
	const json_t *previous = json_object_get(request->config, "prevResult"), *version;
	char shown[JSON_SHOW_SIZE];

	if (!previous || json_is_null(previous)) {
		*ret_previous = NULL;
		return 0;
	}
	if (!json_is_object(previous))
		return cni_fail(error, CNI_INVALID_CONFIG, "prevResult: is %s; use an object",
			json_type_name(previous));
	version = json_object_get(previous, "cniVersion");
	if (json_is_string(version) &&
		strcmp(json_string_value(version), cni_versions[request->version]) != 0)
		return cni_fail(error, CNI_INVALID_CONFIG,
			"prevResult.cniVersion: %s is not that of the request, \"%s\"",
			json_show(version, shown), cni_versions[request->version]);
	if (cni_check_lists(previous, error) < 0)
		return -EINVAL;
	*ret_previous = previous;
	return 0;
}

void cni_reply_result(
	const struct cni_request *request, const struct cni_result *result, struct text *reply)
{
	control_reply(reply, cni_result_tree(request, result));
}

void cni_reply_nothing(struct text *reply)
{
	text_append(reply, "{\"parameters\":{}}");
}

void cni_reply_error(
	const struct cni_request *request, const struct cni_error *error, struct text *reply)
{
	_json_ json_t *tree =
		json_pack("{s:s, s:i, s:s}", "cniVersion", cni_versions[request->version], "code",
			(int)error->code, "msg", error->reason.text);
	_free_ char *text = json_write(tree);

	text_append(reply, "{\"error\":\"io.podwire.cni.Failed\",\"parameters\":");
	text_append(reply, text);
	text_append(reply, "}");
}
