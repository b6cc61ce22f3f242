/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/print.h"

#include "base/mem.h"
#include "model/object.h"

#include <arpa/inet.h>
#include <string.h>

static void print_addr(struct text *text, const struct addr *addr)
{
	char buffer[ADDR_TEXT_SIZE];

	text_append(text, addr_format(addr, buffer));
}

static void print_prefix(struct text *text, const struct addr *first, unsigned int length)
{
	struct prefix prefix = {.addr = *first, .length = length};
	char buffer[PREFIX_TEXT_SIZE];

	text_append(text, prefix_format(&prefix, buffer));
}

static void print_named_addr(struct text *text, const char *name, const struct addr *addr)
{
	if (!addr_is_given(addr))
		return;
	text_printf(text, " %s ", name);
	print_addr(text, addr);
}

static void print_mac(struct text *text, const char *name, const __u8 mac[6])
{
	text_printf(text, " %s %02x:%02x:%02x:%02x:%02x:%02x", name, mac[0], mac[1], mac[2], mac[3],
		mac[4], mac[5]);
}

static void print_address(struct text *text, const void *key, const void *value)
{
	const struct address_key *address = key;

	(void)value;
	print_prefix(text, &address->addr, address->length);
	text_printf(text, " dev %u", address->ifindex);
}

static void print_route(struct text *text, const void *key, const void *value)
{
	const struct route_key *route = key;
	const struct route_value *way = value;

	print_prefix(text, &route->first, route->length);
	if (way->kind == ROUTE_KIND_PROHIBIT) {
		text_append(text, " prohibit");
		return;
	}
	print_named_addr(text, "via", &way->gateway);
	text_printf(text, " dev %u", way->ifindex);
	print_named_addr(text, "src", &way->source);
	if (way->mtu)
		text_printf(text, " mtu %u", way->mtu);
}

static void print_neighbor(struct text *text, const void *key, const void *value)
{
	const struct neighbor_key *neighbor = key;
	const struct neighbor_value *link = value;

	print_addr(text, &neighbor->addr);
	text_printf(text, " dev %u", neighbor->ifindex);
	print_mac(text, "mac", link->mac);
}

static void print_way(struct text *text, const struct node_row *row)
{
	static const char *const names[] = {
		[NODE_ROUTE_STACK] = "stack", [NODE_ROUTE_TUNNEL] = "tunnel",
		[NODE_ROUTE_WIRE] = "wire"};

	text_printf(text, " %s", row->route < ARRAY_SIZE(names) ? names[row->route] : "?");
	print_named_addr(text, "via", &row->next);
	if (row->ifindex)
		text_printf(text, " dev %u", row->ifindex);
	print_named_addr(text, "node", &row->underlay);
	if (row->flags & NODE_OWN)
		text_append(text, " own");
	if (row->flags & NODE_UNDERLAY)
		text_append(text, " underlay");
	if (row->flags & NODE_ROUTER)
		text_append(text, " router");
	if (row->flags & NODE_PORTS)
		text_append(text, " ports");
	if (row->flags & NODE_TAKEN)
		text_append(text, " taken");
	if (row->flags & NODE_INVITED)
		text_append(text, " invited");
}

static void print_node(struct text *text, const void *key, const void *value)
{
	print_addr(text, key);
	print_way(text, value);
}

static void print_range(struct text *text, const void *key, const void *value)
{
	const struct range_key *range = key;

	print_prefix(text, &range->first, range->length);
	print_way(text, value);
}

static void print_pod(struct text *text, const void *key, const void *value)
{
	const struct pod_row *pod = value;

	print_addr(text, key);
	text_printf(text, " dev %u", pod->ifindex);
	print_mac(text, "mac", pod->mac);
	print_mac(text, "host-mac", pod->host_mac);
	if (pod->flags & POD_SHAPED)
		text_append(text, " shaped");
}

static void print_settings_range(
	struct text *text, const char *name, const struct settings_range *range)
{
	unsigned int length = 0;

	for (unsigned int i = 0; i < 128; i++)
		length += range->mask.bytes[i / 8] >> (7 - i % 8) & 1U;
	if (!length && addr_is_given(&range->first))
		return;
	text_printf(text, " %s ", name);
	print_prefix(text, &range->first, length);
}

static void print_settings(struct text *text, const void *key, const void *value)
{
	const struct settings_row *row = value;

	(void)key;
	if (!row->ready) {
		text_append(text, "unset");
		return;
	}
	text_printf(text, "ready tunnel-dev %u port %u mtu %u mark %#x/%#x masquerade %s",
		row->tunnel_ifindex, ntohs(row->tunnel_port), row->tunnel_mtu,
		row->mark, row->mark_mask, row->masquerade ? "yes" : "no");
	for (unsigned int i = 0; i < SETTINGS_FAMILIES; i++)
		print_settings_range(text, "own", &row->own[i]);
	for (unsigned int i = 0; i < SETTINGS_RANGES; i++)
		print_settings_range(text, "cluster", &row->cluster[i]);
	for (unsigned int i = 0; i < SETTINGS_RANGES; i++)
		print_settings_range(text, "no-masquerade", &row->no_masquerade[i]);
	for (unsigned int i = 0; i < SETTINGS_RANGES; i++)
		print_settings_range(text, "service", &row->service[i]);
	for (unsigned int i = 0; i < SETTINGS_FAMILIES; i++)
		print_named_addr(text, "tunnel-source", &row->tunnel_source[i]);
	for (unsigned int i = 0; i < SETTINGS_FAMILIES * SETTINGS_LENGTHS; i++)
		if (row->lengths[i / SETTINGS_LENGTHS][i % SETTINGS_LENGTHS].length)
			text_printf(text, " length %u",
				row->lengths[i / SETTINGS_LENGTHS][i % SETTINGS_LENGTHS].length);
}

