/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/wishes.h"

#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int read_wishes(const char *more, const char *ip, const char *mac, struct cni_wishes *wishes,
	struct cni_error *error)
{
	_free_ char *text = mem_format("{\"name\": \"net\"%s%s}", *more ? ", " : "", more);
	_cleanup_(cni_request_clear) struct cni_request request = {.version = CNI_VERSION_1_1_0};

	assert_int_equal(json_read(text, strlen(text), &request.config, NULL), 0);
	snprintf(request.ip, sizeof(request.ip), "%s", ip);
	snprintf(request.mac, sizeof(request.mac), "%s", mac);
	return cni_wishes_read(&request, wishes, error);
}

static void check_addresses(const struct cni_wishes *wishes, const char *wanted)
{
	_text_ struct text all = {0};
	char text[ADDR_TEXT_SIZE];

	for (unsigned int i = 0; i < wishes->address_count; i++)
		text_printf(&all, "%s%s", i ? " " : "", addr_format(&wishes->addresses[i], text));
	assert_string_equal(text_string(&all), wanted);
}

/* Of several ways to ask the first counts. */
static void test_addresses(void **state)
{
	static const struct {
		const char *more, *ip, *wanted;
	} cases[] = {
		{"", "", ""},
		{"\"runtimeConfig\": {}", "", ""},
		{"\"runtimeConfig\": {\"ips\": []}", "10.0.0.1", "10.0.0.1"},
		{"\"runtimeConfig\": {\"ips\": [\"10.1.0.5/24\", \"fd00::5\"]}", "10.0.0.1",
			"10.1.0.5 fd00::5"},
		{"\"args\": {\"cni\": {\"ips\": [\"10.2.0.5\"]}}", "10.0.0.1", "10.2.0.5"},
		{"\"runtimeConfig\": {\"ips\": [\"10.1.0.5\"]}, "
		 "\"args\": {\"cni\": {\"ips\": [\"10.2.0.5\"]}}",
			"", "10.1.0.5"},
		{"", "10.0.0.1,fd00::1/64", "10.0.0.1 fd00::1"},
		{"\"unknown\": {\"ips\": 7}, \"args\": {\"other\": 1}", "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cni_wishes wishes;
		struct cni_error error;

		assert_int_equal(read_wishes(cases[i].more, cases[i].ip, "", &wishes, &error), 0);
		check_addresses(&wishes, cases[i].wanted);
		assert_string_equal(wishes.network, "net");
	}
}

static void test_mac(void **state)
{
	static const unsigned char wanted[6] = {0x0a, 0xbc, 0, 1, 2, 3};
	struct cni_wishes wishes;
	struct cni_error error;

	assert_int_equal(read_wishes("", "", "", &wishes, &error), 0);
	assert_false(wishes.has_mac);
	assert_int_equal(read_wishes("", "", "0a:BC:00:01:02:03", &wishes, &error), 0);
	assert_true(wishes.has_mac);
	assert_memory_equal(wishes.mac, wanted, 6);
	assert_int_equal(read_wishes("\"runtimeConfig\": {\"mac\": \"0a:bc:00:01:02:03\"}", "", "x",
				 &wishes, &error),
		0);
	assert_memory_equal(wishes.mac, wanted, 6);
}

static void test_bandwidth(void **state)
{
	struct cni_wishes wishes;
	struct cni_error error;

	assert_int_equal(
		read_wishes("\"runtimeConfig\": {\"bandwidth\": {\"ingressRate\": 1000000, "
			    "\"ingressBurst\": 4294967295, \"egressRate\": 0}}",
			"", "", &wishes, &error),
		0);
	assert_int_equal(wishes.limit[DIRECTION_INGRESS].rate, 1000000);
	assert_int_equal(wishes.limit[DIRECTION_INGRESS].burst, 4294967295);
	assert_int_equal(wishes.limit[DIRECTION_EGRESS].rate, 0);
}

/* As containerd's go-cni writes it. */
static void test_bandwidth_of_containerd(void **state)
{
	struct cni_wishes wishes;
	struct cni_error error;

	assert_int_equal(
		read_wishes("\"runtimeConfig\": {\"bandwidth\": {\"IngressRate\": 20000000, "
			    "\"IngressBurst\": 4294967295, \"EgressRate\": 10000000, "
			    "\"EgressBurst\": 7}}",
			"", "", &wishes, &error),
		0);
	assert_int_equal(wishes.limit[DIRECTION_INGRESS].rate, 20000000);
	assert_int_equal(wishes.limit[DIRECTION_INGRESS].burst, 4294967295);
	assert_int_equal(wishes.limit[DIRECTION_EGRESS].rate, 10000000);
	assert_int_equal(wishes.limit[DIRECTION_EGRESS].burst, 7);
}

static void test_labels(void **state)
{
	struct cni_wishes wishes;
	struct cni_error error;

	assert_int_equal(read_wishes("\"args\": {\"cni\": {\"labels\": [{\"key\": \"a.b/c\", "
				     "\"value\": \"d\"}, {\"key\": \"e\"}]}}",
				 "", "", &wishes, &error),
		0);
	assert_string_equal(wishes.labels, "a.b/c=d\ne=\n");
}

static void test_refused(void **state)
{
	static const struct {
		const char *more, *ip, *mac, *says;
		int code;
	} cases[] = {
		{"\"runtimeConfig\": 7", "", "", "runtimeConfig", CNI_INVALID_CONFIG},
		{"\"runtimeConfig\": {\"ips\": [\"10.0.0.1/99\"]}", "", "", "runtimeConfig.ips",
			CNI_INVALID_CONFIG},
		{"\"runtimeConfig\": {\"ips\": [\"10.0.0.1\", {}]}", "", "", "runtimeConfig.ips[1]",
			CNI_INVALID_CONFIG},
		{"\"runtimeConfig\": {\"ips\": [\"fd00::1\", \"fd00::2\"]}", "", "",
			"second address of IPv6", CNI_INVALID_CONFIG},
		{"\"args\": {\"cni\": 7}", "", "", "args.cni", CNI_INVALID_CONFIG},
		{"", "10.0.0.1,,x", "", "CNI_ARGS: IP", CNI_INVALID_ENVIRONMENT},
		{"", "", "0a:bc:00:01:02:0", "CNI_ARGS: MAC", CNI_INVALID_ENVIRONMENT},
		{"", "", "0a-bc-00-01-02-03", "CNI_ARGS: MAC", CNI_INVALID_ENVIRONMENT},
		{"", "", "ff:ff:ff:ff:ff:ff", "unicast", CNI_INVALID_ENVIRONMENT},
		{"\"runtimeConfig\": {\"mac\": \"0a:bc:00:01:02: 3\"}", "", "", "runtimeConfig.mac",
			CNI_INVALID_CONFIG},
		{"\"runtimeConfig\": {\"bandwidth\": []}", "", "", "runtimeConfig.bandwidth",
			CNI_INVALID_CONFIG},
		{"\"runtimeConfig\": {\"bandwidth\": {\"egressBurst\": -1}}", "", "",
			"runtimeConfig.bandwidth.egressBurst", CNI_INVALID_CONFIG},
		{"\"runtimeConfig\": {\"bandwidth\": {\"EgressRate\": \"1\"}}", "", "",
			"runtimeConfig.bandwidth.EgressRate", CNI_INVALID_CONFIG},
		{"\"args\": {\"cni\": {\"labels\": [7]}}", "", "", "args.cni.labels[0]",
			CNI_INVALID_CONFIG},
		{"\"args\": {\"cni\": {\"labels\": [{\"key\": \"a\\nb=c\"}]}}", "", "",
			"args.cni.labels[0]", CNI_INVALID_CONFIG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cni_wishes wishes;
		struct cni_error error;

		assert_int_not_equal(
			read_wishes(cases[i].more, cases[i].ip, cases[i].mac, &wishes, &error), 0);
		assert_int_equal(error.code, cases[i].code);
		if (!strstr(error.reason.text, cases[i].says))
			fail_msg("\"%s\" has no \"%s\"", error.reason.text, cases[i].says);
	}
}

/* As many labels as fit; one more is refused and not cut. */
static void test_too_many_labels(void **state)
{
	_text_ struct text list = {0};
	struct cni_wishes wishes;
	struct cni_error error;

	text_append(&list, "\"args\": {\"cni\": {\"labels\": [");
	for (int i = 0; i < 100; i++)
		text_printf(&list, "%s{\"key\": \"key%d\", \"value\": \"value%d\"}", i ? "," : "",
			i, i);
	text_append(&list, "]}}");
	assert_int_equal(read_wishes(text_string(&list), "", "", &wishes, &error), -EINVAL);
	assert_non_null(strstr(error.reason.text, "1023 bytes"));
}

static void test_network(void **state)
{
	static const char *const wrong[] = {"\"\"", "\".a\"", "\"a/b\"", "\"a b\"", "7"};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_free_ char *text = mem_format("{\"name\": %s}", wrong[i]);
		_cleanup_(cni_request_clear) struct cni_request request = {0};
		char network[ATTACHMENT_NETWORK_SIZE];
		struct cni_error error;

		assert_int_equal(json_read(text, strlen(text), &request.config, NULL), 0);
		assert_int_equal(cni_network_read(&request, network, &error), -EINVAL);
		assert_int_equal(strncmp(error.reason.text, "name: ", 6), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_bandwidth),
		cmocka_unit_test(test_bandwidth_of_containerd),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many_labels),
		cmocka_unit_test(test_network),
	};

	return cmocka_run_group_tests_name("agent/wishes", tests, NULL, NULL);
}
