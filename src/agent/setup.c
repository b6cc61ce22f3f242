/* SPDX-License-Identifier: Apache-2.0 */
/* `podwire init` and `podwire uninstall`: root, seconds, and again without harm. */
#include "agent/bury.h"
#include "agent/firewall.h"
#include "agent/masquerade.h"
#include "agent/node.h"
#include "agent/place.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "linux/link.h"
#include "linux/nft.h"
#include "linux/probe.h"
#include "linux/route.h"

#include <getopt.h>
#include <stdio.h>

struct setup_options {
	const char *settings, *directory;
};

static const char setup_init_usage[] =
	"usage: podwire init [--settings FILE] [--run-dir DIR]\n\n"
	"Prepares this node: the run directory, a BPF file system for the agent's user,\n"
	"forwarding in both families. What is changed is written down for `podwire uninstall`.\n";
static const char setup_uninstall_usage[] =
	"usage: podwire uninstall [--run-dir DIR]\n\n"
	"Ends the agent and takes everything of podwire off this node: pods' links, routes,\n"
	"programs, tables, and kernel settings, which go back to what they were.\n";

/* -1: go on; else the exit code. */
static int setup_options_read(
	int argc, char **argv, const char *usage, struct setup_options *options)
{
	static const struct option long_options[] = {{"settings", required_argument, NULL, 's'},
		{"run-dir", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'}, {0}};
	int option;

	*options = (struct setup_options){0};
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			options->settings = optarg;
			break;
		case 'r':
			options->directory = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	options->directory = command_run_directory(options->directory);
	if (optind == argc)
		return -1;
	fprintf(stderr, "podwire: %s takes no argument %s\n", argv[0], argv[optind]);
	return 2;
}

int command_init(int argc, char **argv)
{
	struct setup_options options;
	struct settings settings;
	struct err err = {0};
	int r = setup_options_read(argc, argv, setup_init_usage, &options);

	if (r >= 0)
		return r;
	r = probe_kernel(&err);
	if (r == 0)
		r = place_read_settings(options.settings, &settings, &err);
	if (r == 0)
		r = place_make(options.directory, &settings, &err);
	if (r < 0)
		fprintf(stderr, "podwire: %s\n", err.text);
	return r < 0 ? 1 : 0;
}

static int setup_remove_link(const struct link_info *link, void *context)
{
	if (link->group == NODE_GROUP_PODS ||
		(link->group >= NODE_GROUP_DYING && link->group < NODE_GROUP_DYING + BURY_GROUPS))
		link_delete(context, link->ifindex);
	return 0;
}

static int setup_remove_route(const struct route *route, void *context)
{
	route_delete(context, route);
	return 0;
}

static int setup_remove_all(const char *directory, struct err *err)
{
	_cleanup_(netlink_close) struct netlink *netlink = NULL;
	_netlink_batch_ struct netlink_batch batch = {0};
	_close_ int lock = -1; /* held until all is gone */
	int r = place_stop_agent(directory, &lock, err);

	if (r == 0)
		r = netlink_open(&netlink, err);
	if (r < 0)
		return r;
	link_dump(netlink, setup_remove_link, &batch, NULL);
	link_delete_name(&batch, NODE_TUNNEL_LINK);
	link_delete_name(&batch, NODE_ANCHOR_LINK);
	route_dump(netlink, ROUTE_TABLE_MAIN, ROUTE_PROTOCOL, setup_remove_route, &batch, NULL);
	r = netlink_commit(netlink, &batch, err);
	if (r == 0)
		r = nft_delete_table(MASQUERADE_FAMILY, MASQUERADE_TABLE, err);
	if (r == 0)
		r = firewall_remove(err);
	/* Unmounting lets go of every pin, and with them of programs, links and tables. */
	return r < 0 ? r : place_remove(directory, err);
}

int command_uninstall(int argc, char **argv)
{
	struct setup_options options;
	struct err err = {0};
	int r = setup_options_read(argc, argv, setup_uninstall_usage, &options);

	if (r >= 0)
		return r;
	r = setup_remove_all(options.directory, &err);
	if (r < 0)
		fprintf(stderr, "podwire: %s\n", err.text);
	return r < 0 ? 1 : 0;
}
