/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/address.h"

#include "base/mem.h"
#include "linux/family.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static uint8_t address_scope(const struct addr *addr)
{
	if (addr_is_loopback(addr))
		return RT_SCOPE_HOST;
	return addr_is_link_local(addr) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

static void address_append(struct netlink_batch *batch, int type, int flags, unsigned int tolerate,
	const struct address *address)
{
	char text[ADDR_TEXT_SIZE];
	struct nlmsghdr *message = netlink_begin(batch, type, flags, tolerate,
		"address %s on device %u", addr_format(&address->addr, text), address->ifindex);
	struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->ifa_family = family_number(&address->addr);
	header->ifa_prefixlen = family_length(&address->addr, address->length);
	header->ifa_scope = address_scope(&address->addr);
	header->ifa_index = address->ifindex;
	family_put_addr(message, IFA_LOCAL, &address->addr);
	family_put_addr(message, IFA_ADDRESS, &address->addr);
	if (type == RTM_NEWADDR)
		mnl_attr_put_u32(message, IFA_FLAGS,
			(address->flags & ADDRESS_NO_DAD ? IFA_F_NODAD : 0U) |
				(address->flags & ADDRESS_NO_PREFIX_ROUTE ? IFA_F_NOPREFIXROUTE
									  : 0U));
	netlink_end(batch, message);
}

void address_add(struct netlink_batch *batch, const struct address *address)
{
	address_append(batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, NETLINK_MAY_EXIST, address);
}

void address_delete(struct netlink_batch *batch, const struct address *address)
{
	address_append(batch, RTM_DELADDR, 0, NETLINK_MAY_BE_MISSING, address);
}

struct address_walk {
	unsigned int ifindex;
	address_each each;
	void *context;
};

/* On a point-to-point device IFA_ADDRESS is the peer's and IFA_LOCAL ours; IPv6 has often only one.
 */
static bool address_read(const struct nlmsghdr *message, struct address *ret)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *at[IFA_MAX + 1], *own;
	uint32_t flags;

	netlink_read(message, sizeof(*header), at, ARRAY_SIZE(at));
	own = at[IFA_LOCAL] ? at[IFA_LOCAL] : at[IFA_ADDRESS];
	if (!own || !family_read_addr(own, &ret->addr))
		return false;
	flags = at[IFA_FLAGS] ? netlink_read_u32(at[IFA_FLAGS]) : header->ifa_flags;
	ret->length = family_read_length(header->ifa_family, header->ifa_prefixlen);
	ret->ifindex = header->ifa_index;
	ret->flags = (flags & IFA_F_NODAD ? ADDRESS_NO_DAD : 0U) |
		     (flags & IFA_F_NOPREFIXROUTE ? ADDRESS_NO_PREFIX_ROUTE : 0U);
	return true;
}

static int address_visit(const struct nlmsghdr *message, void *context)
{
	const struct address_walk *walk = context;
	struct address address;

	if (!address_read(message, &address) || (walk->ifindex && walk->ifindex != address.ifindex))
		return 0;
	return walk->each(&address, walk->context);
}

int address_dump(struct netlink *netlink, unsigned int ifindex, address_each each, void *context,
	struct err *err)
{
	struct address_walk walk = {ifindex, each, context};
	char buffer[NETLINK_MESSAGE_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->ifa_index = ifindex;
	return netlink_request(
		netlink, request, "reading the addresses", address_visit, &walk, err);
}
