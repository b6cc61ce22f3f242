/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/programs.h"

#include "base/log.h"
#include "base/mem.h"
#include "layout.h"
#include "linux/cgroup.h"
#include "linux/migrate.h"
#include "pod.skel.h"
#include "sock.skel.h"
#include "tunnel.skel.h"
#include "wire.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* linux/bpf.h of Debian 12 is older than TCX. */
#define BPF_TCX_INGRESS_ 46
#define BPF_TCX_EGRESS_ 47

/* Held by a descriptor, too: who removes its pin does not detach it while the agent lives. */
struct program_link {
	enum program program;
	unsigned int ifindex; /* 0: on a cgroup */
	int fd;
};

struct programs {
	struct pod_bpf *pod;
	struct wire_bpf *wire;
	struct wire_bpf *wire_bare;
	struct tunnel_bpf *tunnel;
	struct sock_bpf *sock;
	struct err sock_refused; /* why there is none */
	char links[PATH_MAX], tables[PATH_MAX]; /* directories of pins */
	int fd[PROGRAM_MAX]; /* borrowed from the objects above */
	struct program_link *link;
	size_t link_count, link_capacity;
};

static const char *const program_names[] = {
	[PROGRAM_FROM_POD] = "from_pod",
	[PROGRAM_TO_POD] = "to_pod",
	[PROGRAM_FROM_WIRE] = "from_wire",
	[PROGRAM_FROM_WIRE_BARE] = "from_wire_bare",
	[PROGRAM_TO_WIRE] = "to_wire",
	[PROGRAM_TO_WIRE_BARE] = "to_wire_bare",
	[PROGRAM_FROM_TUNNEL] = "from_tunnel",
	[PROGRAM_TO_TUNNEL] = "to_tunnel",
	[PROGRAM_CONNECT4] = "connect4",
	[PROGRAM_CONNECT6] = "connect6",
	[PROGRAM_SENDMSG4] = "sendmsg4",
	[PROGRAM_SENDMSG6] = "sendmsg6",
	[PROGRAM_RECVMSG4] = "recvmsg4",
	[PROGRAM_RECVMSG6] = "recvmsg6",
	[PROGRAM_GETPEERNAME4] = "getpeername4",
	[PROGRAM_GETPEERNAME6] = "getpeername6",
};
_Static_assert(ARRAY_SIZE(program_names) == PROGRAM_MAX, "a name for each program");

/* Where a program is attached to a cgroup. */
static const enum bpf_attach_type cgroup_hooks[PROGRAM_MAX] = {
	[PROGRAM_CONNECT4] = BPF_CGROUP_INET4_CONNECT,
	[PROGRAM_CONNECT6] = BPF_CGROUP_INET6_CONNECT,
	[PROGRAM_SENDMSG4] = BPF_CGROUP_UDP4_SENDMSG,
	[PROGRAM_SENDMSG6] = BPF_CGROUP_UDP6_SENDMSG,
	[PROGRAM_RECVMSG4] = BPF_CGROUP_UDP4_RECVMSG,
	[PROGRAM_RECVMSG6] = BPF_CGROUP_UDP6_RECVMSG,
	[PROGRAM_GETPEERNAME4] = BPF_CGROUP_INET4_GETPEERNAME,
	[PROGRAM_GETPEERNAME6] = BPF_CGROUP_INET6_GETPEERNAME,
};

const char *program_name(enum program program)
{
	return program_names[program];
}

int programs_fd(const struct programs *programs, enum program program)
{
	return programs->fd[program];
}

unsigned int programs_id(const struct programs *programs, enum program program)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(programs->fd[program], &info, &size) < 0)
		return 0;
	return info.id;
}

const char *programs_table_directory(const char *directory)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, LAYOUT_HASH);
	return path;
}

/* libbpf explains at length why a load failed; that is what a bug report needs. */
static int programs_libbpf_print(enum libbpf_print_level level, const char *format, va_list list)
{
	_free_ char *text = NULL;

	if (level != LIBBPF_WARN)
		return 0;
	text = mem_vformat(format, list);
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		log_warning("%s", line);
	}
	return 0;
}

static bool programs_is_hash(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH;
}

