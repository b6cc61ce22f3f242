/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/repair.h"

#include "agent/masquerade.h"
#include "agent/node.h"
#include "agent/pods.h"
#include "agent/reconcile.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "linux/link.h"
#include "linux/monitor.h"
#include "linux/qdisc.h"
#include "linux/shaper.h"
#include "linux/sysctl.h"

#include <errno.h>
#include <string.h>

/* What the kernel has of each attachment, by its place in the list. */
struct repair {
	struct agent *agent;
	struct netlink_batch batch;
	bool *has_filters, *has_limit;
	unsigned int anchor; /* 0: gone; the reconciliation makes it anew */
	bool anchor_has_filters;
	unsigned long count;
};

static void repair_say(struct repair *repair, const char *what, const char *name)
{
	log_warning("repaired: %s of %s was changed by somebody else", what, name);
	repair->count++;
}

static void repair_node_link(struct repair *repair, const struct link_info *link)
{
	const unsigned int mtu = repair->agent->facts.pod_mtu;

	if (strcmp(link->name, NODE_TUNNEL_LINK) == 0 && mtu && link->mtu != mtu) {
		link_set_mtu(&repair->batch, link->ifindex, mtu);
		repair_say(repair, "the MTU", link->name);
	}
	if (strcmp(link->name, NODE_ANCHOR_LINK) != 0)
		return;
	repair->anchor = link->ifindex;
	if (link->up) {
		link_set_up(&repair->batch, link->ifindex, false);
		repair_say(repair, "the state", link->name);
	}
}

static int repair_link(const struct link_info *link, void *context)
{
	struct repair *repair = context;
	const struct attachments *attachments = &repair->agent->attachments;

	repair_node_link(repair, link);
	for (size_t i = 0; i < attachments->count; i++) {
		const struct attachment *a = &attachments->item[i];

		/* With another name and MAC it is another link, which has taken the number. */
		if (a->ifindex != link->ifindex ||
			(strcmp(a->link, link->name) != 0 &&
				memcmp(link->mac, a->host_mac, sizeof(link->mac)) != 0))
			continue;
		if (!link->up) {
			link_set_up(&repair->batch, link->ifindex, true);
			repair_say(repair, "the state", a->link);
		}
		if (memcmp(link->mac, a->host_mac, sizeof(link->mac)) != 0) {
			link_set_mac(&repair->batch, link->ifindex, a->host_mac);
			repair_say(repair, "the MAC", a->link);
		}
	}
	return 0;
}

static int repair_see_filters(const struct clsact *clsact, void *context)
{
	struct repair *repair = context;
	const struct attachments *attachments = &repair->agent->attachments;
	bool ours = clsact->ingress_block == NODE_INGRESS_BLOCK &&
		    clsact->egress_block == NODE_EGRESS_BLOCK;

	if (clsact->ifindex == repair->anchor)
		repair->anchor_has_filters = ours;
	for (size_t i = 0; i < attachments->count; i++)
		if (attachments->item[i].ifindex == clsact->ifindex)
			repair->has_filters[i] = ours;
	return 0;
}

static void repair_filter(struct repair *repair, unsigned int ifindex, const char *name)
{
	qdisc_delete_clsact(&repair->batch, ifindex);
	qdisc_add_clsact(&repair->batch, ifindex, NODE_INGRESS_BLOCK, NODE_EGRESS_BLOCK);
	repair_say(repair, "the filter", name);
}

static void repair_filters(struct repair *repair)
{
	const struct attachments *attachments = &repair->agent->attachments;

	if (repair->anchor && !repair->anchor_has_filters)
		repair_filter(repair, repair->anchor, NODE_ANCHOR_LINK);
	for (size_t i = 0; i < attachments->count; i++)
		if (!repair->has_filters[i])
			repair_filter(repair, attachments->item[i].ifindex, attachments->item[i].link);
}

static struct shaper repair_limit_of(const struct attachment *a)
{
	const struct attachment_limit *limit = &a->limit[DIRECTION_INGRESS];

	return shaper_of_bits(limit->rate, limit->burst);
}

static int repair_see_limit(unsigned int ifindex, const struct shaper *shaper, void *context)
{
	struct repair *repair = context;
	const struct attachments *attachments = &repair->agent->attachments;

	for (size_t i = 0; i < attachments->count; i++) {
		const struct attachment *a = &attachments->item[i];
		struct shaper wanted;

		if (a->ifindex != ifindex)
			continue;
		wanted = repair_limit_of(a);
		repair->has_limit[i] = shaper_is(shaper, &wanted);
	}
	return 0;
}

/*
 * The limit of what goes to a pod, at the node's end of its link. What a pod sends is held at its
 * own end, in a namespace that the agent cannot enter: CHECK, which is handed a way in, tells that.
 */
