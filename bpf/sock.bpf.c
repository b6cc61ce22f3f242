// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Services in the socket's call. A TCP connection to a Service becomes one to a backend before
 * there is a packet, so no packet of it is ever rewritten; getpeername goes on to say the
 * Service. Datagrams keep the Service's address here and are translated one by one on their way,
 * so that the next one finds a living backend; only what can reach nobody is refused at once.
 *
 * Datagrams of the node's own processes are translated on their way to the tunnel's device, where
 * the Service ranges are routed to. What they send to other frontends, a node port or the address
 * of a load balancer, is sent to the cluster address of the same port instead, and what comes from
 * there is named as they called it.
 *
 * The programs sit on a cgroup and see sockets of many network namespaces. They act for those in
 * pw_netns alone: others may use the same ranges for Services of their own.
 */
#include <linux/errno.h>
#include <linux/in.h>

#include "bpf/service.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SOCK_TRIES 2 /* rows that are being changed are new ones at the second look */

enum sock_verdict { SOCK_LEAVE, SOCK_REFUSE, SOCK_TRANSLATE };

/* A call on a socket: for whom, and where to. */
struct sock_call {
	const struct netns_row *netns;
	struct addr addr; /* of the frontend; afterwards of what takes its place */
	__be16 port;
	__u8 protocol;
	bool sends; /* a datagram; else it connects */
	__u32 hash; /* for the choice of a backend */
};

static __always_inline bool sock_is_loopback(const struct addr *addr)
{
	if (addr_is_v4(addr))
		return addr->words[3] == __builtin_bswap32(INADDR_LOOPBACK);
	return addr->halves[0] == 0 && addr->halves[1] == __builtin_bswap64(1);
}

/*
 * A port that the Service does not have. Of UDP it may be meant all the same: resolvers connect to
 * any port, to see which source an address would have (RFC 6724); and who is his own backend
 * answers a client's port at the Service's address. So datagrams are refused on their way.
 */
static __always_inline const struct service_row *sock_service_without_port(
	const struct sock_call *call)
{
	if (call->protocol != IPPROTO_TCP)
		return NULL;
	return service_at(&call->addr, 0, 0, SERVICE_VIRTUAL);
}

/* Whose the address is decides which kind of frontend it can be. NULL: of no Service. */
static __always_inline const struct service_row *sock_service(const struct sock_call *call)
{
	const struct service_row *row;
	const struct node_row *node;

	if (sock_is_loopback(&call->addr)) {
		if (!(call->netns->flags & NETNS_HOST))
			return NULL; /* a pod's own */
		node = bpf_map_lookup_elem(&pw_node, &call->addr);
		return service_at_node(
			&call->addr, call->port, call->protocol, node, SERVICE_OWN_NODE);
	}
	row = service_at(&call->addr, call->port, call->protocol, SERVICE_VIRTUAL);
	if (row)
		return row;
	node = bpf_map_lookup_elem(&pw_node, &call->addr);
	if (!node)
		return sock_service_without_port(call);
	return service_of_node(&call->addr, call->port, call->protocol, node);
}

/* Where datagrams go, unless a backend must be chosen for them. */
static __always_inline bool sock_leaves_to_packets(
	const struct sock_call *call, const struct service_row *row)
{
	if (call->protocol != IPPROTO_UDP)
		return false;
	if (!(call->netns->flags & NETNS_HOST)) /* what a pod sends is translated anyway */
		return true;
	return row->cluster_port == call->port && addr_equal(&row->cluster, &call->addr);
}

