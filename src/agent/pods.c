/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADD and DEL. ADD is synchronous and answers when the path works: link, addresses, rows, record.
 * The record is written before the rows, so that whatever breaks off half way can be found and
 * taken away by DEL; what has no record is an orphan that the next start deletes.
 */
#include "agent/pods.h"

#include "agent/bury.h"
#include "agent/check.h"
#include "agent/cni.h"
#include "agent/gc.h"
#include "agent/inside.h"
#include "agent/node.h"
#include "agent/reconcile.h"
#include "agent/wishes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "compile/overlap.h"
#include "compile/pod.h"
#include "linux/link.h"
#include "linux/netns.h"
#include "linux/qdisc.h"
#include "linux/shaper.h"
#include "linux/sysctl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

void pods_compile(struct agent *agent, struct rows *rows)
{
	const struct node *own = store_own_node(&agent->objects.store, &agent->settings);

	for (size_t i = 0; i < agent->attachments.count; i++)
		compile_attachment(&agent->attachments.item[i], own, rows);
}

static struct pool *pods_pool_of(struct agent *agent, const struct addr *addr)
{
	for (unsigned int i = 0; i < AGENT_FAMILIES; i++)
		if (agent->pool[i].size && prefix_contains(&agent->pool[i].range, addr))
			return &agent->pool[i];
	return NULL;
}

static void pods_hold_addresses(struct agent *agent)
{
	struct err err;

	for (size_t i = 0; i < agent->attachments.count; i++) {
		const struct attachment *a = &agent->attachments.item[i];

		for (__u32 j = 0; j < a->address_count; j++) {
			struct pool *pool = pods_pool_of(agent, &a->addresses[j]);

			if (pool && !pool_has(pool, &a->addresses[j]) &&
				pool_hold(pool, &a->addresses[j], &err) < 0)
				log_error("attachment %s:%s: %s", a->container, a->ifname, err.text);
		}
	}
}

/* The range that the pool of this place should have, or NULL. */
static const struct prefix *pods_range(struct agent *agent, const struct node *own, size_t place)
{
	const struct prefix *range =
		own && place < own->ranges.count ? &own->ranges.list[place] : NULL;

	if (range && !range_is_usable(&agent->objects.store, &agent->settings, own, range, NULL))
		return NULL;
	return range;
}

static void pods_make_pool(struct agent *agent, struct pool *pool, const struct prefix *range)
{
	uint64_t rest_ms = agent->settings.address_rest_seconds * 1000UL;
	unsigned int start;
	struct err err;

	if (getrandom(&start, sizeof(start), 0) < 0)
		start = (unsigned int)clock_boottime_ns();
	if (pool_init(pool, range, start, rest_ms, &err) < 0) {
		problems_add(&agent->problems, "node", true, "spec.podCIDRs: %s", err.text);
		*pool = (struct pool){0};
	}
}

void pods_make_pools(struct agent *agent)
{
	const struct node *own = store_own_node(&agent->objects.store, &agent->settings);
	bool changed = false;

	for (size_t i = 0; i < AGENT_FAMILIES; i++) {
		const struct prefix *range = pods_range(agent, own, i);
		struct pool *pool = &agent->pool[i];

		if (range ? pool->size && prefix_compare(&pool->range, range) == 0 : !pool->size)
			continue;
		pool_clear(pool);
		*pool = (struct pool){0};
		if (range)
			pods_make_pool(agent, pool, range);
		changed = true;
	}
	if (changed)
		pods_hold_addresses(agent);
}

static void pods_release_addresses(struct agent *agent, const struct attachment *a)
{
	for (__u32 i = 0; i < a->address_count; i++) {
		struct pool *pool = pods_pool_of(agent, &a->addresses[i]);

		if (pool)
			pool_release(pool, clock_monotonic_ms(), &a->addresses[i], NULL);
	}
}

struct pods_presence {
	struct agent *agent;
	bool *present; /* by the place of the attachment */
	link_each also;
	void *also_context;
};

