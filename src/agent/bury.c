/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bury.h"

#include "agent/node.h"
#include "base/log.h"
#include "linux/link.h"

#include <string.h>

static void bury_due(struct loop *loop, struct loop_timer *timer)
{
	struct agent *agent = timer->data;
	struct err err;

	(void)loop;
	if (agent->helper.answer >= 0 || !agent->dying_count)
		return;
	if (link_bury(agent->dying_group, &agent->helper, &err) < 0) {
		log_error("deleting links of removed pods: %s", err.text);
		return;
	}
	agent->dying_group = NODE_GROUP_DYING + (agent->dying_group + 1 - NODE_GROUP_DYING) % BURY_GROUPS;
	agent->dying_count = 0;
	if (loop_add(agent->loop, AGENT_REF_HELPER, agent->helper.answer, agent, EPOLLIN, &err) < 0)
		log_error("waiting for the helper: %s", err.text);
}

void bury_start(struct agent *agent)
{
	agent->dying_group = NODE_GROUP_DYING;
	agent->bury = (struct loop_timer){.function = bury_due, .data = agent};
}

static void bury_append(struct agent *agent, struct netlink_batch *batch, unsigned int ifindex)
{
	link_set_up(batch, ifindex, false);
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
	struct err err = {0};

	(void)events;
	loop_remove(loop, ref->fd);
	if (helper_finish(&agent->helper, &err) < 0)
		log_error("deleting links of removed pods: %s", err.text);
	if (agent->dying_count)
		loop_timer_set_in(agent->loop, &agent->bury, BURY_DELAY_MS);
}

static bool bury_is_ours(const struct agent *agent, const struct link_info *link)
{
	for (size_t i = 0; i < agent->attachments.count; i++)
		if (agent->attachments.item[i].ifindex == link->ifindex &&
			strcmp(agent->attachments.item[i].link, link->name) == 0)
			return true;
	return false;
}

static int bury_orphan(const struct link_info *link, void *context)
{
	struct agent *agent = context;
	bool dying = link->group >= NODE_GROUP_DYING &&
		     link->group < NODE_GROUP_DYING + BURY_GROUPS;

	if (dying || (link->group == NODE_GROUP_PODS && !bury_is_ours(agent, link))) {
		log_info("link %s belongs to no attachment and is deleted", link->name);
		bury_link(agent, link->ifindex);
	}
	return 0;
}

void bury_orphans(struct agent *agent)
{
	struct err err;

	if (link_dump(agent->netlink, bury_orphan, agent, &err) < 0)
		log_error("looking for orphaned links: %s", err.text);
}

void bury_finish(struct agent *agent)
{
	if (agent->helper.answer >= 0)
		helper_finish(&agent->helper, NULL);
}
