/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "lab/tree.h"
#include "model/settings.h"
#include "net/addr.h"

#include <sys/types.h>

/*
 * A lab is a directory, /run/podwire/lab/NAME:
 *
 *   lock           held by the command that changes the lab
 *   state          all objects and what runs for them, as JSON; replaced by rename
 *   objects/       what the agents watch: a file per object, replaced by rename
 *   ns/            network namespaces, bind-mounted: fabric, outside, each node, each pod
 *   nodes/NODE/    run directory of the node's agent: podwire.yaml, agent.sock, agent.log, ...
 *   dns/           what the resolvers read
 *
 * There is no daemon: each command opens the lab, changes the objects, makes the machinery agree
 * with them (converge.h) and saves. Processes and namespaces are found through ns/ alone, so
 * `down` needs neither the state nor a command that ended well.
 */

#define LAB_ROOT "/run/podwire/lab"
#define LAB_FABRIC "fabric"
#define LAB_OUTSIDE "outside"
#define LAB_SUBNETS_MAX 16
#define LAB_NODES_MAX 200

struct lab_settings {
	bool pod_families[FAMILY_MAX];	/* of pods and Services */
	bool node_families[FAMILY_MAX]; /* of the addresses of nodes */
	unsigned int subnets;
	enum settings_route route;
	bool hostile; /* nodes and the network between them: see hostile.h */
	char *plugin; /* path of podwire-cni */
};

struct lab {
	char *name;
	char *directory;
	int lock; /* -1: opened for reading */
	bool quiet;
	struct lab_settings settings;
	json_t *objects; /* key (tree_key) -> object */
	json_t *ignored; /* "Kind/namespace/name" of what was told to be ignored */
	/*
	 * What runs: {"nodes": {NAME: ...}, "pods": {"ns/name": ...}, "cursors": {...}}. The
	 * shapes are told where they are written, node.c, pods.c and services.c.
	 */
	json_t *runtime;
};

enum lab_mode {
	LAB_READ,   /* the last saved state, without lock */
	LAB_CHANGE, /* locked; must exist */
	LAB_CREATE, /* locked; must not exist */
};

/* A lab's name becomes part of paths: letters, digits, '-', '_' and '.', at most 40. */
int lab_name_check(const char *name, struct err *err);
int lab_open(const char *name, enum lab_mode mode, struct lab **ret_lab, struct err *err);
void lab_close(struct lab **lab);
#define _lab_ _cleanup_(lab_close)
/* Takes the lock of a directory that may hold half a lab. */
int lab_lock(const char *directory, int *ret_fd, struct err *err);
int lab_save(const struct lab *lab, struct err *err);

enum publish {
	PUBLISH_ADD, /* what is gone keeps its file: its Pod still runs */
	PUBLISH_ALL,
};
/* Makes objects/ agree with the objects, touching only what differs. */
int lab_publish(const struct lab *lab, enum publish publish, struct err *err);

/* Paths; the caller frees them. */
char *lab_path(const struct lab *lab, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
char *lab_namespace_path(const struct lab *lab, const char *name);
/* The namespace of a pod: its own, or its node's with hostNetwork. */
char *lab_pod_namespace_path(const struct lab *lab, const json_t *pod);
char *lab_node_directory(const struct lab *lab, const char *node);

/* Borrowed; NULL where there is none. */
json_t *lab_find(const struct lab *lab, enum lab_kind kind, const char *name_space, const char *name);
/* Takes over `object`; replaces one of the same key. */
void lab_put(struct lab *lab, json_t *object);
void lab_remove(struct lab *lab, const json_t *object);
/* All of a kind by namespace and name ("node2" before "node10"); a new reference. */
json_t *lab_list(const struct lab *lab, enum lab_kind kind);

/* One line on standard error. */
void lab_say(const struct lab *lab, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As lab_say, but only if the command has been running for over two seconds, and at most once in
 * two seconds. */
void lab_progress(const struct lab *lab, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Replaces the file by temporary name and rename; leaves an equal one alone. */
int file_write(const char *path, const char *text, mode_t mode, struct err *err);
/* The whole file, NUL-terminated; the caller frees it. NULL where it cannot be read. */
char *file_read(const char *path);
