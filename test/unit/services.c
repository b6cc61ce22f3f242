/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include "compile/print.h"
#include "compile/services.h"
#include "service_reference.h"
#include "service_scene.h"

#include <arpa/inet.h>

/*
 * Random objects and changes. Two things hold after every change: the rows that changes have left
 * are those that everything from nothing gives, and whoever is looked up in them is told what the
 * plain reference says. PODWIRE_CASES=N takes N times as many cases.
 */

#define ROUNDS 25
#define STEPS 60

static const char settings_text[] =
	"node: alpha\npodCIDRs: [10.244.0.0/16, 'fd44::/16']\n"
	"serviceCIDRs: [10.96.128.0/17]\nexternalCIDRs: [192.0.2.0/29, 10.96.0.0/16, '::/0']\n";

struct scene {
	struct store store;
	struct settings settings;
	struct facts facts;
	struct services services;
	struct hash kernel; /* what changes have left: key of a row -> its value */
	uint64_t random;
};

static struct services_input scene_input(struct scene *scene)
{
	return (struct services_input){&scene->store, &scene->settings, &scene->facts};
}

static size_t row_key(const struct row *row, unsigned char key[64])
{
	key[0] = (unsigned char)row->table;
	memcpy(key + 1, row->key, table_infos[row->table].key_size);
	return 1 + table_infos[row->table].key_size;
}

/* As a kernel would: what goes was there. What is set may be as it was, by another owner. */
static void kernel_apply(struct hash *kernel, const struct services_change *change)
{
	unsigned char key[64];

	for (size_t i = 0; i < change->set.count; i++) {
		const struct row *row = &change->set.row[i];
		size_t size = table_infos[row->table].value_size;

		free(hash_put_bytes(kernel, key, row_key(row, key), mem_copy(row->value, size)));
	}
	for (size_t i = 0; i < change->removed.count; i++) {
		void *old = hash_remove_bytes(kernel, key, row_key(&change->removed.row[i], key));

		assert_non_null(old);
		free(old);
	}
}

static void scene_update(struct scene *scene)
{
	struct services_input input = scene_input(scene);
	struct services_change change = {0};

	services_update(&scene->services, &input, &change);
	kernel_apply(&scene->kernel, &change);
	services_change_clear(&change);
}

static void scene_take_step(struct scene *scene)
{
	struct scene_step step;
	struct object *old = NULL;
	const struct object *new;

	scene_step(&scene->random, &step);
	new = step.object;
	if (!new)
		old = store_remove(&scene->store, step.kind, step.namespace, step.name);
	else if (store_put(&scene->store, &step.object, &old) == STORE_UNCHANGED)
		new = NULL;
	if (old)
		services_touch(&scene->services, old);
	if (new)
		services_touch(&scene->services, new);
	object_free(&old);
	scene_step_clear(&step);
}

static void scene_open(struct scene *scene, uint64_t seed, uint64_t set_mask)
{
	struct err err;

	*scene = (struct scene){.random = seed, .services = {.set_mask = set_mask}};
	if (settings_read(settings_text, strlen(settings_text), &scene->settings, &err) < 0)
		fail_msg("%s", err.text);
}

static void scene_close(struct scene *scene)
{
	services_clear(&scene->services);
	store_clear(&scene->store);
	hash_clear(&scene->kernel, free);
}

static unsigned long cases(void)
{
	const char *text = getenv("PODWIRE_CASES");

	return ROUNDS * (text ? strtoul(text, NULL, 10) : 1);
}

/* --- incremental is from nothing --- */

