/* SPDX-License-Identifier: Apache-2.0 */
/* A file of objects, the whole way: read, stored, compiled to rows and printed. */
#include "fuzz.h"

#include "base/mem.h"
#include "base/text.h"
#include "compile/node.h"
#include "compile/print.h"
#include "model/load.h"
#include "model/store.h"

#include <stdio.h>
#include <stdlib.h>

static void objects_compile(struct store *store)
{
	struct facts facts = {.tunnel_ifindex = 9, .pod_mtu = 1450, .wire_count = 1};
	struct problems problems = {0};
	struct settings settings;
	_text_ struct text out = {0};
	struct rows rows = {0};

	facts.wire[0] = (struct wire){.ifindex = 2, .mtu = 1500, .ethernet = true, .name = "eth0"};
	prefix_parse("10.89.1.0/24", &facts.wire[0].subnet[0], NULL);
	facts.wire[0].subnet_count = 1;
	settings_defaults(&settings);
	snprintf(settings.node, sizeof(settings.node), "n1");
	compile_nodes(store, &settings, &facts, &rows, &problems);
	rows_sort(&rows);
	rows_print(&rows, &out);
	rows_clear(&rows);
	problems_clear(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct load_result result = {0};
	struct store store = {0};

	objects_load((const char *)data, size, "fuzz", &result);
	for (size_t i = 0; i < result.refusals.count; i++)
		free(refusal_text(&result.refusals.list[i]));
	for (size_t i = 0; i < result.objects.count; i++)
		store_put(&store, &result.objects.list[i].object, NULL);
	objects_compile(&store);
	store_clear(&store);
	load_result_clear(&result);
	return 0;
}
