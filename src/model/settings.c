/* SPDX-License-Identifier: Apache-2.0 */
#include "model/settings.h"

#include "abi/wire.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/yaml.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum setting_type {
	SETTING_NAME,
	SETTING_ROUTE,
	SETTING_RANGES,
	SETTING_BOOL,
	SETTING_NUMBER,
	SETTING_PORTS,
	SETTING_NODE_PORTS,
	SETTING_DEVICES,
	SETTING_PATH,
	SETTING_BINDS,
	SETTING_LOG_LEVEL,
};

struct setting {
	const char *key;
	enum setting_type type;
	size_t offset;
	long minimum, maximum; /* of a number */
	const char *fallback; /* as the documents show it */
	const char *unit;
	bool live;
	const char *help;
};

#define AT(member) offsetof(struct settings, member)

static const struct setting settings_table[] = {
	{"node", SETTING_NAME, AT(node), 0, 0, "the host's name", "", false,
		"name of this node's Node object"},
	{"route", SETTING_ROUTE, AT(route), 0, 0, "auto", "", false,
		"how pods of other nodes are reached: vxlan; direct where a node is a neighbor; auto: "
		"direct where a neighbor answers a probe"},
	{"routeProbeSeconds", SETTING_NUMBER, AT(route_probe_seconds), 1, 86400, "300", "seconds",
		false, "how often a neighbor is asked whether the direct path still works"},
	{"podCIDRs", SETTING_RANGES, AT(pod_ranges), 0, 0, "[]", "ranges", false,
		"pod ranges of the whole cluster: what is inside and of no node is dropped"},
	{"serviceCIDRs", SETTING_RANGES, AT(service_ranges), 0, 0, "[]", "ranges", false,
		"Service ranges, the primary family first"},
	{"nonMasqueradeCIDRs", SETTING_RANGES, AT(no_masquerade), 0, 0, "[]", "ranges", false,
		"outside ranges that see the pods' own addresses"},
	{"externalCIDRs", SETTING_RANGES, AT(external_ranges), 0, 0, "[]", "ranges", false,
		"addresses that Services may name in externalIPs; what is outside is refused"},
	{"nodePortAddresses", SETTING_NODE_PORTS, AT(node_ports), 0, 0, "[primary]", "list", false,
		"addresses of nodes that have node ports: primary, all, localhost, and ranges"},
	{"masquerade", SETTING_BOOL, AT(masquerade), 0, 0, "true", "", false,
		"give what pods open to the outside the node's address"},
	{"masqueradePorts", SETTING_PORTS, AT(masquerade_first), 0, 0, "32768-65535", "ports", false,
		"ports that masqueraded flows use; keep node ports out of it"},
	{"mtu", SETTING_NUMBER, AT(mtu), 0, 65535, "0", "bytes", false,
		"MTU of pods, at least 1280 with IPv6; 0: the smallest device's less the tunnel's bytes"},
	{"devices", SETTING_DEVICES, AT(device), 0, 0, "[]", "names", false,
		"devices that carry node traffic; none: those with the node's addresses or a default "
		"route"},
	{"tunnelPort", SETTING_NUMBER, AT(tunnel_port), 1, 65535, "6083", "UDP port", false,
		"the same on all nodes"},
	{"mark", SETTING_NUMBER, AT(mark), 1, 0x7fffffff, "0x10", "bit", false,
		"packet mark of what is to be masqueraded, within markMask"},
	{"markMask", SETTING_NUMBER, AT(mark_mask), 1, 0x7fffffff, "0x30", "bits", false,
		"bits of the packet mark that podwire may use: two"},
	{"user", SETTING_NUMBER, AT(user), 1, 0x7fffffff, "6083", "uid and gid", false,
		"whom the agent runs as once its programs are loaded"},
	{"flowEntries", SETTING_NUMBER, AT(flow_entries), 64, 1L << 24, "65536", "flows", false,
		"size of the flow table when it is first made"},
	{"addressRestSeconds", SETTING_NUMBER, AT(address_rest_seconds), 0, 86400, "30", "seconds",
		false, "how long a freed address rests before it is given again"},
	{"cgroup", SETTING_PATH, AT(cgroup), 0, 0, "the root", "directory", false,
		"cgroup2 directory whose processes have Services in the socket call"},
	{"healthzBindAddresses", SETTING_BINDS, AT(healthz), 0, 0, "[0.0.0.0:10256, \"[::]:10256\"]",
		"addresses", false, "where /healthz and /livez are served; [] for nowhere"},
	{"metricsBindAddresses", SETTING_BINDS, AT(metrics), 0, 0,
		"[127.0.0.1:10249, \"[::1]:10249\"]", "addresses", false,
		"where /metrics, /proxyMode and /healthz are served; [] for nowhere"},
	{"healthTimeoutSeconds", SETTING_NUMBER, AT(health_timeout_seconds), 1, 86400, "60", "seconds",
		false, "how old a change may be that is not applied while the node is healthy"},
	{"logLevel", SETTING_LOG_LEVEL, AT(log_level), 0, 0, "info", "", false,
		"error, warning, info or debug"},
};

