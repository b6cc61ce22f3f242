/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/leftovers.h"

#include "base/mem.h"
#include "linux/address.h"
#include "linux/link.h"
#include "linux/nft.h"
#include "linux/sysctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LEFTOVER_PROGRAM "kube-proxy"
#define LEFTOVER_LINK "kube-ipvs0"
#define LEFTOVER_LOCALNET "net/ipv4/conf/all/route_localnet"

const char *const leftover_tables[LEFTOVER_TABLES] = {[LEFTOVER_TABLE_OWN] = LEFTOVER_OWN_TABLE,
	[LEFTOVER_TABLE_NAT] = "nat",
	[LEFTOVER_TABLE_FILTER] = "filter",
	[LEFTOVER_TABLE_MANGLE] = "mangle"};

static const char *const outer_chains[] = {"KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES",
	"KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-FORWARD", "KUBE-PROXY-FIREWALL",
	"KUBE-PROXY-CANARY", "KUBE-LOAD-BALANCER", "KUBE-NODE-PORT", "KUBE-SOURCE-RANGES-FIREWALL",
	"KUBE-IPVS-FILTER", "KUBE-IPVS-OUT-FILTER"};
/* With a Service's or an endpoint's digest behind them, but for the last one. */
static const char *const inner_chains[] = {"KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-EXT-",
	"KUBE-FW-", "KUBE-XLB-", "KUBE-MARK-MASQ"};

enum leftover_name leftover_chain_name(const char *chain)
{
	for (size_t i = 0; i < ARRAY_SIZE(outer_chains); i++)
		if (strcmp(chain, outer_chains[i]) == 0)
			return LEFTOVER_NAME_CHAIN;
	for (size_t i = 0; i < ARRAY_SIZE(inner_chains); i++) {
		size_t length = strlen(inner_chains[i]);

		if (strncmp(chain, inner_chains[i], length) == 0 &&
			(inner_chains[i][length - 1] == '-') == (chain[length] != '\0'))
			return LEFTOVER_NAME_INNER;
	}
	return LEFTOVER_NAME_OTHER;
}

const char *leftover_chain_at(size_t number)
{
	return number < ARRAY_SIZE(outer_chains) ? outer_chains[number] : NULL;
}

/* --- processes --- */

static bool process_is_kube_proxy(const char *pid, const struct stat *own)
{
	_free_ char *name = mem_format("/proc/%s/comm", pid);
	_free_ char *namespace = mem_format("/proc/%s/ns/net", pid);
	_close_ int fd = open(name, O_RDONLY | O_CLOEXEC);
	char text[32] = "";
	struct stat stat_of_it;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, LEFTOVER_PROGRAM) == 0 && stat(namespace, &stat_of_it) == 0 &&
	       stat_of_it.st_dev == own->st_dev && stat_of_it.st_ino == own->st_ino;
}

