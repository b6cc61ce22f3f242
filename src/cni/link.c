/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include "abi/attachment.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Both ends of a pair go with either of them, so the one that can be reached is removed. */

#define LINK_REPLY_SIZE 16384 /* one device with all that is said about it */

struct link_message {
	struct nlmsghdr header;
	struct ifinfomsg info;
	struct rtattr name_head; /* only where header.nlmsg_len says so */
	char name[16];
};

struct link_found {
	int ifindex;
	char name[16];
	unsigned char mac[6];
};

/* Sends and takes the one answer; its size, or -errno of the kernel. */
static ssize_t link_ask(int netlink, struct link_message *message, void *reply, size_t size)
{
	const struct nlmsghdr *answer = reply;
	const struct nlmsgerr *error = NLMSG_DATA(answer);
	ssize_t length;

	if (send(netlink, message, message->header.nlmsg_len, 0) < 0)
		return -errno;
	do
		length = recv(netlink, reply, size, 0);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	if ((size_t)length < sizeof(*answer))
		return -EBADMSG;
	return answer->nlmsg_type == NLMSG_ERROR && error->error ? error->error : length;
}

static void link_read(const struct nlmsghdr *answer, size_t size, struct link_found *ret)
{
	const struct ifinfomsg *info = NLMSG_DATA(answer);
	const struct rtattr *at = IFLA_RTA(info);
	int left = (int)(size - NLMSG_LENGTH(sizeof(*info)));

	memset(ret, 0, sizeof(*ret));
	ret->ifindex = info->ifi_index;
	for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		size_t length = RTA_PAYLOAD(at);

		if (at->rta_type == IFLA_IFNAME && length <= sizeof(ret->name))
			memcpy(ret->name, RTA_DATA(at), length);
		else if (at->rta_type == IFLA_ADDRESS && length == sizeof(ret->mac))
			memcpy(ret->mac, RTA_DATA(at), length);
	}
}

/* By number, or where that is 0 by name. */
static bool link_find(int netlink, int ifindex, const char *name, struct link_found *ret)
{
	_Alignas(struct nlmsghdr) char reply[LINK_REPLY_SIZE];
	struct link_message message = {
		.header = {.nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
		.info = {.ifi_index = ifindex},
		.name_head = {.rta_type = IFLA_IFNAME, .rta_len = RTA_LENGTH(sizeof(message.name))},
	};
	ssize_t size;

	message.header.nlmsg_len = NLMSG_LENGTH(sizeof(message.info));
	if (!ifindex) {
		message.header.nlmsg_len = sizeof(message);
		memcpy(message.name, name, strlen(name));
	}
	size = link_ask(netlink, &message, reply, sizeof(reply));
	if (size == -ENODEV)
		return false;
	if (size < 0)
		cni_fail(CNI_IO, "looking for the device %s: %s", name, strerror((int)-size));
	link_read((const struct nlmsghdr *)reply, (size_t)size, ret);
	return true;
}

static void link_delete(int netlink, const struct link_found *link)
{
	_Alignas(struct nlmsghdr) char reply[LINK_REPLY_SIZE];
	struct link_message message = {
		.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(message.info)),
			.nlmsg_type = RTM_DELLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.info = {.ifi_index = link->ifindex},
	};
	ssize_t size = link_ask(netlink, &message, reply, sizeof(reply));

	if (size < 0 && size != -ENODEV)
		cni_fail(CNI_IO, "removing the device %s: %s", link->name, strerror((int)-size));
}

/* The node's side must have the record's number and name; a pod's side the record's address. */
void link_remove(const struct cni_request *request, const struct attachment *attachment)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct link_found link;

	if (netlink < 0)
		cni_fail(CNI_IO, "a netlink socket: %s", strerror(errno));
	if (link_find(netlink, (int)attachment->ifindex, attachment->link, &link) &&
		strcmp(link.name, attachment->link) == 0)
		link_delete(netlink, &link);
	else if (request->netlink_fd >= 0 &&
		 link_find(request->netlink_fd, 0, request->ifname, &link) &&
		 memcmp(link.mac, attachment->mac, sizeof(link.mac)) == 0)
		link_delete(request->netlink_fd, &link);
}
