# SPDX-License-Identifier: Apache-2.0
"""The route `auto`: directly where a probe is answered over the direct path, else by VXLAN.

The labs of this file ask every second. What stands in the way is a rule of the switch between the
nodes, whose counter shows that it was met.
"""
import contextlib
import ipaddress
import json
import os
import re
import signal

import pytest
import scapy.all as scapy
from labs import HERE, PYTHON, is_ipv6, run, wait_for
from test_agent import stopped, traffic

PROBE_PORT, TTL = 6084, 255
QUESTION, ANSWER = 1, 2
DIRECT, VXLAN = "direct", "vxlan"
PROBES = "udp dport 6084"
PROBES_OF = 'iifname "{}" udp dport 6084'
POD_SOURCES = "ip saddr 10.244.0.0/16", "ip6 saddr fd44::/48"
CHANGE_SECONDS = 15  # three misses or answers take two; the machine may be busy
EXPECTED = {  # of each lab: the route and its reason, by family of the pods
    "dual": {4: (DIRECT, "the probe is answered"), 6: (DIRECT, "the probe is answered")},
    "over-ipv4": {4: (DIRECT, "the probe is answered"), 6: (VXLAN, "no neighbor in this family")},
    "over-ipv6": {4: (VXLAN, "no neighbor in this family"), 6: (DIRECT, "the probe is answered")},
    "hostile": {4: (VXLAN, "the probe is not answered"), 6: (VXLAN, "the probe is not answered")},
}
pytestmark = [pytest.mark.alone,
              pytest.mark.one_profile("one of its labs is hostile, the others must be clean")]
FLAGS = {"dual": [], "over-ipv4": ["--underlay", "ipv4"], "over-ipv6": ["--underlay", "ipv6"],
         "hostile": ["--profile", "hostile"]}


def ask_every_second(lab):
    """Agents that were started anew with another setting; they come to the same tables."""
    for node in lab.nodes():
        with open(f"{lab.run_directory(node)}/podwire.yaml", "a", encoding="utf-8") as settings:
            settings.write("routeProbeSeconds: 1\n")
        with stopped(lab, node):
            pass


@pytest.fixture(scope="module", params=list(FLAGS))
def any_lab(request, make_lab):
    lab = make_lab("-n", "2", *FLAGS[request.param], name="-" + request.param)
    lab.param = request.param
    lab.settle()
    return lab


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2", name="-fast")
    # The strictest reverse-path filter, as some distributions have it.
    for node in lab.nodes():
        lab.exec(node, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1",
                 "net.ipv4.conf.eth0.rp_filter=1")
    ask_every_second(lab)
    return lab


def pod_on(lab, node):
    return next(key for key, pod in sorted(lab.pods(app="a").items()) if pod["node"] == node)


def all_routes(lab):
    """{route of a range, from any node}"""
    return {route for node in lab.nodes() for route, _ in lab.routes(node).values()}


def wait_for_routes(lab, route):
    wait_for(lambda: all_routes(lab) == {route}, f"all ranges are reached by {route}", CHANGE_SECONDS)


def counts(lab, node):
    return {(row["verdict"], row["where"]): row["packets"]
            for row in lab.query(node, "drops")["counts"]}


def risen(lab, node, before, verdict, where):
    return counts(lab, node).get((verdict, where), 0) - before.get((verdict, where), 0)


def switch(lab, *command, **options):
    return run("nsenter", f"--net={lab.directory}/ns/fabric", "nft", *command, **options)


@contextlib.contextmanager
def in_the_way(lab, *matches):
    """The switch drops what matches. It must have had something to drop."""
    rules = "".join(f"{match} counter drop; " for match in matches)
    switch(lab, "-f", "-", input="table bridge inway {\nchain in {\n"
           f"type filter hook prerouting priority -200; {rules}\n}}\n}}\n")
    try:
        yield
        listed = switch(lab, "list", "table", "bridge", "inway").stdout
        dropped = re.findall(r"counter packets (\d+)", listed)
        assert len(dropped) == len(matches) and all(int(n) for n in dropped), dropped
    finally:
        switch(lab, "delete", "table", "bridge", "inway")


def check_nothing_lost(results):
    for address, result in results.items():
        for stream in result["udp"], result["tcp"]:
            assert stream["sent"] > 1000 and not stream["lost"] and not stream["error"], \
                f"{address}: {result}"


# --- what is found out ---

def test_found_out(any_lab):
    """On one subnet directly, in the families that the nodes have; behind a switch that checks
    sources not at all."""
    for node in any_lab.nodes():
        routes = any_lab.routes(node)
        assert len(routes) == 2
        for prefix, found in routes.items():
            assert found == EXPECTED[any_lab.param][6 if is_ipv6(prefix) else 4]


