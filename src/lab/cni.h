/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "lab/lab.h"

/* One call of the CNI plugin as a runtime makes it (CNI 1.1.0). */
struct cni_call {
	const char *command;   /* "ADD" or "DEL" */
	const char *container; /* id */
	const char *netns;     /* path */
	const char *node;
	const char *pod_namespace, *pod_name, *pod_uid;
};

/*
 * Runs the plugin in the node's network namespace; the caller stays where it is. *ret_result is
 * what the plugin printed (NULL for nothing), a new reference. What the plugin says about a
 * failure becomes the reason.
 */
int cni_run(
	const struct lab *lab, const struct cni_call *call, json_t **ret_result, struct err *err);

/* The plugin's path: the given one, or podwire-cni beside this program. For free(). */
int cni_plugin_find(const char *given, char **ret_path, struct err *err);
