/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/neighbor.h"

#include "base/mem.h"
#include "linux/family.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static struct nlmsghdr *neighbor_begin(struct netlink_batch *batch, int type, int flags,
	unsigned int tolerate, const struct neighbor *neighbor)
{
	char text[ADDR_TEXT_SIZE];
	struct nlmsghdr *message = netlink_begin(batch, type, flags, tolerate,
		"neighbor %s on device %u", addr_format(&neighbor->addr, text), neighbor->ifindex);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->ndm_family = family_number(&neighbor->addr);
	header->ndm_ifindex = (int)neighbor->ifindex;
	header->ndm_state = NUD_PERMANENT;
	family_put_addr(message, NDA_DST, &neighbor->addr);
	return message;
}

void neighbor_replace(struct netlink_batch *batch, const struct neighbor *neighbor)
{
	struct nlmsghdr *message =
		neighbor_begin(batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, 0, neighbor);

	mnl_attr_put(message, NDA_LLADDR, sizeof(neighbor->mac), neighbor->mac);
	netlink_end(batch, message);
}

void neighbor_delete(struct netlink_batch *batch, const struct neighbor *neighbor)
{
	netlink_end(
		batch, neighbor_begin(batch, RTM_DELNEIGH, 0, NETLINK_MAY_BE_MISSING, neighbor));
}

struct neighbor_walk {
	unsigned int ifindex;
	neighbor_each each;
	void *context;
};

static int neighbor_visit(const struct nlmsghdr *message, void *context)
{
	const struct neighbor_walk *walk = context;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *at[NDA_MAX + 1];
	struct neighbor neighbor = {.ifindex = (unsigned int)header->ndm_ifindex};

	if (!(header->ndm_state & NUD_PERMANENT) ||
		(walk->ifindex && walk->ifindex != neighbor.ifindex) ||
		(header->ndm_family != AF_INET && header->ndm_family != AF_INET6))
		return 0;
	netlink_read(message, sizeof(*header), at, ARRAY_SIZE(at));
	if (!at[NDA_DST] || !family_read_addr(at[NDA_DST], &neighbor.addr) || !at[NDA_LLADDR] ||
		mnl_attr_get_payload_len(at[NDA_LLADDR]) != sizeof(neighbor.mac))
		return 0;
	memcpy(neighbor.mac, mnl_attr_get_payload(at[NDA_LLADDR]), sizeof(neighbor.mac));
	return walk->each(&neighbor, walk->context);
}

int neighbor_dump(struct netlink *netlink, unsigned int ifindex, neighbor_each each, void *context,
	struct err *err)
{
	struct neighbor_walk walk = {ifindex, each, context};
	char buffer[NETLINK_MESSAGE_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	mnl_nlmsg_put_extra_header(request, sizeof(struct ndmsg));
	request->nlmsg_type = RTM_GETNEIGH;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	if (ifindex)
		mnl_attr_put_u32(request, NDA_IFINDEX, ifindex);
	return netlink_request(
		netlink, request, "reading the neighbors", neighbor_visit, &walk, err);
}

#define NUD_KNOWN (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

static int neighbor_see_state(const struct nlmsghdr *message, void *context)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);

	*(unsigned int *)context = header->ndm_state;
	return 0;
}

static int neighbor_state(struct netlink *netlink, const struct addr *addr, unsigned int ifindex,
	unsigned int *ret_state, struct err *err)
{
	char buffer[NETLINK_MESSAGE_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	int r;

	request->nlmsg_type = RTM_GETNEIGH;
	request->nlmsg_flags = NLM_F_REQUEST;
	header->ndm_family = family_number(addr);
	header->ndm_ifindex = (int)ifindex;
	family_put_addr(request, NDA_DST, addr);
	r = netlink_request(
		netlink, request, "reading a neighbor", neighbor_see_state, ret_state, err);
	return r == -ENOENT ? 0 : r;
}

int neighbor_resolve(struct netlink *netlink, const struct addr *addr, unsigned int ifindex,
	bool *ret_known, struct err *err)
{
	struct neighbor neighbor = {.addr = *addr, .ifindex = ifindex};
	_netlink_batch_ struct netlink_batch batch = {0};
	struct nlmsghdr *message;
	unsigned int state = NUD_NONE;
	struct ndmsg *header;
	int r = neighbor_state(netlink, addr, ifindex, &state, err);

	if (r < 0)
		return r;
	*ret_known = state & NUD_KNOWN;
	if (state & (NUD_KNOWN | NUD_INCOMPLETE))
		return 0;
	message = neighbor_begin(&batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, 0, &neighbor);
	header = mnl_nlmsg_get_payload(message);
	header->ndm_state = NUD_NONE;
	header->ndm_flags = NTF_USE;
	netlink_end(&batch, message);
	return netlink_commit(netlink, &batch, err);
}
