/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/pool.h"

#include "check.h"

#include <errno.h>

#define REST_MS 1000

static struct prefix range_of(const char *text)
{
	struct prefix range;

	assert_int_equal(prefix_parse(text, &range, NULL), 0);
	return range;
}

static struct addr addr_of(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static struct pool pool_of(const char *range_text, uint32_t start)
{
	struct prefix range = range_of(range_text);
	struct pool pool;

	assert_int_equal(pool_init(&pool, &range, start, REST_MS, NULL), 0);
	return pool;
}

static void check_take(struct pool *pool, uint64_t now, const char *wanted)
{
	char text[ADDR_TEXT_SIZE];
	struct addr addr;

	assert_int_equal(pool_take(pool, now, &addr, NULL), 0);
	check_case("pool_take", addr_format(&addr, text), wanted);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *range;
		uint32_t free; /* 0: refused */
	} cases[] = {
		{"10.0.0.0/24", 253},
		{"10.0.0.0/30", 1},
		{"10.0.0.0/31", 0},
		{"10.0.0.0/32", 0},
		{"10.0.0.0/16", 65533},
		{"10.0.0.0/15", 65534},
		{"10.0.0.0/8", 65534},
		{"fd00::/64", 65534},
		{"fd00::/112", 65534},
		{"fd00::/126", 2},
		{"fd00::/127", 0},
		{"fd00::/128", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix range = range_of(cases[i].range);
		struct pool pool = {0};
		struct err err = {0};
		int r = pool_init(&pool, &range, 0, REST_MS, &err);

		assert_int_equal(r, cases[i].free ? 0 : -EINVAL);
		if (r == 0)
			assert_int_equal(pool_counts(&pool, 0).free, cases[i].free);
		else
			assert_non_null(strstr(err.text, cases[i].range));
		pool_clear(&pool);
	}
}

static void test_reserved(void **state)
{
	static const struct {
		const char *range, *addr;
		int result;
	} cases[] = {
		{"10.0.0.0/24", "10.0.0.0", -EPERM},
		{"10.0.0.0/24", "10.0.0.1", -EPERM},
		{"10.0.0.0/24", "10.0.0.2", 0},
		{"10.0.0.0/24", "10.0.0.254", 0},
		{"10.0.0.0/24", "10.0.0.255", -EPERM},
		{"10.0.0.0/24", "10.0.1.0", -ERANGE},
		{"10.0.0.0/24", "9.255.255.255", -ERANGE},
		{"10.0.0.0/24", "fd00::2", -ERANGE},
		{"10.0.0.0/24", "::a00:2", -ERANGE},
		{"10.0.0.0/15", "10.0.255.255", 0},
		{"10.0.0.0/15", "10.1.0.0", -ERANGE},
		{"fd00::/64", "fd00::", -EPERM},
		{"fd00::/64", "fd00::1", -EPERM},
		{"fd00::/64", "fd00::2", 0},
		{"fd00::/64", "fd00::ffff", 0},
		{"fd00::/64", "fd00::1:0", -ERANGE},
		{"fd00::/64", "fd00::1:0:0:2", -ERANGE},
		{"fd00::/64", "fd00:0:0:1::2", -ERANGE},
		{"fd00::/120", "fd00::ff", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pool pool = pool_of(cases[i].range, 0);
		struct addr addr = addr_of(cases[i].addr);

		assert_int_equal(pool_take_exact(&pool, 0, &addr, NULL), cases[i].result);
		assert_int_equal(pool_has(&pool, &addr), cases[i].result == 0);
		pool_clear(&pool);
	}
}

static void test_next_fit(void **state)
{
	struct pool pool = pool_of("10.0.0.0/29", 6);
	struct addr addr = addr_of("10.0.0.6");

	check_take(&pool, 0, "10.0.0.6");
	check_take(&pool, 0, "10.0.0.2");
	assert_int_equal(pool_release(&pool, 0, &addr, NULL), 0);
	check_take(&pool, REST_MS, "10.0.0.3");
	pool_clear(&pool);

	pool = pool_of("10.0.0.0/29", 8 + 4);
	check_take(&pool, 0, "10.0.0.4");
	pool_clear(&pool);
}

static void test_rest(void **state)
{
	struct pool pool = pool_of("10.0.0.0/30", 0);
	struct addr addr = addr_of("10.0.0.2"), taken;
	struct err err = {0};

	check_take(&pool, 10, "10.0.0.2");
	assert_int_equal(pool_take(&pool, 10, &taken, &err), -ENOSPC);
	assert_string_equal(err.text, "all 1 addresses of 10.0.0.0/30 are in use");
	assert_int_equal(pool_release(&pool, 10, &addr, &err), 0);
	assert_int_equal(pool_release(&pool, 10, &addr, &err), -ENOENT);
	assert_int_equal(pool_take(&pool, 11, &taken, &err), -EAGAIN);
	assert_string_equal(err.text, "no address of 10.0.0.0/30 is free; 1 rest after use, the "
				      "first for another 999 ms");
	assert_int_equal(pool_take_exact(&pool, 12, &addr, &err), -EAGAIN);
	assert_string_equal(err.text, "10.0.0.2 rests after use, for another 998 ms");
	assert_int_equal(pool_take(&pool, 10 + REST_MS - 1, &taken, &err), -EAGAIN);
	check_take(&pool, 10 + REST_MS, "10.0.0.2");
	pool_clear(&pool);
}

static void test_hold(void **state)
{
	struct pool pool = pool_of("10.0.0.0/24", 2);
	struct addr addr = addr_of("10.0.0.2"), reserved = addr_of("10.0.0.1");
	struct err err = {0};

	assert_int_equal(pool_hold(&pool, &addr, &err), 0);
	assert_int_equal(pool_hold(&pool, &addr, &err), -EADDRINUSE);
	assert_int_equal(pool_hold(&pool, &reserved, &err), -EPERM);
	check_take(&pool, 0, "10.0.0.3");
	/* Out of its rest, and not woken by it later. */
	assert_int_equal(pool_release(&pool, 0, &addr, &err), 0);
	assert_int_equal(pool_hold(&pool, &addr, &err), 0);
	assert_int_equal(pool_counts(&pool, 10 * REST_MS).used, 2);
	assert_true(pool_has(&pool, &addr));
	pool_clear(&pool);
}

static void test_node_address(void **state)
{
	struct prefix v4 = range_of("10.1.2.0/24"), v6 = range_of("fd00:1::/64");
	struct addr addr = pool_node_address(&v4), wanted = addr_of("10.1.2.1");

	assert_true(addr_equal(&addr, &wanted));
	addr = pool_node_address(&v6);
	wanted = addr_of("fd00:1::1");
	assert_true(addr_equal(&addr, &wanted));
}

/* The model: the state and the end of rest of each offset, looked at one by one. */
enum model_state { MODEL_FREE, MODEL_USED, MODEL_RESTING, MODEL_RESERVED };

struct model {
	enum model_state states[64];
	uint64_t until[64];
	uint32_t size;
};

static void model_wake(struct model *model, uint64_t now)
{
	for (uint32_t i = 0; i < model->size; i++)
		if (model->states[i] == MODEL_RESTING && model->until[i] <= now)
			model->states[i] = MODEL_FREE;
}

static uint32_t model_count(const struct model *model, enum model_state wanted)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < model->size; i++)
		count += model->states[i] == wanted;
	return count;
}

