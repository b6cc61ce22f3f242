// SPDX-License-Identifier: Apache-2.0
/*
 * Nanoseconds per packet of each program, by PROG_TEST_RUN, on the scene of the packet tests. The
 * packets are such that a program leaves them as they are, because a repeated run starts from what
 * the run before left; what is rewritten goes in singly, so its time has the kernel's clock in it, as
 * the packet that is measured both ways shows. Prints JSON: {name: nanoseconds}, the best of several
 * rounds.
 */
#include "abi/wire.h"
#include "base/mem.h"
#include "scene.h"

#include <stdio.h>

#define REPEAT 200000
#define ROUNDS 10
#define SINGLY 20000 /* rounds of one */

static const struct {
	const char *name;
	enum entry entry;
	enum device device;
	enum setting setting;
	struct frame_spec in;
	enum wire_kind kind; /* 0: a pod's packet */
	bool singly; /* the flow goes on, unless it is a SYN */
} cases[] = {
	{"from-pod to a pod here", FROM_POD, DEVICE_A, SETTING_VXLAN,
		.in = {FRAME_TCP, POD_A, POD_B, 5000, 80, FRAME_ACK}},
	{"from-pod to a pod here, new connection", FROM_POD, DEVICE_A, SETTING_VXLAN,
		.in = {FRAME_TCP, POD_A, POD_B, 5000, 80, FRAME_SYN}},
	{"from-pod into the tunnel", FROM_POD, DEVICE_A, SETTING_VXLAN,
		.in = {FRAME_TCP, POD_A, REMOTE_POD, 5000, 80, FRAME_ACK}},
	{"from-pod by a direct route", FROM_POD, DEVICE_A, SETTING_DIRECT,
		.in = {FRAME_TCP, POD_A, REMOTE_POD, 5000, 80, FRAME_ACK}},
	{"from-pod to the outside, masqueraded", FROM_POD, DEVICE_A, SETTING_VXLAN,
		.in = {FRAME_TCP, POD_A, OUTSIDE, 5000, 80, FRAME_ACK}},
	{"to-pod", TO_POD, DEVICE_A, SETTING_VXLAN,
		.in = {FRAME_TCP, OWN_NODE, POD_A, 5000, 80, FRAME_ACK}},
	{"from-wire to a pod", FROM_WIRE, DEVICE_WIRE, SETTING_DIRECT,
		.in = {FRAME_TCP, REMOTE_POD, POD_A, 5000, 80, FRAME_ACK}},
	{"from-wire to the node", FROM_WIRE, DEVICE_WIRE, SETTING_VXLAN,
		.in = {FRAME_TCP, OUTSIDE, OWN_NODE, 5000, 80, FRAME_ACK}},
	{"from-wire handed over to another node", FROM_WIRE, DEVICE_WIRE, SETTING_VXLAN,
		.in = {FRAME_UDP, OUTSIDE, THERE_BALANCER, 5000, 53}},
	{"from-tunnel handed back to the outside", FROM_TUNNEL, DEVICE_TUNNEL, SETTING_VXLAN,
		.in = {FRAME_UDP, THERE_BALANCER, OUTSIDE, 53, 5000}, .kind = WIRE_KIND_SERVICE_RETURN},
	{"from-tunnel to a pod", FROM_TUNNEL, DEVICE_TUNNEL, SETTING_VXLAN,
		.in = {FRAME_TCP, REMOTE_POD, POD_A, 5000, 80, FRAME_ACK}},
	{"to-tunnel", TO_TUNNEL, DEVICE_TUNNEL, SETTING_VXLAN,
		.in = {FRAME_TCP, OWN_NODE, REMOTE_POD, 5000, 80, FRAME_ACK}},
	{"from-pod to a pod here, singly", FROM_POD, DEVICE_A, SETTING_VXLAN,
		.in = {FRAME_TCP, POD_A, POD_B, 5000, 80, FRAME_ACK}, .singly = true},
	{"from-pod to a Service, singly", FROM_POD, DEVICE_A, SETTING_VXLAN,
		.in = {FRAME_UDP, POD_A, CLUSTER, 5000, 53}, .singly = true},
	{"from-pod to a Service, new connection, singly", FROM_POD, DEVICE_A, SETTING_VXLAN,
		.in = {FRAME_TCP, POD_A, CLUSTER, 5001, 80, FRAME_SYN}, .singly = true},
	{"from-wire to a Service, singly", FROM_WIRE, DEVICE_WIRE, SETTING_VXLAN,
		.in = {FRAME_UDP, OUTSIDE, BALANCER, 5000, 53}, .singly = true},
	{"from-wire to a Service, new connection, singly", FROM_WIRE, DEVICE_WIRE, SETTING_VXLAN,
		.in = {FRAME_TCP, OUTSIDE, BALANCER, 5001, 80, FRAME_SYN}, .singly = true},
	{"from-pod, reply of a Service, singly", FROM_POD, DEVICE_B, SETTING_VXLAN,
		.in = {FRAME_UDP, POD_B, OUTSIDE, 5353, 5000}, .singly = true},
	{"from-tunnel, handed over to a Service, singly", FROM_TUNNEL, DEVICE_TUNNEL, SETTING_VXLAN,
		.in = {FRAME_UDP, OUTSIDE, BALANCER, 5002, 53}, .kind = WIRE_KIND_SERVICE,
		.singly = true},
};

static unsigned int case_time(size_t number, int family)
{
	struct frame_ends ends = {.family = family,
		.source = role_addr((enum role)cases[number].in.source, family),
		.target = role_addr((enum role)cases[number].in.target, family)};
	uint8_t frame[FRAME_SIZE_MAX];
	struct run run = {.entry = cases[number].entry,
		.device = cases[number].device,
		.outer = role_addr(REMOTE_NODE, 4),
		.vni = WIRE_VNI(cases[number].kind ? cases[number].kind : WIRE_KIND_POD, 0),
		.frame = frame};

	device_mac(run.device, true, ends.source_mac);
	device_mac(run.device, false, ends.target_mac);
	run.length = frame_build(&cases[number].in, &ends, frame);
	return cases[number].singly ? scene_time(&run, 1, SINGLY)
				    : scene_time(&run, REPEAT, ROUNDS);
}

int main(void)
{
	const char *separator = "{";

	scene_enter();
	for (enum setting setting = SETTING_VXLAN; setting <= SETTING_DIRECT; setting++) {
		scene_load(setting, 4);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			for (int family = 4; family <= 6 && cases[i].setting == setting; family += 2) {
				printf("%s\"%s, IPv%d\": %u", separator, cases[i].name, family,
					case_time(i, family));
				separator = ",\n ";
			}
		scene_unload();
	}
	puts("}");
	return 0;
}