static void print_set(struct text *text, const char *name, __u64 set)
{
	if (set)
		text_printf(text, " %s %016llx", name, (unsigned long long)set);
}

static void print_port(struct text *text, const struct addr *addr, __be16 port)
{
	text_append(text, " ");
	print_addr(text, addr);
	text_printf(text, " port %u", ntohs(port));
}

static void print_backend(struct text *text, const void *key, const void *value)
{
	const struct backend_key *backend = key;
	const struct backend_row *row = value;

	text_printf(text, "%016llx %u", (unsigned long long)backend->set, backend->index);
	print_port(text, &row->addr, row->port);
	if (row->flags & BACKEND_HERE)
		text_append(text, " here");
	if (row->flags & BACKEND_TERMINATING)
		text_append(text, " terminating");
}

static void print_member(struct text *text, const void *key, const void *value)
{
	const struct member_key *member = key;
	const struct member_row *row = value;

	text_printf(text, "%016llx", (unsigned long long)member->set);
	print_port(text, &member->addr, member->port);
	text_printf(text, " index %u", row->index);
}

static void print_maglev(struct text *text, const void *key, const void *value)
{
	const struct maglev_key *maglev = key;
	const struct maglev_row *row = value;

	text_printf(text, "%016llx %u", (unsigned long long)maglev->set, maglev->chunk);
	for (unsigned int i = 0; i < MAGLEV_CHUNK; i++)
		text_printf(text, " %u", row->index[i]);
}

static void print_source(struct text *text, const void *key, const void *value)
{
	const struct source_key *source = key;
	struct addr addr;
	__u64 set;

	(void)value;
	memcpy(&set, source->set, sizeof(set));
	memcpy(&addr, source->addr, sizeof(addr));
	text_printf(text, "%016llx ", (unsigned long long)set);
	print_prefix(text, &addr, source->length - 64);
}

static const char *print_protocol(__u8 number)
{
	for (enum protocol protocol = 0; protocol < PROTOCOL_MAX; protocol++)
		if (protocol_number(protocol) == number)
			return protocol_name(protocol);
	return "any";
}

static void print_list(struct text *text, const char *name, const struct service_list *list)
{
	text_printf(text, " %s", name);
	if (!list->count) {
		text_append(text, list->answer == SERVICE_DROP ? " drop" : " refuse");
		return;
	}
	text_printf(text, " %016llx/%u", (unsigned long long)list->set, list->count);
	if (list->maglev)
		text_printf(text, " maglev %u", list->maglev);
}

static void print_service(struct text *text, const void *key, const void *value)
{
	static const char *const scopes[] = {[SERVICE_VIRTUAL] = "virtual",
		[SERVICE_OWN_NODE] = "own-node", [SERVICE_OTHER_NODE] = "other-node"};
	const struct service_key *service = key;
	const struct service_row *row = value;

	_Static_assert(ARRAY_SIZE(scopes) == SERVICE_SCOPE_MAX, "a name for each scope");
	text_append(text, service->scope < SERVICE_SCOPE_MAX ? scopes[service->scope] : "?");
	print_port(text, &service->addr, service->port);
	text_printf(text, " %s", print_protocol(service->protocol));
	print_list(text, "inside", &row->inside);
	print_list(text, "outside", &row->outside);
	print_list(text, "here", &row->here);
	print_set(text, "serving", row->serving);
	print_set(text, "sources", row->sources);
	if (row->affinity_seconds)
		text_printf(text, " affinity %us", row->affinity_seconds);
	if (row->flags & SERVICE_HOST_PORT)
		text_append(text, " host-port");
	if (row->cluster_port) {
		text_append(text, " cluster");
		print_port(text, &row->cluster, row->cluster_port);
	}
}

static void print_netns(struct text *text, const void *key, const void *value)
{
	const struct netns_row *row = value;
	__u64 cookie;

	memcpy(&cookie, key, sizeof(cookie));
	text_printf(text, "%llu", (unsigned long long)cookie);
	if (row->flags & NETNS_HOST)
		text_append(text, " host");
	for (unsigned int i = 0; i < SETTINGS_FAMILIES; i++)
		print_named_addr(text, "client", &row->client[i]);
}

static void (*const row_printers[TABLE_MAX])(struct text *, const void *, const void *) = {
	[TABLE_ADDRESS] = print_address,
	[TABLE_ROUTE] = print_route,
	[TABLE_NEIGHBOR] = print_neighbor,
	[TABLE_NODE] = print_node,
	[TABLE_RANGE] = print_range,
	[TABLE_POD] = print_pod,
	[TABLE_BACKEND] = print_backend,
	[TABLE_MEMBER] = print_member,
	[TABLE_MAGLEV] = print_maglev,
	[TABLE_SOURCE] = print_source,
	[TABLE_SERVICE] = print_service,
	[TABLE_NETNS] = print_netns,
	[TABLE_SETTINGS] = print_settings,
};

void row_print(const struct row *row, struct text *text)
{
	text_printf(text, "%s ", table_infos[row->table].name);
	row_printers[row->table](text, row->key, row->value);
}

void rows_print(const struct rows *rows, struct text *text)
{
	for (size_t i = 0; i < rows->count; i++) {
		row_print(&rows->row[i], text);
		text_append(text, "\n");
	}
}
