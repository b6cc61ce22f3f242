/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/cni.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The CNI plugin (specification 1.1.0): one request, then it ends. It judges only what must be
 * judged where the runtime started it: the environment, the namespace, whether the configuration
 * is JSON at all. Everything else it hands to the agent, and prints what the agent says.
 *
 * Because it ends so soon, nothing is freed and no descriptor closed but for a reason; and whatever
 * goes wrong ends in cni_fail, which prints the error object and does not return.
 */

_Noreturn void cni_fail(enum cni_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define CNI_VERSION_SIZE 16
#define CNI_VERSION_DEFAULT "1.0.0" /* of answers to those who name none */

/* Bytes that grow. All zeroes is empty. Without memory it ends in cni_fail. */
struct bytes {
	char *data;
	size_t length, capacity;
};

void bytes_append(struct bytes *bytes, const void *data, size_t size);
void bytes_append_text(struct bytes *bytes, const char *text);
/* In quotes, escaped. The bytes are UTF-8 (json_is_text). */
void bytes_append_json(struct bytes *bytes, const char *data, size_t size);

/* Whether these bytes are UTF-8 (RFC 3629) and can stand in a JSON string. */
bool json_is_text(const char *data, size_t size);
/*
 * Whether these bytes are one JSON value (RFC 8259). Of an object's own "cniVersion" the text is
 * copied where it is made of digits and dots and fits; otherwise `version` stays as it was.
 */
bool json_check(const char *data, size_t size, char version[CNI_VERSION_SIZE]);

/* What the request must bring. */
enum cni_need {
	CNI_NEED_CONTAINER = 1 << 0, /* CNI_CONTAINERID, CNI_IFNAME */
	CNI_NEED_NETNS = 1 << 1, /* CNI_NETNS, and it must be one */
	CNI_SEND_NETNS = 1 << 2, /* to the agent, where it is one */
};

struct cni_verb {
	const char *name;
	unsigned int needs; /* enum cni_need */
	bool alone; /* whether the plugin does it itself when no agent is there */
	enum cni_code absent; /* the error when no agent is there */
};

struct cni_request {
	const struct cni_verb *verb;
	const char *container, *netns, *ifname, *arguments, *path; /* "" where not given */
	const char *run_directory;
	struct bytes config; /* standard input */
	int netns_fd; /* -1: none */
	int netlink_fd; /* NETLINK_ROUTE, opened in that namespace */
};

/* Reads CNI_* into the request and judges it. */
void environment_read(struct cni_request *request);

/* Opens the namespace and a socket in it; its loopback may have IPv6 addresses after that. */
void netns_enter(struct cni_request *request);

/* The seconds that a request may take in all. */
#define CNI_SECONDS 60
void deadline_start(void);
int deadline_left(void); /* in milliseconds, 0 when over */

#define AGENT_REASON_SIZE 300
/*
 * Sends the request and reads the reply, without its NUL. False where no agent is there, or where
 * it went away before it answered: `reason` tells.
 */
bool agent_call(const struct cni_request *request, struct bytes *reply,
	char reason[AGENT_REASON_SIZE]);
/* Prints the result and returns 0, or prints the error and returns 1. */
int agent_print(const struct bytes *reply);

/* DEL without the agent: rows, link, record. What has gone is no error. */
void remove_attachment(const struct cni_request *request);
struct attachment;
void link_remove(const struct cni_request *request, const struct attachment *attachment);

/* All of it to standard output, with a line break. */
void output_print(const char *data, size_t size);
