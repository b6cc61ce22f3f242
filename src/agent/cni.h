/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/cni.h"
#include "base/err.h"
#include "base/text.h"
#include "net/addr.h"

#include <jansson.h>

/*
 * The Container Network Interface specification, 0.3.1 to 1.1.0: requests in, results and errors
 * out. Effects are elsewhere (pods.c).
 */

enum cni_version {
	CNI_VERSION_0_3_1,
	CNI_VERSION_0_4_0,
	CNI_VERSION_1_0_0,
	CNI_VERSION_1_1_0,
	CNI_VERSION_MAX
};

enum cni_command { CNI_ADD, CNI_DEL, CNI_CHECK, CNI_STATUS, CNI_GC, CNI_COMMAND_MAX };

struct cni_request {
	enum cni_command command;
	enum cni_version version;
	const char *container, *netns, *ifname; /* borrowed from the request's tree */
	json_t *config;				/* owned */
	/* Of CNI_ARGS; empty: not given. */
	char pod_namespace[256], pod_name[256], pod_uid[64], ip[128], mac[32];
};

struct cni_error {
	enum cni_code code;
	struct err reason;
};

/*
 * -EINVAL with *error filled. `parameters` outlives the request. DEL is read as generously as can
 * be: whatever a runtime still knows of an attachment must be enough to remove it.
 */
int cni_request_read(json_t *parameters, struct cni_request *ret_request, struct cni_error *error);
void cni_request_clear(struct cni_request *request);

struct cni_interface {
	const char *name;
	const unsigned char *mac;
	const char *sandbox; /* NULL: of the node */
	unsigned int mtu;
};

struct cni_result {
	struct cni_interface interface[2]; /* the node's side, the pod's side */
	const struct addr *address;
	unsigned int address_count;
	unsigned int metric[FAMILY_MAX]; /* of the default routes; 0: the kernel's */
	const json_t
		*previous; /* what earlier plugins of the chain have made, passed on; or NULL */
};

/*
 * The result of the plugins before this one: prevResult. *ret_previous is borrowed, NULL where
 * there is none. -EINVAL where it is none that can be passed on.
 */
int cni_previous_read(
	const struct cni_request *request, const json_t **ret_previous, struct cni_error *error);

/* A reply of the plugin's protocol, whole. */
void cni_reply_result(
	const struct cni_request *request, const struct cni_result *result, struct text *reply);
void cni_reply_nothing(struct text *reply);
void cni_reply_error(
	const struct cni_request *request, const struct cni_error *error, struct text *reply);

/* The gateways that pods see: nobody has them, their neighbour entry is permanent. */
extern const char cni_gateway_ipv4[], cni_gateway_ipv6[];
