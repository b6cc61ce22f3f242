/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/metrics.h"

#include "agent/agent.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/verdicts.h"
#include "layout.h"
#include "version.h"

#include <stdio.h>
#include <time.h>

/* --- what is noted on the way --- */

void metrics_start(struct agent *agent)
{
	struct metrics *metrics = &agent->metrics;

	metrics->started_ns = clock_realtime_ns();
	histogram_add_exponential(&metrics->sync, 0.001, 2, 15);
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++) {
		struct histogram *histogram = &metrics->programming[family];

		histogram_add_linear(histogram, 0.25, 0.25, 2);
		histogram_add_linear(histogram, 1, 1, 59);
		histogram_add_linear(histogram, 60, 5, 12);
		histogram_add_linear(histogram, 120, 30, 7);
	}
}

void metrics_clear(struct agent *agent)
{
	mem_free_pointer(&agent->metrics.trigger);
	agent->metrics.trigger_count = agent->metrics.trigger_capacity = 0;
}

void metrics_queued(struct agent *agent)
{
	agent->metrics.queued_ns = clock_realtime_ns();
}

static enum family slice_family(const struct endpoint_slice *slice)
{
	switch (slice->address_type) {
	case ADDRESS_TYPE_IPV4:
		return FAMILY_IPV4;
	case ADDRESS_TYPE_IPV6:
		return FAMILY_IPV6;
	default:
		return FAMILY_NONE;
	}
}

/* What happened before this agent began would measure how long there was none. */
static void trigger_note(struct metrics *metrics, const struct endpoint_slice *slice)
{
	if (slice_family(slice) == FAMILY_NONE || slice->changed_ns <= metrics->started_ns)
		return;
	metrics->trigger = mem_grow(metrics->trigger, &metrics->trigger_capacity,
		metrics->trigger_count + 1, sizeof(*metrics->trigger));
	metrics->trigger[metrics->trigger_count++] = (struct metrics_trigger){
		.at_ns = slice->changed_ns, .family = slice_family(slice)};
}

static void slice_changed(struct metrics *metrics, const struct endpoint_slice *old,
	const struct endpoint_slice *new)
{
	if (old)
		metrics->endpoints[slice_family(old)] -= old->endpoints.count;
	if (new)
		metrics->endpoints[slice_family(new)] += new->endpoints.count;
	if (new && endpoint_slice_service(new))
		trigger_note(metrics, new);
	metrics->endpoint_changes.total++;
	metrics->endpoint_changes.pending++;
}

void metrics_changed(struct agent *agent, const struct object *old, const struct object *new)
{
	struct metrics *metrics = &agent->metrics;
	enum kind kind = (new ? new : old)->kind;

	if (kind == KIND_SERVICE) {
		metrics->service_changes.total++;
		metrics->service_changes.pending++;
	} else if (kind == KIND_ENDPOINT_SLICE) {
		slice_changed(metrics, old ? object_endpoint_slice_const(old) : NULL,
			new ? object_endpoint_slice_const(new) : NULL);
	}
}

static double seconds(uint64_t ns)
{
	return (double)ns / (double)CLOCK_NS_PER_S;
}

void metrics_synced(struct agent *agent, uint64_t begun_monotonic_ns, bool good)
{
	struct metrics *metrics = &agent->metrics;
	uint64_t now = clock_realtime_ns();

	histogram_observe(&metrics->sync, seconds(clock_monotonic_ns() - begun_monotonic_ns));
	if (!good) {
		metrics->sync_errors++;
		return;
	}
	metrics->synced_ns = now;
	metrics->service_changes.pending = metrics->endpoint_changes.pending = 0;
	for (size_t i = 0; i < metrics->trigger_count; i++) {
		const struct metrics_trigger *trigger = &metrics->trigger[i];

		/* Another machine's clock may be ahead of ours. */
		histogram_observe(&metrics->programming[trigger->family],
			now > trigger->at_ns ? seconds(now - trigger->at_ns) : 0);
	}
	metrics_clear(agent);
}