def test_packets_go_so(any_lab):
    """What the node says is what its packets do, and the answer comes by the same way."""
    nodes = any_lab.nodes()
    source, target = pod_on(any_lab, nodes[0]), pod_on(any_lab, nodes[1])
    for address in any_lab.pods()[target]["addresses"]:
        before = [counts(any_lab, node) for node in nodes]
        reply = any_lab.probe(source, [["tcp", address, 80]])[0]
        assert reply.get("pod") == target
        assert reply["client"] in any_lab.pods()[source]["addresses"]
        route = EXPECTED[any_lab.param][6 if is_ipv6(address) else 4][0]
        used, unused = ("wire", "tunnel") if route == DIRECT else ("tunnel", "wire")
        for node, old in zip(nodes, before):
            assert risen(any_lab, node, old, used, "from-pod") >= 3
            assert risen(any_lab, node, old, unused, "from-pod") == 0


def test_probes_left(any_lab):
    """Each node has asked over the wire, and only where the wire carries it has one been asked."""
    for node in any_lab.nodes():
        found = counts(any_lab, node)
        assert found.get(("wire", "to-tunnel"), 0) >= 3
        answered = any_lab.param != "hostile"
        assert (found.get(("answer-probe", "from-wire"), 0) >= 3) == answered
        assert (found.get(("take-probe", "from-wire"), 0) >= 3) == answered


def test_two_subnets(make_lab):
    """Across a router by VXLAN, on one subnet directly."""
    lab = make_lab("-n", "3", "--subnets", "2", name="-subnets", manifests=())
    lab.settle()
    subnet = {node: {a.rsplit(":" if is_ipv6(a) else ".", 1)[0] for a in lab.node_addresses(node)}
              for node in lab.nodes()}
    ranges = {r: n["metadata"]["name"] for n in lab.get("nodes") for r in n["spec"]["podCIDRs"]}
    seen = set()
    for node in lab.nodes():
        for prefix, (route, why) in lab.routes(node).items():
            near = subnet[ranges[prefix]] == subnet[node]
            seen.add(near)
            assert (route, why) == ((DIRECT, "the probe is answered") if near
                                    else (VXLAN, "no neighbor in this family"))
    assert seen == {True, False}


# --- what changes later ---

def test_no_packet_lost(lab):
    """From direct to VXLAN and back under load; the probes alone are in the way, of one node or of
    both. Pods and the other node's own address, past a strict reverse-path filter."""
    nodes = lab.nodes()
    source, target = pod_on(lab, nodes[0]), pod_on(lab, nodes[1])
    wait_for_routes(lab, DIRECT)
    to_pod, to_node = {}, {}
    with traffic(lab, source, target, lab.pods()[target]["addresses"], to_pod), \
            traffic(lab, source, nodes[1], lab.node_addresses(nodes[1]), to_node):
        for rule in PROBES, PROBES_OF.format(nodes[0]), PROBES_OF.format(nodes[1]):
            with in_the_way(lab, rule):
                wait_for_routes(lab, VXLAN)
            wait_for_routes(lab, DIRECT)
    for node in nodes:
        assert not lab.drops(node)["wire-source"]
    check_nothing_lost(to_pod)
    check_nothing_lost(to_node)


def test_broken_and_mended(lab):
    """The network begins to drop addresses of pods, in one family and then in the other too."""
    nodes = lab.nodes()
    source, target = pod_on(lab, nodes[0]), pod_on(lab, nodes[1])
    targets = [["tcp", a, 80] for a in lab.pods()[target]["addresses"]]
    wait_for_routes(lab, DIRECT)
    for rules in POD_SOURCES[:1], POD_SOURCES:
        with in_the_way(lab, *rules):
            wait_for(lambda: all((route == VXLAN) == (is_ipv6(prefix) <= len(rules) - 1)
                                 for node in nodes
                                 for prefix, (route, _) in lab.routes(node).items()),
                     "what is broken is not used", CHANGE_SECONDS)
            assert [r.get("pod") for r in lab.probe(source, targets)] == [target] * 2
        wait_for_routes(lab, DIRECT)
        assert [r.get("pod") for r in lab.probe(source, targets)] == [target] * 2


def rows(lab, node):
    return lab.on_node(node, "tables").stdout


def test_restart(lab):
    """An agent that starts anew reads back what its predecessor had learnt, both ways, and loses
    nothing; there is no moment in which it goes another way."""
    nodes = lab.nodes()
    source, target = pod_on(lab, nodes[0]), pod_on(lab, nodes[1])
    wait_for_routes(lab, DIRECT)
    before, results = rows(lab, nodes[1]), {}
    tunnelled = [counts(lab, node) for node in nodes]
    with traffic(lab, source, target, lab.pods()[target]["addresses"], results):
        for _ in range(10):
            with stopped(lab, nodes[1], signal.SIGKILL):
                pass
            assert rows(lab, nodes[1]) == before
    check_nothing_lost(results)
    for node, old in zip(nodes, tunnelled):
        assert risen(lab, node, old, "tunnel", "from-pod") == 0
        assert risen(lab, node, old, "wire", "from-pod") > 1000


