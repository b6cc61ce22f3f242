// SPDX-License-Identifier: Apache-2.0
#include "scene.h"

#include "abi/attachment.h"
#include "abi/flow.h"
#include "abi/probe.h"
#include "abi/verdict.h"
#include "base/mem.h"
#include "compile/node.h"
#include "compile/pod.h"
#include "compile/services.h"
#include "linux/programs.h"
#include "linux/tables.h"
#include "scene_objects.h"
#include "tunnel_body.skel.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define BPF_DIRECTORY "/run"
#define TEST_CHECKSUM_COMPLETE 4 /* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, of Linux 6.16 */

static const struct {
	const char *ipv4, *ipv6;
} roles[ROLE_MAX] = {
	[ROLE_NONE] = {"0.0.0.0", "::"},
	[POD_A] = {"10.244.0.5", "fd00:10:244::5"},
	[POD_B] = {"10.244.0.6", "fd00:10:244::6"},
	[NOBODY] = {"10.244.0.99", "fd00:10:244::99"},
	[OWN_ROUTER] = {"10.244.0.1", "fd00:10:244::1"},
	[OWN_NODE] = {"172.30.0.1", "fd00:30::1"},
	[REMOTE_POD] = {"10.244.1.5", "fd00:10:244:1::5"},
	[REMOTE_ROUTER] = {"10.244.1.1", "fd00:10:244:1::1"},
	[REMOTE_NODE] = {"172.30.0.2", "fd00:30::2"},
	[THIRD_ROUTER] = {"10.244.2.1", "fd00:10:244:2::1"},
	[THIRD_POD] = {"10.244.2.5", "fd00:10:244:2::5"},
	[THIRD_NODE] = {"172.30.0.3", "fd00:30::3"},
	[UNKNOWN_POD] = {"10.244.9.5", "fd00:10:244:9::5"},
	[OUTSIDE] = {"198.51.100.7", "2001:db8:100::7"},
	[NEAR] = {"203.0.113.9", "2001:db8:203::9"},
	[LOOPBACK] = {"127.0.0.1", "::1"},
	[UNSPECIFIED] = {"0.0.0.0", "::"},
	[MULTICAST] = {"224.0.0.5", "ff05::5"},
	[BROADCAST] = {"255.255.255.255", "ff02::1"},
	[LINK_LOCAL] = {"169.254.1.1", "fe80::1"},
	[CLUSTER] = {"10.96.0.10", "fd00:10:96::10"},
	[BALANCER] = {"192.0.2.10", "2001:db8:b::10"},
	[THERE] = {"10.96.0.11", "fd00:10:96::11"},
	[THERE_BALANCER] = {"192.0.2.11", "2001:db8:b::11"},
	[EMPTY] = {"10.96.0.12", "fd00:10:96::12"},
	[LOCAL] = {"10.96.0.13", "fd00:10:96::13"},
	[LOCAL_BALANCER] = {"192.0.2.13", "2001:db8:b::13"},
	[RANGED_BALANCER] = {"192.0.2.14", "2001:db8:b::14"},
	[HOST] = {"10.96.0.15", "fd00:10:96::15"},
	[BEYOND] = {"10.96.0.16", "fd00:10:96::16"},
	[STALE] = {"10.96.0.17", "fd00:10:96::17"},
	[FAR] = {"10.96.0.18", "fd00:10:96::18"},
	[LOST] = {"10.96.0.19", "fd00:10:96::19"},
	[NOWHERE] = {"198.18.0.9", "2001:db8:18::9"},
	[UNUSED] = {"10.96.0.200", "fd00:10:96::200"},
	[MAPPED] = {"10.244.0.6", "::ffff:10.244.0.6"},
};

/* Indices and MACs are given, so that tables can be made before there are devices. */
static const struct {
	unsigned int index;
	uint8_t mac[FRAME_MAC_SIZE]; /* of the node's side */
	uint8_t other[FRAME_MAC_SIZE]; /* of the pod, or of who is on the wire */
} devices[DEVICE_MAX] = {
	[DEVICE_A] = {11, {2, 0, 0, 0, 1, 1}, {2, 0, 0, 0, 1, 2}},
	[DEVICE_B] = {12, {2, 0, 0, 0, 2, 1}, {2, 0, 0, 0, 2, 2}},
	[DEVICE_WIRE] = {13, {2, 0, 0, 0, 3, 1}, {2, 0, 0, 0, 3, 2}},
	[DEVICE_TUNNEL] = {14, {2, 0, 0, 0, 4, 1}, {2, 0, 0, 0, 4, 2}},
};