/* --- samples --- */

struct metric {
	const char *name;
	enum metric_type type;
	const char *help;
	/* One of them: the value of its only sample, or all samples. */
	double (*value)(struct agent *agent);
	void (*print)(const char *name, struct agent *agent, struct text *text);
};

static void print_build(const char *name, struct agent *agent, struct text *text)
{
	(void)agent;
	metric_sample(
		text, name, 1, "version", PODWIRE_VERSION, "layout", LAYOUT_HASH, NULL);
}

static double value_ready(struct agent *agent)
{
	return agent->ready;
}

struct print_counts {
	const char *name;
	struct text *text;
	bool bytes;
};

static void print_count(const struct table_count *count, void *context)
{
	const struct print_counts *print = context;

	if (verdict_name(count->verdict))
		metric_sample(print->text, print->name,
			(double)(print->bytes ? count->sum.bytes : count->sum.packets), "hook",
			hook_name(count->hook), "verdict", verdict_name(count->verdict), "kind",
			verdict_kind_name(verdict_kind(count->verdict)), NULL);
}

static void print_packets(const char *name, struct agent *agent, struct text *text)
{
	struct print_counts print = {.name = name, .text = text};

	tables_read_counts(&agent->tables, print_count, &print, NULL);
}

static void print_bytes(const char *name, struct agent *agent, struct text *text)
{
	struct print_counts print = {.name = name, .text = text, .bytes = true};

	tables_read_counts(&agent->tables, print_count, &print, NULL);
}

static void print_rows(const char *name, struct agent *agent, struct text *text)
{
	for (enum table table = 0; table < TABLE_MAX; table++)
		metric_sample(text, name,
			(double)(table_is_of_services(table) ? agent->services.row_count[table]
							     : agent->metrics.rows[table]),
			"table", table_infos[table].name, NULL);
}

static void print_sizes(const char *name, struct agent *agent, struct text *text)
{
	for (enum table table = 0; table < TABLE_MAX; table++)
		if (agent->tables.size[table])
			metric_sample(text, name, agent->tables.size[table], "table",
				table_infos[table].name, NULL);
}

static double value_pods(struct agent *agent)
{
	return (double)agent->attachments.count;
}

static void print_addresses(const char *name, struct agent *agent, struct text *text)
{
	for (unsigned int i = 0; i < AGENT_FAMILIES; i++) {
		char range[PREFIX_TEXT_SIZE];
		struct pool_counts counts;

		if (!agent->pool[i].size)
			continue;
		prefix_format(&agent->pool[i].range, range);
		counts = pool_counts(&agent->pool[i], clock_monotonic_ms());
		metric_sample(text, name, (double)counts.used, "range", range, "state", "used",
			NULL);
		metric_sample(text, name, (double)counts.resting, "range", range, "state",
			"resting", NULL);
		metric_sample(text, name, (double)counts.free, "range", range, "state", "free",
			NULL);
	}
}

static void print_objects(const char *name, struct agent *agent, struct text *text)
{
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		metric_sample(text, name, (double)store_count(&agent->objects.store, kind), "kind",
			kind_name(kind), NULL);
}

static double value_objects_refused(struct agent *agent)
{
	return (double)agent->objects.result.refusals.count;
}

static void print_problems(const char *name, struct agent *agent, struct text *text)
{
	size_t refused = 0;

	for (size_t i = 0; i < agent->problems.count; i++)
		refused += agent->problems.item[i].refused;
	metric_sample(text, name, (double)refused, "refused", "true", NULL);
	metric_sample(
		text, name, (double)(agent->problems.count - refused), "refused", "false", NULL);
}

static void print_endpoints(const char *name, struct agent *agent, struct text *text)
{
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
		metric_sample(text, name, (double)agent->metrics.endpoints[family], "ip_family",
			family_name(family), NULL);
}

