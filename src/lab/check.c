/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/check.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/yaml.h"
#include "lab/services.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A probe that fails to time out must leave the first SYN time for a second one. */
#define CHECK_TIMEOUT_MS 1500

/* An expectation made concrete: whom its two texts mean. */
struct row {
	const struct expectation *expectation;
	size_t number; /* from 1, as the user counts */
	struct parties from, to;
	struct addr address[FAMILY_MAX]; /* of `to`, where it is nobody's; unspecified: none */
};

struct rows {
	struct row *list;
	size_t count;
	const struct row **of; /* of each probe, while they are in the order of probes_add */
	size_t of_capacity;
};

static void rows_clear(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		parties_clear(&rows->list[i].from);
		parties_clear(&rows->list[i].to);
	}
	free(rows->list);
	free(rows->of);
}
#define _rows_ _cleanup_(rows_clear)

static int service_find(const struct lab *lab, const char *text, struct row *row, struct err *err)
{
	const char *slash = strchr(text, '/');
	_free_ char *name_space = mem_format("%.*s", slash ? (int)(slash - text) : 0, text);
	const json_t *service = slash ? lab_find(lab, LAB_SERVICE, name_space, slash + 1) : NULL;

	if (!service)
		return err_set(err, ENOENT, "there is no Service \"%s\" (NAMESPACE/NAME)", text);
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		addr_parse(service_address(service, f), &row->address[f]);
	return 0;
}

static int row_fill(const struct lab *lab, struct row *row, struct err *err)
{
	const char *to = row->expectation->to;
	struct addr addr;

	if (parties_find(lab, row->expectation->from, &row->from, err) < 0)
		return err_wrap(err, "from");
	if (addr_parse(to, &addr) == 0) {
		row->address[addr_family(&addr)] = addr;
		return 0;
	}
	if (strncmp(to, "service/", 8) == 0)
		return service_find(lab, to + 8, row, err);
	if (strncmp(to, "svc/", 4) == 0)
		return service_find(lab, to + 4, row, err);
	if (parties_find(lab, to, &row->to, err) < 0)
		return err_wrap(err, "to");
	return 0;
}

static uint16_t pod_first_port(const json_t *pod, const char *protocol)
{
	json_t *container, *port;
	size_t i, j;

	json_array_foreach(tree_at(pod, "spec.containers"), i, container)
	{
		json_array_foreach(json_object_get(container, "ports"), j, port)
		{
			if (strcmp(tree_text(port, "protocol"), protocol) == 0)
				return (uint16_t)json_integer_value(
					json_object_get(port, "containerPort"));
		}
	}
	return 0;
}

static int probe_add(struct rows *rows, struct probes *probes, const struct row *row,
	const struct party *from, const struct party *to, const struct addr *address, struct err *err)
{
	const struct expectation *e = row->expectation;
	struct probe *probe;
	uint16_t port = e->port;

	if (!port && to && to->kind == PARTY_POD)
		port = pod_first_port(to->object, e->is_udp ? "UDP" : "TCP");
	if (!port)
		return err_set(err, EINVAL, "port: missing, and %s declares none for %s",
			to ? to->title : e->to, e->is_udp ? "UDP" : "TCP");
	probe = probes_add(probes);
	*probe = (struct probe){.from = from, .to = to, .address = *address, .port = port,
		.is_udp = e->is_udp, .tag = probes->count - 1};
	rows->of = mem_grow(rows->of, &rows->of_capacity, probes->count, sizeof(*rows->of));
	rows->of[probe->tag] = row;
	return 0;
}

/* All sources to all targets, in the families that both have. */
static int row_probes(const struct lab *lab, struct rows *rows, const struct row *row,
	struct probes *probes, struct err *err)
{
	size_t before = probes->count;

	for (size_t i = 0; i < row->from.count; i++) {
		const struct party *from = &row->from.list[i];

		for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
			_free_ char *own = party_address(lab, from, f);

			if (!row->expectation->families[f] || !*own)
				continue;
			if (!addr_is_unspecified(&row->address[f]) &&
				probe_add(rows, probes, row, from, NULL, &row->address[f], err) < 0)
				return -err->code;
			for (size_t j = 0; j < row->to.count; j++) {
				_free_ char *text = party_address(lab, &row->to.list[j], f);
				struct addr addr;

				if (addr_parse(text, &addr) == 0 &&
					probe_add(rows, probes, row, from, &row->to.list[j], &addr,
						err) < 0)
					return -err->code;
			}
		}
	}
	if (probes->count == before)
		return err_set(err, EINVAL, "the two ends have no address of a family that is asked "
					    "for");
	return 0;
}

static int rows_make(const struct lab *lab, const struct expectations *expectations,
	struct rows *rows, struct probes *probes, struct err *err)
{
	rows->list = mem_new(expectations->count, sizeof(*rows->list));
	rows->count = expectations->count;
	for (size_t i = 0; i < rows->count; i++) {
		struct row *row = &rows->list[i];

		row->expectation = &expectations->list[i];
		row->number = i + 1;
		if (row_fill(lab, row, err) < 0 || row_probes(lab, rows, row, probes, err) < 0)
			return err_wrap(err, "expectation %zu", row->number);
	}
	return 0;
}

