# SPDX-License-Identifier: Apache-2.0
"""runtimeConfig.bandwidth, measured: both directions, both families, on one node and across."""
import contextlib
import ipaddress
import json
import os
import subprocess
import time

import pytest
from cni import Runtime, addresses, config, inside, namespace
from labs import is_ipv6, wait_for

INGRESS, EGRESS = 40_000_000, 24_000_000  # bits per second
SECONDS = 2
PAYLOAD = 1200
HUGE = 4294967295  # what runtimes write for "no limit of the burst"

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2")
    with lab.left_alone():  # what stands still for a moment gets less than its limit
        yield lab


@pytest.fixture(scope="module")
def peers(lab):
    """A container with limits, one beside it and one on the other node: {name: (path, addresses)}"""
    limits = {"ingressRate": INGRESS, "ingressBurst": HUGE, "egressRate": EGRESS,
              "egressBurst": HUGE}
    here, there = (Runtime(lab, node) for node in lab.nodes()[:2])
    made = {}
    with contextlib.ExitStack() as stack:
        for name, runtime, more in (("limited", here, {"bandwidth": limits}),
                                    ("beside", here, {}), ("across", there, {})):
            path = stack.enter_context(namespace(f"t-bandwidth-{name}-{os.getpid()}"))
            result = runtime.add(name, path, stdin=config("1.1.0", runtimeConfig=more))
            stack.callback(runtime.delete, name, path)
            made[name] = (path, addresses(result))
            made[name + ":link"] = result["interfaces"][0]["name"]
        yield made


def measure(server, client, *options):
    """What iperf3's server got, or gave: its report's sums."""
    path, address = server
    with subprocess.Popen(["ip", "netns", "exec", os.path.basename(path), "iperf3", "-s", "-1"],
                          stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                if ":5201 " in inside(path, "ss", "-Hltn").stdout:
                    break
                time.sleep(0.02)
            done = inside(client, "iperf3", "-J", "-c", address, "-t", str(SECONDS), *options)
        finally:
            process.terminate()
    return json.loads(done.stdout)["end"]


def frame_share(address, payload):
    """How much longer a frame is than what it brings: Ethernet, IP and UDP."""
    return (payload + 14 + (40 if is_ipv6(address) else 20) + 8) / payload


@pytest.mark.parametrize("peer", ["beside", "across"])
@pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_limit(peers, peer, family, direction):
    """Within five in a hundred of the limit, though three times as much is sent."""
    limit = INGRESS if direction == "ingress" else EGRESS
    receiver, sender = ("limited", peer) if direction == "ingress" else (peer, "limited")
    path, own = peers[receiver]
    sums = measure((path, own[family]), peers[sender][0], "-u", "-l", str(PAYLOAD), "-b",
                   str(3 * limit))["sum"]
    got = sums["bytes"] * 8 * (1 - sums["lost_percent"] / 100) / sums["seconds"]
    assert got * frame_share(own[family], PAYLOAD) == pytest.approx(limit, rel=0.05)


@pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_tcp_uses_its_limit(peers, family, direction):
    """A stream gets nearly all of it, and no more: large packets are counted by their segments."""
    limit = INGRESS if direction == "ingress" else EGRESS
    receiver, sender = ("limited", "beside") if direction == "ingress" else ("beside", "limited")
    path, own = peers[receiver]
    got = measure((path, own[family]), peers[sender][0])["sum_received"]["bits_per_second"]
    assert 0.85 * limit < got < 1.02 * limit


def test_others_have_no_limit(peers):
    path, own = peers["beside"]
    got = measure((path, own[0]), peers["across"][0])["sum_received"]["bits_per_second"]
    assert got > 4 * INGRESS


def test_limits_are_seen(lab, peers):
    """By `tc` and in the table of pods; a limit that somebody removes is missed by CHECK."""
    rows = [row["row"] for row in lab.query(lab.nodes()[0], "tables")["rows"]]
    for address in peers["limited"][1]:
        address = str(ipaddress.ip_address(address))
        assert any(f"pod {address} " in row and row.endswith("shaped") for row in rows)
    assert not any(peers["beside"][1][0] + " " in row and "shaped" in row for row in rows)
    assert "tbf" in lab.exec(lab.nodes()[0], "tc", "qdisc", "show", "dev",
                             peers["limited:link"]).stdout


def test_check_misses_the_limit(lab):
    """That of the container's own end, where nobody but it and the runtime can be."""
    runtime = Runtime(lab, lab.nodes()[0])
    limits = {"ingressRate": 10**6, "egressRate": 10**6}
    with namespace(f"t-bandwidth-check-{os.getpid()}") as path:
        stdin = config("1.1.0", runtimeConfig={"bandwidth": limits})
        stdin["prevResult"] = runtime.add("c1", path, stdin=stdin)
        assert runtime.call("CHECK", "c1", path, stdin=stdin) == (0, None)
        inside(path, "tc", "qdisc", "del", "dev", "eth0", "root")
        assert "token bucket" in runtime.fails("CHECK", 101, "c1", path, stdin=stdin)
        runtime.delete("c1", path)


@pytest.mark.parametrize("tampering", [
    "del dev {link} root", "change dev {link} root tbf rate 1gbit burst 1mb limit 2mb",
    "replace dev {link} root handle 1: pfifo", "replace dev {link} root handle 1: tbf rate "
    f"{INGRESS}bit burst 20kb limit 30mb"])
def test_limit_of_the_node_comes_back(lab, peers, tampering):
    """The node's end is podwire's: whatever somebody else makes of it."""
    node, link = lab.nodes()[0], peers["limited:link"]

    def queue():
        return lab.exec(node, "tc", "qdisc", "show", "dev", link, "root").stdout

    before, count = queue(), lab.query(node, "status")["repaired"]
    lab.exec(node, "tc", "qdisc", *tampering.format(link=link).split())
    wait_for(lambda: queue() == before, "the token bucket is as it was", 10)
    wait_for(lambda: lab.query(node, "status")["repaired"] > count, "it is counted", 10)