static const char scene_links[] =
	"link add name a index 11 address 02:00:00:00:01:01 type veth peer name a-pod\n"
	"link add name b index 12 address 02:00:00:00:02:01 type veth peer name b-pod\n"
	"link add name wire index 13 address 02:00:00:00:03:01 type veth peer name switch\n"
	"link add name tunnel index 14 address 02:00:00:00:04:01 type vxlan external dstport 6083\n"
	"link set dev a up\nlink set dev b up\nlink set dev wire up\nlink set dev tunnel up\n"
	"link set dev a-pod up\nlink set dev b-pod up\nlink set dev switch up\n"
	"address add 172.30.0.1/24 dev wire\n"
	"address add fd00:30::1/64 dev wire nodad\n"
	"route add default via 172.30.0.254\n"
	"route add default via fd00:30::fe\n"
	"route add unreachable 198.18.0.0/15\n"
	"route add unreachable 2001:db8:18::/48\n";

static struct {
	struct programs *programs;
	struct tunnel_body_bpf *body;
	struct tables tables;
	struct settings settings;
	int fragment, session, hint, probe;
} scene;

/* What is not given is as in the first one. */
static const struct {
	const char *route;
	bool no_masquerade;
	enum path_way way; /* of REMOTE_NODE */
} scene_settings[SETTING_MAX] = {
	[SETTING_VXLAN] = {.route = "vxlan"},
	[SETTING_DIRECT] = {.route = "direct"},
	[SETTING_NO_MASQUERADE] = {.route = "vxlan", .no_masquerade = true},
	[SETTING_LIMIT] = {.route = "vxlan"},
	[SETTING_AUTO] = {.route = "auto"},
	[SETTING_TAKEN] = {.route = "auto", .way = PATH_CLOSING},
	[SETTING_INVITED] = {.route = "auto", .way = PATH_OPEN},
};

static _Noreturn void give_up(const char *what, const struct err *err)
{
	fprintf(stderr, "packet: %s: %s\n", what, err && err->code ? err->text : strerror(errno));
	exit(2);
}

struct addr role_addr(enum role role, int family)
{
	struct addr addr;
	__be32 v4;

	if (family == 6) {
		inet_pton(AF_INET6, roles[role].ipv6, &addr);
		return addr;
	}
	inet_pton(AF_INET, roles[role].ipv4, &v4);
	addr_set_v4(&addr, v4);
	return addr;
}

unsigned int device_index(enum device device)
{
	return devices[device].index;
}

void device_mac(enum device device, bool of_pod, uint8_t mac[FRAME_MAC_SIZE])
{
	memcpy(mac, of_pod ? devices[device].other : devices[device].mac, FRAME_MAC_SIZE);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		give_up(path, NULL);
}

static void run_ip_batch(const char *path)
{
	char *const arguments[] = {"ip", "-batch", (char *)path, NULL};
	int status = -1;
	pid_t child;

	if (posix_spawnp(&child, "ip", NULL, NULL, arguments, environ) != 0 ||
		waitpid(child, &status, 0) < 0 || status != 0)
		give_up("ip -batch", NULL);
}

void scene_enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		give_up("new namespaces (this needs root)", NULL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", BPF_DIRECTORY, "tmpfs", 0, NULL) < 0)
		give_up("mounting", NULL);
	write_file(BPF_DIRECTORY "/links", scene_links);
	write_file("/proc/sys/net/ipv4/ip_forward", "1");
	write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	run_ip_batch(BPF_DIRECTORY "/links");
}

static void attachment_make(
	enum device device, enum role role, struct attachment *attachment)
{
	*attachment = (struct attachment){.magic = ATTACHMENT_MAGIC,
		.size = sizeof(*attachment),
		.ifindex = devices[device].index,
		.address_count = 2,
		.addresses = {role_addr(role, 4), role_addr(role, 6)}};
	device_mac(device, true, attachment->mac);
	device_mac(device, false, attachment->host_mac);
}

