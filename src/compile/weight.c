/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/weight.h"

#include "base/mem.h"

static int addr_order(const void *a, const void *b)
{
	return addr_compare(a, b);
}

static unsigned int addrs_distinct(struct addr *list, size_t count)
{
	unsigned int distinct = 0;

	if (count)
		qsort(list, count, sizeof(*list), addr_order);
	for (size_t i = 0; i < count; i++)
		distinct += i == 0 || !addr_equal(&list[i - 1], &list[i]);
	return distinct;
}

unsigned int service_weight(const struct service *service, const struct slices *slices,
	enum family family, const char *node)
{
	const struct service_view view = {.node = node};
	_free_ struct addr *ready = NULL;
	size_t count = 0, capacity = 0;

	for (size_t i = 0; i < service->ports.count; i++) {
		struct endpoint_wish wish = {.family = family,
			.name = service->ports.list[i].name,
			.protocol = service->ports.list[i].protocol};
		struct candidates candidates;

		endpoints_judge(slices, &wish, &view, &candidates);
		ready = mem_grow(ready, &capacity, count + candidates.count, sizeof(*ready));
		for (size_t j = 0; j < candidates.count; j++) {
			const struct candidate *candidate = &candidates.list[j];

			if (candidate->local && candidate->endpoint->ready &&
				candidate->fate[ENDPOINTS_LOCAL] != ENDPOINT_DUPLICATE)
				ready[count++] = candidate->backend.addr;
		}
		candidates_clear(&candidates);
	}
	return addrs_distinct(ready, count);
}