static int programs_share_table(
	struct bpf_map *map, const struct programs_options *options, struct err *err)
{
	const char *name = bpf_map__name(map);
	const char *tables = programs_table_directory(options->directory);
	_free_ char *path = mem_format("%s/%s", tables, name);
	struct bpf_map_info form = {.type = bpf_map__type(map),
		.key_size = bpf_map__key_size(map),
		.value_size = bpf_map__value_size(map),
		.max_entries = bpf_map__max_entries(map),
		.map_flags = bpf_map__map_flags(map)};
	_close_ int pinned = -1;
	__u32 size = sizeof(form);
	int r;

	if (bpf_map__set_pin_path(map, path) < 0)
		return err_system(err, errno, "table %s", name);
	if (strcmp(name, "pw_flow") == 0)
		bpf_map__set_max_entries(map, options->flow_entries);
	if (options->table_entries && programs_is_hash(bpf_map__type(map)))
		bpf_map__set_max_entries(map, options->table_entries);
	snprintf(form.name, sizeof(form.name), "%s", name);
	r = migrate_share(options->directory, tables, &form, err);
	if (r < 0)
		return r;
	/* A table that lives keeps its size: its flows are worth more than a setting. */
	pinned = bpf_obj_get(path);
	if (pinned >= 0 && bpf_obj_get_info_by_fd(pinned, &form, &size) == 0)
		bpf_map__set_max_entries(map, form.max_entries);
	return 0;
}

/* Every table is pinned by its name: the first object that loads makes it, the others share it. */
static int programs_share_tables(
	struct bpf_object *object, const struct programs_options *options, struct err *err)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, object)
		if (r == 0 && !bpf_map__is_internal(map))
			r = programs_share_table(map, options, err);
	return r;
}

static int programs_load_object(struct bpf_object *object, const char *what,
	const struct programs_options *options, struct err *err)
{
	int r = programs_share_tables(object, options, err);

	if (r < 0)
		return r;
	r = bpf_object__load(object);
	if (r < 0)
		return err_system(err, -r,
			"the kernel refused the %s programs (its reasons are in the log)", what);
	return 0;
}

static int programs_load_all(
	struct programs *programs, const struct programs_options *options, struct err *err)
{
	int r;

	programs->pod = pod_bpf__open();
	programs->wire = wire_bpf__open();
	programs->wire_bare = wire_bpf__open();
	programs->tunnel = tunnel_bpf__open();
	if (!programs->pod || !programs->wire || !programs->wire_bare || !programs->tunnel)
		return err_system(err, errno, "opening the programs built into this binary");
	programs->wire_bare->rodata->packet_l2 = 0;
	r = programs_load_object(programs->pod->obj, "pod", options, err);
	if (r == 0)
		r = programs_load_object(programs->wire->obj, "wire", options, err);
	if (r == 0)
		r = programs_load_object(programs->wire_bare->obj, "wire", options, err);
	if (r == 0)
		r = programs_load_object(programs->tunnel->obj, "tunnel", options, err);
	if (r < 0)
		return r;
	programs->fd[PROGRAM_FROM_POD] = bpf_program__fd(programs->pod->progs.from_pod);
	programs->fd[PROGRAM_TO_POD] = bpf_program__fd(programs->pod->progs.to_pod);
	programs->fd[PROGRAM_FROM_WIRE] = bpf_program__fd(programs->wire->progs.from_wire);
	programs->fd[PROGRAM_FROM_WIRE_BARE] =
		bpf_program__fd(programs->wire_bare->progs.from_wire);
	programs->fd[PROGRAM_TO_WIRE] = bpf_program__fd(programs->wire->progs.to_wire);
	programs->fd[PROGRAM_TO_WIRE_BARE] = bpf_program__fd(programs->wire_bare->progs.to_wire);
	programs->fd[PROGRAM_FROM_TUNNEL] = bpf_program__fd(programs->tunnel->progs.from_tunnel);
	programs->fd[PROGRAM_TO_TUNNEL] = bpf_program__fd(programs->tunnel->progs.to_tunnel);
	return 0;
}

/* A kernel without these hooks has all else that we need. */
static void programs_load_sock(
	struct programs *programs, const struct programs_options *options)
{
	struct sock_bpf *sock = sock_bpf__open();