static int find_processes(struct leftovers *leftovers, struct err *err)
{
	struct dirent *entry;
	struct stat own;
	DIR *processes = opendir("/proc");

	if (!processes || stat("/proc/self/ns/net", &own) < 0) {
		int code = errno;

		if (processes)
			closedir(processes);
		return err_system(err, code, "/proc");
	}
	while ((entry = readdir(processes)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
			process_is_kube_proxy(entry->d_name, &own))
			leftovers_add(leftovers, LEFTOVER_PROCESS, 1, "%.20s", entry->d_name);
	closedir(processes);
	return 0;
}

static int remove_process(struct leftover *leftover, struct err *err)
{
	return err_set(err, EBUSY,
		"kube-proxy runs here, process %s, and would write anew what is removed; take it "
		"off the node first (kubectl -n kube-system delete daemonset kube-proxy)",
		leftover->name);
}

/* --- mode ipvs --- */

static int count_address(const struct address *address, void *context)
{
	(void)address;
	(*(unsigned int *)context)++;
	return 0;
}

static int find_device(struct leftovers *leftovers, struct err *err)
{
	_cleanup_(netlink_close) struct netlink *netlink = NULL;
	unsigned int addresses = 0;
	struct link_info link;
	int r = netlink_open(&netlink, err);

	if (r == 0)
		r = link_find(netlink, LEFTOVER_LINK, &link, err);
	if (r == 0)
		r = address_dump(netlink, link.ifindex, count_address, &addresses, err);
	if (r == 0)
		leftovers_add(leftovers, LEFTOVER_DEVICE, addresses, "%s", LEFTOVER_LINK);
	return r == -ENODEV ? 0 : r;
}

static int remove_device(struct leftover *leftover, struct err *err)
{
	_cleanup_(netlink_close) struct netlink *netlink = NULL;
	_netlink_batch_ struct netlink_batch batch = {0};
	int r = netlink_open(&netlink, err);

	if (r < 0)
		return r;
	link_delete_name(&batch, leftover->name);
	return netlink_commit(netlink, &batch, err);
}

/* A line each begins with the protocol, or FWM; the first three are a heading. */
static int find_ipvs(struct leftovers *leftovers, struct err *err)
{
	char line[256];
	unsigned int servers = 0;
	FILE *file = fopen("/proc/net/ip_vs", "re");

	(void)err;
	if (!file)
		return 0; /* the kernel has no IPVS, or nobody has used it */
	while (fgets(line, sizeof(line), file))
		servers += strncmp(line, "TCP ", 4) == 0 || strncmp(line, "UDP ", 4) == 0 ||
			   strncmp(line, "SCTP ", 5) == 0;
	fclose(file);
	if (servers)
		leftovers_add(leftovers, LEFTOVER_IPVS, servers, "ipvs");
	return 0;
}

static int keep_ipvs(struct leftover *leftover, struct err *err)
{
	(void)err;
	leftover->state = LEFTOVER_KEPT;
	err_set(&leftover->why, EBUSY,
		"they may be another program's; if they are not, `ipvsadm --clear` removes all");
	return 0;
}

/* --- what it sets for node ports on 127.0.0.1 --- */

static int find_sysctl(struct leftovers *leftovers, struct err *err)
{
	char value[SYSCTL_VALUE_SIZE];
	int r = sysctl_read(LEFTOVER_LOCALNET, value, err);

	if (r == 0 && strcmp(value, "0") != 0)
		leftovers_add(leftovers, LEFTOVER_SYSCTL, 1, "%s", LEFTOVER_LOCALNET);
	return r == -ENOENT ? 0 : r;
}

static int keep_sysctl(struct leftover *leftover, struct err *err)
{
	(void)err;
	leftover->state = LEFTOVER_KEPT;
	err_set(&leftover->why, EBUSY,
		"it lets neighbors reach 127.0.0.1 of this node (CVE-2020-8558); if nothing of "
		"yours needs it: sysctl -w " LEFTOVER_LOCALNET "=0");
	return 0;
}

/* --- all of it --- */

static const struct {
	const char *name, *unit;
	int (*remove)(struct leftover *leftover, struct err *err);
} leftover_kinds[] = {
	[LEFTOVER_PROCESS] = {"process", "running", remove_process},
	[LEFTOVER_NFTABLES] = {"nftables", "chains", leftovers_remove_table},
	[LEFTOVER_IPTABLES] = {"iptables", "chains", leftovers_remove_chains},
	[LEFTOVER_LEGACY] = {"iptables-legacy", "chains", leftovers_remove_legacy},
	[LEFTOVER_COUNTER] = {"nfacct", "counters", leftovers_remove_counter},
	[LEFTOVER_IPSET] = {"ipset", "entries", leftovers_remove_set},
	[LEFTOVER_DEVICE] = {"device", "addresses", remove_device},
	[LEFTOVER_IPVS] = {"ipvs", "servers", keep_ipvs},
	[LEFTOVER_SYSCTL] = {"sysctl", "set", keep_sysctl},
	[LEFTOVER_FLOW] = {"flows", "flows", NULL},
};
_Static_assert(ARRAY_SIZE(leftover_kinds) == LEFTOVER_KIND_MAX, "a row for each kind");

static const char *const leftover_states[] = {[LEFTOVER_FOUND] = "found",
	[LEFTOVER_REMOVED] = "removed",
	[LEFTOVER_KEPT] = "kept",
	[LEFTOVER_FAILED] = "failed"};
_Static_assert(ARRAY_SIZE(leftover_states) == LEFTOVER_STATE_MAX, "a name for each state");

const char *leftover_kind_name(enum leftover_kind kind)
{
	return leftover_kinds[kind].name;
}

const char *leftover_unit(enum leftover_kind kind)
{
	return leftover_kinds[kind].unit;
}

const char *leftover_state_name(enum leftover_state state)
{
	return leftover_states[state];
}

struct leftover *leftovers_add(struct leftovers *leftovers, enum leftover_kind kind,
	unsigned int count, const char *format, ...)
{
	struct leftover *leftover;
	va_list arguments;

	leftovers->item = mem_grow(leftovers->item, &leftovers->capacity, leftovers->count + 1,
		sizeof(*leftovers->item));
	leftover = &leftovers->item[leftovers->count++];
	*leftover = (struct leftover){.kind = kind, .count = count};
	va_start(arguments, format);
	vsnprintf(leftover->name, sizeof(leftover->name), format, arguments);
	va_end(arguments);
	return leftover;
}

int leftovers_find(struct leftovers *leftovers, struct err *err)
{
	static int (*const finders[])(struct leftovers *leftovers, struct err *err) = {
		find_processes, leftovers_find_nft, leftovers_find_legacy,
		leftovers_find_counters, leftovers_find_sets, find_device, find_ipvs, find_sysctl};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(finders) && r == 0; i++)
		r = finders[i](leftovers, err);
	return r;
}

