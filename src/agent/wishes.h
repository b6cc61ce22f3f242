/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/attachment.h"
#include "agent/cni.h"

/*
 * What a runtime wants of one interface, by the conventions of CNI: the capabilities "ips", "mac"
 * and "bandwidth" in runtimeConfig; args.cni.ips and args.cni.labels; IP= and MAC= of CNI_ARGS. Of
 * several the first named here counts, for all families of addresses together.
 */
struct cni_wishes {
	struct addr addresses[ATTACHMENT_ADDRESSES]; /* at most one of each family */
	const char *where[ATTACHMENT_ADDRESSES];     /* the field that names it */
	unsigned int address_count;
	bool has_mac;
	unsigned char mac[6];
	struct attachment_limit limit[DIRECTION_MAX];
	char network[ATTACHMENT_NETWORK_SIZE];
	char labels[ATTACHMENT_LABELS_SIZE];
};

/* -EINVAL with *error filled: it names the field and what would be right. */
int cni_wishes_read(
	const struct cni_request *request, struct cni_wishes *ret_wishes, struct cni_error *error);

/* The configuration's name, as section "Network configuration" of the specification has it. */
int cni_network_read(const struct cni_request *request, char network[ATTACHMENT_NETWORK_SIZE],
	struct cni_error *error);