	if (!sock) {
		err_system(&programs->sock_refused, errno, "opening the socket programs");
		return;
	}
	if (programs_load_object(sock->obj, "socket", options, &programs->sock_refused) < 0) {
		sock_bpf__destroy(sock);
		return;
	}
	programs->sock = sock;
	programs->fd[PROGRAM_CONNECT4] = bpf_program__fd(sock->progs.connect4);
	programs->fd[PROGRAM_CONNECT6] = bpf_program__fd(sock->progs.connect6);
	programs->fd[PROGRAM_SENDMSG4] = bpf_program__fd(sock->progs.sendmsg4);
	programs->fd[PROGRAM_SENDMSG6] = bpf_program__fd(sock->progs.sendmsg6);
	programs->fd[PROGRAM_RECVMSG4] = bpf_program__fd(sock->progs.recvmsg4);
	programs->fd[PROGRAM_RECVMSG6] = bpf_program__fd(sock->progs.recvmsg6);
	programs->fd[PROGRAM_GETPEERNAME4] = bpf_program__fd(sock->progs.getpeername4);
	programs->fd[PROGRAM_GETPEERNAME6] = bpf_program__fd(sock->progs.getpeername6);
}

static int programs_make_directory(const char *path, struct err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_system(err, errno, "%s", path);
	return 0;
}

static int programs_make_directories(const struct programs *programs, struct err *err)
{
	int r = programs_make_directory(programs->tables, err);

	return r < 0 ? r : programs_make_directory(programs->links, err);
}

int programs_load(
	const struct programs_options *options, struct programs **ret_programs, struct err *err)
{
	_cleanup_(programs_free) struct programs *programs = mem_new(1, sizeof(*programs));
	int r;

	libbpf_set_print(programs_libbpf_print);
	snprintf(programs->links, sizeof(programs->links), "%s/links", options->directory);
	snprintf(programs->tables, sizeof(programs->tables), "%s",
		programs_table_directory(options->directory));
	r = programs_make_directories(programs, err);
	if (r == 0)
		r = programs_load_all(programs, options, err);
	if (r < 0)
		return r;
	programs_load_sock(programs, options);
	*ret_programs = TAKE_PTR(programs);
	return 0;
}

void programs_free(struct programs **programs)
{
	if (!*programs)
		return;
	pod_bpf__destroy((*programs)->pod);
	wire_bpf__destroy((*programs)->wire);
	wire_bpf__destroy((*programs)->wire_bare);
	tunnel_bpf__destroy((*programs)->tunnel);
	sock_bpf__destroy((*programs)->sock);
	for (size_t i = 0; i < (*programs)->link_count; i++)
		close((*programs)->link[i].fd);
	free((*programs)->link);
	free(*programs);
	*programs = NULL;
}

/* By number: a device's name may change, and may have a dot, which bpffs refuses. */
static char *link_path(const struct programs *programs, enum program program, unsigned int ifindex)
{
	return mem_format("%s/%s:%u", programs->links, program_names[program], ifindex);
}

static struct program_link *link_hold(
	struct programs *programs, enum program program, unsigned int ifindex, int fd)
{
	struct program_link *link;

	programs->link = mem_grow(programs->link, &programs->link_capacity,
		programs->link_count + 1, sizeof(*programs->link));
	link = &programs->link[programs->link_count++];
	*link = (struct program_link){.program = program, .ifindex = ifindex, .fd = fd};
	return link;
}

static void link_let_go(struct programs *programs, struct program_link *link)
{
	close(link->fd);
	*link = programs->link[--programs->link_count];
}

/* The link that is held, or was pinned by an agent before us; NULL: there is none. */
static struct program_link *link_get(
	struct programs *programs, enum program program, unsigned int ifindex, const char *path)
{
	int fd;

	for (size_t i = 0; i < programs->link_count; i++)
		if (programs->link[i].program == program && programs->link[i].ifindex == ifindex)
			return &programs->link[i];
	fd = bpf_obj_get(path);
	return fd < 0 ? NULL : link_hold(programs, program, ifindex, fd);
}

int programs_attach(struct programs *programs, enum program program,
	enum program_direction direction, const char *device, unsigned int ifindex,
	struct err *err)
{
	_free_ char *path = link_path(programs, program, ifindex);
	int hook = direction == PROGRAM_INGRESS ? BPF_TCX_INGRESS_ : BPF_TCX_EGRESS_;
	struct program_link *link = link_get(programs, program, ifindex, path);
	int fd;

