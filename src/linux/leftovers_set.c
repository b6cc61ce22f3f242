/* SPDX-License-Identifier: Apache-2.0 */
/* Named things of netfilter beside rules: sets of ipset, of mode ipvs; counters of mode iptables. */
#include "linux/leftovers.h"

#include "base/mem.h"
#include "linux/netfilter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <stdio.h>
#include <string.h>

#define SET_PROTOCOL 6 /* spoken by every kernel of the last ten years */
#define SET_REQUEST_SIZE 256

static const char *const set_beginnings[] = {"KUBE-LOOP-BACK", "KUBE-CLUSTER-IP",
	"KUBE-LOAD-BALANCER", "KUBE-NODE-PORT", "KUBE-EXTERNAL-IP", "KUBE-HEALTH-CHECK-NODE-PORT",
	"KUBE-IPVS-IPS", "KUBE-6-"};

static bool set_is_kube_proxy(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(set_beginnings); i++)
		if (strncmp(name, set_beginnings[i], strlen(set_beginnings[i])) == 0)
			return true;
	return false;
}

static struct nlmsghdr *set_request(void *buffer, unsigned int command, unsigned int flags)
{
	struct nlmsghdr *request =
		netfilter_begin(buffer, NFNL_SUBSYS_IPSET, command, flags, NFPROTO_IPV4);

	mnl_attr_put_u8(request, IPSET_ATTR_PROTOCOL, SET_PROTOCOL);
	return request;
}

struct set_name {
	char name[IPSET_MAXNAMELEN];
	unsigned int entries;
};

static int set_take(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *at[IPSET_ATTR_CMD_MAX + 1], *held[IPSET_ATTR_ADT_MAX + 1];
	struct netfilter_dump *dump = data;
	struct set_name set, *list;

	netfilter_read(message, at, ARRAY_SIZE(at));
	netfilter_read_text(at[IPSET_ATTR_SETNAME], set.name, sizeof(set.name));
	netfilter_read_nest(at[IPSET_ATTR_DATA], held, ARRAY_SIZE(held));
	set.entries = netfilter_read_number(held[IPSET_ATTR_ELEMENTS], 0);
	if (!set_is_kube_proxy(set.name))
		return MNL_CB_OK;
	list = dump->item = mem_grow(dump->item, &dump->capacity, dump->count + 1, sizeof(set));
	list[dump->count++] = set;
	return MNL_CB_OK;
}

int leftovers_find_sets(struct leftovers *leftovers, struct err *err)
{
	char buffer[SET_REQUEST_SIZE];
	struct netfilter_dump dump = {.take = set_take};
	struct nlmsghdr *request = set_request(buffer, IPSET_CMD_LIST, NLM_F_DUMP);
	_free_ struct set_name *sets = NULL;
	int r;

	mnl_attr_put_u32(request, IPSET_ATTR_FLAGS | NLA_F_NET_BYTEORDER,
		htonl(IPSET_FLAG_LIST_HEADER));
	r = netfilter_dump(request, &dump);
	sets = dump.item;
	/* EINVAL: the kernel has no ipset. ENOENT: nobody has made any. */
	if (r < 0)
		return r == -EINVAL || r == -ENOENT || r == -EOPNOTSUPP
			       ? 0
			       : err_system(err, -r, "reading the sets of ipset");
	for (size_t i = 0; i < dump.count; i++)
		leftovers_add(leftovers, LEFTOVER_IPSET, sets[i].entries, "%s", sets[i].name);
	return 0;
}

int leftovers_remove_set(struct leftover *leftover, struct err *err)
{
	char buffer[SET_REQUEST_SIZE];
	struct nlmsghdr *request = set_request(buffer, IPSET_CMD_DESTROY, 0);
	int r;

	mnl_attr_put_strz(request, IPSET_ATTR_SETNAME, leftover->name);
	r = netfilter_ask(request);
	if (r == -ENOENT || r == 0)
		return 0;
	return r <= -IPSET_ERR_PRIVATE ? err_set(err, EBUSY, "a rule of somebody else uses it")
				       : err_system(err, -r, "removing it");
}

/* --- counters --- */

static const char *const counters[] = {"ct_state_invalid_dropped_pkts",
	"localhost_nps_accepted_pkts", "localhost_nps_rejected_pkts"};

static int counter_ask(unsigned int type, const char *name)
{
	char buffer[SET_REQUEST_SIZE];
	struct nlmsghdr *request =
		netfilter_begin(buffer, NFNL_SUBSYS_ACCT, type, 0, NFPROTO_UNSPEC);

	mnl_attr_put_strz(request, NFACCT_NAME, name);
	return netfilter_ask(request);
}

int leftovers_find_counters(struct leftovers *leftovers, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		int r = counter_ask(NFNL_MSG_ACCT_GET, counters[i]);

		if (r == 0)
			leftovers_add(leftovers, LEFTOVER_COUNTER, 1, "%s", counters[i]);
		else if (r != -ENOENT && r != -EINVAL) /* EINVAL: the kernel has none */
			return err_system(err, -r, "asking for the counter %s", counters[i]);
	}
	return 0;
}

int leftovers_remove_counter(struct leftover *leftover, struct err *err)
{
	int r = counter_ask(NFNL_MSG_ACCT_DEL, leftover->name);

	return r < 0 && r != -ENOENT ? err_system(err, -r, "removing it") : 0;
}