static int repair_limits(struct repair *repair, struct err *err)
{
	const struct attachments *attachments = &repair->agent->attachments;
	bool any = false;
	int r;

	for (size_t i = 0; i < attachments->count; i++)
		any = any || attachments->item[i].limit[DIRECTION_INGRESS].rate;
	r = any ? shaper_dump(repair->agent->netlink, repair_see_limit, repair, err) : 0;
	for (size_t i = 0; i < attachments->count && r == 0; i++) {
		const struct attachment *a = &attachments->item[i];
		struct shaper wanted = repair_limit_of(a);

		if (!a->limit[DIRECTION_INGRESS].rate || repair->has_limit[i])
			continue;
		shaper_set(&repair->batch, a->ifindex, &wanted);
		repair_say(repair, "the limit", a->link);
	}
	return r;
}

static int repair_links(struct repair *repair, struct err *err)
{
	struct agent *agent = repair->agent;
	int r;

	pods_compare_links(agent, repair_link, repair);
	repair->has_filters = mem_new(agent->attachments.count, sizeof(bool));
	repair->has_limit = mem_new(agent->attachments.count, sizeof(bool));
	r = qdisc_dump_clsact(agent->netlink, repair_see_filters, repair, err);
	if (r == 0) {
		repair_filters(repair);
		r = repair_limits(repair, err);
	}
	if (r == 0)
		r = netlink_commit(agent->netlink, &repair->batch, err);
	netlink_batch_clear(&repair->batch);
	mem_free_pointer(&repair->has_filters);
	mem_free_pointer(&repair->has_limit);
	return r;
}

/* The tunnel's keys are gone with the tunnel, and set anew with it. */
static int repair_sysctls(struct repair *repair, struct err *err)
{
	static const struct {
		const char *key, *value;
	} wanted[] = {
		{"net/ipv4/ip_forward", "1"},
		{"net/ipv6/conf/all/forwarding", "1"},
		{"net/ipv4/conf/" NODE_TUNNEL_LINK "/rp_filter", NODE_TUNNEL_RP_FILTER},
		{"net/ipv6/conf/" NODE_TUNNEL_LINK "/accept_ra", "0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		char found[SYSCTL_VALUE_SIZE];
		int r = sysctl_set(wanted[i].key, wanted[i].value, found, err);

		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0 && strcmp(found, wanted[i].value) != 0)
			repair_say(repair, "the value", wanted[i].key);
	}
	return 0;
}

static int repair_masquerading(struct repair *repair, struct err *err)
{
	int r = masquerade_keep(repair->agent, err);

	if (r > 0)
		repair_say(repair, "the table " MASQUERADE_TABLE, "nft");
	return r;
}

static void repair_all(struct agent *agent)
{
	struct repair repair = {.agent = agent};
	unsigned long changed;
	struct err err = {0};

	if (repair_links(&repair, &err) < 0 || repair_sysctls(&repair, &err) < 0 ||
		repair_masquerading(&repair, &err) < 0)
		log_error("repairing: %s", err.text);
	changed = agent->changed;
	reconcile(agent);
	if (agent->changed != changed)
		log_warning("repaired: %lu rows, links or filters of ours were changed by somebody "
			    "else",
			agent->changed - changed);
	repair.count += agent->changed - changed;
	agent->repaired += repair.count;
	agent->compared_ns = clock_monotonic_ns();
}

static void repair_due(struct loop *loop, struct loop_timer *timer)
{
	struct agent *agent = timer->data;

	agent->repair_soon = false;
	if (objects_are_elsewhere(&agent->objects) && !agent->settle.place)
		loop_timer_set_in(loop, &agent->settle, 0);
	repair_all(agent);
	loop_timer_set_in(loop, timer, REPAIR_INTERVAL_MS);
}

void repair_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	struct agent *agent = ref->data;
	uint64_t soon = clock_monotonic_ns() + REPAIR_SOON_MS * CLOCK_NS_PER_MS;
	uint64_t gap = agent->compared_ns + REPAIR_GAP_MS * CLOCK_NS_PER_MS;

	(void)events;
	monitor_drain(ref->fd);
	if (agent->repair_soon)
		return; /* changes without end must not put it off without end */
	agent->repair_soon = true;
	loop_timer_set(loop, &agent->repair, soon > gap ? soon : gap);
}

int repair_start(struct agent *agent, struct err *err)
{
	int r = monitor_open(&agent->monitor, err);

	if (r == 0)
		r = loop_add(agent->loop, AGENT_REF_MONITOR, agent->monitor, agent, EPOLLIN, err);
	if (r < 0)
		return r;
	agent->repair = (struct loop_timer){.function = repair_due, .data = agent};
	loop_timer_set_in(agent->loop, &agent->repair, REPAIR_INTERVAL_MS);
	return 0;
}

void repair_stop(struct agent *agent)
{
	mem_close(&agent->monitor);
}