static void model_take(struct model *model, struct pool *pool, uint64_t now)
{
	struct addr addr;
	int r = pool_take(pool, now, &addr, NULL);

	if (r == 0) {
		int offset = addr.bytes[15] - pool->range.addr.bytes[15];

		assert_int_equal(model->states[offset], MODEL_FREE);
		model->states[offset] = MODEL_USED;
		return;
	}
	assert_int_equal(model_count(model, MODEL_FREE), 0);
	assert_int_equal(r, model_count(model, MODEL_RESTING) ? -EAGAIN : -ENOSPC);
}

static void model_take_exact(struct model *model, struct pool *pool, uint64_t now, uint32_t offset)
{
	static const int wanted[] = {0, -EADDRINUSE, -EAGAIN, -EPERM};
	struct addr addr = addr_add(&pool->range.addr, offset);

	assert_int_equal(pool_take_exact(pool, now, &addr, NULL), wanted[model->states[offset]]);
	if (model->states[offset] == MODEL_FREE)
		model->states[offset] = MODEL_USED;
}

static void model_hold(struct model *model, struct pool *pool, uint32_t offset)
{
	static const int wanted[] = {0, -EADDRINUSE, 0, -EPERM};
	struct addr addr = addr_add(&pool->range.addr, offset);

	/* pool_hold knows no time: what has rested enough may still be resting for it. */
	assert_int_equal(pool_hold(pool, &addr, NULL), wanted[model->states[offset]]);
	if (model->states[offset] != MODEL_RESERVED)
		model->states[offset] = MODEL_USED;
}

static void model_release(struct model *model, struct pool *pool, uint64_t now, uint32_t offset)
{
	struct addr addr = addr_add(&pool->range.addr, offset);
	bool used = model->states[offset] == MODEL_USED;

	assert_int_equal(pool_release(pool, now, &addr, NULL), used ? 0 : -ENOENT);
	if (used) {
		model->states[offset] = MODEL_RESTING;
		model->until[offset] = now + REST_MS;
	}
}

static void check_against_model(const char *range, uint32_t size, uint64_t seed)
{
	struct pool pool = pool_of(range, (uint32_t)seed);
	struct model model = {.size = size};
	uint64_t now = 0;

	model.states[0] = model.states[1] = MODEL_RESERVED;
	if (prefix_family(&pool.range) == FAMILY_IPV4)
		model.states[size - 1] = MODEL_RESERVED;
	for (int i = 0; i < 20000; i++) {
		uint32_t offset = check_random(&seed) % size, action = check_random(&seed) % 16;
		struct pool_counts counts;

		now += check_random(&seed) % 100;
		model_wake(&model, now);
		if (action < 7)
			model_take(&model, &pool, now);
		else if (action < 9)
			model_take_exact(&model, &pool, now, offset);
		else if (action < 10)
			model_hold(&model, &pool, offset);
		else
			model_release(&model, &pool, now, offset);
		counts = pool_counts(&pool, now);
		assert_int_equal(counts.used, model_count(&model, MODEL_USED));
		assert_int_equal(counts.resting, model_count(&model, MODEL_RESTING));
		assert_int_equal(counts.free, model_count(&model, MODEL_FREE));
	}
	pool_clear(&pool);
}

static void test_against_model(void **state)
{
	check_against_model("10.0.0.0/26", 64, 1);
	check_against_model("10.0.0.64/28", 16, 2);
	check_against_model("fd00::/122", 64, 3);
	check_against_model("10.0.0.0/30", 4, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_next_fit),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_node_address),
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