/* A link that was renamed is still the pod's; one of another MAC and name has taken the number. */
static int pods_see_link(const struct link_info *link, void *context)
{
	struct pods_presence *presence = context;
	const struct attachments *attachments = &presence->agent->attachments;
	bool known = false;

	for (size_t i = 0; i < attachments->count; i++) {
		const struct attachment *a = &attachments->item[i];

		if (a->ifindex == link->ifindex &&
			(memcmp(a->host_mac, link->mac, sizeof(link->mac)) == 0 ||
				strcmp(a->link, link->name) == 0))
			presence->present[i] = known = true;
	}
	if (!known && link->group == NODE_GROUP_PODS) {
		log_info("link %s belongs to no attachment and is deleted", link->name);
		bury_link(presence->agent, link->ifindex);
	}
	return presence->also ? presence->also(link, presence->also_context) : 0;
}

unsigned int pods_compare_links(struct agent *agent, link_each also, void *context)
{
	_free_ bool *present = mem_new(agent->attachments.count, sizeof(bool));
	struct pods_presence presence = {agent, present, also, context};
	unsigned int gone = 0;
	struct err err;

	if (link_dump(agent->netlink, pods_see_link, &presence, &err) < 0) {
		log_error("comparing attachments and links: %s", err.text);
		return 0;
	}
	for (size_t i = agent->attachments.count; i-- > 0;) {
		struct attachment *a = &agent->attachments.item[i];

		if (present[i])
			continue;
		log_info("attachment %s:%s of %s/%s has gone with its namespace", a->container,
			a->ifname, a->pod_namespace, a->pod_name);
		pods_release_addresses(agent, a);
		attachments_remove(&agent->attachments, agent->attachments_directory, a);
		gone++;
	}
	if (agent->attachments.stale)
		attachments_sweep(&agent->attachments, agent->attachments_directory);
	return gone;
}

static int pods_fail(struct cni_error *error, enum cni_code code, int r)
{
	error->code = code;
	return r;
}

/* What the runtime asks for by name. */
static int pods_take_wishes(struct agent *agent, const struct cni_wishes *wishes,
	struct attachment *a, struct cni_error *error)
{
	for (unsigned int i = 0; i < wishes->address_count; i++) {
		const struct addr *addr = &wishes->addresses[i];
		struct pool *pool = pods_pool_of(agent, addr);
		char text[ADDR_TEXT_SIZE];
		int r;

		if (!pool)
			r = err_set(&error->reason, ERANGE,
				"%s is of none of this node's pod ranges", addr_format(addr, text));
		else
			r = pool_take_exact(pool, clock_monotonic_ms(), addr, &error->reason);
		if (r < 0) {
			err_wrap(&error->reason, "%s", wishes->where[i]);
			return pods_fail(error, r == -EAGAIN ? CNI_TRY_AGAIN : CNI_INVALID_CONFIG, r);
		}
		a->addresses[a->address_count++] = *addr;
	}
	return 0;
}

static bool pods_has_family(const struct attachment *a, enum family family)
{
	for (__u32 i = 0; i < a->address_count; i++)
		if (addr_family(&a->addresses[i]) == family)
			return true;
	return false;
}

static int pods_take_addresses(struct agent *agent, const struct cni_wishes *wishes,
	struct attachment *a, struct cni_error *error)
{
	int r = pods_take_wishes(agent, wishes, a, error);

	for (unsigned int i = 0; i < AGENT_FAMILIES && r == 0; i++) {
		struct pool *pool = &agent->pool[i];

		if (!pool->size || pods_has_family(a, prefix_family(&pool->range)))
			continue;
		r = pool_take(pool, clock_monotonic_ms(), &a->addresses[a->address_count],
			&error->reason);
		if (r < 0)
			pods_fail(error, CNI_TRY_AGAIN, r);
		else
			a->address_count++;
	}
	if (r < 0) {
		pods_release_addresses(agent, a);
		return r;
	}
	/* In the order of the node's ranges, the first of which is the pod's primary family. */
	if (a->address_count == 2 && !prefix_contains(&agent->pool[0].range, &a->addresses[0])) {
		struct addr swapped = a->addresses[0];

		a->addresses[0] = a->addresses[1];
		a->addresses[1] = swapped;
	}
	return 0;
}

/* Locally administered, unicast, and else random, unless the runtime asks for one. */
static int pods_make_names(
	const struct cni_wishes *wishes, struct attachment *a, struct err *err)
{
	__u8 random[16];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_system(err, errno, "getrandom");
	memcpy(a->mac, random, 6);
	memcpy(a->host_mac, random + 6, 6);
	a->mac[0] = a->host_mac[0] = 0x0a;
	if (wishes->has_mac)
		memcpy(a->mac, wishes->mac, sizeof(a->mac));
	snprintf(a->link, sizeof(a->link), "pw%02x%02x%02x%02x%02x%02x", random[1], random[2],
		random[3], random[4], random[12], random[13]);
	return 0;
}

