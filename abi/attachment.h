/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

#include "abi/addr.h"

/*
 * One file per attachment in RUNDIR/attachments, named CONTAINERID:IFNAME (neither may hold ':',
 * so the name is injective). The agent writes it by temporary name and rename before ADD answers;
 * DEL reads it, also the plugin's own when no agent is there. It lives in /run: an address is in
 * use while a network namespace lives, and a reboot ends both.
 *
 * A record outlives the release that wrote it, forth and back. So members are only ever appended;
 * zero there means "not known". A reader takes a shorter record as one with zeros behind it, and
 * of a longer one the beginning; nobody writes a record again, so nothing that he does not know
 * is lost. What cannot be said in this way takes another number, and every release before refuses.
 */

#define ATTACHMENT_MAGIC 0x70775033 /* "pwP3" */
#define ATTACHMENT_ADDRESSES 2
#define ATTACHMENT_NETWORK_SIZE 128
#define ATTACHMENT_LABELS_SIZE 1024

/* As the pod sees it. */
enum direction { DIRECTION_INGRESS, DIRECTION_EGRESS, DIRECTION_MAX };

/* runtimeConfig.bandwidth of the CNI conventions. */
struct attachment_limit {
	__u64 rate; /* bits per second; 0: no limit */
	__u64 burst; /* bits, as the runtime wants it; what is set has bounds */
};

struct attachment {
	__u32 magic;
	__u32 size; /* of this record, as its writer knew it: that of the file */
	__u32 ifindex; /* of the node's side of the pair */
	char link[16]; /* its name */
	__u8 mac[6]; /* the pod's */
	__u8 host_mac[6];
	__u32 address_count;
	__u32 pad;
	struct addr addresses[ATTACHMENT_ADDRESSES];
	__u64 netns_inode; /* of the pod's namespace; 0 where unknown */
	__u64 added_ns; /* CLOCK_BOOTTIME */
	char container[256];
	char ifname[16];
	char pod_namespace[256]; /* empty for a container that is no Kubernetes pod */
	char pod_name[256];
	char pod_uid[64];
	struct attachment_limit limit[DIRECTION_MAX];
	char network[ATTACHMENT_NETWORK_SIZE]; /* the configuration's name: whose GC may remove it */
	char labels[ATTACHMENT_LABELS_SIZE]; /* args.cni.labels: "KEY=VALUE" and a line break each */
	__u64 netns_cookie; /* of the pod's namespace, once among the interfaces in it; 0: unknown */
};

#define ATTACHMENT_SIZE_FIRST 2128 /* of the first release's record; what was appended is on top */
_Static_assert(sizeof(struct attachment) == ATTACHMENT_SIZE_FIRST + 8,
	"no padding: the file is the struct");

/* Are the `bytes` that were read, at most the size of the struct, a record? */
static inline int attachment_is_whole(const struct attachment *a, long bytes)
{
	long size = a->size < sizeof(*a) ? (long)a->size : (long)sizeof(*a);

	return bytes == size && a->magic == ATTACHMENT_MAGIC &&
	       a->size >= ATTACHMENT_SIZE_FIRST && a->address_count <= ATTACHMENT_ADDRESSES;
}
