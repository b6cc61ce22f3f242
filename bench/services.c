// SPDX-License-Identifier: Apache-2.0
/*
 * What Services cost the agent, without kernel and without network: the memory of objects and of
 * what is kept of their rows, the time to compile all from nothing, and the time from one changed
 * endpoint to the rows that differ. Prints JSON, for 4 endpoints a Service and as many Services as
 * the argument says.
 */
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compile/services.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ENDPOINTS 4
#define CHANGES 1000
#define PER_NAMESPACE 100

/* What an object of the API server looks like, with what podwire does not read. */
static const char service_text[] =
	"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"service-%u\","
	"\"namespace\":\"namespace-%u\",\"uid\":\"7f0f5a10-0000-4000-8000-%012u\","
	"\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"labels\":{\"app\":\"application-%u\"}},"
	"\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.%u.%u.%u\",\"clusterIPs\":"
	"[\"10.%u.%u.%u\"],\"ipFamilies\":[\"IPv4\"],\"ipFamilyPolicy\":\"SingleStack\","
	"\"internalTrafficPolicy\":\"Cluster\",\"sessionAffinity\":\"None\",\"selector\":"
	"{\"app\":\"application-%u\"},\"ports\":[{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\","
	"\"targetPort\":8080}]},\"status\":{\"loadBalancer\":{}}}";
static const char slice_text[] =
	"{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":"
	"\"service-%u-abcde\",\"namespace\":\"namespace-%u\",\"uid\":"
	"\"8f0f5a10-0000-4000-8000-%012u\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\","
	"\"labels\":{\"app\":\"application-%u\",\"endpointslice.kubernetes.io/managed-by\":"
	"\"endpointslice-controller.k8s.io\",\"kubernetes.io/service-name\":\"service-%u\"}},"
	"\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080,\"protocol\":\"TCP\"}],"
	"\"endpoints\":[%s]}";
static const char endpoint_text[] =
	"%s{\"addresses\":[\"10.%u.%u.%u\"],\"conditions\":{\"ready\":%s,\"serving\":true,"
	"\"terminating\":false},\"nodeName\":\"node-%u\",\"zone\":\"zone-a\",\"targetRef\":{\"kind\":"
	"\"Pod\",\"namespace\":\"namespace-%u\",\"name\":\"application-%u-%u\"}}";

struct bench {
	struct store store;
	struct settings settings;
	struct facts facts;
	struct services services;
};

static void bench_put(struct bench *bench, const char *text)
{
	_cleanup_(object_free) struct object *old = NULL;
	struct object *object = NULL;
	const struct object *new;
	struct err err;
	_json_ json_t *tree = json_loads(text, 0, NULL);

	if (!tree || object_parse(tree, &object, &err) < 0) {
		fprintf(stderr, "%s: %s\n", text, tree ? err.text : "no JSON");
		exit(1);
	}
	new = object;
	if (store_put(&bench->store, &object, &old) == STORE_UNCHANGED)
		return;
	if (old)
		services_touch(&bench->services, old);
	services_touch(&bench->services, new);
}

static void bench_put_service(struct bench *bench, unsigned int n)
{
	unsigned int a = 96 + (n >> 16), b = n >> 8 & 255, c = n & 255;
	_free_ char *text = mem_format(service_text, n, n / PER_NAMESPACE, n, n, a, b, c, a, b, c, n);

	bench_put(bench, text);
}

static void bench_put_slice(struct bench *bench, unsigned int n, bool ready)
{
	_text_ struct text endpoints = {0};
	_free_ char *text = NULL;

	for (unsigned int i = 0; i < ENDPOINTS; i++) {
		unsigned int address = n * ENDPOINTS + i;

		text_printf(&endpoints, endpoint_text, i ? "," : "", 128 + (address >> 16),
			address >> 8 & 255, address & 255, i || ready ? "true" : "false",
			address % 100, n / PER_NAMESPACE, n, i);
	}
	text = mem_format(slice_text, n, n / PER_NAMESPACE, n, n, n, text_string(&endpoints));
	bench_put(bench, text);
}

/* Of this process alone: what else the machine does is not what is measured. */
static uint64_t processor_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double milliseconds(uint64_t since)
{
	return (double)(processor_ns() - since) / 1e6;
}

static size_t memory(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static double bench_changes(struct bench *bench, const struct services_input *input,
	unsigned int services, size_t *ret_rows)
{
	uint64_t start;
	double sum = 0;

	*ret_rows = 0;
	for (unsigned int i = 0; i < CHANGES; i++) {
		struct services_change change = {0};

		bench_put_slice(bench, (unsigned int)((uint64_t)i * 7919 % services), i % 2);
		start = processor_ns();
		services_update(&bench->services, input, &change);
		sum += milliseconds(start);
		*ret_rows += change.set.count + change.removed.count;
		services_change_clear(&change);
	}
	return sum / CHANGES;
}

int main(int argc, char **argv)
{
	unsigned int services = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 10000;
	struct bench bench = {0};
	struct services_input input = {&bench.store, &bench.settings, &bench.facts};
	size_t before = memory(), objects, kept, changed;
	struct rows rows = {0};
	double compile, change;
	uint64_t start;

	settings_defaults(&bench.settings);
	snprintf(bench.settings.node, sizeof(bench.settings.node), "node-1");
	for (unsigned int i = 0; i < services; i++) {
		bench_put_service(&bench, i);
		bench_put_slice(&bench, i, true);
	}
	objects = memory() - before;
	start = processor_ns();
	services_compile(&bench.services, &input, &rows);
	compile = milliseconds(start);
	printf("{\"services\": %u, \"rows\": %zu, \"row_bytes\": ", services, rows.count);
	before = memory();
	rows_clear(&rows);
	printf("%zu, ", before - memory());
	kept = memory() - objects;
	change = bench_changes(&bench, &input, services, &changed);
	printf("\"object_bytes\": %zu, \"kept_bytes\": %zu, \"compile_ms\": %.1f, "
	       "\"change_ms\": %.4f, \"rows_a_change\": %.1f}\n",
		objects, kept, compile, change, (double)changed / CHANGES);
	services_clear(&bench.services);
	store_clear(&bench.store);
	return 0;
}
