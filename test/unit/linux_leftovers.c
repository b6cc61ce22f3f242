/* SPDX-License-Identifier: Apache-2.0 */
/* What kube-proxy leaves, made by hand in a namespace of its own, beside what is others'. */
#include "linux/leftovers.h"

#include "check.h"
#include "linux/link.h"
#include "linux/netfilter.h"
#include "linux/nft.h"
#include "root.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <stdio.h>

static struct err err;

static void names_are_told_apart(void **state)
{
	static const struct {
		const char *name;
		enum leftover_name wanted;
	} cases[] = {{"KUBE-SERVICES", LEFTOVER_NAME_CHAIN},
		{"KUBE-PROXY-CANARY", LEFTOVER_NAME_CHAIN},
		{"KUBE-SEP-UHEGFW77JX3KXTOV", LEFTOVER_NAME_INNER},
		{"KUBE-MARK-MASQ", LEFTOVER_NAME_INNER},
		/* kubelet's */
		{"KUBE-MARK-DROP", LEFTOVER_NAME_OTHER}, {"KUBE-FIREWALL", LEFTOVER_NAME_OTHER},
		{"KUBE-KUBELET-CANARY", LEFTOVER_NAME_OTHER},
		{"KUBE-IPTABLES-HINT", LEFTOVER_NAME_OTHER},
		/* kube-router's */
		{"KUBE-ROUTER-SERVICES", LEFTOVER_NAME_OTHER},
		{"KUBE-POD-FW-2XY", LEFTOVER_NAME_OTHER},
		{"KUBE-NWPLCY-DEFAULT", LEFTOVER_NAME_OTHER},
		{"KUBE-SVC-", LEFTOVER_NAME_OTHER}, {"KUBE-MARK-MASQUERADE", LEFTOVER_NAME_OTHER},
		{"kube-services", LEFTOVER_NAME_OTHER}, {"", LEFTOVER_NAME_OTHER}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (leftover_chain_name(cases[i].name) != cases[i].wanted)
			fail_msg("%s", cases[i].name);
}

/* "iptables ip nat 2 chains 3 rules found; " and so on. */
static char *told(const struct leftovers *leftovers)
{
	struct text text = {0};

	for (size_t i = 0; i < leftovers->count; i++) {
		const struct leftover *l = &leftovers->item[i];

		text_printf(&text, "%s %s %u %s", leftover_kind_name(l->kind), l->name, l->count,
			leftover_unit(l->kind));
		if (l->rules)
			text_printf(&text, " %u rules", l->rules);
		text_printf(&text, " %s; ", leftover_state_name(l->state));
	}
	return text.length ? text_take(&text) : mem_string("");
}

static void check_told(const char *name, bool remove, const char *wanted)
{
	_leftovers_ struct leftovers leftovers = {0};
	_free_ char *text = NULL;

	if (leftovers_find(&leftovers, &err) < 0)
		fail_msg("%s", err.text);
	if (remove)
		leftovers_remove(&leftovers);
	for (size_t i = 0; i < leftovers.count; i++)
		if (leftovers.item[i].state == LEFTOVER_FAILED)
			print_error("%s: %s\n", leftovers.item[i].name, leftovers.item[i].why.text);
	text = told(&leftovers);
	check_case(name, text, wanted);
}

static void apply(const char *rules)
{
	if (nft_apply(rules, &err) < 0)
		fail_msg("%s", err.text);
}

static const char *looked(struct leftovers_watch *watch)
{
	if (leftovers_look(watch, &err) < 0)
		fail_msg("%s", err.text);
	return watch->found;
}

/* A chain that somebody else leads to stays, and what stands in his chains. */
static void chains_go(void **state)
{
	struct leftovers_watch watch = {0};

	leftovers_watch_open(&watch);
	check_case("before", looked(&watch), "");
	apply("table ip nat {\n chain KUBE-MARK-MASQ { mark set mark or 0x4000\n }\n"
	      " chain KUBE-SVC-AAAA { jump KUBE-MARK-MASQ\n }\n"
	      " chain KUBE-SERVICES { ip daddr 10.96.0.1 jump KUBE-SVC-AAAA\n }\n"
	      " chain CNI-MINE { jump KUBE-MARK-MASQ\n accept\n }\n"
	      " chain PREROUTING { type nat hook prerouting priority dstnat;\n"
	      "  jump CNI-MINE\n jump KUBE-SERVICES\n }\n}\n"
	      "table ip6 filter {\n chain KUBE-FIREWALL { drop\n }\n chain KUBE-FORWARD { accept\n }\n"
	      " chain FORWARD { type filter hook forward priority filter;\n"
	      "  jump KUBE-FIREWALL\n jump KUBE-FORWARD\n }\n}\n");
	check_case("looked", looked(&watch), "the iptables chain ip nat KUBE-SERVICES");
	check_told("found", false,
		"iptables ip nat 3 chains 5 rules found; iptables ip6 filter 1 chains 2 rules found; ");
	check_told("removed", true,
		"iptables ip nat 3 chains 5 rules kept; iptables ip6 filter 1 chains 2 rules removed; ");
	check_told("again", false, "iptables ip nat 1 chains 2 rules found; ");
	/* What is kept leads nowhere by itself, and is no warning. */
	check_case("looked again", looked(&watch), "");
	/* All of these are there yet, and can be named. */
	apply("add rule ip nat CNI-MINE accept\nadd rule ip nat KUBE-MARK-MASQ accept\n"
	      "add rule ip6 filter KUBE-FIREWALL drop\nadd rule ip6 filter FORWARD accept\n");
	apply("delete table ip nat\ndelete table ip6 filter\n");
	leftovers_watch_close(&watch);
}

static void own_table_goes(void **state)
{
	struct leftovers_watch watch = {0};

	leftovers_watch_open(&watch);
	apply("table ip kube-proxy {\n chain services { accept\n }\n chain other { accept\n accept\n }\n}\n"
	      "table ip6 kube-proxy { }\ntable inet kube-proxy { }\n");
	check_case("looked", looked(&watch), "the nftables table ip kube-proxy");
	check_told("removed", true,
		"nftables ip kube-proxy 2 chains 3 rules removed; nftables ip6 kube-proxy 0 chains removed; ");
	check_told("again", true, "");
	check_case("looked again", looked(&watch), "");
	apply("delete table inet kube-proxy\n"); /* kube-proxy makes none in this family */
	leftovers_watch_close(&watch);
}

static void make_set(const char *name)
{
	char buffer[512];
	struct nlmsghdr *request = netfilter_begin(buffer, NFNL_SUBSYS_IPSET, IPSET_CMD_CREATE,
		NLM_F_CREATE | NLM_F_EXCL, NFPROTO_IPV4);
	struct nlattr *nest;

	mnl_attr_put_u8(request, IPSET_ATTR_PROTOCOL, 6);
	mnl_attr_put_strz(request, IPSET_ATTR_SETNAME, name);
	mnl_attr_put_strz(request, IPSET_ATTR_TYPENAME, "hash:ip");
	mnl_attr_put_u8(request, IPSET_ATTR_REVISION, 0);
	mnl_attr_put_u8(request, IPSET_ATTR_FAMILY, NFPROTO_IPV4);
	nest = mnl_attr_nest_start(request, IPSET_ATTR_DATA);
	mnl_attr_nest_end(request, nest);
	assert_int_equal(netfilter_ask(request), 0);
}

static int make_counter(const char *name)
{
	char buffer[512];
	struct nlmsghdr *request = netfilter_begin(
		buffer, NFNL_SUBSYS_ACCT, NFNL_MSG_ACCT_NEW, NLM_F_CREATE, NFPROTO_UNSPEC);

	mnl_attr_put_strz(request, NFACCT_NAME, name);
	return netfilter_ask(request);
}

static void counters_go(void **state)
{
	assert_int_equal(make_counter("ct_state_invalid_dropped_pkts"), 0);
	assert_int_equal(make_counter("operators"), 0);
	check_told("removed", true, "nfacct ct_state_invalid_dropped_pkts 1 counters removed; ");
	check_told("again", true, "");
	assert_int_equal(make_counter("operators"), -EBUSY); /* it is there */
}

static void add_device(const char *name)
{
	_cleanup_(netlink_close) struct netlink *netlink = NULL;
	_netlink_batch_ struct netlink_batch batch = {0};
	struct link_veth veth = {.peer_netns = -1, .peer_name = "peer", .mac = {2}, .peer_mac = {2, 1}};

	snprintf(veth.name, sizeof(veth.name), "%s", name);
	assert_int_equal(netlink_open(&netlink, &err), 0);
	link_add_veth(&batch, &veth);
	assert_int_equal(netlink_commit(netlink, &batch, &err), 0);
}

/* The kernel of the tests may have no ipset; then there is nothing to find. */
static void sets_and_device_go(void **state)
{
	make_set("KUBE-CLUSTER-IP");
	make_set("KUBE-6-NODE-PORT-TCP");
	make_set("operators");
	make_set("KUBE-DST-OF-ROUTER");
	add_device("kube-ipvs0");
	check_told("removed", true,
		"ipset KUBE-CLUSTER-IP 0 entries removed; ipset KUBE-6-NODE-PORT-TCP 0 entries removed; "
		"device kube-ipvs0 0 addresses removed; ");
	check_told("again", true, "");
	make_set("KUBE-CLUSTER-IP"); /* the name is free */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_told_apart),
		cmocka_unit_test(chains_go), cmocka_unit_test(own_table_goes), cmocka_unit_test(counters_go),
		cmocka_unit_test(sets_and_device_go)};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, NULL, NULL);
}