/* What the node's kernel would tell the agent. */
static void facts_make(struct facts *facts)
{
	struct addr ipv4 = role_addr(OWN_NODE, 4), ipv6 = role_addr(OWN_NODE, 6);
	struct wire *wire = &facts->wire[0];

	*facts = (struct facts){
		.tunnel_ifindex = devices[DEVICE_TUNNEL].index, .pod_mtu = 1450, .wire_count = 1};
	wire->ifindex = devices[DEVICE_WIRE].index;
	wire->mtu = 1500;
	wire->ethernet = true;
	wire->subnet_count = 2;
	wire->subnet[0] = (struct prefix){.addr = addr_masked(&ipv4, 96 + 24), .length = 96 + 24};
	wire->subnet[1] = (struct prefix){.addr = addr_masked(&ipv6, 64), .length = 64};
}

static void paths_make(enum path_way way, struct paths *paths)
{
	for (int family = 4; family <= 6; family += 2) {
		struct addr router = role_addr(REMOTE_ROUTER, family);
		struct addr next = role_addr(REMOTE_NODE, family);
		struct path path = path_begin(&router, &next, way, 0);

		paths_add(paths, &path);
	}
}

static void rows_make(enum setting setting, int underlay, struct rows *rows)
{
	_cleanup_(store_clear) struct store store = {0};
	_cleanup_(paths_clear) struct paths paths = {0};
	struct problems problems = {0};
	struct services services = {0};
	struct attachment a, b;
	struct facts facts;

	objects_read(underlay, &store);
	facts_make(&facts);
	paths_make(scene_settings[setting].way, &paths);
	facts.paths = &paths;
	settings_make(underlay, scene_settings[setting].route,
		!scene_settings[setting].no_masquerade, &scene.settings);
	compile_nodes(&store, &scene.settings, &facts, rows, &problems);
	services_compile(&services,
		&(struct services_input){
			.store = &store, .settings = &scene.settings, .facts = &facts},
		rows);
	services_problems(&services, &problems);
	services_clear(&services);
	for (size_t i = 0; i < problems.count; i++)
		fprintf(stderr, "packet: %s: %s\n", problems.item[i].object, problems.item[i].text);
	if (problems.count)
		exit(2);
	attachment_make(DEVICE_A, POD_A, &a);
	attachment_make(DEVICE_B, POD_B, &b);
	if (setting == SETTING_LIMIT)
		b.limit[DIRECTION_INGRESS].rate = 1000000;
	compile_attachment(&a, NULL, rows);
	compile_attachment(&b, NULL, rows);
	rows_sort(rows);
}

static void rows_apply(const struct rows *wanted)
{
	struct differences differences = {0};
	struct rows held = {0};
	struct err err = {0};

	rows_diff(&held, wanted, &differences);
	for (size_t i = 0; i < differences.count; i++) {
		if (!table_infos[differences.item[i].row->table].map)
			continue;
		if (tables_apply(&scene.tables, &differences.item[i], &err) < 0)
			give_up("tables", &err);
	}
	differences_clear(&differences);
}

/* The test's own program works on the tables that the real ones have pinned. */
static void body_load(const char *directory)
{
	struct bpf_map *map;

	scene.body = tunnel_body_bpf__open();
	if (!scene.body)
		give_up("opening tunnel_body", NULL);
	bpf_object__for_each_map(map, scene.body->obj)
	{
		_free_ char *path = mem_format("%s/%s", directory, bpf_map__name(map));
		_close_ int fd = -1;

		if (bpf_map__is_internal(map))
			continue;
		fd = bpf_obj_get(path);
		if (fd < 0 || bpf_map__reuse_fd(map, fd) < 0)
			give_up(path, NULL);
	}
	if (tunnel_body_bpf__load(scene.body) < 0)
		give_up("loading tunnel_body", NULL);
}

