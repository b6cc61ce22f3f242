/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/addr.h"
#include "frame.h"

#include <stdbool.h>

/*
 * Where the packet tests play: one node with two pods, and whom they talk to. The objects are
 * ordinary manifests (scene.yaml in scene.c); their rows are made by the compiler and written to
 * the maps by the agent's own code, so a row of a test can only rest on what really ships.
 */

/* Who sends or receives. scene.c has the address of each in both families. */
enum role {
	ROLE_NONE,
	POD_A,
	POD_B,
	NOBODY, /* of this node's pod range, held by no pod */
	OWN_ROUTER, /* what the node keeps of its own range */
	OWN_NODE,
	REMOTE_POD,
	REMOTE_ROUTER,
	REMOTE_NODE,
	THIRD_ROUTER,
	THIRD_POD, /* of the third node */
	THIRD_NODE,
	UNKNOWN_POD, /* of the cluster's range, but of no node */
	OUTSIDE,
	NEAR, /* outside, in a range that is not masqueraded */
	LOOPBACK,
	UNSPECIFIED,
	MULTICAST,
	BROADCAST, /* IPv6: all nodes */
	LINK_LOCAL,
	CLUSTER, /* Service "here" by its cluster address; its endpoint is POD_B */
	BALANCER, /* and by its load balancer's */
	THERE, /* Service "there": the endpoint is REMOTE_POD */
	THERE_BALANCER,
	EMPTY, /* a Service without endpoints */
	LOCAL, /* internal and external policy Local, its endpoint REMOTE_POD */
	LOCAL_BALANCER,
	RANGED_BALANCER, /* sources: NEAR alone; its endpoint is POD_B */
	HOST, /* a Service whose endpoint is OWN_NODE, port 8080 */
	BEYOND, /* a Service whose endpoint is NEAR */
	STALE, /* a Service whose endpoint is NOBODY */
	FAR, /* a Service whose endpoint is REMOTE_NODE, port 8080 */
	LOST, /* a Service whose endpoint is NOWHERE, to which there is no route */
	NOWHERE,
	UNUSED, /* of the Service range, and no Service's */
	MAPPED, /* IPv6: ::ffff: and the address of POD_B; IPv4: that address itself */
	ROLE_MAX
};

/* The devices that the scene makes. */
enum device { DEVICE_NONE, DEVICE_A, DEVICE_B, DEVICE_WIRE, DEVICE_TUNNEL, DEVICE_MAX };

enum entry { FROM_POD, TO_POD, FROM_WIRE, FROM_TUNNEL, FROM_TUNNEL_BARE, TO_TUNNEL, TO_WIRE, ENTRY_MAX };

/* What the node has been told. A row runs in the first one unless it says otherwise. */
enum setting {
	SETTING_VXLAN,
	SETTING_DIRECT,
	SETTING_NO_MASQUERADE,
	SETTING_LIMIT, /* what enters POD_B is limited */
	SETTING_NOTHING, /* programs are there, rows not yet */
	SETTING_AUTO, /* by probes, which have told nothing yet */
	SETTING_TAKEN, /* what comes directly from REMOTE_NODE's pods is taken, nothing is sent so */
	SETTING_INVITED, /* and REMOTE_NODE is told so */
	SETTING_MAX
};

struct addr role_addr(enum role role, int family);
unsigned int device_index(enum device device);
void device_mac(enum device device, bool of_pod, uint8_t mac[FRAME_MAC_SIZE]);

/* Leaves the caller's network and mount namespaces for fresh ones with the devices in them. */
void scene_enter(void);

/* One load of the programs with the tables of one setting, nodes reached by IPv`underlay`. */
void scene_load(enum setting setting, int underlay);
void scene_unload(void);

struct run {
	enum entry entry;
	enum device device;
	uint32_t mark;
	struct addr outer; /* FROM_TUNNEL: who sent it */
	uint32_t vni;
	const uint8_t *frame;
	size_t length;
};

struct run_result {
	uint32_t verdict; /* enum verdict */
	uint32_t action; /* what the kernel would be told */
	uint32_t redirect; /* device */
	uint32_t mark;
	uint8_t frame[FRAME_SIZE_MAX];
	size_t length;
};

/* Runs one frame through one program. */
void scene_run(const struct run *run, struct run_result *ret_result);
/*
 * Whether the kernel's sum over a whole packet, as network cards give it (CHECKSUM_COMPLETE), still
 * holds behind the program. Kernels before 6.16 cannot say, which counts as yes.
 */
bool scene_keeps_sum(const struct run *run);
/* Nanoseconds per packet: the best of `rounds` runs of `repeat` each. */
unsigned int scene_time(const struct run *run, unsigned int repeat, unsigned int rounds);
/* Forgets flows and fragments, and what was counted; or the latter alone. */
void scene_forget(void);
void scene_forget_counts(void);
/* How often `verdict` was counted at the hook of `entry`, and in all. */
void scene_counts(enum entry entry, uint32_t verdict, uint64_t *ret_here, uint64_t *ret_all);
/* Whether the table of drops has a row of this verdict, source and target. */
bool scene_has_drop(uint32_t verdict, const struct addr *source, const struct addr *target);
/*
 * Forgetting asks REMOTE_ROUTER a question with SCENE_NONCE, and nobody else. Has it been answered,
 * and what do the flags of the answer say?
 */
#define SCENE_NONCE 0x1122334455667788ULL
bool scene_is_answered(int family, uint32_t *ret_flags);
/* The mark that says "masquerade", in its mask. */
uint32_t scene_masquerade(uint32_t mark);
/* The other mark, of what was judged where it was sent. */
uint32_t scene_judged(uint32_t mark);
