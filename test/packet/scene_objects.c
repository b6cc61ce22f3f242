// SPDX-License-Identifier: Apache-2.0
#include "scene_objects.h"

#include "base/mem.h"
#include "model/load.h"

#include <stdio.h>
#include <string.h>

/* Node number, range number twice, then the two addresses in order of the underlay. */
static const char node_manifest[] =
	"apiVersion: v1\n"
	"kind: Node\n"
	"metadata: {name: n%d}\n"
	"spec:\n"
	"  podCIDRs: [10.244.%d.0/24, 'fd00:10:244:%d::/64']\n"
	"status:\n"
	"  addresses:\n"
	"  - {type: InternalIP, address: '%s'}\n"
	"  - {type: InternalIP, address: '%s'}\n";

static const char settings_file[] =
	"node: n1\n"
	"route: %s\n"
	"podCIDRs: [10.244.0.0/16, 'fd00:10:244::/56']\n"
	"serviceCIDRs: [10.96.0.0/16, 'fd00:10:96::/112']\n"
	"nonMasqueradeCIDRs: [203.0.113.0/24, '2001:db8:203::/64']\n"
	"masquerade: %s\n";

static _Noreturn void refuse(const char *what, const char *reason)
{
	fprintf(stderr, "packet: %s: %s\n", what, reason);
	exit(2);
}

static void node_read(int number, int underlay, struct load_result *result)
{
	char ipv4[32], ipv6[32], source[16];
	_free_ char *text = NULL;

	snprintf(source, sizeof(source), "n%d.yaml", number);
	snprintf(ipv4, sizeof(ipv4), "172.30.0.%d", number);
	snprintf(ipv6, sizeof(ipv6), "fd00:30::%d", number);
	text = mem_format(node_manifest, number, number - 1, number - 1,
		underlay == 4 ? ipv4 : ipv6, underlay == 4 ? ipv6 : ipv4);
	if (objects_load(text, strlen(text), source, result))
		refuse(source, result->refusals.list[0].reason);
}

void objects_read(int underlay, struct store *store)
{
	struct load_result result = {0};

	for (int number = 1; number <= 3; number++)
		node_read(number, underlay, &result);
	for (size_t i = 0; i < result.objects.count; i++)
		store_put(store, &result.objects.list[i].object, NULL);
	load_result_clear(&result);
}

void settings_make(bool direct, bool masquerade, struct settings *settings)
{
	_free_ char *text = mem_format(
		settings_file, direct ? "direct" : "vxlan", masquerade ? "true" : "false");
	struct err err = {0};

	if (settings_read(text, strlen(text), settings, &err) < 0)
		refuse("settings", err.text);
}
