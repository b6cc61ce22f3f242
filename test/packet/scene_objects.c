// SPDX-License-Identifier: Apache-2.0
#include "scene_objects.h"

#include "base/mem.h"
#include "model/load.h"

#include <stdio.h>
#include <string.h>

/* All families in the order of the underlay: a cluster has one primary family. */
static const char node_manifest[] =
	"apiVersion: v1\n"
	"kind: Node\n"
	"metadata: {name: n%d}\n"
	"spec:\n"
	"  podCIDRs: ['%s', '%s']\n"
	"status:\n"
	"  addresses:\n"
	"  - {type: InternalIP, address: '%s'}\n"
	"  - {type: InternalIP, address: '%s'}\n";

static const char settings_file[] =
	"node: n1\n"
	"route: %s\n"
	"podCIDRs: [10.244.0.0/16, 'fd00:10:244::/56']\n"
	"serviceCIDRs: ['%s', '%s']\n"
	"nonMasqueradeCIDRs: [203.0.113.0/24, '2001:db8:203::/64']\n"
	"masquerade: %s\n";

static _Noreturn void refuse(const char *what, const char *reason)
{
	fprintf(stderr, "packet: %s: %s\n", what, reason);
	exit(2);
}

static void node_read(int number, int underlay, struct load_result *result)
{
	_free_ char *v4 = mem_format("172.30.0.%d", number), *v6 = mem_format("fd00:30::%d", number);
	_free_ char *range4 = mem_format("10.244.%d.0/24", number - 1);
	_free_ char *range6 = mem_format("fd00:10:244:%d::/64", number - 1);
	_free_ char *source = mem_format("n%d.yaml", number), *text = NULL;

	text = underlay == 4 ? mem_format(node_manifest, number, range4, range6, v4, v6)
			     : mem_format(node_manifest, number, range6, range4, v6, v4);
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

void settings_make(int underlay, bool direct, bool masquerade, struct settings *settings)
{
	const char *service4 = "10.96.0.0/16", *service6 = "fd00:10:96::/112";
	_free_ char *text = mem_format(settings_file, direct ? "direct" : "vxlan",
		underlay == 4 ? service4 : service6, underlay == 4 ? service6 : service4,
		masquerade ? "true" : "false");
	struct err err = {0};

	if (settings_read(text, strlen(text), settings, &err) < 0)
		refuse("settings", err.text);
}
