/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/question.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

int question_open(const char *directory, int *ret_table, struct err *err)
{
	_free_ char *path = mem_format("%s/pw_probe", directory);
	int table = bpf_obj_get(path);

	if (table < 0)
		return err_system(err, errno, "opening the table pinned at %s", path);
	*ret_table = table;
	return 0;
}

union question_end {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t question_end_set(union question_end *end, const struct addr *addr, uint16_t port)
{
	*end = (union question_end){0};
	if (addr_is_v4(addr)) {
		end->v4 = (struct sockaddr_in){.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = addr->words[3]};
		return sizeof(end->v4);
	}
	end->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	memcpy(&end->v6.sin6_addr, addr, sizeof(*addr));
	return sizeof(end->v6);
}

static int question_send(const struct addr *own, const struct addr *other,
	const struct probe *probe, struct err *err)
{
	bool v4 = addr_is_v4(own);
	_close_ int fd =
		socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	union question_end from, to;
	socklen_t length = question_end_set(&from, own, 0);
	int ttl = PROBE_TTL;

	if (fd < 0 ||
		setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_UNICAST_HOPS,
			&ttl, sizeof(ttl)) < 0 ||
		bind(fd, &from.any, length) < 0)
		return err_system(err, errno, "a socket for probes");
	question_end_set(&to, other, PROBE_PORT);
	if (sendto(fd, probe, sizeof(*probe), 0, &to.any, length) < 0)
		return err_system(err, errno, "sending a probe");
	return 0;
}

static struct probe_row question_row(const struct path *path)
{
	return (struct probe_row){.next = path->next, .way = path->way};
}

int question_ask(int table, const struct path *path, const struct addr *own, struct err *err)
{
	struct probe probe = {.magic = htonl(PROBE_MAGIC),
		.version = PROBE_VERSION,
		.kind = PROBE_QUESTION};
	struct probe_row row = question_row(path);

	if (getrandom(&row.nonce, sizeof(row.nonce), 0) != sizeof(row.nonce))
		return err_system(err, errno, "a nonce");
	row.nonce |= 1; /* 0 waits for nothing */
	probe.nonce = row.nonce;
	if (bpf_map_update_elem(table, &path->router, &row, BPF_ANY) < 0)
		return err_system(err, errno, "writing a row of the table pw_probe");
	return question_send(own, &path->router, &probe, err);
}

bool question_is_answered(int table, const struct addr *router, bool *ret_taken)
{
	struct probe_row row;

	if (bpf_map_lookup_elem(table, router, &row) < 0 || !row.answered)
		return false;
	*ret_taken = row.flags & PROBE_TAKEN;
	return true;
}

void question_keep(int table, const struct path *path)
{
	struct probe_row row = question_row(path);

	bpf_map_update_elem(table, &path->router, &row, BPF_ANY);
}

enum path_way question_way(int table, const struct addr *router, const struct addr *next)
{
	struct probe_row row;

	if (bpf_map_lookup_elem(table, router, &row) < 0 || !addr_equal(&row.next, next) ||
		row.way >= PATH_WAY_MAX)
		return PATH_TUNNEL;
	return (enum path_way)row.way;
}

void question_forget(int table, const struct addr *router)
{
	bpf_map_delete_elem(table, router);
}
