# SPDX-License-Identifier: Apache-2.0
"""What of a node can be reached: every port by TCP and UDP, from a pod, from the outside and on the
node itself (B3, C5); and what of its pods, by who is routed there (C4)."""
import json

import pytest
from labs import HERE, PYTHON, is_ipv6

TUNNEL = 6083
CONTROL_TCP, CONTROL_UDP = 9801, 9802

# All that a node has open, and why. Podwire's ports for TCP only answer, see test_health.py.
OPEN_TCP = {8080: "the pod of the lab on the node's network", CONTROL_TCP: "this test's control",
            10256: "health, for load balancers"}
LOOPBACK_TCP = {10249: "metrics"}
OPEN_UDP = {7778: "the same pod", CONTROL_UDP: "this test's control",
            TUNNEL: "VXLAN, which takes only what nodes send; from pods it is dropped"}

DHCP = {False: [67, 68], True: [546, 547]}

CONTROL = f"""
import socket, sys
tcp, udp = socket.socket(socket.AF_INET6), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
tcp.bind(("::", {CONTROL_TCP})), tcp.listen(), udp.bind(("::", {CONTROL_UDP}))
print("ready", flush=True), sys.stdin.read()
"""
UNLIMITED = ["net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_msgs_per_sec=10000000",
             "net.ipv4.icmp_msgs_burst=10000000", "net.ipv6.icmp.ratelimit=0"]

pytestmark = pytest.mark.one_profile("a firewall that drops leaves nothing to scan")


@pytest.fixture(scope="module")
def lab(make_lab):
    """A node that answers as fast as it is asked, and has two ports more than it should have."""
    lab = make_lab("-n", "2", "--family", "dual")
    lab.node, lab.other = lab.nodes()
    lab.exec(lab.node, "sysctl", "-q", "-e", "-w", *UNLIMITED)
    control = lab.start(lab.node, PYTHON, "-c", CONTROL)
    assert control.stdout.readline() == "ready\n"
    yield lab
    control.communicate()


def pod_on(lab, node):
    return next(key for key, pod in sorted(lab.pods(app="a").items()) if pod["node"] == node)


def pod_addresses(lab, node):
    """The addresses that the node has of its own pod range."""
    links = json.loads(lab.exec(node, "ip", "-j", "address", "show", "pw-tunnel").stdout)
    return [a["local"] for a in links[0]["addr_info"] if a["scope"] == "global"]


def scan(lab, where, addresses):
    assert len(addresses) == 2 and len({is_ipv6(a) for a in addresses}) == 2
    done = lab.exec(where, PYTHON, "-B", f"{HERE}/scan.py", *addresses, timeout=300)
    report = json.loads(done.stdout)
    assert sorted(report) == sorted(addresses)
    return report


@pytest.mark.parametrize("where", ["pod here", "pod there", "outside", "the node"])
def test_every_port(lab, where):
    """By the node's own addresses; from a pod of another node by those of its pod range."""
    source, targets = {
        "pod here": (pod_on(lab, lab.node), lab.node_addresses(lab.node)),
        "pod there": (pod_on(lab, lab.other), pod_addresses(lab, lab.node)),
        "outside": ("outside", lab.node_addresses(lab.node)),
        "the node": (lab.node, ["127.0.0.1", "::1"])}[where]
    for address, found in scan(lab, source, targets).items():
        silent = DHCP[is_ipv6(address)] if "pod" in where else []  # dropped by name, see test_guard.py
        tcp = [*OPEN_TCP, *(LOOPBACK_TCP if where == "the node" else ())]
        assert found == {"tcp": sorted(tcp), "silent": [],
                         "udp": sorted([*OPEN_UDP, *silent])}, address


def test_local_sockets(lab):
    """C5: a process on the node's network finds two sockets of podwire's, both by a path that has
    modes, and none without (CVE-2020-15257)."""
    lines = lab.exec(lab.node, "cat", "/proc/net/unix").stdout.splitlines()[1:]
    names = [fields[7] for fields in (line.split() for line in lines) if len(fields) > 7]
    directory = lab.run_directory(lab.node)
    assert f"{directory}/agent.sock" in names and f"{directory}/status.sock" in names
    assert not [name for name in names if name.startswith("@")]
    assert {name for name in names if "podwire" in name and not name.startswith(directory)} == set()


# --- C4: the outside routes pod addresses to a node ---

def reach(lab, family, node, via):
    """A pod of `node`, asked from outside over `via`: who it says the client is, or the error."""
    pods = lab.pods(app="a")
    target = next(a for a in pods[pod_on(lab, node)]["addresses"] if is_ipv6(a) == (family == 6))
    gateway = next(a for a in lab.node_addresses(via) if is_ipv6(a) == (family == 6))
    route = [target, "via", gateway]
    lab.exec("outside", "ip", f"-{family}", "route", "add", *route)
    try:
        replies = lab.probe("outside", [["tcp", target, 80], ["udp", target, 7777],
                                        ["icmp", target, 0]], seconds=1.0)
    finally:
        lab.exec("outside", "ip", f"-{family}", "route", "del", *route)
    return replies


@pytest.mark.parametrize("family", [4, 6])
def test_routed_to_its_node(lab, family):
    """What is documented: a pod is reached by who routes to its node, and sees the true client."""
    replies = reach(lab, family, lab.node, lab.node)
    assert not any("error" in reply for reply in replies)
    text = lab.exec("outside", "ip", "-o", f"-{family}", "address", "show", "scope", "global").stdout
    for reply in replies[:2]:
        assert f" {reply['client']}/" in text


@pytest.mark.parametrize("family", [4, 6])
def test_routed_to_another_node(lab, family):
    """No node passes on what is for another's pods: dropped by name."""
    before = lab.drops(lab.other)["to-tunnel"]
    assert all(reply.get("error") == "timeout" for reply in reach(lab, family, lab.node, lab.other))
    assert lab.drops(lab.other)["to-tunnel"] >= before + 3
