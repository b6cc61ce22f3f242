/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "linux/helper.h"
#include "linux/netlink.h"

#include <net/if.h>

/* Network devices: made, changed and deleted in batches; found by a dump or by name. */

#define LINK_MAC_SIZE 6

/*
 * A pair of devices, the peer born in another namespace: names and hardware addresses are given in
 * the message that creates it (udev rewrites them otherwise, and nothing is ever half-made). A
 * second message sets the near side up, without an IPv6 link-local address; the far side waits for
 * link_set_up_bare. One queue each: a veth sends without a queue's lock, and the kernel's default
 * of one per processor costs two directories in sysfs each.
 */
struct link_veth {
	char name[IF_NAMESIZE];
	char peer_name[IF_NAMESIZE];
	unsigned char mac[LINK_MAC_SIZE];
	unsigned char peer_mac[LINK_MAC_SIZE];
	int peer_netns; /* descriptor of the namespace, -1: this one */
	unsigned int mtu; /* of both; 0: the kernel's default */
	unsigned int group; /* of the near side; 0: the default group */
};
void link_add_veth(struct netlink_batch *batch, const struct link_veth *veth);

/*
 * VXLAN in external mode: the programs set and read the tunnel key of each packet, one device
 * serves all peers, networks and both underlay families. No learning; zero UDP checksums are
 * accepted over IPv6 too (RFC 6935), because a sender may choose them. It asks nobody for a
 * hardware address: the programs know where everything is.
 */
struct link_vxlan {
	char name[IF_NAMESIZE];
	unsigned int port; /* of UDP */
	unsigned int mtu; /* 0: the kernel's default */
};
void link_add_vxlan(struct netlink_batch *batch, const struct link_vxlan *vxlan);

/* Without an IPv6 link-local address, for a device that is not up yet. */
void link_set_bare(struct netlink_batch *batch, unsigned int ifindex);
void link_set_up(struct netlink_batch *batch, unsigned int ifindex, bool up);
/* Up without an IPv6 link-local address: for the far side, in the namespace where it is. */
void link_set_up_bare(struct netlink_batch *batch, unsigned int ifindex);
void link_set_mtu(struct netlink_batch *batch, unsigned int ifindex, unsigned int mtu);
void link_set_mac(struct netlink_batch *batch, unsigned int ifindex,
	const unsigned char mac[LINK_MAC_SIZE]);
void link_set_name(struct netlink_batch *batch, unsigned int ifindex, const char *name);
void link_set_group(struct netlink_batch *batch, unsigned int ifindex, unsigned int group);

/*
 * Deleting a device that has gone is no error. The kernel blocks the caller 20 ms for RCU, per
 * message: not for the loop (link_bury).
 */
void link_delete(struct netlink_batch *batch, unsigned int ifindex);
void link_delete_name(struct netlink_batch *batch, const char *name);
/* All devices of the group in this namespace; `group` must not be 0, where all others are. */
void link_delete_group(struct netlink_batch *batch, unsigned int group);

/* Deletes the group by a helper, in the caller's namespace: see helper.h for what follows. */
int link_bury(unsigned int group, struct helper *ret_helper, struct err *err);

struct link_info {
	unsigned int ifindex;
	char name[IF_NAMESIZE];
	char kind[16]; /* "veth", "vxlan", ...; empty for what has none, as hardware */
	unsigned char mac[LINK_MAC_SIZE]; /* zero where the address has another size */
	unsigned int mtu;
	unsigned int group;
	unsigned int type; /* ARPHRD_ETHER and others of <net/if_arp.h> */
	bool up; /* by the administrator; the carrier is another matter */
	bool carrier;
	bool loopback;
	unsigned int peer_ifindex; /* of a veth, in its namespace; of a VLAN its device; 0: none */
	int netns_id; /* of the peer's namespace as this one knows it, -1: this one */
	unsigned int vxlan_port; /* of a VXLAN device, host order */
	bool vxlan_external;
};

/* -ENODEV where there is none. */
int link_find(struct netlink *netlink, const char *name, struct link_info *ret_info,
	struct err *err);
int link_find_index(struct netlink *netlink, unsigned int ifindex, struct link_info *ret_info,
	struct err *err);

typedef int (*link_each)(const struct link_info *info, void *context);
int link_dump(struct netlink *netlink, link_each each, void *context, struct err *err);
