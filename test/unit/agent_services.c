/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include "agent/services.h"
#include "root.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>

/* Rows of Services in real tables, of 64 rows each, so that they get full. */

#define TABLE_ROWS 64

static int table_make(enum table table)
{
	static const enum bpf_map_type types[TABLE_MAX] = {[TABLE_SOURCE] = BPF_MAP_TYPE_LPM_TRIE};
	const struct table_info *info = &table_infos[table];
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	int fd = bpf_map_create(types[table] ? types[table] : BPF_MAP_TYPE_HASH, info->map,
		(__u32)info->key_size, (__u32)info->value_size, TABLE_ROWS, &options);

	assert_true(fd >= 0);
	return fd;
}

static int scene_open(void **state)
{
	struct agent *agent = mem_new(1, sizeof(*agent));

	settings_defaults(&agent->settings);
	snprintf(agent->settings.node, sizeof(agent->settings.node), "alpha");
	for (enum table table = 0; table < TABLE_MAX; table++)
		agent->tables.fd[table] = table_is_of_services(table) ? table_make(table) : -1;
	*state = agent;
	return 0;
}

static int scene_close(void **state)
{
	struct agent *agent = *state;

	for (enum table table = 0; table < TABLE_MAX; table++)
		mem_close(&agent->tables.fd[table]);
	services_clear(&agent->services);
	store_clear(&agent->objects.store);
	problems_clear(&agent->problems);
	free(agent->services_refused);
	free(agent);
	return 0;
}

static void put(struct agent *agent, const char *text)
{
	_cleanup_(object_free) struct object *old = NULL;
	struct object *object = object_of(text);
	const struct object *new = object;

	if (store_put(&agent->objects.store, &object, &old) == STORE_UNCHANGED)
		return;
	if (old)
		services_touch(&agent->services, old);
	services_touch(&agent->services, new);
}

static void put_service(struct agent *agent, const char *name, const char *address)
{
	_free_ char *text = mem_format("apiVersion: v1\nkind: Service\nmetadata: {name: %s}\n"
				       "spec: {clusterIP: %s, ports: [{port: 80}]}\n",
		name, address);

	put(agent, text);
}

/* As many endpoints of that name as is said, from 10.244.0.`first` on. */
static void put_slice(struct agent *agent, const char *name, unsigned int first, unsigned int count)
{
	_text_ struct text text = {0};

	text_printf(&text,
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: %s, labels: "
		"{kubernetes.io/service-name: %s}}\naddressType: IPv4\nports: [{port: 8080}]\n"
		"endpoints: [",
		name, name);
	for (unsigned int i = 0; i < count; i++)
		text_printf(&text, "{addresses: [10.244.0.%u]}, ", first + i);
	text_append(&text, "]\n");
	put(agent, text_string(&text));
}

static void keep(struct agent *agent)
{
	struct err err;

	problems_clear(&agent->problems);
	if (services_keep(agent, &err) < 0)
		fail_msg("%s", err.text);
}

/* As after the interval: everything is compared. */
static void keep_later(struct agent *agent)
{
	agent->services_compared_ns = 1;
	keep(agent);
}

static bool get_row(struct agent *agent, const char *address, struct service_row *row)
{
	struct service_key key = {.port = htons(80), .protocol = protocol_number(PROTOCOL_TCP)};

	addr_parse(address, &key.addr);
	return tables_get(&agent->tables, TABLE_SERVICE, &key, row) == 0;
}

/* How many backends the address leads to, each of which is there; -1: it is of no Service. */
static int backends_of(struct agent *agent, const char *address)
{
	struct service_row row;
	struct backend_row backend;

	if (!get_row(agent, address, &row))
		return -1;
	for (__u32 i = 0; i < row.inside.count; i++) {
		struct backend_key key = {.set = row.inside.set, .index = i};

		assert_int_equal(tables_get(&agent->tables, TABLE_BACKEND, &key, &backend), 0);
	}
	return (int)row.inside.count;
}

static size_t count_rows(struct agent *agent)
{
	struct rows rows = {0};
	struct err err;
	size_t count;

	assert_int_equal(services_held(agent, &rows, &err), 0);
	count = rows.count;
	rows_clear(&rows);
	return count;
}

static void test_changes(void **state)
{
	struct agent *agent = *state;
	struct object *gone;

	put_service(agent, "web", "10.96.0.1");
	put_slice(agent, "web", 1, 3);
	keep(agent);
	assert_int_equal(backends_of(agent, "10.96.0.1"), 3);
	put_slice(agent, "web", 1, 2);
	put_service(agent, "log", "10.96.0.2");
	keep(agent);
	assert_int_equal(backends_of(agent, "10.96.0.1"), 2);
	assert_int_equal(backends_of(agent, "10.96.0.2"), 0);
	assert_int_equal(count_rows(agent), 2 + 4); /* what the old set had is gone */
	gone = store_remove(&agent->objects.store, KIND_SERVICE, "default", "web");
	services_touch(&agent->services, gone);
	object_free(&gone);
	keep(agent);
	assert_int_equal(backends_of(agent, "10.96.0.1"), -1);
	assert_int_equal(count_rows(agent), 2);
}

