# SPDX-License-Identifier: Apache-2.0
"""Path MTU discovery: a far host behind a narrow link, which pods reach under the node's address, and
which reaches pods directly. The far host does not say that its link is narrow, so that pods can
learn it only from the ICMP errors of the router before it, the client outside.

    pod - node - (MTU 1500) - outside - (MTU 1300) - far
"""
import contextlib
import os
import subprocess

import labs
import pytest
from labs import HERE, PYTHON, is_ipv6, run, wait_for

NARROW, WIDE_MSS = 1300, {4: 1460, 6: 1440}
PORT, SIZE = 9001, 1 << 20
LINK = {4: ("192.0.2.1", "192.0.2.2", "192.0.2.0/24"),
        6: ("2001:db8:f::1", "2001:db8:f::2", "2001:db8:f::/64")}


class Far:
    """A namespace beyond the lab; `ip` and `start` work in it."""

    def __init__(self, lab):
        self.lab, self.name = lab, f"t-far-{os.getpid()}"

    def ip(self, *arguments):
        return run("ip", "-n", self.name, *arguments)

    def command(self, *arguments):
        return ["ip", "netns", "exec", self.name, *arguments]

    def make(self):
        lab = self.lab
        run("ip", "netns", "add", self.name)
        self.ip("link", "add", "near", "mtu", str(NARROW), "type", "veth", "peer", "name", "narrow",
                "mtu", str(NARROW), "netns", f"{lab.directory}/ns/outside")
        self.ip("link", "set", "dev", "near", "up")
        lab.exec("outside", "ip", "link", "set", "dev", "narrow", "up")
        for key in "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding":
            lab.exec("outside", "sysctl", "-q", "-w", f"{key}=1")
        for version, (outside, far, prefix) in LINK.items():
            length = prefix.split("/")[1]
            nodad = ["nodad"] if version == 6 else []
            lab.exec("outside", "ip", "address", "add", f"{outside}/{length}", "dev", "narrow", *nodad)
            self.ip("address", "add", f"{far}/{length}", "dev", "near", *nodad)
            self.ip("route", "add", "default", "via", outside, "mtu", str(NARROW),
                    "advmss", str(WIDE_MSS[version]))

    def close(self):
        run("ip", "netns", "del", self.name, check=False)


@pytest.fixture(scope="module", params=["vxlan", "direct"])
def scene(request, profile, make_lab):
    """(lab, far host, a pod and its addresses); all routes are there."""
    if profile == "hostile" and request.param == "direct":
        pytest.skip(labs.NO_DIRECT)
    lab = make_lab("-n", "2", "--route", request.param, name="-" + request.param)
    far = Far(lab)
    with contextlib.closing(far):
        far.make()
        outside = addresses(lab, "outside")
        for node in lab.get("nodes"):
            name = node["metadata"]["name"]
            for version, (_, _, prefix) in LINK.items():
                lab.exec(name, "ip", "route", "add", prefix, "via", outside[version],
                         "proto", "static")  # others' are taken away on hostile nodes
            for prefix in node["spec"]["podCIDRs"]:
                version = 6 if is_ipv6(prefix) else 4
                lab.exec("outside", "ip", "route", "add", prefix,
                         "via", addresses(lab, name)[version])
        key, pod = next(iter(lab.pods(app="a").items()))
        yield lab, far, key, {6 if is_ipv6(a) else 4: a for a in pod["addresses"]}


def addresses(lab, where):
    found = lab.exec(where, "ip", "-o", "address", "show", "dev", "eth0", "scope", "global").stdout
    return {6 if is_ipv6(a) else 4: a.split("/")[0]
            for a in (line.split()[3] for line in found.splitlines())}


def bulk(address):
    return [PYTHON, "-B", os.path.join(HERE, "traffic.py"), "bulk", address, str(PORT), str(SIZE)]


@contextlib.contextmanager
def server(process):
    assert process.stdout.readline() == "ready\n"
    try:
        yield
    finally:
        process.kill()
        process.wait()


def forget(lab, key):
    """What the pod has learnt is no help to the next test."""
    for version in "-4", "-6":
        lab.exec(key, "ip", version, "route", "flush", "cache")


def known_mtu(lab, key, address):
    return f"mtu {NARROW}" in lab.exec(key, "ip", "route", "get", address).stdout


@pytest.mark.parametrize("version", [4, 6])
def test_masqueraded(scene, version):
    """The error about a translated packet finds the pod, and a stream comes through."""
    lab, far, key, _ = scene
    target = LINK[version][1]
    forget(lab, key)
    lab.exec(key, "ping", "-c", "1", "-W", "2", target)  # the path is there
    lab.exec(key, "ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1340", target, check=False)
    wait_for(lambda: known_mtu(lab, key, target), "the pod learns the narrow link's MTU", 3)
    forget(lab, key)
    command = far.command(PYTHON, "-B", os.path.join(HERE, "traffic.py"), "serve", str(PORT))
    with server(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)):
        assert int(lab.exec(key, *bulk(target)).stdout) == SIZE
    assert known_mtu(lab, key, target)


@pytest.mark.one_profile(labs.NO_DIRECT)
@pytest.mark.parametrize("version", [4, 6])
def test_direct(scene, version):
    """The same where the far host has opened the flow, and nothing is translated."""
    lab, far, key, own = scene
    forget(lab, key)
    with server(lab.start(key, PYTHON, "-B", os.path.join(HERE, "traffic.py"), "serve", str(PORT))):
        assert int(run(*far.command(*bulk(own[version]))).stdout) == SIZE
    assert known_mtu(lab, key, LINK[version][1])
