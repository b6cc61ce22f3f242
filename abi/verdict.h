/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

/*
 * Every way in which a packet can end, each with a sentence for the user. This is the only list:
 * counters, `podwire drops`, the documents and the packet tests read it. A number is never used
 * for another verdict again, because pinned counters and reports outlive a release.
 *
 * X(number, NAME, kind, "name", "sentence")
 */
#define VERDICT_LIST(X)                                                                            \
	X(1, DELIVER, FORWARD, "deliver", "delivered to a pod on this node")                       \
	X(2, TUNNEL, FORWARD, "tunnel", "sent to another node through the tunnel")                 \
	X(3, WIRE, FORWARD, "wire", "sent to another node or to the outside by a direct route")    \
	X(4, STACK, FORWARD, "stack", "handed to the node's own network stack")                    \
	X(5, MASQUERADE, FORWARD, "masquerade",                                                    \
		"handed to the node's stack to leave the cluster under the node's address")       \
	X(6, ACCEPT, FORWARD, "accept", "let through where it was going")                          \
	X(7, ANSWER_RESET, ANSWER, "answer-reset",                                                 \
		"answered by a TCP reset: no pod holds this address of the node's range")          \
	X(8, ANSWER_UNREACHABLE, ANSWER, "answer-unreachable",                                     \
		"answered by ICMP unreachable: no pod holds this address of the node's range") \
	X(9, REFUSE_RESET, ANSWER, "refuse-reset",                                                 \
		"answered by a TCP reset: the Service has no endpoints, or no port like this")     \
	X(10, REFUSE_UNREACHABLE, ANSWER, "refuse-unreachable",                                    \
		"answered by ICMP unreachable: the Service has no endpoints, or no port like this") \
	X(11, HAND_OVER, FORWARD, "hand-over",                                                     \
		"for a Service: sent unchanged to the node of its endpoint, which translates it")  \
	X(12, HAND_BACK, FORWARD, "hand-back",                                                     \
		"a Service's reply, sent to the node by which its client came")                    \
	X(13, ANSWER_TOO_BIG, ANSWER, "answer-too-big",                                            \
		"answered by ICMP: too big for the tunnel to the node of the Service's endpoint") \
	X(14, ANSWER_PROBE, ANSWER, "answer-probe",                                                 \
		"answered: another node asked whether addresses of pods pass the wire")            \
	X(15, TAKE_PROBE, FORWARD, "take-probe",                                                   \
		"the answer to this node's question whether addresses of pods pass the wire")      \
	X(16, DROP_MALFORMED, DROP, "malformed",                                                   \
		"its headers contradict themselves, are cut off, or say hop limit 0")              \
	X(17, DROP_NOT_IP, DROP, "not-ip",                                                         \
		"a pod sent a frame that is neither IPv4 nor IPv6, such as ARP; pods need none")   \
	X(18, DROP_MAC, DROP, "foreign-mac", "a pod sent from a MAC address that is not its own")  \
	X(19, DROP_SOURCE, DROP, "foreign-source",                                                 \
		"a pod sent from an address that is not its own")                                  \
	X(20, DROP_NEIGHBOR, DROP, "neighbor-discovery",                                           \
		"a pod sent neighbor discovery, a router advertisement or a redirect; "            \
		"its gateway is permanent and nobody listens")                                     \
	X(21, DROP_DHCP, DROP, "dhcp", "a pod spoke DHCP; addresses come from the CNI plugin alone") \
	X(22, DROP_MULTICAST, DROP, "multicast",                                                   \
		"a pod sent to a multicast or broadcast address, which the pod network does not carry") \
	X(23, DROP_LOOPBACK, DROP, "loopback",                                                     \
		"a loopback or unspecified address came over a wire, where it has no meaning")     \
	X(24, DROP_TUNNEL_PORT, DROP, "tunnel-port",                                               \
		"a pod sent to the tunnel's UDP port, which only nodes may use")                   \
	X(25, DROP_NO_NODE, DROP, "no-node",                                                       \
		"the address is of the cluster's pod range, but of no node that this one knows")   \
	X(26, DROP_WIRE_SOURCE, DROP, "wire-source",                                               \
		"came over the wire from an address of this node, its pods, or pods behind the tunnel") \
	X(27, DROP_TUNNEL_NODE, DROP, "tunnel-node",                                               \
		"came through the tunnel from an address that is no node of the cluster")          \
	X(28, DROP_TUNNEL_VERSION, DROP, "tunnel-version",                                         \
		"came through the tunnel in a wire format that this release does not speak")       \
	X(29, DROP_TUNNEL_SOURCE, DROP, "tunnel-source",                                           \
		"came through the tunnel from an address that does not belong to the sending node") \
	X(30, DROP_TUNNEL_TARGET, DROP, "tunnel-target",                                           \
		"came through the tunnel for an address that is not on this node")                 \
	X(31, DROP_TO_TUNNEL, DROP, "to-tunnel",                                                   \
		"would enter the tunnel from an address that is not this node's; "                 \
		"the other node would refuse it")                                                  \
	X(32, DROP_FRAGMENT, DROP, "fragment",                                                     \
		"a fragment came before the first one of its packet, whose ports decide")          \
	X(33, DROP_HEADERS, DROP, "ip-headers",                                                    \
		"has IPv4 options, a routing header, a second fragment header, or more IPv6 extension "    \
		"headers than are followed")                                                       \
	X(34, DROP_INTERNAL, DROP, "internal",                                                     \
		"the kernel refused a change to the packet (out of memory, or a bug of podwire)")       \
	X(35, DROP_SERVICE_LOCAL, DROP, "service-local",                                           \
		"the Service's traffic policy is Local, and it has no endpoint on this node")      \
	X(36, DROP_SERVICE_SOURCE, DROP, "service-source",                                         \
		"the Service's loadBalancerSourceRanges do not let this source in")                \
	X(37, DROP_SERVICE_NONE, DROP, "service-none",                                             \
		"an address of the cluster's Service range that no Service has")                   \
	X(38, DROP_SERVICE_PORTS, DROP, "service-ports",                                           \
		"no client port is free under which the endpoint could tell this flow from others")  \
	X(39, DROP_PROBE, DROP, "probe",                                                           \
		"looked like a probe between nodes, but is malformed, or answers no question")     \
	X(40, DROP_NO_ROUTE, DROP, "no-route",                                                     \
		"for a Service, to whose endpoint this node has no route")

enum verdict {
	VERDICT_NEXT = 0, /* no end: the next step decides */
#define VERDICT_ENUM(number, NAME, kind, name, sentence) VERDICT_##NAME = number,
	VERDICT_LIST(VERDICT_ENUM)
#undef VERDICT_ENUM
	VERDICT_MAX = 41
};

#define VERDICT_DROP_FIRST 16 /* what is dropped in silence has a number from here on */

enum verdict_kind { VERDICT_KIND_FORWARD, VERDICT_KIND_ANSWER, VERDICT_KIND_DROP, VERDICT_KIND_MAX };

/* Where in the node a verdict was given. */
#define HOOK_LIST(X)                                                                               \
	X(FROM_POD, "from-pod")                                                                    \
	X(TO_POD, "to-pod")                                                                        \
	X(FROM_WIRE, "from-wire")                                                                  \
	X(FROM_TUNNEL, "from-tunnel")                                                              \
	X(TO_TUNNEL, "to-tunnel")                                                                 \
	X(TO_WIRE, "to-wire")

enum hook {
#define HOOK_ENUM(NAME, name) HOOK_##NAME,
	HOOK_LIST(HOOK_ENUM)
#undef HOOK_ENUM
	HOOK_MAX
};