static double value_reconciles(struct agent *agent)
{
	return (double)agent->reconciled;
}

static double value_reconcile_errors(struct agent *agent)
{
	return (double)agent->metrics.sync_errors;
}

static double value_changes(struct agent *agent)
{
	return (double)agent->changed;
}

static double value_repairs(struct agent *agent)
{
	return (double)agent->repaired;
}

/* One reconciliation does both families. */
static void print_sync(const char *name, struct agent *agent, struct text *text)
{
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
		metric_histogram(
			text, name, &agent->metrics.sync, "ip_family", family_name(family));
}

static void print_time(const char *name, uint64_t ns, struct text *text)
{
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
		metric_sample(
			text, name, seconds(ns), "ip_family", family_name(family), NULL);
}

static void print_synced(const char *name, struct agent *agent, struct text *text)
{
	print_time(name, agent->metrics.synced_ns, text);
}

static void print_queued(const char *name, struct agent *agent, struct text *text)
{
	print_time(name, agent->metrics.queued_ns, text);
}

static void print_programming(const char *name, struct agent *agent, struct text *text)
{
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
		metric_histogram(text, name, &agent->metrics.programming[family], "ip_family",
			family_name(family));
}

static double value_endpoint_changes(struct agent *agent)
{
	return (double)agent->metrics.endpoint_changes.total;
}

static double value_endpoint_changes_pending(struct agent *agent)
{
	return (double)agent->metrics.endpoint_changes.pending;
}

static double value_service_changes(struct agent *agent)
{
	return (double)agent->metrics.service_changes.total;
}

static double value_service_changes_pending(struct agent *agent)
{
	return (double)agent->metrics.service_changes.pending;
}

static void print_no_local(const char *name, struct agent *agent, struct text *text)
{
	static const char *const policies[] = {
		[POLICY_INTERNAL] = "internal", [POLICY_EXTERNAL] = "external"};
	_Static_assert(ARRAY_SIZE(policies) == POLICY_MAX, "a name for each policy");

	for (enum plan_policy policy = 0; policy < POLICY_MAX; policy++)
		for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
			metric_sample(text, name,
				(double)agent->services.without_local[policy][family],
				"traffic_policy", policies[policy], "ip_family",
				family_name(family), NULL);
}

static void print_page(
	const char *name, const struct agent *agent, enum health_page page, struct text *text)
{
	metric_sample(
		text, name, (double)agent->health.answered[page][0], "code", "200", NULL);
	metric_sample(
		text, name, (double)agent->health.answered[page][1], "code", "503", NULL);
}

static void print_healthz(const char *name, struct agent *agent, struct text *text)
{
	print_page(name, agent, HEALTH_HEALTHZ, text);
}

static void print_livez(const char *name, struct agent *agent, struct text *text)
{
	print_page(name, agent, HEALTH_LIVEZ, text);
}

static double value_start(struct agent *agent)
{
	return seconds(agent->metrics.started_ns);
}

static double value_cpu(struct agent *agent)
{
	struct timespec used;

	(void)agent;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / (double)CLOCK_NS_PER_S;
}

static double value_memory(struct agent *agent)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long resident = 0;

	(void)agent;
	if (!file)
		return 0;
	if (fscanf(file, "%*d %ld", &resident) != 1)
		resident = 0;
	fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

#define SYNC "kubeproxy_sync_proxy_rules_"

