/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/shaper.h"

#include "check.h"
#include "linux/link.h"
#include "root.h"

#include <errno.h>
#include <string.h>

/* Bits of a runtime to bytes; the burst has bounds, whatever is asked for. */
static void test_of_bits(void **state)
{
	static const struct {
		uint64_t rate, burst, want_rate;
		uint32_t want_burst;
	} cases[] = {
		{1, 0, 1, 16384},
		{1000000, 4294967295, 125000, 16384},
		{100000000, 0, 12500000, 16384},
		{100000000, 800000, 12500000, 100000},
		{100000000, 4294967295, 12500000, 250000},
		{100000000000, UINT64_MAX, 12500000000, 250000000},
		{UINT64_MAX, UINT64_MAX, UINT64_MAX / 8, 1U << 30},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct shaper shaper = shaper_of_bits(cases[i].rate, cases[i].burst);

		assert_int_equal(shaper.rate, cases[i].want_rate);
		assert_int_equal(shaper.burst, cases[i].want_burst);
		assert_true(shaper.limit > shaper.burst);
	}
}

/* Rates below and beyond 32 bits come back as they were; a second one takes the place. */
static void test_set_and_find(void **state)
{
	static const uint64_t rates[] = {1000, 125000, 4294967295, 12500000000};
	struct link_veth veth = {.name = "one",
		.peer_name = "two",
		.peer_netns = -1,
		.mac = {2, 0, 0, 0, 0, 1},
		.peer_mac = {2, 0, 0, 0, 0, 2}};
	struct netlink_batch batch = {0};
	struct netlink *netlink = NULL;
	struct shaper shaper = {0};
	struct link_info link;
	struct err err = {0};

	(void)state;
	assert_int_equal(netlink_open(&netlink, &err), 0);
	link_add_veth(&batch, &veth);
	assert_int_equal(netlink_commit(netlink, &batch, &err), 0);
	netlink_batch_clear(&batch);
	assert_int_equal(link_find(netlink, "one", &link, &err), 0);
	assert_int_equal(shaper_find(netlink, link.ifindex, &shaper, &err), -ENOENT);
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct shaper wanted = {.rate = rates[i], .burst = 20000, .limit = 40000};

		shaper_set(&batch, link.ifindex, &wanted);
		if (netlink_commit(netlink, &batch, &err) < 0)
			fail_msg("%s", err.text);
		netlink_batch_clear(&batch);
		assert_int_equal(shaper_find(netlink, link.ifindex, &shaper, &err), 0);
		assert_int_equal(shaper.rate, rates[i]);
		assert_true(shaper_is(&shaper, &wanted));
		wanted.limit++;
		assert_false(shaper_is(&shaper, &wanted));
	}
	netlink_close(&netlink);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_bits),
		cmocka_unit_test(test_set_and_find),
	};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
