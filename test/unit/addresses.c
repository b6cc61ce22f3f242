/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses and ranges are read as the API server reads them (hazards.md K3): each line of the file
 * is a text and what Kubernetes' own parser made of it, as test/kubernetes/addresses.go has asked it.
 */
#include "net/prefix.h"

#include "check.h"

#include <stdio.h>

#define LINES_MIN 1000

static const char *path;

static const char *read_one(const char *text, char shown[PREFIX_TEXT_SIZE])
{
	struct prefix prefix;
	struct addr addr;

	if (strchr(text, '/'))
		return prefix_parse(text, &prefix, NULL) < 0 ? "-" : prefix_format(&prefix, shown);
	return addr_parse(text, &addr) < 0 ? "-" : addr_format(&addr, shown);
}

static void test_as_the_api_server(void **state)
{
	FILE *file = fopen(path, "r");
	char line[256], shown[PREFIX_TEXT_SIZE];
	size_t lines = 0, right = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		char *tab = strchr(line, '\t');

		assert_non_null(tab);
		*tab = '\0';
		tab[strcspn(tab + 1, "\n") + 1] = '\0';
		check_case(line, read_one(line, shown), tab + 1);
		lines++;
		right += strcmp(tab + 1, "-") != 0;
	}
	fclose(file);
	assert_true(lines > LINES_MIN && right > lines / 4);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_api_server),
	};

	path = argc == 2 ? argv[1] : "";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
