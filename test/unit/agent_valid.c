/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/valid.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ONE(container) "{\"containerID\": \"" container "\", \"ifname\": \"eth0\"}"

static void test_lists(void **state)
{
	static const struct {
		const char *config;
		bool given, first, second; /* is c1 valid, is c2 */
	} cases[] = {
		{"{}", false, false, false},
		{"{\"cni.dev/valid-attachments\": null}", false, false, false},
		{"{\"cni.dev/valid-attachments\": []}", true, false, false},
		{"{\"cni.dev/attachments\": []}", true, false, false},
		{"{\"cni.dev/valid-attachments\": [" ONE("c1") "]}", true, true, false},
		{"{\"cni.dev/attachments\": [" ONE("c2") "]}", true, false, true},
		{"{\"cni.dev/attachments\": [" ONE("c1") "], \"cni.dev/valid-attachments\": [" ONE(
			 "c2") "]}",
			true, true, true},
		{"{\"cni.dev/attachments\": [" ONE("c1") ", " ONE("c2") "]}", true, true, true},
		{"{\"cni.dev/attachments\": [{\"containerID\": \"c1\", \"ifname\": \"eth1\"}]}", true,
			false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ json_t *tree = NULL;
		struct json_at root;
		struct valid valid;

		assert_int_equal(json_read(cases[i].config, strlen(cases[i].config), &tree, NULL), 0);
		root = json_root(tree);
		assert_int_equal(valid_read(&root, &valid, NULL), 0);
		assert_int_equal(valid_is_given(&valid), cases[i].given);
		assert_int_equal(valid_has(&valid, "c1", "eth0"), cases[i].first);
		assert_int_equal(valid_has(&valid, "c2", "eth0"), cases[i].second);
	}
}

/* One bad element, and the whole list says nothing. */
static void test_refused(void **state)
{
	static const struct {
		const char *config, *says;
	} cases[] = {
		{"{\"cni.dev/attachments\": 5}", "[cni.dev/attachments]"},
		{"{\"cni.dev/attachments\": [" ONE("c1") ", 5]}", "[cni.dev/attachments][1]"},
		{"{\"cni.dev/attachments\": [{\"ifname\": \"eth0\"}]}", "containerID"},
		{"{\"cni.dev/valid-attachments\": [{\"containerID\": \"c1\"}]}", "ifname"},
		{"{\"cni.dev/valid-attachments\": [{\"containerID\": 5, \"ifname\": \"eth0\"}]}",
			"containerID"},
		{"{\"cni.dev/valid-attachments\": [], \"cni.dev/attachments\": {}}",
			"[cni.dev/attachments]"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ json_t *tree = NULL;
		struct err err = {0};
		struct json_at root;
		struct valid valid;

		assert_int_equal(json_read(cases[i].config, strlen(cases[i].config), &tree, NULL), 0);
		root = json_root(tree);
		assert_int_equal(valid_read(&root, &valid, &err), -EINVAL);
		assert_non_null(strstr(err.text, cases[i].says));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
