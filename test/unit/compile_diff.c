/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct addr address(unsigned int n)
{
	struct addr addr = {.bytes = {[12] = 10, [14] = (__u8)(n >> 8), [15] = (__u8)n}};

	return addr;
}

static void add_pod(struct rows *rows, unsigned int n, unsigned int ifindex)
{
	struct pod_row pod = {.ifindex = ifindex};
	struct addr key = address(n);

	rows_add(rows, TABLE_POD, &key, &pod);
}

static void add_route(struct rows *rows, unsigned int n)
{
	struct route_key key = {.first = address(n), .length = 128};
	struct route_value value = {.kind = ROUTE_KIND_UNICAST, .ifindex = n};

	rows_add(rows, TABLE_ROUTE, &key, &value);
}

static void test_first_of_equal_keys_stays(void **state)
{
	struct rows rows = {0};
	struct addr key = address(7);
	const struct row *row;

	(void)state;
	add_pod(&rows, 9, 1);
	add_pod(&rows, 7, 2);
	add_pod(&rows, 7, 3);
	rows_sort(&rows);
	assert_int_equal(rows.count, 2);
	row = rows_find(&rows, TABLE_POD, &key);
	assert_non_null(row);
	assert_int_equal(((const struct pod_row *)row->value)->ifindex, 2);
	rows_clear(&rows);
}

static void test_make_before_break(void **state)
{
	struct rows held = {0}, wanted = {0};
	struct differences differences = {0};

	(void)state;
	add_pod(&held, 1, 1);
	add_route(&held, 1);
	add_pod(&wanted, 2, 2);
	add_route(&wanted, 2);
	rows_sort(&held);
	rows_sort(&wanted);
	rows_diff(&held, &wanted, &differences);
	assert_int_equal(differences.count, 4);
	assert_int_equal(differences.item[0].change, CHANGE_ADD);
	assert_int_equal(differences.item[0].row->table, TABLE_ROUTE);
	assert_int_equal(differences.item[1].row->table, TABLE_POD);
	assert_int_equal(differences.item[2].change, CHANGE_REMOVE);
	assert_int_equal(differences.item[2].row->table, TABLE_POD);
	assert_int_equal(differences.item[3].row->table, TABLE_ROUTE);
	differences_clear(&differences);
	rows_clear(&held);
	rows_clear(&wanted);
}

/* Any two sets: the difference, applied to one, gives the other. */
static void test_difference_leads_from_one_to_the_other(void **state)
{
	(void)state;
	srandom(1);
	for (int round = 0; round < 200; round++) {
		struct rows held = {0}, wanted = {0}, reached = {0};
		struct differences differences = {0};
		unsigned int removed = 0;

		for (int i = 0; i < 40; i++) {
			add_pod(random() % 2 ? &held : &wanted, (unsigned int)random() % 30,
				(unsigned int)random() % 3);
			add_route(random() % 2 ? &held : &wanted, (unsigned int)random() % 30);
		}
		rows_sort(&held);
		rows_sort(&wanted);
		rows_diff(&held, &wanted, &differences);
		/* What is added or set goes first, so that it wins over what was held. */
		for (size_t i = 0; i < differences.count; i++)
			if (differences.item[i].change == CHANGE_REMOVE)
				removed++;
			else
				rows_add(&reached, differences.item[i].row->table,
					differences.item[i].row->key, differences.item[i].row->value);
		for (size_t i = 0; i < held.count; i++)
			if (rows_find(&wanted, held.row[i].table, held.row[i].key))
				rows_add(&reached, held.row[i].table, held.row[i].key,
					held.row[i].value);
			else
				removed--;
		rows_sort(&reached);
		assert_int_equal(removed, 0);
		assert_int_equal(reached.count, wanted.count);
		for (size_t i = 0; i < wanted.count; i++)
			assert_memory_equal(reached.row[i].value, wanted.row[i].value,
				table_infos[wanted.row[i].table].value_size);
		differences_clear(&differences);
		rows_clear(&held);
		rows_clear(&wanted);
		rows_clear(&reached);
	}
}

/* What is written comes in the order of tables, what goes in the reverse one. */
static void test_changes_keep_the_order(void **state)
{
	struct rows set = {0}, removed = {0};
	struct differences differences = {0};

	(void)state;
	add_pod(&set, 1, 1);
	add_route(&set, 1);
	add_pod(&removed, 2, 2);
	add_route(&removed, 2);
	rows_sort(&set);
	rows_sort(&removed);
	rows_changes(&set, &removed, &differences);
	assert_int_equal(differences.count, 4);
	assert_int_equal(differences.item[0].row->table, TABLE_ROUTE);
	assert_int_equal(differences.item[1].row->table, TABLE_POD);
	assert_int_equal(differences.item[1].change, CHANGE_SET);
	assert_int_equal(differences.item[2].row->table, TABLE_POD);
	assert_int_equal(differences.item[2].change, CHANGE_REMOVE);
	assert_int_equal(differences.item[3].row->table, TABLE_ROUTE);
	differences_clear(&differences);
	rows_clear(&set);
	rows_clear(&removed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_of_equal_keys_stays),
		cmocka_unit_test(test_make_before_break),
		cmocka_unit_test(test_difference_leads_from_one_to_the_other),
		cmocka_unit_test(test_changes_keep_the_order),
	};

	return cmocka_run_group_tests_name("compile/diff", tests, NULL, NULL);
}
