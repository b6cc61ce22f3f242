/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/check.h"

#include "agent/inside.h"
#include "agent/node.h"
#include "agent/reconcile.h"
#include "base/mem.h"
#include "compile/pod.h"
#include "compile/print.h"
#include "linux/link.h"
#include "linux/qdisc.h"
#include "linux/shaper.h"
#include "net/prefix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check_fail(struct cni_error *error, enum cni_code code, int r)
{
	error->code = code;
	return r;
}

/* The first interface of this name in a sandbox is ours; -1: there is none. */
static int check_find_interface(const json_t *previous, const char *ifname)
{
	const json_t *interface;
	size_t i;

	json_array_foreach(json_object_get(previous, "interfaces"), i, interface)
	{
		const char *name = json_string_value(json_object_get(interface, "name"));
		const char *sandbox = json_string_value(json_object_get(interface, "sandbox"));

		if (name && sandbox && *sandbox && strcmp(name, ifname) == 0)
			return (int)i;
	}
	return -1;
}

static bool check_lists_address(const json_t *previous, const char *address)
{
	const json_t *ip;
	size_t i;

	json_array_foreach(json_object_get(previous, "ips"), i, ip)
	{
		const char *text = json_string_value(json_object_get(ip, "address"));

		if (text && strncmp(text, address, strlen(address)) == 0 &&
			(text[strlen(address)] == '/' || !text[strlen(address)]))
			return true;
	}
	return false;
}

/*
 * The reference plugin `bandwidth` names the device that it makes for egressRate "bwp" and a hash:
 * it takes the packets from the qdisc that our programs sit on.
 */
static int check_strangers(const json_t *previous, struct err *err)
{
	const json_t *interface;
	size_t i;

	json_array_foreach(json_object_get(previous, "interfaces"), i, interface)
	{
		const char *name = json_string_value(json_object_get(interface, "name"));

		if (name && strncmp(name, "bwp", 3) == 0 && !json_object_get(interface, "sandbox"))
			return err_set(err, EINVAL,
				"prevResult.interfaces[%zu]: the plugin \"bandwidth\" limits what "
				"leaves the pod, and takes its packets past podwire for that; take "
				"it out of the list and give podwire the capability \"bandwidth\"",
				i);
	}
	return 0;
}

static int check_previous(const struct attachment *a, const json_t *previous, struct err *err)
{
	char text[ADDR_TEXT_SIZE];

	if (!previous)
		return err_set(
			err, EINVAL, "prevResult: is missing; CHECK needs the result of ADD");
	if (check_find_interface(previous, a->ifname) < 0)
		return err_set(
			err, EINVAL, "prevResult.interfaces: has no %s in a sandbox", a->ifname);
	for (__u32 i = 0; i < a->address_count; i++)
		if (!check_lists_address(previous, addr_format(&a->addresses[i], text)))
			return err_set(err, EINVAL,
				"prevResult.ips: %s, which ADD gave, is missing", text);
	return check_strangers(previous, err);
}

struct check_clsact {
	unsigned int ifindex;
	bool found;
};

static int check_see_clsact(const struct clsact *clsact, void *context)
{
	struct check_clsact *wanted = context;

	if (clsact->ifindex == wanted->ifindex && clsact->ingress_block == NODE_INGRESS_BLOCK &&
		clsact->egress_block == NODE_EGRESS_BLOCK)
		wanted->found = true;
	return 0;
}

static int check_programs(struct agent *agent, const struct attachment *a, struct err *err)
{
	static const uint32_t blocks[] = {NODE_INGRESS_BLOCK, NODE_EGRESS_BLOCK};
	struct check_clsact clsact = {.ifindex = a->ifindex};
	int r = qdisc_dump_clsact(agent->netlink, check_see_clsact, &clsact, err);

	if (r == 0 && !clsact.found)
		r = err_set(
			err, ENOENT, "the qdisc that joins it to podwire's programs is missing");
	for (size_t i = 0; i < ARRAY_SIZE(blocks) && r == 0; i++) {
		struct block_program program;

		r = block_find_program(agent->netlink, blocks[i], &program, err);
	}
	return r;
}

