/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bury.h"

#include "agent/node.h"
#include "base/log.h"
#include "linux/link.h"

static void bury_fail(struct agent *agent, const struct err *err)
{
	log_error("deleting links of removed pods: %s; trying again", err->text);
	loop_timer_set_in(agent->loop, &agent->bury, BURY_RETRY_MS);
}

/* What dies from now on goes into the next group. */
static int bury_begin(struct agent *agent, struct err *err)
{
	int r = link_bury(agent->dying_group, &agent->helper, err);

	if (r < 0)
		return r;
	agent->dying_group = NODE_GROUP_DYING + (agent->dying_group + 1 - NODE_GROUP_DYING) % BURY_GROUPS;
	agent->dying_count = 0;
	return 0;
}

static void bury_end(struct agent *agent)
{
	struct err err = {0};

	if (helper_finish(&agent->helper, &err) == 0)
		return;
	bury_leftovers(agent);
	bury_fail(agent, &err);
}

static void bury_due(struct loop *loop, struct loop_timer *timer)
{
	struct agent *agent = timer->data;
	struct err err;

	if (agent->helper.answer >= 0 || !agent->dying_count)
		return;
	if (bury_begin(agent, &err) < 0)
		bury_fail(agent, &err);
	else if (loop_add(loop, AGENT_REF_HELPER, agent->helper.answer, agent, EPOLLIN, &err) < 0)
		bury_end(agent); /* then it is waited for here */
}

bool bury_now(struct agent *agent)
{
	bool any = agent->helper.answer >= 0 || agent->dying_count;
	struct err err;

	if (agent->helper.answer >= 0) {
		loop_remove(agent->loop, agent->helper.answer);
		bury_end(agent);
	}
	if (agent->dying_count && bury_begin(agent, &err) < 0)
		bury_fail(agent, &err);
	else if (agent->helper.answer >= 0)
		bury_end(agent);
	return any;
}

void bury_start(struct agent *agent)
{
	agent->dying_group = NODE_GROUP_DYING;
	agent->bury = (struct loop_timer){.function = bury_due, .data = agent};
}

static void bury_append(struct agent *agent, struct netlink_batch *batch, unsigned int ifindex)
{
	/*
	 * It stays up: without rows nothing passes, and to take a link down is to wait for a grace
	 * period, a third of DEL's time. Those of a group wait once for all.
	 */
	link_set_group(batch, ifindex, agent->dying_group);
	agent->dying_count++;
}

void bury_link(struct agent *agent, unsigned int ifindex)
{
	_netlink_batch_ struct netlink_batch batch = {0};

	bury_append(agent, &batch, ifindex);
	/* What fails has gone with its namespace. */
	netlink_commit(agent->netlink, &batch, NULL);
	loop_timer_set_in(agent->loop, &agent->bury,
		agent->dying_count >= BURY_GROUP_SIZE ? 0 : BURY_DELAY_MS);
}

void bury_event(struct loop *loop, const struct loop_ref *ref, uint32_t events)
{
	struct agent *agent = ref->data;

	(void)events;
	loop_remove(loop, ref->fd);
	bury_end(agent);
	if (agent->dying_count && !agent->bury.place)
		loop_timer_set_in(loop, &agent->bury, BURY_DELAY_MS);
}

static int bury_leftover(const struct link_info *link, void *context)
{
	if (link->group >= NODE_GROUP_DYING && link->group < NODE_GROUP_DYING + BURY_GROUPS)
		bury_link(context, link->ifindex);
	return 0;
}

void bury_leftovers(struct agent *agent)
{
	struct err err;

	if (link_dump(agent->netlink, bury_leftover, agent, &err) < 0)
		log_error("looking for links of removed pods: %s", err.text);
}

void bury_finish(struct agent *agent)
{
	if (agent->helper.answer >= 0)
		helper_finish(&agent->helper, NULL);
}