/* All addresses of the node, or its loopback ones, in both families. */
static void binds_default(struct settings_binds *binds, uint16_t port, bool loopback)
{
	addr_set_v4(&binds->addr[0], htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY));
	binds->addr[1].bytes[15] = loopback;
	binds->port[0] = binds->port[1] = port;
	binds->count = 2;
}

void settings_defaults(struct settings *settings)
{
	*settings = (struct settings){
		.route = SETTINGS_ROUTE_AUTO,
		.route_probe_seconds = 300,
		.masquerade = true,
		.node_ports.primary = true,
		.masquerade_first = 32768,
		.masquerade_last = 65535,
		.tunnel_port = WIRE_PORT,
		.mark = 0x10,
		.mark_mask = 0x30,
		.user = 6083,
		.flow_entries = 65536,
		.address_rest_seconds = 30,
		.health_timeout_seconds = 60,
		.log_level = LOG_LEVEL_INFO,
	};
	binds_default(&settings->healthz, 10256, false);
	binds_default(&settings->metrics, 10249, true);
}

void settings_print_keys(void (*print)(const char *line, void *context), void *context)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings_table); i++) {
		const struct setting *s = &settings_table[i];
		_free_ char *line = mem_format("  %-20s %-16s  %-12s %-8s %s", s->key, s->fallback,
			s->unit, s->live ? "live" : "restart", s->help);

		print(line, context);
	}
}

static int setting_read_name(const struct json_at *at, char *name, struct err *err)
{
	const char *text;
	int r = json_as_string(at, &text, err);

	if (r < 0)
		return r;
	if (!name_is_subdomain(text))
		return json_error(at, err,
			"\"%s\" is no name of a node; use lower case letters, digits, '-' and '.'",
			text);
	snprintf(name, SETTINGS_NAME_SIZE, "%s", text);
	return 0;
}

const char *settings_route_name(enum settings_route route)
{
	static const char *const names[] = {[SETTINGS_ROUTE_AUTO] = "auto",
		[SETTINGS_ROUTE_DIRECT] = "direct", [SETTINGS_ROUTE_VXLAN] = "vxlan"};

	_Static_assert(ARRAY_SIZE(names) == SETTINGS_ROUTE_MAX, "a name for each way");
	return names[route];
}

enum settings_route settings_route_parse(const char *text)
{
	enum settings_route route = SETTINGS_ROUTE_AUTO;

	while (route < SETTINGS_ROUTE_MAX && strcmp(settings_route_name(route), text) != 0)
		route++;
	return route;
}

static int setting_read_route(
	const struct json_at *at, enum settings_route *route, struct err *err)
{
	const char *text;
	int r = json_as_string(at, &text, err);

	if (r < 0)
		return r;
	if (settings_route_parse(text) == SETTINGS_ROUTE_MAX)
		return json_error(at, err,
			"\"%s\" is no way to other nodes; use auto, direct or vxlan", text);
	*route = settings_route_parse(text);
	return 0;
}

static int setting_check_array(
	const struct json_at *at, size_t maximum, const char *what, struct err *err)
{
	if (!json_is_array(at->value))
		return json_error(at, err, "is %s; use a list of %s", json_type_name(at->value),
			what);
	if (json_array_size(at->value) > maximum)
		return json_error(at, err, "has more than %zu %s", maximum, what);
	return 0;
}

