# SPDX-License-Identifier: Apache-2.0
"""Who reaches whom, over every kind of cluster, route and underlay, and with which source."""
import ipaddress
import json
import os

import labs
import pytest
from labs import HERE, PYTHON, is_ipv6

pytestmark = pytest.mark.one_profile("its variants name theirs")

VARIANTS = {
    "dual-vxlan": ["-n", "3", "--family", "dual", "--route", "vxlan"],
    "dual-direct": ["-n", "3", "--family", "dual", "--route", "direct"],
    "dual-vxlan-over-ipv6": ["-n", "2", "--family", "dual", "--underlay", "ipv6", "--route", "vxlan"],
    "dual-vxlan-over-ipv4": ["-n", "2", "--family", "dual", "--underlay", "ipv4", "--route", "vxlan"],
    "dual-vxlan-two-subnets": ["-n", "2", "--subnets", "2", "--route", "vxlan"],
    "ipv4-vxlan": ["-n", "2", "--family", "ipv4", "--route", "vxlan"],
    "ipv4-direct": ["-n", "2", "--family", "ipv4", "--route", "direct"],
    "ipv6-vxlan": ["-n", "2", "--family", "ipv6", "--route", "vxlan"],
    "hostile": ["-n", "3", "--profile", "hostile"],
    "hostile-direct": ["--route", "direct", "--profile", "hostile"],
    "hostile-over-ipv6": ["-n", "2", "--underlay", "ipv6", "--profile", "hostile"],
    "hostile-two-subnets": ["-n", "2", "--subnets", "2", "--profile", "hostile"],
    "ipv6-direct": ["-n", "2", "--family", "ipv6", "--route", "direct"],
}
HTTP, ECHO, HOST_HTTP, HOST_ECHO, OUTSIDE_PORT, BULK_PORT = 80, 7777, 8080, 7778, 9000, 9001
BULK_SIZE = 4 << 20


class Cluster:
    """A lab and what its tests keep asking."""

    def __init__(self, lab, variant):
        self.lab, self.variant = lab, variant
        pods = lab.pods()
        self.pods = {key: pod for key, pod in pods.items() if not pod["host"] and key != "t/two"}
        self.host_pods = {key: pod for key, pod in pods.items() if pod["host"]}
        self.nodes = lab.nodes()

    def own_addresses(self, where):
        """All global addresses in a namespace."""
        text = self.lab.exec(where, "ip", "-o", "address", "show", "scope", "global").stdout
        return [line.split()[3].split("/")[0] for line in text.splitlines()]

    def check(self, where, targets, sources):
        """Probe [(what, protocol, address, port)] and hold the replies against who answers and
        whom it saw. `what` is the pod that must answer, or None for an echo."""
        replies = self.lab.probe(where, [target[1:] for target in targets])
        wrong = []
        for (pod, protocol, address, port), reply in zip(targets, replies):
            if "error" in reply or (pod and reply.get("pod") != pod) or \
                    (pod and ipaddress.ip_address(reply["client"]) not in
                     [ipaddress.ip_address(s) for s in sources]):
                wrong.append(f"{where} -> {pod or address} {protocol}/{port}: {reply}")
        assert not wrong, "\n".join(wrong)

    def targets(self, pods, http, echo):
        return [target for key, pod in pods.items() for address in pod["addresses"]
                for target in ((key, "tcp", address, http), (key, "udp", address, echo),
                               (None, "icmp", address, 0))]


@pytest.fixture(scope="module", params=VARIANTS)
def cluster(request, make_lab):
    if request.param == "hostile-direct":
        pytest.skip(labs.NO_DIRECT)
    return Cluster(make_lab(*VARIANTS[request.param], name="-" + request.param), request.param)


def same_family(address, addresses):
    return next((a for a in addresses if is_ipv6(a) == is_ipv6(address)), None)


def pair_across(cluster):
    """Two pods on two nodes, and one beside the first."""
    first, *rest = sorted(cluster.pods)
    node = cluster.pods[first]["node"]
    beside = next(key for key in rest if cluster.pods[key]["node"] == node)
    across = next(key for key in rest if cluster.pods[key]["node"] != node)
    return first, beside, across


def test_families(cluster):
    """A pod has one address of each family of the cluster."""
    wanted = {"ipv4": {4}, "ipv6": {6}}.get(cluster.variant.split("-")[0], {4, 6})
    for pod in cluster.pods.values():
        assert {ipaddress.ip_address(a).version for a in pod["addresses"]} == wanted


def test_pods_reach_pods(cluster):
    """On one node and across, themselves too; nobody sees a translated source."""
    for key, pod in cluster.pods.items():
        cluster.check(key, cluster.targets(cluster.pods, HTTP, ECHO), pod["addresses"])


def test_nodes_reach_pods(cluster):
    """Their own and remote ones: what kubelet's probes and host-network processes do."""
    for node in cluster.nodes:
        cluster.check(node, cluster.targets(cluster.pods, HTTP, ECHO), cluster.own_addresses(node))


def test_pods_reach_nodes(cluster):
    """A process in a node's own network sees the pod's own address."""
    for key, pod in cluster.pods.items():
        targets = [t for t in cluster.targets(cluster.host_pods, HOST_HTTP, HOST_ECHO)
                   if same_family(t[2], pod["addresses"])]
        assert targets or "over" in cluster.variant
        cluster.check(key, targets, pod["addresses"])


def test_host_network_reaches_pods(cluster):
    for key, pod in cluster.host_pods.items():
        cluster.check(key, cluster.targets(cluster.pods, HTTP, ECHO),
                      cluster.own_addresses(pod["node"]))