void leftovers_remove(struct leftovers *leftovers)
{
	bool runs = leftovers->count && leftovers->item[0].kind == LEFTOVER_PROCESS;

	for (size_t i = 0; i < leftovers->count; i++) {
		struct leftover *leftover = &leftovers->item[i];
		int r;

		if ((runs && leftover->kind != LEFTOVER_PROCESS) ||
			!leftover_kinds[leftover->kind].remove)
			continue;
		leftover->state = LEFTOVER_REMOVED;
		r = leftover_kinds[leftover->kind].remove(leftover, &leftover->why);
		if (r < 0)
			leftover->state = LEFTOVER_FAILED;
	}
}

void leftovers_clear(struct leftovers *leftovers)
{
	mem_free_pointer(&leftovers->item);
	leftovers->count = leftovers->capacity = 0;
}

/* --- again and again --- */

void leftovers_watch_open(struct leftovers_watch *watch)
{
	static const char *const names[LEFTOVER_FAMILIES] = {
		"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		watch->names[i] = open(names[i], O_RDONLY | O_CLOEXEC);
}

void leftovers_watch_close(struct leftovers_watch *watch)
{
	for (size_t i = 0; i < ARRAY_SIZE(watch->names); i++)
		mem_close(&watch->names[i]);
}

int leftovers_look(struct leftovers_watch *watch, struct err *err)
{
	uint32_t generation;
	uint64_t legacy;
	int r = nft_generation(&generation, err);

	if (r == 0)
		r = leftovers_sum_legacy(watch->names, &legacy, err);
	if (r < 0 || (watch->known && generation == watch->generation && legacy == watch->legacy))
		return r;
	r = leftovers_look_nft(watch->found, err);
	if (r == 0 && !*watch->found)
		r = leftovers_look_legacy(watch->names, watch->found, err);
	watch->known = r == 0;
	watch->generation = generation;
	watch->legacy = legacy;
	return r;
}