	if (link && bpf_link_update(link->fd, programs->fd[program], NULL) < 0) {
		unlink(path); /* its device has gone, or somebody has detached it */
		link_let_go(programs, link);
		link = NULL;
	}
	if (link && access(path, F_OK) == 0)
		return 0;
	if (!link) {
		fd = bpf_link_create(programs->fd[program], (int)ifindex,
			(enum bpf_attach_type)hook, NULL);
		if (fd < 0)
			return err_system(err, errno, "attaching %s to %s", program_names[program],
				device);
		link = link_hold(programs, program, ifindex, fd);
	}
	if (bpf_obj_pin(link->fd, path) < 0)
		return err_system(err, errno, "pinning the link at %s", path);
	return 1;
}

static int map_keep_pin(struct bpf_map *map, struct err *err)
{
	const char *path = bpf_map__pin_path(map);

	if (!path || access(path, F_OK) == 0)
		return 0;
	if (bpf_obj_pin(bpf_map__fd(map), path) < 0)
		return err_system(err, errno, "pinning the table at %s", path);
	return 1;
}

int programs_keep_tables(struct programs *programs, struct err *err)
{
	struct bpf_object *const objects[] = {programs->pod->obj, programs->wire->obj,
		programs->tunnel->obj, programs->sock ? programs->sock->obj : NULL};
	int count = 0, r = programs_make_directories(programs, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		struct bpf_map *map;

		if (!objects[i])
			continue;
		bpf_object__for_each_map(map, objects[i])
		{
			r = map_keep_pin(map, err);
			if (r < 0)
				return r;
			count += r;
		}
	}
	return count;
}

static bool link_is_on_cgroup(int link, uint64_t cgroup)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(link, &info, &size) == 0 && info.cgroup.cgroup_id == cgroup;
}

/* The old link stays open until there is a new one, so that no call goes between them. */
static int programs_attach_hook(
	struct programs *programs, enum program program, int cgroup, struct err *err)
{
	_free_ char *path = mem_format("%s/%s", programs->links, program_names[program]);
	struct program_link *link = link_get(programs, program, 0, path);
	int fd = programs->fd[program], made;

	if (!link || !link_is_on_cgroup(link->fd, cgroup_id(cgroup)) ||
		bpf_link_update(link->fd, fd, NULL) < 0) {
		made = bpf_link_create(fd, cgroup, cgroup_hooks[program], NULL);
		if (made < 0)
			return err_system(err, errno, "attaching %s", program_names[program]);
		unlink(path);
		if (link)
			link_let_go(programs, link);
		link = link_hold(programs, program, 0, made);
	}
	if (access(path, F_OK) == 0)
		return 0;
	if (bpf_obj_pin(link->fd, path) < 0)
		return err_system(err, errno, "pinning the link at %s", path);
	return 1;
}

int programs_attach_cgroup(struct programs *programs, const char *directory, struct err *err)
{
	_close_ int cgroup = -1;
	int count = 0, r;

	if (!programs->sock)
		return err_set(err, programs->sock_refused.code, "%s", programs->sock_refused.text);
	r = cgroup_open(directory, &cgroup, err);
	for (enum program program = PROGRAM_CONNECT4; program < PROGRAM_MAX && r >= 0; program++) {
		r = programs_attach_hook(programs, program, cgroup, err);
		count += r > 0;
	}
	return r < 0 ? err_wrap(err, "cgroup %s", directory) : count;
}

/* A release that has more programs, or other ones, leaves links that we would never swap. */
static int link_has_our_name(const char *link)
{
	size_t length = strcspn(link, ":");

	for (int i = 0; i < PROGRAM_MAX; i++)
		if (strlen(program_names[i]) == length &&
			memcmp(program_names[i], link, length) == 0)
			return 1;
	return 0;
}

static void links_let_go(
	struct programs *programs, int (*keep)(const char *link, void *context), void *context)
{
	for (size_t i = programs->link_count; i-- > 0;) {
		struct program_link *link = &programs->link[i];
		_free_ char *name = mem_format("%s:%u", program_names[link->program], link->ifindex);

		if (link->ifindex && !keep(name, context))
			link_let_go(programs, link);
	}
}

void programs_detach(
	struct programs *programs, int (*keep)(const char *link, void *context), void *context)
{
	DIR *entries = opendir(programs->links);
	struct dirent *entry;

	links_let_go(programs, keep, context);
	if (!entries)
		return;
	while ((entry = readdir(entries))) {
		if (entry->d_name[0] == '.' ||
			(link_has_our_name(entry->d_name) && keep(entry->d_name, context)))
			continue;
		unlinkat(dirfd(entries), entry->d_name, 0);
	}
	closedir(entries);
}
