/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/local.h"

static bool ranges_have_family(const struct settings_ranges *ranges, enum family family)
{
	for (unsigned int i = 0; i < ranges->count; i++)
		if (prefix_family(&ranges->range[i]) == family)
			return true;
	return false;
}

/* Where nothing is said about a family, node ports are on all of its addresses. */
bool node_ports_are_on(
	const struct settings_node_ports *setting, const struct addr *addr, bool named)
{
	if (addr_is_loopback(addr))
		return setting->localhost;
	if (setting->all || (setting->primary && named))
		return true;
	for (unsigned int i = 0; i < setting->ranges.count; i++)
		if (prefix_contains(&setting->ranges.range[i], addr))
			return true;
	return !setting->primary && !setting->localhost &&
	       !ranges_have_family(&setting->ranges, addr_family(addr));
}

static bool node_names(const struct node *own, const struct addr *addr)
{
	for (size_t i = 0; i < own->addresses.count; i++)
		if (addr_equal(&own->addresses.list[i].addr, addr))
			return true;
	return false;
}

static void compile_local_address(const struct settings *settings, const struct node *own,
	const struct addr *underlay, const struct addr *addr, struct rows *rows)
{
	struct node_row row = {.underlay = *underlay, .flags = NODE_OWN};

	if (node_ports_are_on(&settings->node_ports, addr, node_names(own, addr)))
		row.flags |= NODE_PORTS;
	rows_add(rows, TABLE_NODE, addr, &row);
}

/* Of loopback addresses only the usual one of each family, and only where node ports are on it. */
static void compile_loopback(const struct settings *settings, const struct node *own,
	const struct addr *underlay, struct rows *rows)
{
	struct addr ipv4, ipv6;

	if (!settings->node_ports.localhost)
		return;
	addr_parse("127.0.0.1", &ipv4);
	addr_parse("::1", &ipv6);
	compile_local_address(settings, own, underlay, &ipv4, rows);
	compile_local_address(settings, own, underlay, &ipv6, rows);
}

void compile_local(const struct settings *settings, const struct facts *facts,
	const struct node *own, const struct addr *underlay, struct rows *rows)
{
	for (size_t i = 0; i < facts->local.count; i++) {
		const struct addr *addr = &facts->local.list[i];

		if (!addr_is_loopback(addr) && !addr_is_link_local(addr))
			compile_local_address(settings, own, underlay, addr, rows);
	}
	compile_loopback(settings, own, underlay, rows);
}