/* The address that the other end should have seen; unspecified: any. */
static struct addr source_wanted(const struct lab *lab, const struct row *row, const struct probe *probe)
{
	struct addr addr = {0};
	enum family family = addr_family(&probe->address);

	if (row->expectation->source == CHECK_SOURCE_ADDRESS)
		return row->expectation->address;
	if (row->expectation->source == CHECK_SOURCE_NODE && probe->from->kind == PARTY_POD) {
		const json_t *node = lab_find(
			lab, LAB_NODE, "", tree_text(probe->from->object, "spec.nodeName"));
		struct party party = {.kind = PARTY_NODE, .object = node};
		_free_ char *text = party_address(lab, &party, family);

		addr_parse(text, &addr);
	} else if (row->expectation->source != CHECK_SOURCE_ANY) {
		_free_ char *text = party_address(lab, probe->from, family);

		addr_parse(text, &addr);
	}
	return addr;
}

/* On a host several Pods share an address, so any of them may answer. */
static bool answered_by_another(const struct probe *probe)
{
	return probe->to && probe->to->kind == PARTY_POD && *probe->answered &&
	       !json_is_true(tree_at(probe->to->object, "spec.hostNetwork")) &&
	       strcmp(probe->answered, probe->to->title) != 0;
}

/* What is wrong with a probe's result, for free(); NULL: it is as expected. */
static char *probe_judge(const struct lab *lab, const struct row *row, const struct probe *probe)
{
	struct addr wanted = source_wanted(lab, row, probe);
	char want[ADDR_TEXT_SIZE], seen[ADDR_TEXT_SIZE];

	if (probe->outcome != row->expectation->outcome)
		return mem_format("expected %s, found %s",
			probe_outcome_name(row->expectation->outcome),
			probe_outcome_name(probe->outcome));
	if (probe->outcome != PROBE_REACHED)
		return NULL;
	if (answered_by_another(probe))
		return mem_format("answered by %s", probe->answered);
	if (!addr_is_unspecified(&wanted) && !addr_equal(&wanted, &probe->seen))
		return mem_format("expected source %s, seen %s", addr_format(&wanted, want),
			addr_is_unspecified(&probe->seen) ? "nothing that told it"
							  : addr_format(&probe->seen, seen));
	return NULL;
}

static size_t probes_judge(
	const struct lab *lab, const struct rows *rows, const struct probes *probes, bool print)
{
	size_t failed = 0;

	for (size_t i = 0; i < probes->count; i++) {
		const struct probe *probe = &probes->list[i];
		const struct row *row = rows->of[probe->tag];
		_free_ char *wrong = probe_judge(lab, row, probe);
		char address[ADDR_TEXT_SIZE];

		if (!wrong)
			continue;
		failed++;
		if (print)
			printf("expectation %zu: %s -> %s (%s port %u/%s): %s\n", row->number,
				probe->from->title, probe->to ? probe->to->title : row->expectation->to,
				addr_format(&probe->address, address), probe->port,
				probe->is_udp ? "UDP" : "TCP", wrong);
	}
	return failed;
}

static int probe_compare(const void *a, const void *b)
{
	const struct probe *x = a, *y = b;
	int order = strcmp(x->from->title, y->from->title);

	return order ? order : (x->tag > y->tag) - (x->tag < y->tag);
}

int lab_check(const struct lab *lab, const struct check *check, size_t *ret_failed, struct err *err)
{
	struct expectations expectations = {0};
	_free_ char *text = file_read(check->path);
	uint64_t end = clock_monotonic_ms() + check->wait_seconds * 1000UL;
	_json_ json_t *tree = NULL;
	_probes_ struct probes probes = {0};
	_rows_ struct rows rows = {0};
	size_t failed = 0;
	int r;

	if (!text)
		return err_system(err, errno, "%s", check->path);
	if (yaml_read_one(text, strlen(text), &tree, err) < 0 ||
		expectations_parse(tree, &expectations, err) < 0)
		return err_wrap(err, "%s", check->path);
	r = rows_make(lab, &expectations, &rows, &probes, err);
	if (r == 0)
		qsort(probes.list, probes.count, sizeof(*probes.list), probe_compare);
	else
		err_wrap(err, "%s", check->path);
	while (r == 0) {
		r = probes_run(lab, &probes, CHECK_TIMEOUT_MS, err);
		failed = probes_judge(lab, &rows, &probes, false);
		if (failed == 0 || clock_monotonic_ms() >= end)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
	}
	if (r == 0) {
		probes_judge(lab, &rows, &probes, true);
		printf("%zu of %zu connections are as the %zu expectations say\n",
			probes.count - failed, probes.count, expectations.count);
		*ret_failed = failed;
	}
	expectations_clear(&expectations);
	return r;
}
