/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cni.h"

#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static json_t *request_tree(const char *command, const char *config, const char *arguments)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "command", command, "containerID", "c1",
		"netns", "/run/netns/c1", "ifname", "eth0", "args", arguments, "config", config);
}

static void test_requests_that_are_refused(void **state)
{
	static const struct {
		const char *command, *config, *arguments;
		int code;
		const char *says;
	} cases[] = {
		{"ADD", "", "", CNI_DECODE, "the network configuration"},
		{"ADD", "{", "", CNI_DECODE, "the network configuration"},
		{"ADD", "[]", "", CNI_DECODE, "use an object"},
		{"ADD", "{}", "", CNI_INVALID_CONFIG, "cniVersion: is missing"},
		{"ADD", "{\"cniVersion\": 1}", "", CNI_INVALID_CONFIG, "cniVersion"},
		{"ADD", "{\"cniVersion\": \"0.2.0\"}", "", CNI_INCOMPATIBLE_VERSION, "\"0.2.0\""},
		{"ADD", "{\"cniVersion\": \"2.0.0\"}", "", CNI_INCOMPATIBLE_VERSION, "\"2.0.0\""},
		{"ADD", "{\"cniVersion\": \"1.0.0\"}", "K8S_POD_NAME=Web", CNI_INVALID_ENVIRONMENT,
			"CNI_ARGS: K8S_POD_NAME: \"Web\" is no name of a pod"},
		{"CHECK", "{\"cniVersion\": \"1.0.0\"}", "K8S_POD_NAMESPACE=a.b;K8S_POD_NAME=web",
			CNI_INVALID_ENVIRONMENT, "CNI_ARGS: K8S_POD_NAMESPACE: \"a.b\" is no name"},
		{"ADD", "{\"cniVersion\": \"1.0.0\"}", "K8S_POD_UID=\x1b[31m",
			CNI_INVALID_ENVIRONMENT, "CNI_ARGS: K8S_POD_UID: \"\\u001B[31m\" is no uid"},
		{"ADDD", "{\"cniVersion\": \"1.0.0\"}", "", CNI_INVALID_ENVIRONMENT, "CNI_COMMAND"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ json_t *tree =
			request_tree(cases[i].command, cases[i].config, cases[i].arguments);
		struct cni_request request;
		struct cni_error error = {0};

		assert_int_equal(cni_request_read(tree, &request, &error), -EINVAL);
		assert_int_equal(error.code, cases[i].code);
		assert_non_null(strstr(error.reason.text, cases[i].says));
	}
}

/* What would share a file with another attachment, or lie somewhere else. */
static void test_names_that_are_refused(void **state)
{
	static const struct {
		const char *container, *ifname, *says;
	} cases[] = {
		{"a:b", "c", "CNI_CONTAINERID: \"a:b\" is no identifier"},
		{"a", "b:c", "CNI_IFNAME: \"b:c\" is no name of an interface"},
		{"../a", "b", "CNI_CONTAINERID"},
		{"a/../b", "c", "CNI_CONTAINERID"},
		{".a", "b", "CNI_CONTAINERID"},
		{"-a", "b", "CNI_CONTAINERID"},
		{"a", "/../b", "CNI_IFNAME"},
		{"a", "..", "CNI_IFNAME"},
		{"a", "b c", "CNI_IFNAME"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ json_t *tree = request_tree("ADD", "{\"cniVersion\": \"1.0.0\"}", "");
		struct cni_request request;
		struct cni_error error = {0};

		json_object_set_new(tree, "containerID", json_string(cases[i].container));
		json_object_set_new(tree, "ifname", json_string(cases[i].ifname));
		assert_int_equal(cni_request_read(tree, &request, &error), -EINVAL);
		assert_int_equal(error.code, CNI_INVALID_ENVIRONMENT);
		assert_non_null(strstr(error.reason.text, cases[i].says));
	}
}

static void test_arguments_of_kubernetes(void **state)
{
	_json_ json_t *tree = request_tree("ADD", "{\"cniVersion\": \"1.1.0\"}",
		"IgnoreUnknown=1;K8S_POD_NAME=web-0;XK8S_POD_NAME=no;K8S_POD_NAMESPACE=shop;"
		"K8S_POD_UID=u-1;");
	_cleanup_(cni_request_clear) struct cni_request request = {0};
	struct cni_error error;

	(void)state;
	assert_int_equal(cni_request_read(tree, &request, &error), 0);
	assert_int_equal(request.command, CNI_ADD);
	assert_int_equal(request.version, CNI_VERSION_1_1_0);
	assert_string_equal(request.pod_name, "web-0");
	assert_string_equal(request.pod_namespace, "shop");
	assert_string_equal(request.pod_uid, "u-1");
	assert_string_equal(request.container, "c1");
	assert_string_equal(request.ifname, "eth0");
}

static void test_an_argument_without_end(void **state)
{
	char arguments[600] = "K8S_POD_NAME=";
	_json_ json_t *tree = NULL;
	struct cni_request request;
	struct cni_error error;

	(void)state;
	memset(arguments + strlen(arguments), 'x', 500);
	tree = request_tree("ADD", "{\"cniVersion\": \"1.1.0\"}", arguments);
	assert_int_equal(cni_request_read(tree, &request, &error), -EINVAL);
	assert_int_equal(error.code, CNI_INVALID_ENVIRONMENT);
	assert_non_null(strstr(error.reason.text, "K8S_POD_NAME"));
}

/* The result of a pod with both families, in the shape of each version of the specification. */
static void test_result_shapes(void **state)
{
	static const struct {
		const char *version;
		bool has_ip_version, has_mtu;
	} cases[] = {{"0.3.1", true, false}, {"0.4.0", true, false}, {"1.0.0", false, false},
		{"1.1.0", false, true}};
	static const unsigned char mac[6] = {10, 1, 2, 3, 4, 5};
	struct addr addresses[2];

	(void)state;
	assert_int_equal(addr_parse("10.244.1.7", &addresses[0]), 0);
	assert_int_equal(addr_parse("fd44:0:0:1::7", &addresses[1]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_free_ char *config = mem_format("{\"cniVersion\": \"%s\"}", cases[i].version);
		_json_ json_t *tree = request_tree("ADD", config, ""), *reply = NULL;
		_cleanup_(cni_request_clear) struct cni_request request = {0};
		struct cni_result result = {.interface = {{.name = "pw1", .mac = mac, .mtu = 1450},
						    {.name = "eth0", .mac = mac,
							    .sandbox = "/run/netns/c1", .mtu = 1450}},
			.address = addresses,
			.address_count = 2};
		_text_ struct text text = {0};
		struct cni_error error;
		struct err err;
		json_t *got, *ip, *interface;

		assert_int_equal(cni_request_read(tree, &request, &error), 0);
		cni_reply_result(&request, &result, &text);
		/* The plugin cuts the result out by this prefix. */
		assert_int_equal(strncmp(text_string(&text), "{\"parameters\":", 14), 0);
		assert_int_equal(json_read(text_string(&text), text.length, &reply, &err), 0);
		got = json_object_get(reply, "parameters");
		assert_string_equal(
			json_string_value(json_object_get(got, "cniVersion")), cases[i].version);
		ip = json_array_get(json_object_get(got, "ips"), 0);
		assert_string_equal(
			json_string_value(json_object_get(ip, "address")), "10.244.1.7/32");
		assert_int_equal(json_integer_value(json_object_get(ip, "interface")), 1);
		assert_int_equal(!!json_object_get(ip, "version"), cases[i].has_ip_version);
		interface = json_array_get(json_object_get(got, "interfaces"), 1);
		assert_string_equal(json_string_value(json_object_get(interface, "name")), "eth0");
		assert_string_equal(
			json_string_value(json_object_get(interface, "sandbox")), "/run/netns/c1");
		assert_int_equal(!!json_object_get(interface, "mtu"), cases[i].has_mtu);
		assert_int_equal(json_array_size(json_object_get(got, "routes")), 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_that_are_refused),
		cmocka_unit_test(test_names_that_are_refused),
		cmocka_unit_test(test_arguments_of_kubernetes),
		cmocka_unit_test(test_an_argument_without_end),
		cmocka_unit_test(test_result_shapes),
	};

	return cmocka_run_group_tests_name("agent/cni", tests, NULL, NULL);
}