static int line_order(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static char *problems_text(const struct services *services)
{
	struct problems problems = {0};
	struct text text = {0};
	char **line;

	services_problems(services, &problems);
	line = mem_new(problems.count, sizeof(*line));
	for (size_t i = 0; i < problems.count; i++)
		line[i] = mem_format("%s: %s\n", problems.item[i].object, problems.item[i].text);
	qsort(line, problems.count, sizeof(*line), line_order);
	for (size_t i = 0; i < problems.count; i++) {
		text_append(&text, line[i]);
		free(line[i]);
	}
	free(line);
	problems_clear(&problems);
	return text_take(&text);
}

static void check_from_nothing(struct scene *scene)
{
	_cleanup_(services_clear) struct services services = {
		.set_mask = scene->services.set_mask};
	struct services_input input = scene_input(scene);
	_free_ char *got = NULL, *wanted = NULL;
	uint64_t sum[TABLE_MAX] = {0};
	struct rows rows = {0};
	unsigned char key[64];
	size_t made;

	services_compile(&services, &input, &rows);
	made = rows.count;
	rows_sort(&rows);
	assert_int_equal(rows.count, made); /* no row is two owners' */
	assert_int_equal(rows.count, scene->kernel.count);
	for (size_t i = 0; i < rows.count; i++) {
		const struct row *row = &rows.row[i];
		const void *held = hash_get_bytes(&scene->kernel, key, row_key(row, key));

		assert_non_null(held);
		assert_memory_equal(held, row->value, table_infos[row->table].value_size);
		sum[row->table] += row_digest(row->table, row->key, row->value);
	}
	assert_memory_equal(sum, scene->services.row_sum, sizeof(sum));
	assert_memory_equal(services.without_local, scene->services.without_local,
		sizeof(services.without_local));
	got = problems_text(&scene->services);
	wanted = problems_text(&services);
	assert_string_equal(got ? got : "", wanted ? wanted : "");
	rows_clear(&rows);
}

static void check_changes(uint64_t seed, uint64_t set_mask)
{
	struct scene scene;

	scene_open(&scene, seed, set_mask);
	for (unsigned int i = 0; i < STEPS; i++) {
		scene_take_step(&scene);
		if (check_random(&scene.random) % 3 == 0)
			continue; /* two changes become one update */
		scene_update(&scene);
		check_from_nothing(&scene);
	}
	scene_close(&scene);
}

static void test_changes_give_what_nothing_gives(void **state)
{
	for (unsigned long i = 0; i < cases(); i++)
		check_changes(i, 0);
}

/* With names of sets of four bits, owners want the same ones all the time. */
static void test_names_of_sets_collide(void **state)
{
	for (unsigned long i = 0; i < cases(); i++)
		check_changes(1000000 + i, 0xf);
}

/* --- rows are what the reference says --- */

static const struct service_row *lookup(
	const struct rows *rows, const struct reference_query *query, struct service_key *ret_key)
{
	static const enum service_scope scopes[TO_MAX] = {[TO_ADDRESS] = SERVICE_VIRTUAL,
		[TO_THIS_NODE] = SERVICE_OWN_NODE, [TO_ANOTHER_NODE] = SERVICE_OTHER_NODE};
	struct service_key key = {.addr = query->addr,
		.port = htons(query->port),
		.protocol = protocol_number(query->protocol),
		.scope = (__u8)scopes[query->target]};
	const struct row *row = rows_find(rows, TABLE_SERVICE, &key);

	if (!row && query->target == TO_ADDRESS) {
		key.port = 0;
		key.protocol = 0;
		row = rows_find(rows, TABLE_SERVICE, &key);
	}
	*ret_key = key;
	return row ? row->value : NULL;
}

static void print_backend(const struct addr *addr, __be16 port, struct text *text)
{
	char buffer[ADDR_TEXT_SIZE];

	text_printf(text, "%s:%u ", addr_format(addr, buffer), ntohs(port));
}

/* Each slot leads to a backend, and each backend has slots. */
static void check_maglev(const struct rows *rows, const struct service_list *list)
{
	unsigned int share[64] = {0};

	for (unsigned int i = 0; i < list->maglev; i++) {
		struct maglev_key key = {.set = list->set, .chunk = i / MAGLEV_CHUNK};
		const struct row *row = rows_find(rows, TABLE_MAGLEV, &key);

		assert_non_null(row);
		assert_true(((struct maglev_row *)row->value)->index[i % MAGLEV_CHUNK] < list->count);
		share[((struct maglev_row *)row->value)->index[i % MAGLEV_CHUNK]]++;
	}
	for (unsigned int i = 0; i < list->count && list->maglev; i++)
		assert_true(share[i] >= list->maglev / list->count);
}

/* Affinity asks whether a backend is in the list: then its members must be there. */
static void print_list(const struct rows *rows, const struct service_row *row,
	const struct service_list *list, struct text *text)
{
	for (__u32 i = 0; i < list->count; i++) {
		struct backend_key key = {.set = list->set, .index = i};
		const struct row *found = rows_find(rows, TABLE_BACKEND, &key);
		const struct backend_row *backend;
		struct member_key member = {.set = list->set};

		assert_non_null(found);
		backend = found->value;
		print_backend(&backend->addr, backend->port, text);
		member.addr = backend->addr;
		member.port = backend->port;
		found = rows_find(rows, TABLE_MEMBER, &member);
		if (row->affinity_seconds)
			assert_non_null(found);
		if (found)
			assert_int_equal(((struct member_row *)found->value)->index, i);
	}
	check_maglev(rows, list);
	if (!list->count)
		text_append(text, list->answer == SERVICE_DROP ? "drop" : "refuse");
}

static void print_answer(
	const struct rows *rows, const struct reference_query *query, struct text *text)
{
	struct service_key key;
	const struct service_row *row = lookup(rows, query, &key);
	const struct service_list *lists[FROM_MAX];

	if (!row) {
		text_append(text, "none");
		return;
	}
	lists[FROM_INSIDE] = &row->inside;
	lists[FROM_OUTSIDE] = &row->outside;
	lists[FROM_ANOTHER_NODE] = &row->here;
	print_list(rows, row, lists[query->from], text);
}

static void print_serving(
	const struct rows *rows, const struct reference_query *query, struct text *text)
{
	struct service_key key;
	const struct service_row *row = lookup(rows, query, &key);

	for (size_t i = 0; row && row->serving && i < rows->count; i++) {
		const struct member_key *member = rows->row[i].key;

		if (rows->row[i].table == TABLE_MEMBER && member->set == row->serving)
			print_backend(&member->addr, member->port, text);
	}
}

static void print_sources(
	const struct rows *rows, const struct reference_query *query, struct text *text)
{
	struct service_key key;
	const struct service_row *row = lookup(rows, query, &key);

	if (!row || !row->sources)
		text_append(text, "all");
	for (size_t i = 0; row && row->sources && i < rows->count; i++) {
		const struct source_key *source = rows->row[i].key;
		char buffer[PREFIX_TEXT_SIZE];
		struct prefix range;

		if (rows->row[i].table != TABLE_SOURCE ||
			memcmp(source->set, &row->sources, sizeof(row->sources)) != 0)
			continue;
		memcpy(&range.addr, source->addr, sizeof(range.addr));
		range.length = source->length - 64;
		text_printf(text, "%s ", prefix_format(&range, buffer));
	}
}

static char *words_sorted(const char *words)
{
	_free_ char *copy = mem_string(words);
	char *word[256], *rest = copy;
	struct text text = {0};
	size_t count = 0;

	while ((word[count] = strsep(&rest, " ")) && count < ARRAY_SIZE(word) - 1)
		count++;
	qsort(word, count, sizeof(*word), line_order);
	for (size_t i = 0; i < count; i++)
		text_printf(&text, "%s ", word[i]);
	return text_take(&text);
}

static void check_same(const struct reference_query *query, const char *what, const char *got,
	const char *wanted)
{
	static const char *const targets[] = {"address", "this node", "another node"};
	static const char *const froms[] = {"inside", "outside", "another node"};
	_free_ char *got_words = words_sorted(got), *wanted_words = words_sorted(wanted);
	char text[ADDR_TEXT_SIZE];
	_free_ char *name = mem_format("%s of %s %s port %u %s from %s", what, targets[query->target],
		addr_format(&query->addr, text), query->port, protocol_name(query->protocol),
		froms[query->from]);

	check_case(name, got_words, wanted_words);
}

static unsigned long served, with_backends; /* questions to which there is a Service, a backend */

static void check_query(
	struct scene *scene, const struct rows *rows, const struct reference_query *query)
{
	static const struct {
		const char *what;
		void (*rows)(const struct rows *, const struct reference_query *, struct text *);
		void (*reference)(struct store *, const struct settings *,
			const struct reference_query *, struct text *);
	} questions[] = {
		{"answer", print_answer, reference_answer},
		{"serving", print_serving, reference_serving},
		{"sources", print_sources, reference_sources},
	};

	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		_text_ struct text got = {0}, wanted = {0};

		questions[i].rows(rows, query, &got);
		questions[i].reference(&scene->store, &scene->settings, query, &wanted);
		check_same(query, questions[i].what, text_string(&got), text_string(&wanted));
		served += i == 0 && strcmp(text_string(&got), "none") != 0;
		with_backends += i == 0 && strchr(text_string(&got), ':') != NULL;
	}
}