/* Names never change, and none is used again for something else. */
static const struct metric metrics_table[] = {
	{"podwire_build_info", METRIC_GAUGE, "Always 1: which release runs, and the layout of its tables.",
		NULL, print_build},
	{"podwire_ready", METRIC_GAUGE, "Whether pods can be added.", value_ready, NULL},
	{"podwire_packets_total", METRIC_COUNTER, "Packets by where they were seen and how they ended.",
		NULL, print_packets},
	{"podwire_bytes_total", METRIC_COUNTER, "The same in bytes.", NULL, print_bytes},
	{"podwire_table_rows", METRIC_GAUGE, "Rows that a table is to have.", NULL, print_rows},
	{"podwire_table_size", METRIC_GAUGE, "Rows that a table has room for.", NULL, print_sizes},
	{"podwire_pods", METRIC_GAUGE, "Interfaces of pods on this node.", value_pods, NULL},
	{"podwire_pod_addresses", METRIC_GAUGE, "Addresses of this node's pod ranges.", NULL,
		print_addresses},
	{"podwire_objects", METRIC_GAUGE, "Objects that are in force.", NULL, print_objects},
	{"podwire_objects_refused", METRIC_GAUGE, "Objects and files that could not be read.",
		value_objects_refused, NULL},
	{"podwire_endpoints", METRIC_GAUGE, "Endpoints in all EndpointSlices.", NULL, print_endpoints},
	{"podwire_problems", METRIC_GAUGE, "Lines under \"problems\" in podwire status.", NULL,
		print_problems},
	{"podwire_reconciles_total", METRIC_COUNTER,
		"How often the node was compared with what it should be.", value_reconciles, NULL},
	{"podwire_reconcile_errors_total", METRIC_COUNTER, "How often that failed.",
		value_reconcile_errors, NULL},
	{"podwire_changes_total", METRIC_COUNTER, "Rows, links and filters that were changed.",
		value_changes, NULL},
	{"podwire_repairs_total", METRIC_COUNTER, "Of these, what somebody else had changed before.",
		value_repairs, NULL},
	{"kubeproxy_network_programming_duration_seconds", METRIC_HISTOGRAM,
		"From the change that an EndpointSlice tells of to its being applied here.", NULL,
		print_programming},
	{SYNC "duration_seconds", METRIC_HISTOGRAM, "How long a reconciliation took.", NULL,
		print_sync},
	{SYNC "last_timestamp_seconds", METRIC_GAUGE, "When one last succeeded.", NULL,
		print_synced},
	{SYNC "last_queued_timestamp_seconds", METRIC_GAUGE, "When a change last came.", NULL,
		print_queued},
	{SYNC "endpoint_changes_total", METRIC_COUNTER, "Changes of EndpointSlices.",
		value_endpoint_changes, NULL},
	{SYNC "endpoint_changes_pending", METRIC_GAUGE, "Of these, those that are not applied.",
		value_endpoint_changes_pending, NULL},
	{SYNC "service_changes_total", METRIC_COUNTER, "Changes of Services.",
		value_service_changes, NULL},
	{SYNC "service_changes_pending", METRIC_GAUGE, "Of these, those that are not applied.",
		value_service_changes_pending, NULL},
	{SYNC "no_local_endpoints_total", METRIC_GAUGE,
		"Ports of Services whose policy is Local, with endpoints on other nodes only.", NULL,
		print_no_local},
	{"kubeproxy_proxy_healthz_total", METRIC_COUNTER, "Answers of /healthz.", NULL, print_healthz},
	{"kubeproxy_proxy_livez_total", METRIC_COUNTER, "Answers of /livez.", NULL, print_livez},
	{"process_start_time_seconds", METRIC_GAUGE, "When the agent began.", value_start, NULL},
	{"process_cpu_seconds_total", METRIC_COUNTER, "Processor time of the agent.", value_cpu, NULL},
	{"process_resident_memory_bytes", METRIC_GAUGE, "Memory of the agent.", value_memory, NULL},
};

void metrics_print(struct agent *agent, struct text *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(metrics_table); i++) {
		const struct metric *metric = &metrics_table[i];

		metric_head(text, metric->name, metric->type, metric->help);
		if (metric->value)
			metric_sample(text, metric->name, metric->value(agent), NULL);
		else
			metric->print(metric->name, agent, text);
	}
}
