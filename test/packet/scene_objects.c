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

/*
 * One Service of the scene: TCP 80 and SCTP 90 to 8080 and 9090, UDP 53 to 5353, node ports from
 * its number. The last number of its addresses is that of its name in scene.c.
 */
static const char service_manifest[] =
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: %s}\n"
	"spec:\n"
	"  type: LoadBalancer\n"
	"  clusterIPs: ['%s', '%s']\n"
	"  ports:\n"
	"  - {name: tcp, port: 80, nodePort: 301%d}\n"
	"  - {name: udp, protocol: UDP, port: 53, nodePort: 301%d}\n"
	"  - {name: sctp, protocol: SCTP, port: 90, nodePort: 301%d}\n"
	"%s"
	"status: {loadBalancer: {ingress: [{ip: 192.0.2.%d}, {ip: '2001:db8:b::%d'}]}}\n";

static const char slice_manifest[] =
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: %s-%d, labels: {kubernetes.io/service-name: %s}}\n"
	"addressType: IPv%d\n"
	"ports:\n"
	"- {name: tcp, port: 8080}\n"
	"- {name: udp, protocol: UDP, port: 5353}\n"
	"- {name: sctp, protocol: SCTP, port: 9090}\n"
	"endpoints: [{addresses: ['%s']%s%s}]\n";

static const struct scene_service {
	const char *name;
	int number;
	const char *endpoint[2]; /* IPv4, IPv6; NULL: none */
	const char *node; /* of the endpoint; NULL: on none */
	const char *spec; /* more of it */
} scene_services[] = {
	{"here", 10, {"10.244.0.6", "fd00:10:244::6"}, "n1", ""},
	{"there", 11, {"10.244.1.5", "fd00:10:244:1::5"}, "n2", ""},
	{"empty", 12, {NULL, NULL}, NULL, ""},
	{"local", 13, {"10.244.1.5", "fd00:10:244:1::5"}, "n2",
		"  internalTrafficPolicy: Local\n  externalTrafficPolicy: Local\n"},
	{"ranged", 14, {"10.244.0.6", "fd00:10:244::6"}, "n1",
		"  loadBalancerSourceRanges: [203.0.113.0/24, '2001:db8:203::/64']\n"},
	{"host", 15, {"172.30.0.1", "fd00:30::1"}, "n1", ""},
	{"stale", 17, {"10.244.0.99", "fd00:10:244::99"}, "n1", ""},
	{"beyond", 16, {"203.0.113.9", "2001:db8:203::9"}, NULL, ""},
	{"far", 18, {"172.30.0.2", "fd00:30::2"}, "n2", ""},
	{"lost", 19, {"198.18.0.9", "2001:db8:18::9"}, NULL, ""},
};

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

static void text_read(const char *text, const char *source, struct load_result *result)
{
	if (objects_load(text, strlen(text), source, result))
		refuse(source, result->refusals.list[0].reason);
}

static void service_read(
	const struct scene_service *service, int underlay, struct load_result *result)
{
	_free_ char *v4 = mem_format("10.96.0.%d", service->number);
	_free_ char *v6 = mem_format("fd00:10:96::%d", service->number);
	_free_ char *text = mem_format(service_manifest, service->name, underlay == 4 ? v4 : v6,
		underlay == 4 ? v6 : v4, service->number, service->number, service->number,
		service->spec, service->number, service->number);

	text_read(text, service->name, result);
	for (int i = 0; i < 2 && service->endpoint[0]; i++) {
		_free_ char *slice = mem_format(slice_manifest, service->name, i, service->name,
			i == 0 ? 4 : 6, service->endpoint[i], service->node ? ", nodeName: " : "",
			service->node ? service->node : "");

		text_read(slice, service->name, result);
	}
}

void objects_read(int underlay, struct store *store)
{
	struct load_result result = {0};

	for (int number = 1; number <= 3; number++)
		node_read(number, underlay, &result);
	for (size_t i = 0; i < ARRAY_SIZE(scene_services); i++)
		service_read(&scene_services[i], underlay, &result);
	for (size_t i = 0; i < result.objects.count; i++)
		store_put(store, &result.objects.list[i].object, NULL);
	load_result_clear(&result);
}

void settings_make(
	int underlay, const char *route, bool masquerade, struct settings *settings)
{
	const char *service4 = "10.96.0.0/16", *service6 = "fd00:10:96::/112";
	_free_ char *text = mem_format(settings_file, route,
		underlay == 4 ? service4 : service6, underlay == 4 ? service6 : service4,
		masquerade ? "true" : "false");
	struct err err = {0};

	if (settings_read(text, strlen(text), settings, &err) < 0)
		refuse("settings", err.text);
}
