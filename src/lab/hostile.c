/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/hostile.h"

#include "base/mem.h"
#include "base/text.h"
#include "lab/jobs.h"
#include "linux/link.h"
#include "linux/nft.h"
#include "linux/route.h"
#include "linux/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

#define MEDDLE_SECONDS 3

#define _netlink_ _cleanup_(netlink_close)

/* --- the switch --- */

int hostile_switch_make(struct err *err)
{
	return nft_apply("table bridge switch {\n"
			 " map ports { type ifname : verdict; }\n"
			 " chain in { type filter hook prerouting priority -300;\n"
			 "  iifname vmap @ports\n }\n}\n",
		err);
}

/* Its name is the port's, which holds nothing but what a node's name may. */
int hostile_switch_port(const char *port, const char *const addresses[FAMILY_MAX], struct err *err)
{
	static const char *const fields[FAMILY_MAX] = {
		[FAMILY_IPV4] = "ip saddr", [FAMILY_IPV6] = "ip6 saddr"};
	_text_ struct text script = {0};

	text_printf(&script, "add chain bridge switch from-%s\nflush chain bridge switch from-%s\n",
		port, port);
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		if (*addresses[f])
			text_printf(&script, "add rule bridge switch from-%s %s %s accept\n", port,
				fields[f], addresses[f]);
	/* Neighbors must find each other, and one that has no address yet asks for one. */
	text_printf(&script,
		"add rule bridge switch from-%s ip6 saddr { ::, fe80::/10 } accept\n"
		"add rule bridge switch from-%s ether type arp accept\n"
		"add rule bridge switch from-%s counter drop\n"
		"add element bridge switch ports { \"%s\" : jump from-%s }\n",
		port, port, port, port, port);
	return nft_apply(text_string(&script), err);
}

/* --- the node --- */

int hostile_sysctls_set(struct err *err)
{
	static const char *const keys[] = {
		"net/ipv4/conf/all/rp_filter", "net/ipv4/conf/default/rp_filter"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (sysctl_set(keys[i], "1", NULL, err) < 0)
			return -err->code;
	return 0;
}

/* A firewall in the manner of firewalld, in both families. */
#define FIREWALL                                                                                   \
	"add table inet firewall\ndelete table inet firewall\n"                                    \
	"table inet firewall {\n"                                                                  \
	" chain reverse_path { type filter hook prerouting priority mangle + 10;\n"                \
	"  icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept\n"                         \
	"  meta nfproto ipv6 fib saddr . mark . iif oif missing counter drop\n }\n"                \
	" chain input { type filter hook input priority filter + 10; policy drop;\n"               \
	"  ct state invalid counter drop\n  ct state { established, related } accept\n"            \
	"  iif lo accept\n  meta l4proto { icmp, icmpv6 } accept\n  udp dport 6083 accept\n"       \
	"  tcp dport { 22, 80, 443, 6443, 10250, 30000-32767 } accept\n }\n"                       \
	" chain forward { type filter hook forward priority filter + 10; policy drop;\n"           \
	"  ct state invalid counter drop\n  ct state { established, related } accept\n }\n}\n"

/* What Docker writes, but for what nft has no words of its own for. */
#define DOCKER(family, range)                                                                      \
	"add table " family " filter\ndelete table " family " filter\n"                            \
	"add table " family " nat\ndelete table " family " nat\n"                                  \
	"table " family " filter {\n"                                                              \
	" chain DOCKER { }\n chain DOCKER-USER { counter return\n }\n"                             \
	" chain DOCKER-ISOLATION-STAGE-2 { oifname \"docker0\" counter drop\n counter return\n "   \
	"}\n"                                                                                      \
	" chain DOCKER-ISOLATION-STAGE-1 { iifname \"docker0\" oifname != \"docker0\" counter "    \
	"jump DOCKER-ISOLATION-STAGE-2\n  counter return\n }\n"                                    \
	" chain FORWARD { type filter hook forward priority filter; policy drop;\n"                \
	"  counter jump DOCKER-USER\n  counter jump DOCKER-ISOLATION-STAGE-1\n"                    \
	"  oifname \"docker0\" counter jump DOCKER\n  iifname \"docker0\" counter accept\n }\n}\n" \
	"table " family " nat {\n"                                                                 \
	" chain POSTROUTING { type nat hook postrouting priority srcnat;\n"                        \
	"  " family " saddr " range " oifname != \"docker0\" counter masquerade\n }\n}\n"

int hostile_firewall_make(struct err *err)
{
	return nft_apply(
		FIREWALL DOCKER("ip", "172.17.0.0/16") DOCKER("ip6", "fd00:d0c::/64"), err);
}

/* --- the meddler --- */

enum protocol { PROTOCOL_KERNEL = 2, PROTOCOL_STATIC = 4, PROTOCOL_RA = 9 };

static int meddle_route(const struct route *route, void *context)
{
	if (route->protocol != PROTOCOL_KERNEL && route->protocol != PROTOCOL_STATIC &&
		route->protocol != PROTOCOL_RA)
		route_delete(context, route);
	return 0;
}

static int meddle_link(const struct link_info *link, void *context)
{
	unsigned char mac[LINK_MAC_SIZE];

	if (strcmp(link->kind, "veth") != 0 || strcmp(link->name, "eth0") == 0)
		return 0;
	if (getrandom(mac, sizeof(mac), 0) == sizeof(mac)) {
		mac[0] = (unsigned char)((mac[0] & 0xfe) | 2); /* of one, and locally given */
		link_set_mac(context, link->ifindex, mac);
	}
	return 0;
}

/* What fails is tried again the next time: what it meddles with comes and goes. */
static void meddle(void)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	_netlink_ struct netlink *netlink = NULL;
	struct err ignored;

	if (netlink_open(&netlink, &ignored) < 0)
		return;
	route_dump(netlink, ROUTE_TABLE_MAIN, 0, meddle_route, &batch, &ignored);
	link_dump(netlink, meddle_link, &batch, &ignored);
	netlink_commit(netlink, &batch, &ignored);
}

static _Noreturn void meddler_run(int lock)
{
	prctl(PR_SET_NAME, "podwire-meddler");
	process_detach(lock); /* held as long as this process lives */
	for (;;) {
		nanosleep(&(struct timespec){.tv_sec = MEDDLE_SECONDS}, NULL);
		meddle();
	}
}

int hostile_meddler_start(const char *node_directory, struct err *err)
{
	_free_ char *path = mem_format("%s/meddler", node_directory);
	_close_ int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	pid_t pid;

	if (lock < 0)
		return err_system(err, errno, "%s", path);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return 0; /* there is one already */
	pid = process_fork_orphan();
	if (pid == 0)
		meddler_run(lock);
	return pid < 0 ? err_system(err, -pid, "start somebody who meddles") : 0;
}