void scene_load(enum setting setting, int underlay)
{
	struct programs_options options = {.directory = BPF_DIRECTORY, .flow_entries = 1024};
	const char *directory = programs_table_directory(BPF_DIRECTORY);
	_free_ char *fragment = mem_format("%s/pw_fragment", directory);
	_free_ char *session = mem_format("%s/pw_session", directory);
	_free_ char *hint = mem_format("%s/pw_hint", directory);
	_free_ char *probe = mem_format("%s/pw_probe", directory);
	struct rows rows = {0};
	struct err err = {0};

	if (mount("bpf", BPF_DIRECTORY, "bpf", 0, NULL) < 0)
		give_up("mounting bpffs", NULL);
	if (programs_load(&options, &scene.programs, &err) < 0 ||
		tables_open(directory, &scene.tables, &err) < 0)
		give_up("loading", &err);
	scene.fragment = bpf_obj_get(fragment);
	scene.session = bpf_obj_get(session);
	scene.hint = bpf_obj_get(hint);
	scene.probe = bpf_obj_get(probe);
	body_load(directory);
	if (setting == SETTING_NOTHING)
		return;
	rows_make(setting, underlay, &rows);
	rows_apply(&rows);
	rows_clear(&rows);
}

void scene_unload(void)
{
	tunnel_body_bpf__destroy(scene.body);
	close(scene.fragment);
	close(scene.session);
	close(scene.hint);
	close(scene.probe);
	tables_close(&scene.tables);
	programs_free(&scene.programs);
	if (umount(BPF_DIRECTORY) < 0)
		give_up("unmounting bpffs", NULL);
}

static int entry_program(enum entry entry)
{
	static const enum program programs[ENTRY_MAX] = {
		[FROM_POD] = PROGRAM_FROM_POD,
		[TO_POD] = PROGRAM_TO_POD,
		[FROM_WIRE] = PROGRAM_FROM_WIRE,
		[FROM_TUNNEL_BARE] = PROGRAM_FROM_TUNNEL,
		[TO_TUNNEL] = PROGRAM_TO_TUNNEL,
		[TO_WIRE] = PROGRAM_TO_WIRE,
	};

	if (entry == FROM_TUNNEL)
		return bpf_program__fd(scene.body->progs.from_tunnel_body);
	return programs_fd(scene.programs, programs[entry]);
}

void scene_run(const struct run *run, struct run_result *ret_result)
{
	struct __sk_buff in = {.ifindex = devices[run->device].index, .mark = run->mark}, out = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = run->frame,
		.data_size_in = (__u32)run->length, .data_out = ret_result->frame,
		.data_size_out = sizeof(ret_result->frame), .ctx_in = &in,
		.ctx_size_in = sizeof(in), .ctx_out = &out, .ctx_size_out = sizeof(out),
		.repeat = 1);

	scene.body->bss->body_outer = run->outer;
	scene.body->bss->body_vni = run->vni;
	if (bpf_prog_test_run_opts(entry_program(run->entry), &options) < 0)
		give_up("running a program", NULL);
	ret_result->action = options.retval;
	ret_result->length = options.data_size_out;
	ret_result->verdict = out.cb[0];
	ret_result->redirect = out.cb[1];
	ret_result->mark = out.mark;
}

bool scene_keeps_sum(const struct run *run)
{
	struct __sk_buff in = {.ifindex = devices[run->device].index, .mark = run->mark};
	uint8_t out[FRAME_SIZE_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = run->frame,
		.data_size_in = (__u32)run->length, .data_out = out, .data_size_out = sizeof(out),
		.ctx_in = &in, .ctx_size_in = sizeof(in), .repeat = 1,
		.flags = TEST_CHECKSUM_COMPLETE);

	scene.body->bss->body_outer = run->outer;
	scene.body->bss->body_vni = run->vni;
	return bpf_prog_test_run_opts(entry_program(run->entry), &options) == 0 ||
	       errno != EBADMSG;
}

unsigned int scene_time(const struct run *run, unsigned int repeat, unsigned int rounds)
{
	struct __sk_buff in = {.ifindex = devices[run->device].index};
	unsigned int best = ~0U;

	scene.body->bss->body_outer = run->outer;
	scene.body->bss->body_vni = run->vni;
	for (unsigned int i = 0; i < rounds; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = run->frame,
			.data_size_in = (__u32)run->length, .ctx_in = &in,
			.ctx_size_in = sizeof(in), .repeat = (int)repeat);

		if (bpf_prog_test_run_opts(entry_program(run->entry), &options) < 0)
			give_up("timing a program", NULL);
		if (options.duration < best)
			best = options.duration;
	}
	return best;
}