static void check_ports(struct scene *scene, const struct rows *rows, struct reference_query *query,
	uint16_t first, uint16_t last)
{
	for (query->port = first; query->port <= last; query->port++)
		for (query->protocol = 0; query->protocol < PROTOCOL_MAX; query->protocol++)
			for (query->from = 0; query->from < FROM_MAX; query->from++) {
				/* Nobody hands over what is for another node's address. */
				if (query->target == TO_ANOTHER_NODE && query->from != FROM_INSIDE)
					continue;
				check_query(scene, rows, query);
			}
}

static void check_node(struct scene *scene, const struct rows *rows, enum family family)
{
	static const char *const addresses[] = {"0.0.0.0", "127.0.0.1", "10.89.0.1", "::", "::1"};
	struct reference_query query = {.family = family};

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		addr_parse(addresses[i], &query.addr);
		if (addr_family(&query.addr) != family)
			continue;
		query.target = TO_THIS_NODE;
		check_ports(scene, rows, &query, 29998, 30004);
		query.target = TO_ANOTHER_NODE;
		if (addr_is_unspecified(&query.addr))
			check_ports(scene, rows, &query, 29998, 30004);
	}
}

static void check_reference(struct scene *scene)
{
	_cleanup_(services_clear) struct services services = {0};
	struct services_input input = scene_input(scene);
	struct rows rows = {0};

	services_compile(&services, &input, &rows);
	rows_sort(&rows);
	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++) {
		struct reference_query query = {.target = TO_ADDRESS, .family = family};

		for (enum scene_kind kind = 0; kind < SCENE_ENDPOINT; kind++)
			for (unsigned int i = 0; i < SCENE_ADDRESSES; i++) {
				query.addr = scene_address(kind, family, i);
				check_ports(scene, &rows, &query, 79, 83);
			}
		check_node(scene, &rows, family);
	}
	rows_clear(&rows);
}

static void test_rows_are_what_the_reference_says(void **state)
{
	for (unsigned long i = 0; i < cases(); i++) {
		struct scene scene;

		scene_open(&scene, 2000000 + i, 0);
		for (unsigned int j = 0; j < STEPS; j++) {
			scene_take_step(&scene);
			if (j % 10 == 9)
				check_reference(&scene);
		}
		scene_close(&scene);
	}
	/* A test that only ever meets nothing would pass as well. */
	print_message("%lu questions to a Service, %lu led to backends\n", served, with_backends);
	assert_true(with_backends * 30 > served);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_give_what_nothing_gives),
		cmocka_unit_test(test_names_of_sets_collide),
		cmocka_unit_test(test_rows_are_what_the_reference_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
