/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/text.h"
#include "net/addr.h"

/*
 * libmicrohttpd with a few small pages, on the agent's loop: HTTP/1.0 and 1.1, GET and HEAD, one
 * request a connection. Anybody may ask, so all is bounded: how many connections there are, how
 * long one lasts, how large a request is. Where there is no room for one more, the oldest goes: who
 * asks in earnest has his answer a moment after he has connected, and is never among those that go.
 */

#define HTTP_CONNECTIONS_MAX 128
#define HTTP_REQUEST_MAX 8192 /* bytes, headers included */
#define HTTP_CONNECTION_MS 10000 /* from its beginning to its end */

struct http;
struct http_listener;

struct http_answer {
	unsigned int status; /* 200, unless it is set */
	const char *type; /* of the body; plain text, unless it is set */
	const char *header; /* one more, with this value; NULL: none */
	struct text value;
	struct text body;
};

/* `path` begins with '/', is decoded and without a query. */
typedef void (*http_function)(void *context, const char *path, struct http_answer *answer);

struct http_options {
	/* Types of the loop's references, for the events below. All connections are one reference. */
	unsigned int listen_ref, connection_ref;
	unsigned int connection_ms; /* 0: HTTP_CONNECTION_MS */
};

int http_open(struct loop *loop, const struct http_options *options, struct http **ret_http,
	struct err *err);
void http_close(struct http **http); /* with its listeners */
void http_listen_event(struct loop *loop, const struct loop_ref *ref, uint32_t events);
void http_connection_event(struct loop *loop, const struct loop_ref *ref, uint32_t events);

/* An unspecified address means all of its family. An address that the node does not have yet is fine. */
int http_listen(struct http *http, const struct addr *addr, uint16_t port, http_function function,
	void *context, struct http_listener **ret_listener, struct err *err);
/* The port is free afterwards; its connections end. */
void http_listener_close(struct http_listener **listener);