static int pods_make_link(struct agent *agent, struct attachment *a, int netns, struct err *err)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	struct link_veth veth = {
		.peer_netns = netns, .mtu = agent->facts.pod_mtu, .group = NODE_GROUP_PODS};
	struct link_info link;
	int r;

	snprintf(veth.name, sizeof(veth.name), "%s", a->link);
	snprintf(veth.peer_name, sizeof(veth.peer_name), "%s", a->ifname);
	memcpy(veth.mac, a->host_mac, sizeof(veth.mac));
	memcpy(veth.peer_mac, a->mac, sizeof(veth.peer_mac));
	link_add_veth(&batch, &veth);
	r = netlink_commit(agent->netlink, &batch, err);
	if (r == -EEXIST) {
		/* The name may be that of a link which is about to go, or that nobody knows of. */
		pods_compare_links(agent, NULL, NULL);
		if (bury_now(agent))
			r = netlink_commit(agent->netlink, &batch, err);
	}
	if (r == 0)
		r = link_find(agent->netlink, a->link, &link, err);
	if (r < 0)
		return r;
	a->ifindex = link.ifindex;
	return 0;
}

/* The node's side: programs by the shared blocks, and no ear for router advertisements. */
static int pods_set_host_side(struct agent *agent, const struct attachment *a, struct err *err)
{
	const struct attachment_limit *limit = &a->limit[DIRECTION_INGRESS];
	_netlink_batch_ struct netlink_batch batch = {0};
	_free_ char *accept_ra = mem_format("net/ipv6/conf/%s/accept_ra", a->link);
	int r = sysctl_set(accept_ra, "0", NULL, err);

	/* Without IPv6 there is no such key, in a container without a writable /proc init did it. */
	if (r < 0 && r != -ENOENT && r != -EROFS)
		return r;
	qdisc_add_clsact(&batch, a->ifindex, NODE_INGRESS_BLOCK, NODE_EGRESS_BLOCK);
	if (limit->rate) {
		struct shaper shaper = shaper_of_bits(limit->rate, limit->burst);

		shaper_set(&batch, a->ifindex, &shaper);
	}
	return netlink_commit(agent->netlink, &batch, err);
}

/* Takes all of it back: rows, link, addresses, record; what is not there is no error. */
static int pods_take_down(struct agent *agent, const struct attachment *a, struct err *err)
{
	struct rows rows = {0};
	int r;

	pods_release_addresses(agent, a);
	if (!a->ifindex)
		return 0; /* ADD broke off before there was a link, so there are no rows */
	compile_attachment(a, store_own_node(&agent->objects.store, &agent->settings), &rows);
	rows_sort(&rows);
	r = reconcile_remove(agent, &rows, err);
	rows_clear(&rows);
	bury_link(agent, a->ifindex);
	return r;
}

int pods_remove(struct agent *agent, struct attachment *attachment, struct err *err)
{
	const struct attachment a = *attachment;
	int r = pods_take_down(agent, &a, err);

	attachments_remove(&agent->attachments, agent->attachments_directory, attachment);
	return r;
}

static int pods_wire(struct agent *agent, struct attachment *a, int netns,
	struct netlink *inside, unsigned int ret_metric[FAMILY_MAX], struct err *err)
{
	struct rows rows = {0};
	int r = pods_make_link(agent, a, netns, err);

	if (r == 0)
		r = pods_set_host_side(agent, a, err);
	if (r == 0)
		r = inside_set(a, inside, ret_metric, err);
	if (r == 0)
		r = attachments_add(
			&agent->attachments, agent->attachments_directory, a, err);
	if (r < 0)
		return r;
	compile_attachment(a, store_own_node(&agent->objects.store, &agent->settings), &rows);
	rows_sort(&rows);
	r = reconcile_add(agent, &rows, err);
	rows_clear(&rows);
	if (r < 0)
		attachments_remove(&agent->attachments, agent->attachments_directory,
			attachments_find(&agent->attachments, a->container, a->ifname));
	return r;
}