static __always_inline enum sock_verdict sock_try(struct sock_call *call, bool *ret_again)
{
	const struct service_row *row = sock_service(call);
	const struct backend_row *backend;
	struct addr client;

	*ret_again = false;
	if (!row)
		return SOCK_LEAVE;
	if (addr_is_v4(&call->addr))
		client = call->netns->client[SETTINGS_IPV4];
	else
		client = call->netns->client[SETTINGS_IPV6];
	if (!service_admits(row, &client))
		return SOCK_LEAVE; /* the packet path drops it, silently */
	if (!row->inside.count)
		return row->inside.answer == SERVICE_DROP ? SOCK_LEAVE : SOCK_REFUSE;
	if (sock_leaves_to_packets(call, row))
		return SOCK_LEAVE;
	if (row->cluster_port) {
		call->addr = row->cluster;
		call->port = row->cluster_port;
		return SOCK_TRANSLATE;
	}
	backend = service_choose(row, &row->inside, &client, call->hash);
	if (!backend) {
		*ret_again = true;
		return SOCK_REFUSE;
	}
	service_count(row->port, &call->addr, 0);
	call->addr = backend->addr;
	call->port = backend->port;
	return SOCK_TRANSLATE;
}

static __always_inline enum sock_verdict sock_decide(
	struct sock_call *call, struct bpf_sock_addr *context)
{
	__u64 cookie = bpf_get_netns_cookie(context);
	enum sock_verdict verdict = SOCK_LEAVE;
	bool again = true;
	int i;

	call->netns = bpf_map_lookup_elem(&pw_netns, &cookie);
	if (!call->netns)
		return SOCK_LEAVE;
	call->port = (__be16)context->user_port;
	call->protocol = (__u8)context->protocol;
	if (call->protocol != IPPROTO_TCP && call->protocol != IPPROTO_UDP)
		return SOCK_LEAVE;
	/* All datagrams of a socket to one backend, while the list is the same. */
	call->hash = call->protocol == IPPROTO_TCP ? bpf_get_prandom_u32()
						   : (__u32)bpf_get_socket_cookie(context);
	for (i = 0; i < SOCK_TRIES && again; i++)
		verdict = sock_try(call, &again);
	return verdict;
}

/* What a program of the hook returns: 1 goes on, 0 fails with what was set. */
static __always_inline int sock_end(enum sock_verdict verdict)
{
	if (verdict != SOCK_REFUSE)
		return 1;
	bpf_set_retval(-ECONNREFUSED);
	return 0;
}

static __always_inline bool sock_row_is_of(
	const struct socket_row *row, const struct addr *peer, __be16 port)
{
	return addr_equal(&row->backend, peer) && row->backend_port == port;
}

static __always_inline void sock_sent_key(struct bpf_sock_addr *context, const struct addr *peer,
	__be16 port, struct sent_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->socket = bpf_get_socket_cookie(context);
	key->backend = *peer;
	key->backend_port = port;
}

static __always_inline void sock_remember(struct bpf_sock_addr *context,
	const struct addr *frontend, __be16 port, const struct sock_call *call)
{
	struct socket_row row = {.frontend = *frontend,
		.backend = call->addr,
		.frontend_port = port,
		.backend_port = call->port};
	struct sent_row sent = {.frontend = *frontend, .frontend_port = port};
	struct socket_row *held = bpf_sk_storage_get(
		&pw_socket, context->sk, &row, BPF_SK_STORAGE_GET_F_CREATE);
	struct sent_key key;

	if (!held)
		return;
	if (!call->sends || sock_row_is_of(held, &call->addr, call->port)) {
		*held = row; /* one that was connected before has a row */
		return;
	}
	sock_sent_key(context, &call->addr, call->port, &key);
	bpf_map_update_elem(&pw_sent, &key, &sent, BPF_ANY);
}

/* Connected to what it has called: what was remembered of its peer before may have the same address. */
static __always_inline void sock_forget(struct bpf_sock_addr *context)
{
	struct socket_row *held = bpf_sk_storage_get(&pw_socket, context->sk, 0, 0);

	if (held)
		held->backend_port = 0;
}

/* What the caller has called this peer of his. False: by its own address. */
static __always_inline bool sock_name(
	struct bpf_sock_addr *context, struct addr *peer, __be16 *port)
{
	const struct socket_row *row = bpf_sk_storage_get(&pw_socket, context->sk, 0, 0);
	const struct sent_row *sent;
	struct sent_key key;