def test_agent_away(lab):
    """A node whose agent is away answers all the same: nobody falls back because of it."""
    nodes = lab.nodes()
    wait_for_routes(lab, DIRECT)
    before = counts(lab, nodes[0])
    with stopped(lab, nodes[1]):
        wait_for(lambda: risen(lab, nodes[0], before, "take-probe", "from-wire") >= 10,
                 "five questions a family are answered", CHANGE_SECONDS)
        assert {route for route, _ in lab.routes(nodes[0]).values()} == {DIRECT}


# --- who forges ---

def first_usable(prefix):
    """What a node keeps of its pod range for itself."""
    return str(ipaddress.ip_network(prefix)[1])


def message(kind):
    """struct probe of abi/probe.h, with a nonce that was guessed"""
    return b"pwpr" + bytes([1, kind, 1, 0]) + os.urandom(8)


def probe_frame(source, target, payload, ports, macs):
    ip = scapy.IPv6(src=source, dst=target, hlim=TTL) if is_ipv6(source) \
        else scapy.IP(src=source, dst=target, ttl=TTL)
    return bytes(scapy.Ether(src=macs[0], dst=macs[1]) / ip
                 / scapy.UDP(sport=ports[0], dport=ports[1]) / payload)


def send(lab, where, interface, frames):
    task = {"interface": interface, "frames": [["", frame.hex()] for frame in frames]}
    lab.exec(where, PYTHON, "-B", os.path.join(HERE, "send.py"), input=json.dumps(task))


def mac_of(lab, where, device="eth0"):
    return json.loads(lab.exec(where, "ip", "-j", "link", "show", device).stdout)[0]["address"]


def link_of(lab, where, address):
    return lab.exec(where, "ip", "-o", "route", "get", address).stdout.split("dev ")[1].split()[0]


def kept(lab, node):
    """The addresses of a node that probes come from and go to."""
    found = next(n for n in lab.get("nodes") if n["metadata"]["name"] == node)
    return [first_usable(prefix) for prefix in found["spec"]["podCIDRs"]]


def forged(lab, macs, kind, count):
    """So many frames a family, as the second node's probes to the first one."""
    first, second = lab.nodes()
    ports = (40000, PROBE_PORT) if kind == QUESTION else (PROBE_PORT, 40000)
    return [probe_frame(source, target, message(kind), ports, macs)
            for source, target in zip(kept(lab, second), kept(lab, first)) for _ in range(count)]


def test_forged_from_outside(lab):
    """While the path is closed, answers that nobody gave do not open it; while it is open, they do
    not close it. The positive control: the same frames as questions are answered."""
    first = lab.nodes()[0]
    interface = link_of(lab, "outside", lab.node_addresses(first)[0])
    macs = mac_of(lab, "outside", interface), mac_of(lab, first)
    wait_for_routes(lab, DIRECT)
    before = counts(lab, first)
    send(lab, "outside", interface, forged(lab, macs, QUESTION, 20))
    wait_for(lambda: risen(lab, first, before, "answer-probe", "from-wire") >= 40, "questions are answered")
    before = counts(lab, first)
    send(lab, "outside", interface, forged(lab, macs, ANSWER, 500))
    wait_for(lambda: risen(lab, first, before, "probe", "from-wire") == 1000, "answers are refused")
    assert all_routes(lab) == {DIRECT}
    with in_the_way(lab, PROBES):
        wait_for_routes(lab, VXLAN)
        before = counts(lab, first)
        send(lab, "outside", interface, forged(lab, macs, ANSWER, 2000))
        wait_for(lambda: risen(lab, first, before, "probe", "from-wire") == 4000, "answers are refused")
        assert all_routes(lab) == {VXLAN}
    wait_for_routes(lab, DIRECT)


def test_forged_by_pod(lab):
    """What a pod of the other node sends as its node goes nowhere, and what it sends as itself has
    no effect."""
    first, second = lab.nodes()
    pod = pod_on(lab, second)
    macs = mac_of(lab, pod), json.loads(lab.exec(pod, "ip", "-j", "neigh").stdout)[0]["lladdr"]
    wait_for_routes(lab, DIRECT)
    with in_the_way(lab, PROBES):
        wait_for_routes(lab, VXLAN)
        before = {node: counts(lab, node) for node in lab.nodes()}
        send(lab, pod, "eth0", forged(lab, macs, ANSWER, 200))
        assert risen(lab, second, before[second], "foreign-source", "from-pod") == 400
        send(lab, pod, "eth0", [
            probe_frame(source, target, message(ANSWER), (PROBE_PORT, 40000), macs)
            for source, target in zip(lab.pods()[pod]["addresses"], kept(lab, first))
            for _ in range(200)])
        wait_for(lambda: risen(lab, first, before[first], "stack", "from-tunnel") >= 400,
                 "the pod's own datagrams come through")
        assert risen(lab, first, before[first], "take-probe", "from-wire") == 0
        assert all_routes(lab) == {VXLAN}
    wait_for_routes(lab, DIRECT)