static void forget_keys(int fd, size_t key_size)
{
	_free_ void *key = mem_new(1, key_size);

	while (bpf_map_get_next_key(fd, NULL, key) == 0)
		bpf_map_delete_elem(fd, key);
}

static void forget_hints(void)
{
	__u32 none = 0;

	for (__u32 index = 0; index < HINTS; index++)
		bpf_map_update_elem(scene.hint, &index, &none, BPF_ANY);
}

void scene_forget_counts(void)
{
	int processors = libbpf_num_possible_cpus();
	_free_ struct count_row *zero = mem_new((size_t)processors, sizeof(*zero));

	for (__u32 index = 0; index < COUNT_INDEX(HOOK_MAX, 0); index++)
		bpf_map_update_elem(scene.tables.count, &index, zero, BPF_ANY);
	forget_keys(scene.tables.drop, sizeof(struct drop_key));
}

void scene_forget(void)
{
	forget_keys(scene.tables.flow, sizeof(struct flow_key));
	forget_keys(scene.fragment, sizeof(struct fragment_key));
	forget_keys(scene.session, sizeof(struct session_key));
	forget_hints();
	for (int family = 4; family <= 6; family += 2) {
		struct addr router = role_addr(REMOTE_ROUTER, family);
		struct probe_row row = {.nonce = SCENE_NONCE};

		if (bpf_map_update_elem(scene.probe, &router, &row, BPF_ANY) < 0)
			give_up("asking", NULL);
	}
	scene_forget_counts();
}

bool scene_is_answered(int family, uint32_t *ret_flags)
{
	struct addr router = role_addr(REMOTE_ROUTER, family);
	struct probe_row row;

	if (bpf_map_lookup_elem(scene.probe, &router, &row) < 0)
		give_up("looking for an answer", NULL);
	*ret_flags = row.flags;
	return row.answered && !row.nonce;
}

struct count_question {
	enum hook hook;
	uint32_t verdict;
	uint64_t here, all;
};

static void count_answer(const struct table_count *count, void *context)
{
	struct count_question *question = context;

	question->all += count->sum.packets;
	if (count->hook == question->hook && count->verdict == question->verdict)
		question->here += count->sum.packets;
}

void scene_counts(enum entry entry, uint32_t verdict, uint64_t *ret_here, uint64_t *ret_all)
{
	static const enum hook entry_hooks[ENTRY_MAX] = {
		[FROM_POD] = HOOK_FROM_POD,
		[TO_POD] = HOOK_TO_POD,
		[FROM_WIRE] = HOOK_FROM_WIRE,
		[FROM_TUNNEL] = HOOK_FROM_TUNNEL,
		[FROM_TUNNEL_BARE] = HOOK_FROM_TUNNEL,
		[TO_TUNNEL] = HOOK_TO_TUNNEL,
		[TO_WIRE] = HOOK_TO_WIRE,
	};
	struct count_question question = {.hook = entry_hooks[entry], .verdict = verdict};
	struct err err = {0};

	if (tables_read_counts(&scene.tables, count_answer, &question, &err) < 0)
		give_up("counters", &err);
	*ret_here = question.here;
	*ret_all = question.all;
}

struct drop_question {
	uint32_t verdict;
	const struct addr *source, *target;
	bool found;
};

static void drop_answer(const struct drop_key *key, const struct drop_row *row, void *context)
{
	struct drop_question *question = context;

	if (key->verdict == question->verdict && row->packets == 1 &&
		addr_equal(&key->source, question->source) &&
		addr_equal(&key->target, question->target))
		question->found = true;
}

bool scene_has_drop(uint32_t verdict, const struct addr *source, const struct addr *target)
{
	struct drop_question question = {.verdict = verdict, .source = source, .target = target};
	struct err err = {0};

	if (tables_read_drops(&scene.tables, drop_answer, &question, &err) < 0)
		give_up("drops", &err);
	return question.found;
}

uint32_t scene_masquerade(uint32_t mark)
{
	return (mark & ~scene.settings.mark_mask) | scene.settings.mark;
}

uint32_t scene_judged(uint32_t mark)
{
	return mark | (scene.settings.mark_mask & ~scene.settings.mark);
}