/*
 * The limit that ADD has set, and no other: packets from other pods pass by the queue of a link for
 * which podwire has not set it, so what the plugin `bandwidth` puts there would hold back nothing.
 */
static int check_limit(struct agent *agent, const struct attachment *a, struct err *err)
{
	const struct attachment_limit *limit = &a->limit[DIRECTION_INGRESS];
	struct shaper wanted = shaper_of_bits(limit->rate, limit->burst), found = {0};
	int r = shaper_find(agent->netlink, a->ifindex, &found, err);

	if (!limit->rate && r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (!limit->rate)
		return err_set(err, EINVAL,
			"has a token bucket that podwire has not made and packets pass by; take "
			"the "
			"plugin \"bandwidth\" out of the list and give podwire the capability "
			"\"bandwidth\"");
	if (found.rate != wanted.rate)
		return err_set(err, ENOENT, "its limit is %llu bytes a second instead of %llu",
			(unsigned long long)found.rate, (unsigned long long)wanted.rate);
	return 0;
}

static int check_node_side(struct agent *agent, const struct attachment *a, struct err *err)
{
	struct link_info link;
	int r = link_find_index(agent->netlink, a->ifindex, &link, err);

	if (r == 0 && memcmp(link.mac, a->host_mac, sizeof(link.mac)) != 0)
		r = err_set(err, ENOENT, "has another MAC address than ADD gave it");
	if (r == 0 && !link.up)
		r = err_set(err, ENETDOWN, "is down");
	if (r == 0)
		r = check_programs(agent, a, err);
	return r < 0 ? r : check_limit(agent, a, err);
}

static int check_rows(struct agent *agent, const struct attachment *a, struct err *err)
{
	struct rows wanted = {0}, held = {0};
	int r = reconcile_held(agent, &held, err);

	compile_attachment(a, store_own_node(&agent->objects.store, &agent->settings), &wanted);
	for (size_t i = 0; i < wanted.count && r == 0; i++) {
		const struct row *row = &wanted.row[i];
		const struct row *found = rows_find(&held, row->table, row->key);
		_text_ struct text line = {0};

		if (found &&
			memcmp(found->value, row->value, table_infos[row->table].value_size) == 0)
			continue;
		row_print(row, &line);
		r = err_set(err, ENOENT, "the row \"%s\" is %s", text_string(&line),
			found ? "another one" : "missing");
	}
	rows_clear(&wanted);
	rows_clear(&held);
	return r;
}

static int check_attachment(
	struct agent *agent, const struct attachment *a, struct netlink *inside, struct err *err)
{
	int r = inside_check(a, inside, err);

	if (r < 0)
		return err_wrap(err, "interface %s of the container", a->ifname);
	r = check_node_side(agent, a, err);
	if (r < 0)
		return err_wrap(err, "link %s of the node", a->link);
	return check_rows(agent, a, err);
}

int check_run(struct agent *agent, const struct cni_request *request, struct control_request *call,
	struct text *reply, struct cni_error *error)
{
	_cleanup_(netlink_close) struct netlink *inside = NULL;
	struct attachment *a =
		attachments_find(&agent->attachments, request->container, request->ifname);
	const json_t *previous = NULL;
	int r = cni_previous_read(request, &previous, error);

	if (r < 0)
		return r;
	if (!a)
		return check_fail(error, CNI_UNKNOWN_CONTAINER,
			err_set(&error->reason, ENOENT,
				"container %s has no interface %s of podwire", request->container,
				request->ifname));
	r = check_previous(a, previous, &error->reason);
	if (r < 0)
		return check_fail(error, CNI_INVALID_CONFIG, r);
	if (call->fd[1] < 0 || netlink_adopt(call->fd[1], &inside, &error->reason) < 0)
		return check_fail(error, CNI_INVALID_ENVIRONMENT,
			err_set(&error->reason, EINVAL,
				"CNI_NETNS: the plugin passed no namespace; use its path"));
	call->fd[1] = -1;
	r = check_attachment(agent, a, inside, &error->reason);
	if (r < 0)
		return check_fail(error, CNI_NOT_AS_ADDED, r);
	cni_reply_nothing(reply);
	return 0;
}
