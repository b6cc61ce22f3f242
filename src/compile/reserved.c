/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/reserved.h"

#include "base/mem.h"
#include "model/endpoints.h"
#include "model/node.h"

#include <string.h>

#define API_NAMESPACE "default" /* where the API server's own Service is, */
#define API_SERVICE "kubernetes" /* and what it is called */

static void reserve_address(struct reserved *reserved, const struct addr *addr, char *holder)
{
	free(hash_put_bytes(&reserved->holders, addr, sizeof(*addr), holder));
}

static void reserve_pods(struct reserved *reserved, const struct prefix *range)
{
	reserved->pods.list = mem_grow(reserved->pods.list, &reserved->pods.capacity,
		reserved->pods.count + 1, sizeof(*range));
	reserved->pods.list[reserved->pods.count++] = *range;
}

static bool ranges_contain(const struct prefix *list, size_t count, const struct addr *addr,
	const struct prefix **ret_range)
{
	for (size_t i = 0; i < count; i++)
		if (prefix_contains(&list[i], addr)) {
			*ret_range = &list[i];
			return true;
		}
	return false;
}

static void reserve_node(struct reserved *reserved, const struct node *node)
{
	const struct prefix *around;

	for (size_t i = 0; i < node->addresses.count; i++)
		if (addr_is_given(&node->addresses.list[i].addr))
			reserve_address(reserved, &node->addresses.list[i].addr,
				mem_format("an address of Node %s", node->object.name));
	for (size_t i = 0; i < node->ranges.count; i++)
		/* Mostly the cluster's range holds it already: one range instead of thousands. */
		if (!ranges_contain(reserved->pods.list, reserved->pods.count,
			    &node->ranges.list[i].addr, &around) ||
			around->length > node->ranges.list[i].length)
			reserve_pods(reserved, &node->ranges.list[i]);
}

static bool slice_is_of_api_server(const struct endpoint_slice *slice)
{
	const char *service = endpoint_slice_service(slice);

	return service && strcmp(service, API_SERVICE) == 0 &&
	       strcmp(slice->object.namespace, API_NAMESPACE) == 0;
}

static void reserve_api_server(struct reserved *reserved, const struct endpoint_slice *slice)
{
	for (size_t i = 0; i < slice->endpoints.count; i++)
		reserve_address(reserved, &slice->endpoints.list[i].address.addr,
			mem_string("an address of the API server"));
}

bool reserved_by_object(const struct object *object)
{
	const struct endpoint_slice *slice = object_endpoint_slice_const(object);

	return object->kind == KIND_NODE || (slice && slice_is_of_api_server(slice));
}

void reserved_make(struct store *store, const struct settings *settings, struct reserved *ret)
{
	const struct endpoint_slice *const *slices;
	size_t count, position = 0;
	const struct object *object;

	*ret = (struct reserved){0};
	for (unsigned int i = 0; i < settings->pod_ranges.count; i++)
		reserve_pods(ret, &settings->pod_ranges.range[i]);
	while ((object = store_next(store, KIND_NODE, &position)))
		reserve_node(ret, object_node_const(object));
	count = store_slices(store, API_NAMESPACE, API_SERVICE, &slices);
	for (size_t i = 0; i < count; i++)
		reserve_api_server(ret, slices[i]);
	ret->services.count = settings->service_ranges.count;
	ret->services.list = mem_copy(settings->service_ranges.range,
		sizeof(settings->service_ranges.range));
}

void reserved_clear(struct reserved *reserved)
{
	hash_clear(&reserved->holders, free);
	free(reserved->pods.list);
	free(reserved->services.list);
	*reserved = (struct reserved){0};
}

char *reserved_why(const struct reserved *reserved, const struct addr *addr)
{
	const char *holder = hash_get_bytes(&reserved->holders, addr, sizeof(*addr));
	char text[PREFIX_TEXT_SIZE];
	const struct prefix *range;

	if (holder)
		return mem_format("is %s", holder);
	if (ranges_contain(reserved->pods.list, reserved->pods.count, addr, &range))
		return mem_format("is inside the pod range %s", prefix_format(range, text));
	if (ranges_contain(reserved->services.list, reserved->services.count, addr, &range))
		return mem_format("is inside the Service range %s", prefix_format(range, text));
	return NULL;
}
