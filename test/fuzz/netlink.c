/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's answers. The first byte chooses the reader, the rest is one datagram, whose
 * messages answer whatever was asked: their sequence numbers are put right. netlink.c is
 * included for its struct, so that a socketpair can take the place of the kernel.
 */
#include "fuzz.h"

#include "linux/netlink.c"

#include "linux/address.h"
#include "linux/link.h"
#include "linux/neighbor.h"
#include "linux/qdisc.h"
#include "linux/route.h"

#include <fcntl.h>

static int each_link(const struct link_info *info, void *context)
{
	return (int)strnlen(info->name, IF_NAMESIZE) / IF_NAMESIZE + !context;
}

static int each_address(const struct address *address, void *context)
{
	return (address->addr.bytes[0] ^ address->addr.bytes[15]) + !context > 1000;
}

static int each_route(const struct route *route, void *context)
{
	return (route->destination.addr.bytes[0] ^ route->gateway.bytes[15]) + !context > 1000;
}

static int each_neighbor(const struct neighbor *neighbor, void *context)
{
	return (neighbor->addr.bytes[0] ^ neighbor->mac[5]) + !context > 1000;
}

static int each_clsact(const struct clsact *clsact, void *context)
{
	return clsact->ingress_block == 0x12345678 && !context;
}

static void netlink_commit_two(struct netlink *netlink)
{
	_netlink_batch_ struct netlink_batch batch = {0};

	link_set_up(&batch, 7, true);
	link_set_mtu(&batch, 7, 1450);
	netlink_commit(netlink, &batch, NULL);
}

static void netlink_ask(struct netlink *netlink, unsigned int what)
{
	struct block_program program;
	struct link_info info;
	struct err err;

	switch (what % 7) {
	case 0:
		link_dump(netlink, each_link, &err, &err);
		break;
	case 1:
		address_dump(netlink, 0, each_address, &err, &err);
		break;
	case 2:
		route_dump(netlink, 0, 0, each_route, &err, &err);
		break;
	case 3:
		neighbor_dump(netlink, 0, each_neighbor, &err, &err);
		break;
	case 4:
		qdisc_dump_clsact(netlink, each_clsact, &err, &err);
		break;
	case 5:
		block_find_program(netlink, 1, &program, &err);
		link_find(netlink, "eth0", &info, &err);
		break;
	default:
		netlink_commit_two(netlink);
	}
}

/* The first message answers the first request and so on; a dump is one request. */
static void netlink_number(char *data, int size, bool all_one)
{
	uint32_t sequence = 1;

	for (struct nlmsghdr *at = (struct nlmsghdr *)data; netlink_is_whole(at, size);
		at = mnl_nlmsg_next(at, &size))
		at->nlmsg_seq = all_one ? 1 : sequence++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nlmsghdr done = {sizeof(done), NLMSG_DONE, 0, 1, 0};
	struct netlink netlink = {.receive = NULL};
	_free_ char *copy = NULL;
	int pair[2];

	if (size < 1 || size > 32768 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) < 0)
		return 0;
	copy = mem_new(size, 1);
	memcpy(copy, data + 1, size - 1);
	netlink_number(copy, (int)size - 1, data[0] % 7 < 6);
	/* To the byte, so that reading behind the answer is seen. */
	netlink.receive = mem_new(size > sizeof(done) ? size : sizeof(done), 1);
	netlink.fd = pair[0];
	if (send(pair[1], copy, size - 1, 0) < 0 || send(pair[1], &done, sizeof(done), 0) < 0)
		abort();
	netlink_ask(&netlink, data[0]);
	free(netlink.receive);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