def test_localhost(cluster):
    """Up in both families in any cluster, and shared by the containers of a pod."""
    targets = [("t/two", "tcp", address, port) for address in ("127.0.0.1", "::1")
               for port in (HTTP, HTTP + 1)]
    cluster.check("t/two", targets, ["127.0.0.1", "::1"])


def test_out_masqueraded(cluster):
    """The outside sees the address of the pod's node."""
    server = cluster.lab.beside("outside", "traffic.py", "tell", str(OUTSIDE_PORT))
    try:
        for key, pod in cluster.pods.items():
            node = cluster.lab.node_addresses(pod["node"])
            targets = [[protocol, address, OUTSIDE_PORT]
                       for address in cluster.own_addresses("outside")
                       if same_family(address, pod["addresses"]) and same_family(address, node)
                       for protocol in ("tcp", "udp", "icmp")]
            assert targets
            for target, reply in zip(targets, cluster.lab.probe(key, targets)):
                assert "error" not in reply, f"{key} -> {target}: {reply}"
                assert target[0] == "icmp" or reply["client"] in node, f"{key} -> {target}: {reply}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def routed(cluster):
    """The operator's routes: the outside knows the pod ranges by their nodes, where these are its
    neighbors (`cluster.near`)."""
    cluster.near = set()
    for node in cluster.lab.get("nodes"):
        name = node["metadata"]["name"]
        via = cluster.lab.node_addresses(name)
        for prefix in node["spec"]["podCIDRs"]:
            gateway = same_family(prefix, via)
            if gateway and not cluster.lab.exec("outside", "ip", "route", "replace", prefix, "via",
                                                gateway, check=False).returncode:
                cluster.near.add(name)
    assert cluster.near == set(cluster.nodes) or "subnets" in cluster.variant
    return cluster


def test_outside_reaches_pods(routed):
    """Directly, without translation either way."""
    if routed.lab.hostile:
        pytest.skip(labs.NO_DIRECT)
    sources = routed.own_addresses("outside")
    node = routed.lab.node_addresses(routed.nodes[0])
    near = {key: pod for key, pod in routed.pods.items() if pod["node"] in routed.near}
    targets = [t for t in routed.targets(near, HTTP, ECHO) if same_family(t[2], node)]
    assert targets
    routed.check("outside", targets, sources)


def bulk_pairs(cluster):
    """(from, to) of each kind of path."""
    first, beside, across = pair_across(cluster)
    near = next(key for key in sorted(cluster.pods) if cluster.pods[key]["node"] in cluster.near)
    return [(first, beside), (first, across), (first, "outside"),
            *([] if cluster.lab.hostile else [("outside", near)]),
            (first, cluster.pods[across]["node"]), (cluster.pods[across]["node"], first)]


def addresses_of(cluster, where):
    if where in cluster.pods:
        return cluster.pods[where]["addresses"]
    if where == "outside":
        return cluster.own_addresses(where)
    return cluster.lab.node_addresses(where)


def test_bulk(routed):
    """Megabytes both ways on every kind of path: no size is lost on the way."""
    for source, target in bulk_pairs(routed):
        server = routed.lab.beside(target, "traffic.py", "serve", str(BULK_PORT))
        try:
            for address in addresses_of(routed, target):
                if not same_family(address, addresses_of(routed, source)) or \
                        not same_family(address, routed.lab.node_addresses(routed.nodes[0])) and \
                        {source, target} - set(routed.pods):
                    continue
                done = routed.lab.exec(source, PYTHON, "-B", os.path.join(HERE, "traffic.py"),
                                       "bulk", address, str(BULK_PORT), str(BULK_SIZE))
                assert int(done.stdout) == BULK_SIZE, f"{source} -> {target} {address}"
        finally:
            server.kill()
            server.wait()


def pod_mtu(cluster, key):
    text = cluster.lab.exec(key, "ip", "-j", "link", "show", "eth0").stdout
    return json.loads(text)[0]["mtu"]


def test_largest_packet(cluster):
    """What a pod's MTU promises arrives whole, on the node and across; more is refused at once."""
    first, beside, across = pair_across(cluster)
    mtu = pod_mtu(cluster, first)
    for target in beside, across:
        for address in cluster.pods[target]["addresses"]:
            fits = mtu - (48 if is_ipv6(address) else 28)
            ping = ["ping", "-c", "1", "-W", "2", "-M", "do", address, "-s"]
            cluster.lab.exec(first, *ping, str(fits))
            if not is_ipv6(address):  # in IPv6 the sender fragments, whatever ping is told
                done = cluster.lab.exec(first, *ping, str(fits + 1), check=False)
                assert "too long" in done.stderr


def test_fragments(cluster):
    """A datagram of several fragments arrives, on the node and across."""
    first, beside, across = pair_across(cluster)
    for target in beside, across:
        for address in cluster.pods[target]["addresses"]:
            cluster.lab.exec(first, "ping", "-c", "1", "-W", "2", "-s", "5000", address)


def test_nobody_answers_at_once(cluster):
    """An address of a node's range that no pod holds: refused, not waited for."""
    key, pod = sorted(cluster.pods.items())[0]
    held = {a for other in cluster.lab.pods().values() for a in other["addresses"]}
    for node in cluster.lab.get("nodes"):
        for prefix in node["spec"]["podCIDRs"]:
            network = ipaddress.ip_network(prefix)
            address = next(str(network[n]) for n in range(200, 250) if str(network[n]) not in held)
            replies = cluster.lab.probe(key, [["tcp", address, HTTP], ["udp", address, ECHO]])
            assert [reply.get("error") for reply in replies] == ["refused", "refused"], \
                f"{key} -> {address} of {node['metadata']['name']}: {replies}"
    assert pod