static int setting_read_ranges(
	const struct json_at *at, struct settings_ranges *ranges, struct err *err)
{
	int r = setting_check_array(at, SETTINGS_RANGES, "ranges such as 10.244.0.0/16", err);

	if (r < 0)
		return r;
	ranges->count = 0;
	for (size_t i = 0; i < json_array_size(at->value); i++) {
		struct json_at item = json_element(at, i);
		const char *text;

		r = json_as_string(&item, &text, err);
		if (r < 0)
			return r;
		if (prefix_parse(text, &ranges->range[ranges->count], NULL) < 0)
			return json_error(&item, err,
				"\"%s\" is no range; use one such as 10.244.0.0/16 or fd00::/48", text);
		ranges->count++;
	}
	return 0;
}

/* ADDRESS:PORT, an IPv6 address in brackets. */
static int bind_parse(const char *text, struct addr *ret_addr, uint16_t *ret_port)
{
	const char *end = strrchr(text, ':');
	size_t length = end ? (size_t)(end - text) : 0;
	char address[ADDR_TEXT_SIZE + 2];
	unsigned long port;
	char *rest;

	if (!length || length >= sizeof(address) || end[1] < '0' || end[1] > '9')
		return -EINVAL;
	port = strtoul(end + 1, &rest, 10);
	memcpy(address, text, length);
	address[length] = '\0';
	if (*rest || !port || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	if (address[0] != '[')
		return strchr(address, ':') ? -EINVAL : addr_parse(address, ret_addr);
	if (address[length - 1] != ']')
		return -EINVAL;
	address[length - 1] = '\0';
	return strchr(address, ':') ? addr_parse(address + 1, ret_addr) : -EINVAL;
}

static int setting_read_binds(
	const struct json_at *at, struct settings_binds *binds, struct err *err)
{
	int r = setting_check_array(at, SETTINGS_BINDS, "addresses such as 0.0.0.0:10256", err);

	if (r < 0)
		return r;
	*binds = (struct settings_binds){0};
	for (size_t i = 0; i < json_array_size(at->value); i++) {
		struct json_at item = json_element(at, i);
		const char *text;

		r = json_as_string(&item, &text, err);
		if (r < 0)
			return r;
		if (bind_parse(text, &binds->addr[i], &binds->port[i]) < 0)
			return json_error(&item, err,
				"\"%s\" is no address with a port; use one such as 0.0.0.0:10256 or "
				"[::]:10256",
				text);
		binds->count++;
	}
	return 0;
}

static bool *node_ports_keyword(struct settings_node_ports *ports, const char *text)
{
	const struct {
		const char *keyword;
		bool *member;
	} keywords[] = {{"primary", &ports->primary},
		{"all", &ports->all},
		{"localhost", &ports->localhost}};

	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		if (strcmp(text, keywords[i].keyword) == 0)
			return keywords[i].member;
	return NULL;
}

static int setting_read_node_ports(
	const struct json_at *at, struct settings_node_ports *ports, struct err *err)
{
	int r = setting_check_array(at, SETTINGS_RANGES, "keywords or ranges", err);

	if (r < 0)
		return r;
	*ports = (struct settings_node_ports){0};
	for (size_t i = 0; i < json_array_size(at->value); i++) {
		struct json_at item = json_element(at, i);
		const char *text;
		bool *keyword;

		r = json_as_string(&item, &text, err);
		if (r < 0)
			return r;
		keyword = node_ports_keyword(ports, text);
		if (keyword)
			*keyword = true;
		else if (prefix_parse(text, &ports->ranges.range[ports->ranges.count++], NULL) < 0)
			return json_error(&item, err,
				"\"%s\" is no range; use primary, all, localhost, or one such as "
				"10.1.0.0/16",
				text);
	}
	return 0;
}

static int setting_read_devices(
	const struct json_at *at, struct settings *settings, struct err *err)
{
	int r = setting_check_array(at, SETTINGS_DEVICES, "names of devices", err);

	if (r < 0)
		return r;
	settings->device_count = 0;
	for (size_t i = 0; i < json_array_size(at->value); i++) {
		struct json_at item = json_element(at, i);
		const char *text;

		r = json_as_string(&item, &text, err);
		if (r < 0)
			return r;
		if (!*text || strlen(text) >= IF_NAMESIZE)
			return json_error(&item, err, "\"%s\" is no name of a device", text);
		snprintf(settings->device[settings->device_count++], SETTINGS_DEVICE_SIZE, "%s",
			text);
	}
	return 0;
}

static int setting_read_ports(const struct json_at *at, struct settings *settings, struct err *err)
{
	unsigned int first, last;
	const char *text;
	char rest;
	int r = json_as_string(at, &text, err);

	if (r < 0)
		return r;
	if (sscanf(text, "%5u-%5u%c", &first, &last, &rest) != 2 || !first || last > 65535 ||
		first > last)
		return json_error(at, err, "\"%s\" is no range of ports; use \"32768-65535\"", text);
	settings->masquerade_first = first;
	settings->masquerade_last = last;
	return 0;
}

static int setting_read_path(const struct json_at *at, char *path, struct err *err)
{
	const char *text;
	int r = json_as_string(at, &text, err);

	if (r < 0)
		return r;
	if (*text != '/' || strlen(text) >= SETTINGS_PATH_SIZE)
		return json_error(at, err, "\"%s\" is no path from the root on", text);
	snprintf(path, SETTINGS_PATH_SIZE, "%s", text);
	return 0;
}

static int setting_read_log_level(
	const struct json_at *at, enum log_level *level, struct err *err)
{
	const char *text;
	int r = json_as_string(at, &text, err);

	if (r < 0)
		return r;
	if (log_level_parse(text) == LOG_LEVEL_MAX)
		return json_error(at, err,
			"\"%s\" is no level; use error, warning, info or debug", text);
	*level = log_level_parse(text);
	return 0;
}

static int setting_read(const struct setting *setting, const struct json_at *at,
	struct settings *settings, struct err *err)
{
	void *member = (char *)settings + setting->offset;
	int64_t number = 0;
	int r;

	switch (setting->type) {
	case SETTING_NAME:
		return setting_read_name(at, member, err);
	case SETTING_ROUTE:
		return setting_read_route(at, member, err);
	case SETTING_RANGES:
		return setting_read_ranges(at, member, err);
	case SETTING_NODE_PORTS:
		return setting_read_node_ports(at, member, err);
	case SETTING_DEVICES:
		return setting_read_devices(at, settings, err);
	case SETTING_PORTS:
		return setting_read_ports(at, settings, err);
	case SETTING_BINDS:
		return setting_read_binds(at, member, err);
	case SETTING_PATH:
		return setting_read_path(at, member, err);
	case SETTING_LOG_LEVEL:
		return setting_read_log_level(at, member, err);
	case SETTING_BOOL:
		if (!json_is_boolean(at->value))
			return json_error(at, err, "is %s; use true or false",
				json_type_name(at->value));
		*(bool *)member = json_is_true(at->value);
		return 0;
	case SETTING_NUMBER:
		r = json_as_int(at, setting->minimum, setting->maximum, &number, err);
		if (r == 0)
			*(unsigned int *)member = (unsigned int)number;
		return r;
	}
	return 0;
}

static int settings_check(const struct settings *settings, struct err *err)
{
	if (__builtin_popcount(settings->mark_mask) != 2 ||
		__builtin_popcount(settings->mark) != 1 ||
		(settings->mark & ~settings->mark_mask))
		return err_set(err, EINVAL,
			"mark: %#x is not one of the two bits of markMask, which is %#x", settings->mark,
			settings->mark_mask);
	return 0;
}

int settings_read(const char *text, size_t length, struct settings *ret_settings, struct err *err)
{
	struct settings settings;
	_json_ json_t *tree = NULL;
	struct json_at root;
	json_t *value;
	const char *key;
	int r;

	settings_defaults(&settings);
	r = yaml_read_one(text, length, &tree, err);
	if (r < 0)
		return r;
	if (!json_is_object(tree))
		return err_set(err, EINVAL, "the settings are %s; use \"key: value\" lines",
			json_type_name(tree));
	root = json_root(tree);
	json_object_foreach(tree, key, value)
	{
		struct json_at at = {.above = &root, .key = key, .value = value};
		size_t i;

		for (i = 0; i < ARRAY_SIZE(settings_table); i++)
			if (strcmp(settings_table[i].key, key) == 0)
				break;
		if (i == ARRAY_SIZE(settings_table))
			return json_error(&at, err,
				"is no setting; `podwire agent --help` lists them all");
		if (json_is_null(value))
			continue;
		r = setting_read(&settings_table[i], &at, &settings, err);
		if (r < 0)
			return r;
	}
	r = settings_check(&settings, err);
	if (r < 0)
		return r;
	*ret_settings = settings;
	return 0;
}
