/* SPDX-License-Identifier: Apache-2.0 */
#include "model/settings.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_nothing_gives_the_defaults(void **state)
{
	struct settings settings, defaults;
	struct err err;

	(void)state;
	settings_defaults(&defaults);
	assert_int_equal(settings_read("", 0, &settings, &err), 0);
	assert_memory_equal(&settings, &defaults, sizeof(settings));
}

static void test_every_key(void **state)
{
	static const char text[] = "node: alpha\nroute: direct\npodCIDRs: [10.1.0.0/16, 'fd01::/48']\n"
				   "serviceCIDRs: ['fd96::/112']\nnonMasqueradeCIDRs: [192.168.0.0/16]\n"
				   "masquerade: false\nmasqueradePorts: 40000-50000\nmtu: 1400\n"
				   "devices: [eth0, bond1]\ntunnelPort: 7000\nmark: 0x200\n"
				   "markMask: 0x300\nuser: 1234\nflowEntries: 1024\n"
				   "externalCIDRs: [198.51.100.0/24]\n"
				   "nodePortAddresses: [localhost, 10.2.0.0/16]\n"
				   "addressRestSeconds: 5\ncgroup: /a/b\nlogLevel: debug\n"
				   "healthzBindAddresses: []\nhealthTimeoutSeconds: 7\n"
				   "metricsBindAddresses: ['[fd01::1]:1', 10.0.0.1:65535]\n";
	struct settings s;
	struct err err;

	(void)state;
	assert_int_equal(settings_read(text, strlen(text), &s, &err), 0);
	assert_string_equal(s.node, "alpha");
	assert_int_equal(s.route, SETTINGS_ROUTE_DIRECT);
	assert_int_equal(s.pod_ranges.count, 2);
	assert_int_equal(s.service_ranges.count, 1);
	assert_int_equal(s.no_masquerade.count, 1);
	assert_int_equal(s.external_ranges.count, 1);
	assert_false(s.node_ports.primary);
	assert_false(s.node_ports.all);
	assert_true(s.node_ports.localhost);
	assert_int_equal(s.node_ports.ranges.count, 1);
	assert_false(s.masquerade);
	assert_int_equal(s.masquerade_first, 40000);
	assert_int_equal(s.masquerade_last, 50000);
	assert_int_equal(s.mtu, 1400);
	assert_int_equal(s.device_count, 2);
	assert_string_equal(s.device[1], "bond1");
	assert_int_equal(s.tunnel_port, 7000);
	assert_int_equal(s.mark, 0x200);
	assert_int_equal(s.mark_mask, 0x300);
	assert_int_equal(s.user, 1234);
	assert_int_equal(s.flow_entries, 1024);
	assert_int_equal(s.address_rest_seconds, 5);
	assert_string_equal(s.cgroup, "/a/b");
	assert_int_equal(s.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(s.healthz.count, 0);
	assert_int_equal(s.health_timeout_seconds, 7);
	assert_int_equal(s.metrics.count, 2);
	assert_int_equal(addr_family(&s.metrics.addr[0]), FAMILY_IPV6);
	assert_int_equal(s.metrics.port[0], 1);
	assert_int_equal(addr_family(&s.metrics.addr[1]), FAMILY_IPV4);
	assert_int_equal(s.metrics.port[1], 65535);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"- a", "key: value"},
		{"nodes: a", "nodes: is no setting"},
		{"node: Not_A_Name", "node: \"Not_A_Name\""},
		{"route: fast", "use auto, direct or vxlan"},
		{"podCIDRs: 10.0.0.0/8", "podCIDRs"},
		{"podCIDRs: [10.0.0.0/33]", "podCIDRs[0]: \"10.0.0.0/33\""},
		{"podCIDRs: [10.0.0.0]", "podCIDRs[0]"},
		{"serviceCIDRs: [1.0.0.0/8,2.0.0.0/8,3.0.0.0/8,4.0.0.0/8,5.0.0.0/8,6.0.0.0/8,"
		 "7.0.0.0/8,8.0.0.0/8,9.0.0.0/8]", "more than 8"},
		{"masquerade: 1", "use true or false"},
		{"masqueradePorts: 5-4", "masqueradePorts: \"5-4\""},
		{"masqueradePorts: 1-70000", "masqueradePorts"},
		{"masqueradePorts: 1-2-3", "masqueradePorts"},
		{"devices: [a_name_that_is_too_long]", "devices[0]"},
		{"devices: ['']", "devices[0]"},
		{"cgroup: a/b", "cgroup: \"a/b\" is no path"},
		{"cgroup: 1", "cgroup"},
		{"nodePortAddresses: primary", "nodePortAddresses"},
		{"nodePortAddresses: [every]", "nodePortAddresses[0]: \"every\""},
		{"tunnelPort: 0", "tunnelPort: 0"},
		{"tunnelPort: 65536", "tunnelPort: 65536"},
		{"user: 0", "user: 0"},
		{"mark: 0x40", "mark: 0x40"},
		{"markMask: 0x70", "markMask"},
		{"logLevel: loud", "logLevel: \"loud\""},
		{"metricsBindAddresses: 127.0.0.1:1", "metricsBindAddresses"},
		{"metricsBindAddresses: [1]", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: [127.0.0.1]", "metricsBindAddresses[0]: \"127.0.0.1\""},
		{"metricsBindAddresses: ['127.0.0.1:']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: ['127.0.0.1:0']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: ['127.0.0.1:65536']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: ['127.0.0.1:-1']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: ['127.0.0.1:1x']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: [':10249']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: ['::1:10249']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: ['[127.0.0.1]:10249']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: ['[::1:10249']", "metricsBindAddresses[0]"},
		{"metricsBindAddresses: ['localhost:10249']", "metricsBindAddresses[0]"},
		{"healthTimeoutSeconds: 0", "healthTimeoutSeconds: 0"},
		{"node: a\nnode: b", "node"},
		{"node: [", "line"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct settings settings;
		struct err err = {0};

		if (settings_read(cases[i].text, strlen(cases[i].text), &settings, &err) !=
				-EINVAL ||
			!strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].text, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_gives_the_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_what_is_refused),
	};

	return cmocka_run_group_tests_name("model/settings", tests, NULL, NULL);
}