static void pods_describe(const struct cni_request *request, const struct cni_wishes *wishes,
	struct attachment *a, int netns)
{
	snprintf(a->container, sizeof(a->container), "%s", request->container);
	snprintf(a->ifname, sizeof(a->ifname), "%s", request->ifname);
	snprintf(a->pod_namespace, sizeof(a->pod_namespace), "%s", request->pod_namespace);
	snprintf(a->pod_name, sizeof(a->pod_name), "%s", request->pod_name);
	snprintf(a->pod_uid, sizeof(a->pod_uid), "%s", request->pod_uid);
	memcpy(a->limit, wishes->limit, sizeof(a->limit));
	memcpy(a->network, wishes->network, sizeof(a->network));
	memcpy(a->labels, wishes->labels, sizeof(a->labels));
	a->magic = ATTACHMENT_MAGIC;
	a->size = sizeof(*a);
	a->netns_inode = netns_inode(netns);
	a->added_ns = clock_boottime_ns();
}

/* The first interface of a namespace speaks for it: it is the last one to be taken away. */
static __u64 pods_netns_cookie(const struct agent *agent, const struct netlink *inside)
{
	__u64 cookie = netlink_netns_cookie(inside);

	for (size_t i = 0; i < agent->attachments.count; i++)
		if (agent->attachments.item[i].netns_cookie == cookie)
			return 0;
	return cookie;
}

static int pods_check_ready(
	const struct agent *agent, enum cni_code code, struct cni_error *error)
{
	if (agent->ready)
		return 0;
	return pods_fail(error, code,
		err_set(&error->reason, EAGAIN, "node %s %s; `podwire status` says why",
			agent->settings.node,
			agent->pool[0].size || agent->pool[1].size ? "is not ready"
								    : "has no usable pod range"));
}

static int pods_check_add(struct agent *agent, const struct cni_request *request,
	const struct control_request *call, struct cni_error *error)
{
	if (!*request->container || strchr(request->container, '/') ||
		strlen(request->container) + IFNAMSIZ + 2 > NAME_MAX)
		return pods_fail(error, CNI_INVALID_ENVIRONMENT,
			err_set(&error->reason, EINVAL,
				"CNI_CONTAINERID: use 1 to %d letters, digits, '_', '.' and '-'",
				NAME_MAX - IFNAMSIZ - 2));
	if (!*request->ifname || strlen(request->ifname) >= IFNAMSIZ)
		return pods_fail(error, CNI_INVALID_ENVIRONMENT,
			err_set(&error->reason, EINVAL, "CNI_IFNAME: use 1 to %d characters",
				IFNAMSIZ - 1));
	if (call->fd[0] < 0 || call->fd[1] < 0)
		return pods_fail(error, CNI_INVALID_ENVIRONMENT,
			err_set(&error->reason, EINVAL,
				"CNI_NETNS: the plugin passed no namespace; use its path"));
	/* A DEL that the plugin did alone is known when the links are compared. */
	if (attachments_find(&agent->attachments, request->container, request->ifname) &&
		(!pods_compare_links(agent, NULL, NULL) ||
			attachments_find(&agent->attachments, request->container, request->ifname)))
		return pods_fail(error, CNI_ATTACHED_ALREADY,
			err_set(&error->reason, EEXIST,
				"container %s has an interface %s already; DEL it first",
				request->container, request->ifname));
	return pods_check_ready(agent, CNI_TRY_AGAIN, error);
}

/* An earlier plugin of the chain that has made the same interface leaves none for us to make. */
static int pods_check_previous(const struct cni_request *request, const json_t *previous,
	struct cni_error *error)
{
	const json_t *interface;
	size_t i;

	json_array_foreach (json_object_get(previous, "interfaces"), i, interface) {
		const char *name = json_string_value(json_object_get(interface, "name"));
		const char *sandbox = json_string_value(json_object_get(interface, "sandbox"));

		if (name && sandbox && *sandbox && strcmp(name, request->ifname) == 0)
			return pods_fail(error, CNI_INVALID_CONFIG,
				err_set(&error->reason, EEXIST,
					"prevResult.interfaces[%zu]: an earlier plugin of the list has "
					"made %s already; podwire makes the interface itself, so it "
					"comes first in the list",
					i, request->ifname));
	}
	return 0;
}

