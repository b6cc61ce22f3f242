/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reconcile.h"

#include "agent/firewall.h"
#include "agent/leftovers.h"
#include "agent/node.h"
#include "agent/pods.h"
#include "agent/probe.h"
#include "agent/services.h"
#include "agent/sockets.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "compile/print.h"
#include "linux/address.h"
#include "linux/migrate.h"
#include "linux/neighbor.h"
#include "linux/route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RECONCILE_RETRY_MS 1000

static void append_address(struct netlink_batch *batch, const struct difference *difference)
{
	const struct address_key *key = difference->row->key;
	struct address address = {.addr = key->addr,
		.length = key->length,
		.ifindex = key->ifindex,
		.flags = ADDRESS_NO_DAD | ADDRESS_NO_PREFIX_ROUTE};

	if (difference->change == CHANGE_REMOVE)
		address_delete(batch, &address);
	else
		address_add(batch, &address);
}

static void append_route(struct netlink_batch *batch, const struct difference *difference)
{
	const struct route_key *key = difference->row->key;
	const struct route_value *value = difference->row->value;
	struct route route = {.destination = {.addr = key->first, .length = key->length},
		.type = value->kind == ROUTE_KIND_PROHIBIT ? ROUTE_PROHIBIT : ROUTE_UNICAST,
		.ifindex = value->ifindex,
		.gateway = value->gateway,
		.source = value->source,
		.mtu = value->mtu};

	if (difference->change == CHANGE_REMOVE)
		route_delete(batch, &route);
	else
		route_replace(batch, &route);
}

static void append_neighbor(struct netlink_batch *batch, const struct difference *difference)
{
	const struct neighbor_key *key = difference->row->key;
	const struct neighbor_value *value = difference->row->value;
	struct neighbor neighbor = {.addr = key->addr, .ifindex = key->ifindex};

	memcpy(neighbor.mac, value->mac, sizeof(neighbor.mac));
	if (difference->change == CHANGE_REMOVE)
		neighbor_delete(batch, &neighbor);
	else
		neighbor_replace(batch, &neighbor);
}

/* Tables of the kernel's own; the others are maps. */
static void (*const kernel_tables[TABLE_MAX])(
	struct netlink_batch *, const struct difference *) = {
	[TABLE_ADDRESS] = append_address,
	[TABLE_ROUTE] = append_route,
	[TABLE_NEIGHBOR] = append_neighbor,
};

/* Sends what has been gathered; the order among tables is kept. */
static int differences_flush(struct agent *agent, struct netlink_batch *batch, struct err *err)
{
	int r = batch->count ? netlink_commit(agent->netlink, batch, err) : 0;

	netlink_batch_clear(batch);
	return r;
}

/* Rows for which their tables have no room: what they describe is closed, and nothing else. */
struct crowd {
	unsigned int count[TABLE_MAX];
	char first[TABLE_MAX][128]; /* of those of a table, as it is printed */
};

static void crowd_add(struct crowd *crowd, const struct row *row)
{
	_text_ struct text line = {0};

	if (crowd->count[row->table]++)
		return;
	row_print(row, &line);
	snprintf(crowd->first[row->table], sizeof(crowd->first[0]), "%s", text_string(&line));
}

static unsigned int crowd_total(const struct crowd *crowd)
{
	unsigned int total = 0;

	for (enum table table = 0; table < TABLE_MAX; table++)
		total += crowd->count[table];
	return total;
}

static void crowd_tell(struct agent *agent, const struct crowd *crowd, const struct rows *wanted)
{
	unsigned int count[TABLE_MAX] = {0}, total = crowd_total(crowd);

	for (size_t i = 0; i < wanted->count; i++)
		count[wanted->row[i].table]++;
	for (enum table table = 0; table < TABLE_MAX; table++) {
		agent->metrics.rows[table] = count[table];
		unsigned int size = agent->tables.size[table];
		_free_ char *name = mem_format("table %s", table_infos[table].name);

		if (crowd->count[table])
			problems_add(&agent->problems, name, true,
				"is full with %u rows: %u more have no place, the first of them \"%s\"; "
				"what they describe is closed until others have gone",
				size, crowd->count[table], crowd->first[table]);
		else if (size && count[table] + ATTACHMENT_ADDRESSES > size)
			problems_add(&agent->problems, name, false,
				"is full: %u of %u rows are in use, and what comes now has no place",
				count[table], size);
	}
	if (total > agent->crowded)
		log_error("tables are full: %u rows have no place; `podwire status` names them",
			total);
	else if (agent->crowded && !total)
		log_info("the tables have room for all rows again");
	agent->crowded = total;
}

