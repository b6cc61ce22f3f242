/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include <stdlib.h>
#include <string.h>

/*
 * The specification's variables. A name of a container and one of an interface become one file's
 * name, CONTAINERID:IFNAME, and a leading dot more while it is written.
 */
#define CONTAINER_MAX (255 - 2 - IFNAME_MAX)
#define IFNAME_MAX 15 /* IFNAMSIZ with its NUL */
#define CONTAINER_FIRST "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const char *environment_get(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		return "";
	if (!json_is_text(value, strlen(value)))
		cni_fail(CNI_INVALID_ENVIRONMENT, "%s: is not UTF-8", name);
	return value;
}

static const char *environment_need(const char *name, const char *what)
{
	const char *value = environment_get(name);

	if (!*value)
		cni_fail(CNI_INVALID_ENVIRONMENT, "%s: is not set; it must be %s", name, what);
	return value;
}

/* Section "Parameters": alphanumeric first, then also '_', '.', '-'. */
static void environment_check_container(const char *container)
{
	size_t length = strlen(container);

	if (strspn(container, CONTAINER_FIRST) == 0)
		cni_fail(CNI_INVALID_ENVIRONMENT,
			"CNI_CONTAINERID: must begin with a letter or digit");
	if (strspn(container, CONTAINER_FIRST "_.-") != length)
		cni_fail(CNI_INVALID_ENVIRONMENT,
			"CNI_CONTAINERID: may have letters, digits, '_', '.' and '-' only");
	if (length > CONTAINER_MAX)
		cni_fail(CNI_INVALID_ENVIRONMENT, "CNI_CONTAINERID: is longer than %d bytes",
			CONTAINER_MAX);
}

/* What the kernel takes as the name of a device (dev_valid_name), and no control characters. */
static void environment_check_ifname(const char *ifname)
{
	if (strlen(ifname) > IFNAME_MAX)
		cni_fail(
			CNI_INVALID_ENVIRONMENT, "CNI_IFNAME: is longer than %d bytes", IFNAME_MAX);
	if (strcmp(ifname, ".") == 0 || strcmp(ifname, "..") == 0)
		cni_fail(CNI_INVALID_ENVIRONMENT, "CNI_IFNAME: must not be \"%s\"", ifname);
	for (const char *at = ifname; *at; at++)
		if (strchr("/:\x7f", *at) || (unsigned char)*at <= ' ')
			cni_fail(CNI_INVALID_ENVIRONMENT,
				"CNI_IFNAME: must not have '/', ':', spaces or control characters");
}

void environment_read(struct cni_request *request)
{
	unsigned int needs = request->verb->needs;

	request->run_directory = getenv("PODWIRE_RUN_DIR");
	if (!request->run_directory || !*request->run_directory)
		request->run_directory = "/run/podwire";
	request->arguments = environment_get("CNI_ARGS");
	request->path = environment_get("CNI_PATH");
	request->container = request->netns = request->ifname = "";
	if (needs & CNI_NEED_CONTAINER) {
		request->container =
			environment_need("CNI_CONTAINERID", "the container's identifier");
		request->ifname =
			environment_need("CNI_IFNAME", "the interface's name in the container");
		environment_check_container(request->container);
		environment_check_ifname(request->ifname);
	}
	if (needs & CNI_NEED_NETNS)
		request->netns = environment_need("CNI_NETNS", "a network namespace's path");
	else if (needs & CNI_SEND_NETNS)
		request->netns = environment_get("CNI_NETNS");
}
