/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/settings.h"
#include "base/err.h"
#include "base/log.h"
#include "net/prefix.h"

#include <stdint.h>

/*
 * The settings file, podwire.yaml. Every key stands in one table (settings.c) with its default,
 * its unit, and whether a change is taken up live or needs the agent to start anew.
 */

enum settings_route {
	SETTINGS_ROUTE_AUTO,
	SETTINGS_ROUTE_DIRECT,
	SETTINGS_ROUTE_VXLAN,
	SETTINGS_ROUTE_MAX
};

#define SETTINGS_NAME_SIZE 254
#define SETTINGS_DEVICES 8
#define SETTINGS_DEVICE_SIZE 16
#define SETTINGS_PATH_SIZE 512
#define SETTINGS_BINDS 8

struct settings_ranges {
	struct prefix range[SETTINGS_RANGES];
	unsigned int count;
};

/* Where something is served; an unspecified address means all of its family. */
struct settings_binds {
	struct addr addr[SETTINGS_BINDS];
	uint16_t port[SETTINGS_BINDS];
	unsigned int count;
};

/* On which addresses of nodes node ports are. */
struct settings_node_ports {
	bool primary; /* those that the Node object names */
	bool all; /* whatever is on the node's devices, but loopback */
	bool localhost; /* 127.0.0.1 and ::1, for the node's own processes */
	struct settings_ranges ranges;
};

struct settings {
	char node[SETTINGS_NAME_SIZE]; /* default: the host's name */
	enum settings_route route;
	unsigned int route_probe_seconds; /* from one probe to the next */
	struct settings_ranges pod_ranges; /* of the whole cluster */
	struct settings_ranges service_ranges; /* in order: the first one's family is primary */
	struct settings_ranges no_masquerade;
	struct settings_node_ports node_ports;
	struct settings_ranges external_ranges; /* addresses that Services may name as external */
	bool masquerade;
	unsigned int masquerade_first; /* ports that masqueraded flows are given */
	unsigned int masquerade_last;
	unsigned int mtu; /* of pods; 0: the smallest device's, less the tunnel's bytes */
	char device[SETTINGS_DEVICES][SETTINGS_DEVICE_SIZE]; /* none: found */
	unsigned int device_count;
	unsigned int tunnel_port;
	unsigned int mark; /* must be one bit of mark_mask, which has two or more */
	unsigned int mark_mask;
	unsigned int user; /* uid and gid that the agent runs as */
	unsigned int flow_entries;
	unsigned int address_rest_seconds; /* before an address that was freed is given again */
	char cgroup[SETTINGS_PATH_SIZE]; /* whose sockets are translated; empty: all */
	struct settings_binds healthz, metrics;
	unsigned int health_timeout_seconds; /* an older change that is not applied is a fault */
	enum log_level log_level;
};

/* "auto", "direct", "vxlan" */
const char *settings_route_name(enum settings_route route);
/* SETTINGS_ROUTE_MAX where it is none. */
enum settings_route settings_route_parse(const char *text);

void settings_defaults(struct settings *settings);
/* Reads YAML or JSON over the defaults. The reason names the key, and what would be right. */
int settings_read(const char *text, size_t length, struct settings *ret_settings, struct err *err);
/* A line per key: name, default, unit, live or restart, and what it does. For --help. */
void settings_print_keys(void (*print)(const char *line, void *context), void *context);