/*
 * Applies all that can be applied; the error is that of the first that cannot. A full table is one,
 * unless there is a crowd to put its rows into.
 */
static int differences_apply(struct agent *agent, const struct differences *differences,
	struct crowd *crowd, struct err *err)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	int result = 0;

	for (size_t i = 0; i < differences->count; i++) {
		const struct difference *difference = &differences->item[i];
		struct err why;
		int r;

		if (kernel_tables[difference->row->table]) {
			kernel_tables[difference->row->table](&batch, difference);
			continue;
		}
		r = differences_flush(agent, &batch, result ? NULL : err);
		result = result ? result : r;
		r = tables_apply(&agent->tables, difference, &why);
		if (crowd && r == -E2BIG) {
			crowd_add(crowd, difference->row);
		} else if (r < 0 && !result) {
			result = r;
			if (err)
				*err = why;
		}
	}
	if (differences_flush(agent, &batch, result ? NULL : err) < 0 && !result)
		result = -(err ? err->code : EIO);
	return result;
}

int reconcile_add(struct agent *agent, const struct rows *rows, struct err *err)
{
	struct differences differences = {0};
	const struct rows none = {0};
	int r;

	rows_diff(&none, rows, &differences);
	r = differences_apply(agent, &differences, NULL, err);
	differences_clear(&differences);
	return r;
}

int reconcile_remove(struct agent *agent, const struct rows *rows, struct err *err)
{
	struct differences differences = {0};
	const struct rows none = {0};
	int r;

	rows_diff(rows, &none, &differences);
	r = differences_apply(agent, &differences, NULL, err);
	differences_clear(&differences);
	return r;
}

struct held {
	const struct agent *agent;
	struct rows *rows;
};

static int held_address(const struct address *address, void *context)
{
	struct held *held = context;
	struct address_key key = {
		.addr = address->addr, .length = address->length, .ifindex = address->ifindex};
	struct address_value value = {0};

	/* IPv6 gives each device a link-local address of its own accord. */
	if (!addr_is_link_local(&address->addr))
		rows_add(held->rows, TABLE_ADDRESS, &key, &value);
	return 0;
}

static int held_route(const struct route *route, void *context)
{
	struct held *held = context;
	struct route_key key = {
		.first = route->destination.addr, .length = route->destination.length};
	struct route_value value = {.gateway = route->gateway,
		.source = route->source,
		.kind = route->type == ROUTE_PROHIBIT ? ROUTE_KIND_PROHIBIT : ROUTE_KIND_UNICAST,
		.ifindex = route->type == ROUTE_PROHIBIT ? 0 : route->ifindex,
		.mtu = route->mtu};

	rows_add(held->rows, TABLE_ROUTE, &key, &value);
	return 0;
}

static bool neighbor_is_of_pod(const struct agent *agent, const struct neighbor *neighbor)
{
	for (size_t i = 0; i < agent->attachments.count; i++)
		if (agent->attachments.item[i].ifindex == neighbor->ifindex)
			return true;
	return false;
}

static int held_neighbor(const struct neighbor *neighbor, void *context)
{
	struct held *held = context;
	struct neighbor_key key = {.addr = neighbor->addr, .ifindex = neighbor->ifindex};
	struct neighbor_value value = {0};

	if (!neighbor_is_of_pod(held->agent, neighbor))
		return 0;
	memcpy(value.mac, neighbor->mac, sizeof(value.mac));
	rows_add(held->rows, TABLE_NEIGHBOR, &key, &value);
	return 0;
}

static bool table_is_of_nodes(enum table table)
{
	return !table_is_of_services(table);
}

int reconcile_held(struct agent *agent, struct rows *rows, struct err *err)
{
	struct held held = {.agent = agent, .rows = rows};
	int r = tables_read(&agent->tables, table_is_of_nodes, rows, err);

	if (r == 0)
		r = address_dump(agent->netlink, agent->facts.tunnel_ifindex, held_address, &held, err);
	if (r == 0 || r == -ENODEV) /* somebody has removed the tunnel: it has no addresses */
		r = route_dump(agent->netlink, ROUTE_TABLE_MAIN, ROUTE_PROTOCOL, held_route, &held,
			err);
	if (r == 0)
		r = neighbor_dump(agent->netlink, 0, held_neighbor, &held, err);
	rows_sort(rows);
	return r;
}

