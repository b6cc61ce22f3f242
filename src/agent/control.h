/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/text.h"

#include <jansson.h>

/*
 * The agent's sockets, in varlink's wire form: one JSON object and a NUL byte each way.
 * agent.sock (0600) takes everything; status.sock (0660) only what changes nothing, and both
 * look at the peer's credentials as well. A request may carry descriptors on its first byte.
 */

#define CONTROL_FDS_MAX 2

struct control;

struct control_request {
	const char *method;
	json_t *parameters; /* borrowed; an object, perhaps empty */
	int fd[CONTROL_FDS_MAX]; /* -1: none. Taken with TAKE_FD, else closed after the reply. */
};

/* Fills *reply with one whole JSON object. */
typedef void (*control_function)(
	void *context, struct control_request *request, struct text *reply);

struct control_method {
	const char *name;
	bool writes; /* only by agent.sock, from root or the agent's own user */
	control_function function;
};

struct control_options {
	const char *directory;
	const struct control_method *methods;
	unsigned int method_count;
	void *context;
	unsigned int user; /* owner of the sockets */
	unsigned int listen_ref, connection_ref; /* types of loop references */
};

int control_open(struct loop *loop, const struct control_options *options,
	struct control **ret_control, struct err *err);
void control_close(struct control **control);
void control_accept(struct control *control, int listener);
void control_event(struct loop *loop, const struct loop_ref *ref, uint32_t events);

/* {"error": name, "parameters": {"reason": text}} */
void control_reply_error(struct text *reply, const char *name, const char *reason);
/* {"parameters": tree}; takes the reference. */
void control_reply(struct text *reply, json_t *tree);