/* What somebody else removes, alters or adds is as it was when everything was compared. */
static void test_tampering(void **state)
{
	struct agent *agent = *state;
	struct backend_key key = {0};
	struct backend_row odd = {.port = 1};
	struct service_row row;
	unsigned long changed;

	put_service(agent, "web", "10.96.0.1");
	put_slice(agent, "web", 1, 3);
	keep(agent);
	changed = agent->changed;
	keep_later(agent);
	assert_int_equal(agent->changed, changed);
	assert_true(get_row(agent, "10.96.0.1", &row));
	key.set = row.inside.set;
	assert_int_equal(bpf_map_delete_elem(agent->tables.fd[TABLE_BACKEND], &key), 0);
	key.index = 1;
	assert_int_equal(bpf_map_update_elem(agent->tables.fd[TABLE_BACKEND], &key, &odd, 0), 0);
	key.index = 7;
	assert_int_equal(bpf_map_update_elem(agent->tables.fd[TABLE_BACKEND], &key, &odd, 0), 0);
	keep_later(agent);
	assert_int_equal(agent->changed, changed + 3);
	assert_int_equal(backends_of(agent, "10.96.0.1"), 3);
	assert_int_equal(count_rows(agent), 3 + 2);
}

/* Every table has rows, tries too: all are read back as they were written. */
static void test_every_table(void **state)
{
	struct agent *agent = *state;
	struct rows rows = {0};
	struct err err;

	put(agent, "apiVersion: v1\nkind: Service\nmetadata: {name: all}\n"
		   "spec: {type: LoadBalancer, clusterIP: 10.96.0.1, ports: [{port: 80}], "
		   "sessionAffinity: ClientIP, loadBalancerSourceRanges: [203.0.113.0/24, "
		   "203.0.113.128/25, 198.51.100.0/24]}\n"
		   "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}\n");
	put_slice(agent, "all", 1, 3);
	keep(agent);
	assert_int_equal(services_held(agent, &rows, &err), 0);
	rows_sort(&rows);
	for (enum table table = 0; table < TABLE_MAX; table++) {
		size_t count = 0;

		for (size_t i = 0; i < rows.count; i++)
			count += rows.row[i].table == table;
		assert_int_equal(count, agent->services.row_count[table]);
		assert_int_equal(count > 0, table_is_of_services(table));
	}
	rows_clear(&rows);
	agent->changed = 0;
	keep_later(agent);
	assert_int_equal(agent->changed, 0);
}

/* A restart: the kernel has the rows, the agent knows nothing of them. */
static void test_restart(void **state)
{
	struct agent *agent = *state;
	const struct object *object;
	size_t position = 0;

	put_service(agent, "web", "10.96.0.1");
	put_slice(agent, "web", 1, 3);
	keep(agent);
	services_clear(&agent->services);
	while ((object = store_next(&agent->objects.store, KIND_SERVICE, &position)))
		services_touch(&agent->services, object);
	agent->changed = 0;
	agent->services_compared_ns = 0;
	keep(agent);
	assert_int_equal(agent->changed, 0);
	assert_int_equal(backends_of(agent, "10.96.0.1"), 3);
}

/*
 * A table without room: the Service that came last is closed, one that grows keeps what it had,
 * the others see nothing of it, and all is well as soon as there is room.
 */
static void test_full(void **state)
{
	struct agent *agent = *state;
	struct object *gone;
	unsigned long changed;
	bool named = false;

	put_service(agent, "web", "10.96.0.1");
	put_slice(agent, "web", 1, 10);
	put_service(agent, "grows", "10.96.0.2");
	put_slice(agent, "grows", 20, 20);
	keep(agent);
	put_slice(agent, "grows", 20, 60);
	put_service(agent, "late", "10.96.0.3");
	put_slice(agent, "late", 100, 50);
	keep(agent);
	assert_int_equal(backends_of(agent, "10.96.0.1"), 10);
	assert_int_equal(backends_of(agent, "10.96.0.2"), 20);
	assert_int_equal(backends_of(agent, "10.96.0.3"), -1);
	/* Nothing of what found no room stays, so a small one still comes in; and it is quiet. */
	assert_int_equal(count_rows(agent), 10 + 20 + 4 + 1);
	put_service(agent, "small", "10.96.0.4");
	put_slice(agent, "small", 200, 30);
	keep(agent);
	assert_int_equal(backends_of(agent, "10.96.0.4"), 30);
	changed = agent->changed;
	keep_later(agent);
	assert_int_equal(agent->changed, changed);
	gone = store_remove(&agent->objects.store, KIND_SERVICE, "default", "small");
	services_touch(&agent->services, gone);
	object_free(&gone);
	keep(agent);
	for (size_t i = 0; i < agent->problems.count; i++)
		named = named || strstr(agent->problems.item[i].text, "pw_backend is full");
	assert_true(named);
	put_slice(agent, "web", 1, 4);
	put_slice(agent, "grows", 20, 25);
	put_slice(agent, "late", 100, 8);
	keep(agent);
	keep_later(agent);
	keep_later(agent);
	assert_int_equal(backends_of(agent, "10.96.0.1"), 4);
	assert_int_equal(backends_of(agent, "10.96.0.2"), 25);
	assert_int_equal(backends_of(agent, "10.96.0.3"), 8);
	assert_int_equal(agent->problems.count, 0);
	assert_int_equal(count_rows(agent), 4 + 25 + 8 + 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_tampering, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_every_table, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_restart, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_full, scene_open, scene_close),
	};

	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