void reconcile_wanted(struct agent *agent, struct rows *rows, struct problems *problems)
{
	compile_nodes(&agent->objects.store, &agent->settings, &agent->facts, rows, problems);
	pods_compile(agent, rows);
	rows_sort(rows);
}

static void reconcile_log(const struct differences *differences)
{
	for (size_t i = 0; i < differences->count; i++) {
		_text_ struct text line = {0};

		row_print(differences->item[i].row, &line);
		log_debug("%s %s", change_sign(differences->item[i].change), text_string(&line));
	}
}

static int reconcile_rows(struct agent *agent, struct err *err)
{
	struct rows wanted = {0}, held = {0};
	struct differences differences = {0};
	struct crowd crowd = {0};
	int r;

	pods_make_pools(agent);
	reconcile_wanted(agent, &wanted, &agent->problems);
	r = reconcile_held(agent, &held, err);
	if (r == 0 && probe_meet(agent, &wanted)) {
		rows_clear(&wanted);
		reconcile_wanted(agent, &wanted, NULL);
	}
	if (r == 0) {
		rows_diff(&held, &wanted, &differences);
		reconcile_log(&differences);
		r = differences_apply(agent, &differences, &crowd, err);
		crowd_tell(agent, &crowd, &wanted);
	}
	/* A namespace that goes while its rows are written is no fault of the node. */
	if (r == -ENODEV && pods_compare_links(agent, NULL, NULL) > 0) {
		loop_timer_set_in(agent->loop, &agent->retry, RECONCILE_RETRY_MS);
		r = 0;
	}
	agent->changed += differences.count - crowd_total(&crowd);
	differences_clear(&differences);
	rows_clear(&wanted);
	rows_clear(&held);
	return r;
}

/* Without this node's object nothing can be said about its wires, and no pod can be added. */
static int reconcile_known(struct agent *agent, const struct node *own, struct err *err)
{
	const char *tables = programs_table_directory(agent->bpf_directory);
	int r = node_make_links(agent, err);

	if (r == 0)
		r = reconcile_rows(agent, err);
	if (r == 0)
		r = services_keep(agent, err);
	if (r == 0)
		r = migrate_copy(agent->bpf_directory, tables, err);
	if (r == 0)
		r = node_attach(agent, err);
	if (r == 0)
		sockets_attach(agent);
	if (r == 0 && own)
		r = node_attach_wires(agent, err);
	if (r == 0 && own)
		r = migrate_finish(agent->bpf_directory, tables, err);
	if (r == 0)
		r = firewall_keep(agent, err);
	leftovers_tell(agent);
	return r;
}

/*
 * Where a wire of the settings is missing, what was found before stays in force and all else goes
 * on: a node that has gone must lose its rights all the same.
 */
static int reconcile_all(struct agent *agent, struct err *err)
{
	const struct node *own = store_own_node(&agent->objects.store, &agent->settings);
	int r = node_find_facts(agent, own, err);

	if (r == 0)
		return reconcile_known(agent, own, err);
	if (agent->facts.tunnel_ifindex)
		reconcile_known(agent, own, NULL);
	return r;
}

static void reconcile_tell_ready(struct agent *agent, bool ready)
{
	if (ready != agent->ready)
		log_info("node %s is %s", agent->settings.node, ready ? "ready" : "not ready");
	agent->ready = ready;
	if (!ready || agent->ready_fd < 0)
		return;
	if (write(agent->ready_fd, "1", 1) < 0)
		log_warning("nobody waits at the descriptor of --ready-fd");
	mem_close(&agent->ready_fd);
}

void reconcile(struct agent *agent)
{
	uint64_t begun = clock_monotonic_ns();
	struct err err = {0};
	int r;

	problems_clear(&agent->problems);
	r = reconcile_all(agent, &err);
	health_keep(agent);
	agent->reconciled++;
	if (r < 0 && strcmp(agent->last_error, err.text) != 0)
		log_error("%s; trying again", err.text);
	snprintf(agent->last_error, sizeof(agent->last_error), "%s", r < 0 ? err.text : "");
	if (r < 0)
		loop_timer_set_in(agent->loop, &agent->retry, RECONCILE_RETRY_MS);
	metrics_synced(agent, begun, r == 0);
	health_applied(agent);
	reconcile_tell_ready(agent, r == 0 && (agent->pool[0].size || agent->pool[1].size));
}