/* All that can be judged before anything is changed. */
static int pods_read_add(struct agent *agent, const struct cni_request *request,
	const struct control_request *call, struct cni_wishes *ret_wishes,
	const json_t **ret_previous, struct cni_error *error)
{
	int r = pods_check_add(agent, request, call, error);

	if (r == 0)
		r = cni_wishes_read(request, ret_wishes, error);
	if (r == 0)
		r = cni_previous_read(request, ret_previous, error);
	if (r == 0)
		r = pods_check_previous(request, *ret_previous, error);
	if (r == 0) {
		r = netns_check(call->fd[0], request->netns, &error->reason);
		error->code = CNI_INVALID_ENVIRONMENT;
	}
	return r;
}

static void pods_reply(const struct agent *agent, const struct cni_request *request,
	const struct attachment *a, struct cni_result *result, struct text *reply)
{
	const unsigned int mtu = agent->facts.pod_mtu;

	result->interface[0] =
		(struct cni_interface){.name = a->link, .mac = a->host_mac, .mtu = mtu};
	result->interface[1] = (struct cni_interface){
		.name = a->ifname, .mac = a->mac, .sandbox = request->netns, .mtu = mtu};
	result->address = a->addresses;
	result->address_count = a->address_count;
	cni_reply_result(request, result, reply);
}

static int pods_add(struct agent *agent, const struct cni_request *request,
	struct control_request *call, struct text *reply, struct cni_error *error)
{
	_cleanup_(netlink_close) struct netlink *inside = NULL;
	struct cni_result result = {0};
	struct cni_wishes wishes;
	struct attachment a = {0};
	int r = pods_read_add(agent, request, call, &wishes, &result.previous, error);

	if (r == 0) {
		r = netlink_adopt(call->fd[1], &inside, &error->reason);
		error->code = CNI_INVALID_ENVIRONMENT;
	}
	if (r < 0)
		return r;
	call->fd[1] = -1;
	pods_describe(request, &wishes, &a, call->fd[0]);
	a.netns_cookie = pods_netns_cookie(agent, inside);
	r = pods_take_addresses(agent, &wishes, &a, error);
	if (r < 0)
		return r;
	r = pods_make_names(&wishes, &a, &error->reason);
	if (r == 0)
		r = pods_wire(agent, &a, call->fd[0], inside, result.metric, &error->reason);
	if (r < 0) {
		pods_take_down(agent, &a, NULL);
		return pods_fail(error, r == -E2BIG ? CNI_TRY_AGAIN : CNI_IO, r);
	}
	pods_reply(agent, request, &a, &result, reply);
	log_debug("ADD %s:%s for %s/%s", a.container, a.ifname, a.pod_namespace, a.pod_name);
	return 0;
}

static int pods_del(struct agent *agent, const struct cni_request *request,
	struct control_request *call, struct text *reply, struct cni_error *error)
{
	struct attachment *found =
		attachments_find(&agent->attachments, request->container, request->ifname);

	if (found) {
		inside_clear_name(found, &call->fd[1]);
		/* The reconciliation that follows tries again what the kernel refuses here. */
		if (pods_remove(agent, found, &error->reason) < 0)
			log_error("DEL %s:%s: removing rows: %s", request->container,
				request->ifname, error->reason.text);
		log_debug("DEL %s:%s", request->container, request->ifname);
	}
	cni_reply_nothing(reply);
	return 0;
}

static int pods_status(struct agent *agent, const struct cni_request *request,
	struct control_request *call, struct text *reply, struct cni_error *error)
{
	(void)request;
	(void)call;
	if (pods_check_ready(agent, CNI_PLUGIN_UNAVAILABLE, error) < 0)
		return -EAGAIN;
	cni_reply_nothing(reply);
	return 0;
}

static int (*const pods_commands[CNI_COMMAND_MAX])(struct agent *, const struct cni_request *,
	struct control_request *, struct text *, struct cni_error *) = {
	[CNI_ADD] = pods_add,
	[CNI_DEL] = pods_del,
	[CNI_CHECK] = check_run,
	[CNI_STATUS] = pods_status,
	[CNI_GC] = gc_run,
};

void pods_run(void *context, struct control_request *call, struct text *reply)
{
	_cleanup_(cni_request_clear) struct cni_request request = {.version = CNI_VERSION_1_0_0};
	struct cni_error error = {.code = CNI_DECODE};
	int r = cni_request_read(call->parameters, &request, &error);

	if (r == 0)
		r = pods_commands[request.command](context, &request, call, reply, &error);
	if (r == 0)
		return;
	log_warning("%s:%s: %s", request.container ? request.container : "?",
		request.ifname ? request.ifname : "?", error.reason.text);
	cni_reply_error(&request, &error, reply);
}
