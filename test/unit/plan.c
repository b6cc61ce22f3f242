/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include "compile/service.h"

/* What one Service may have at most, so that it leaves room to the others. */

struct scene {
	struct settings settings;
	struct facts facts;
	struct reserved reserved;
	struct service_view view;
	struct object *service;
	struct endpoint_slice slice;
	struct endpoint_port port;
	struct problems problems;
	struct plan plan;
};

static int scene_open(void **state)
{
	struct scene *scene = mem_new(1, sizeof(*scene));

	settings_defaults(&scene->settings);
	scene->view = (struct service_view){.node = "alpha",
		.settings = &scene->settings,
		.facts = &scene->facts,
		.reserved = &scene->reserved};
	scene->service = object_of("apiVersion: v1\nkind: Service\nmetadata: {name: big}\n"
				   "spec: {clusterIP: 10.96.0.1, ports: [{name: p, port: 80}]}\n");
	*state = scene;
	return 0;
}

static int scene_close(void **state)
{
	struct scene *scene = *state;

	object_free(&scene->service);
	free(scene->slice.endpoints.list);
	problems_clear(&scene->problems);
	plan_clear(&scene->plan);
	free(scene);
	return 0;
}

/* One slice with that many ready endpoints, all with port 8080. */
static void scene_endpoints(struct scene *scene, size_t count)
{
	struct addr first;

	scene->port = (struct endpoint_port){.name = (char *)"p", .port = 8080};
	scene->slice.object.name = (char *)"big-1";
	scene->slice.endpoints.list = mem_new(count, sizeof(*scene->slice.endpoints.list));
	scene->slice.endpoints.count = count;
	scene->slice.ports.list = &scene->port;
	scene->slice.ports.count = 1;
	addr_parse("10.128.0.0", &first);
	for (size_t i = 0; i < count; i++) {
		struct endpoint *endpoint = &scene->slice.endpoints.list[i];

		endpoint->address.addr = addr_add(&first, i);
		endpoint->ready = endpoint->serving = true;
	}
}

static void scene_plan(struct scene *scene, struct rows *rows)
{
	const struct endpoint_slice *list[] = {&scene->slice};
	struct slices slices = {list, 1};

	scene->plan = (struct plan){
		.owner = "Service default/big", .set_mask = UINT64_MAX, .problems = &scene->problems};
	plan_service(&scene->plan, object_service(scene->service), &slices, &scene->view);
	for (size_t i = 0; i < scene->plan.claims.count; i++)
		scene->plan.claims.list[i].won = true;
	plan_rows(&scene->plan, rows);
	rows_sort(rows);
}

static size_t rows_of(const struct rows *rows, enum table table)
{
	size_t count = 0;

	for (size_t i = 0; i < rows->count; i++)
		count += rows->row[i].table == table;
	return count;
}

static void test_a_hundred_thousand_endpoints(void **state)
{
	struct scene *scene = *state;
	struct rows rows = {0};

	scene_endpoints(scene, 100000);
	scene_plan(scene, &rows);
	assert_int_equal(rows_of(&rows, TABLE_BACKEND), ENDPOINTS_LIST_MAX);
	assert_int_equal(scene->problems.count, 1);
	assert_false(scene->problems.item[0].refused);
	check_case("problem", scene->problems.item[0].text,
		"spec.ports[0]: has 100000 IPv4 endpoints; the first 10000 of them by address are used");
	rows_clear(&rows);
}

static void test_five_thousand_ports(void **state)
{
	struct scene *scene = *state;
	struct service *service = object_service(scene->service);
	struct service_port port = service->ports.list[0], *own = service->ports.list;
	struct rows rows = {0};

	scene_endpoints(scene, 4);
	service->ports.list = mem_new(5000, sizeof(port));
	service->ports.count = 5000;
	for (size_t i = 0; i < 5000; i++) {
		service->ports.list[i] = port;
		service->ports.list[i].port = (uint16_t)(1 + i);
	}
	scene_plan(scene, &rows);
	assert_true(rows_of(&rows, TABLE_SERVICE) == 5001);
	assert_int_equal(rows_of(&rows, TABLE_BACKEND), 4); /* all have one and the same list */
	assert_int_equal(scene->problems.count, 0);
	rows_clear(&rows);
	free(service->ports.list);
	service->ports.list = own;
	service->ports.count = 1;
}

static void test_many_addresses_and_ports(void **state)
{
	struct scene *scene = *state;
	struct service *service = object_service(scene->service);
	struct rows rows = {0};
	struct addr first;

	prefix_parse("0.0.0.0/0", &scene->settings.external_ranges.range[0], NULL);
	scene->settings.external_ranges.count = 1;
	service->external_ips.list = mem_new(20000, sizeof(first));
	service->external_ips.count = 20000;
	addr_parse("198.18.0.0", &first);
	for (size_t i = 0; i < 20000; i++)
		service->external_ips.list[i] = addr_add(&first, i);
	scene_plan(scene, &rows);
	/* No room for the only port: the address refuses, and a problem says why. */
	assert_int_equal(rows_of(&rows, TABLE_SERVICE), 1);
	assert_int_equal(scene->problems.count, 1);
	assert_true(scene->problems.item[0].refused);
	check_case("problem", scene->problems.item[0].text,
		"spec.ports[0] and what follows: more ports, addresses and endpoints than one Service "
		"may have; make several of it");
	rows_clear(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_hundred_thousand_endpoints, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_five_thousand_ports, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(
			test_many_addresses_and_ports, scene_open, scene_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