	if (!row)
		return false;
	if (sock_row_is_of(row, peer, *port)) {
		*peer = row->frontend;
		*port = row->frontend_port;
		return true;
	}
	sock_sent_key(context, peer, *port, &key);
	sent = bpf_map_lookup_elem(&pw_sent, &key);
	if (!sent)
		return false;
	*peer = sent->frontend;
	*port = sent->frontend_port;
	return true;
}

static __always_inline void sock_read4(struct bpf_sock_addr *context, struct addr *ret_addr)
{
	addr_set_v4(ret_addr, context->user_ip4);
}

static __always_inline void sock_read6(struct bpf_sock_addr *context, struct addr *ret_addr)
{
	ret_addr->words[0] = context->user_ip6[0];
	ret_addr->words[1] = context->user_ip6[1];
	ret_addr->words[2] = context->user_ip6[2];
	ret_addr->words[3] = context->user_ip6[3];
}

static __always_inline void sock_write4(
	struct bpf_sock_addr *context, const struct addr *addr, __be16 port)
{
	context->user_ip4 = addr->words[3];
	context->user_port = port;
}

static __always_inline void sock_write6(
	struct bpf_sock_addr *context, const struct addr *addr, __be16 port)
{
	context->user_ip6[0] = addr->words[0];
	context->user_ip6[1] = addr->words[1];
	context->user_ip6[2] = addr->words[2];
	context->user_ip6[3] = addr->words[3];
	context->user_port = port;
}

static __always_inline int sock_call4(struct bpf_sock_addr *context, bool sends)
{
	__be16 port = (__be16)context->user_port;
	struct sock_call call = {.sends = sends};
	enum sock_verdict verdict;
	struct addr frontend;

	sock_read4(context, &frontend);
	call.addr = frontend;
	verdict = sock_decide(&call, context);
	if (verdict == SOCK_TRANSLATE) {
		sock_remember(context, &frontend, port, &call);
		sock_write4(context, &call.addr, call.port);
	} else if (!sends) {
		sock_forget(context);
	}
	return sock_end(verdict);
}

static __always_inline int sock_call6(struct bpf_sock_addr *context, bool sends)
{
	__be16 port = (__be16)context->user_port;
	struct sock_call call = {.sends = sends};
	enum sock_verdict verdict;
	struct addr frontend;

	sock_read6(context, &frontend);
	call.addr = frontend;
	verdict = sock_decide(&call, context);
	if (verdict == SOCK_TRANSLATE) {
		sock_remember(context, &frontend, port, &call);
		sock_write6(context, &call.addr, call.port);
	} else if (!sends) {
		sock_forget(context);
	}
	return sock_end(verdict);
}

static __always_inline int sock_name4(struct bpf_sock_addr *context)
{
	__be16 port = (__be16)context->user_port;
	struct addr peer;

	sock_read4(context, &peer);
	if (sock_name(context, &peer, &port))
		sock_write4(context, &peer, port);
	return 1;
}

static __always_inline int sock_name6(struct bpf_sock_addr *context)
{
	__be16 port = (__be16)context->user_port;
	struct addr peer;

	sock_read6(context, &peer);
	if (sock_name(context, &peer, &port))
		sock_write6(context, &peer, port);
	return 1;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *context)
{
	return sock_call4(context, false);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *context)
{
	return sock_call6(context, false);
}

/* Datagrams of a socket that is not connected, or to another address than its peer's. */
SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *context)
{
	return sock_call4(context, true);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *context)
{
	return sock_call6(context, true);
}

/* Where a datagram came from. */
SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *context)
{
	return sock_name4(context);
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *context)
{
	return sock_name6(context);
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *context)
{
	return sock_name4(context);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *context)
{
	return sock_name6(context);
}
