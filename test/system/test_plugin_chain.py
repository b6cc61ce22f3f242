# SPDX-License-Identifier: Apache-2.0
"""The plugin among others of the CNI project, by the project's own runtime, on a node of a lab."""
import contextlib
import json
import os

import pytest
from cni import addresses, inside, namespace
from labs import PLUGIN

CNITOOL = os.environ.get("PODWIRE_CNITOOL")
OTHERS = "/usr/lib/cni"
pytestmark = pytest.mark.skipif(
    not CNITOOL or "v1.1" in CNITOOL or not os.path.exists(f"{OTHERS}/sbr"),
    reason="./run test builds cnitool and installs the other plugins")

PODWIRE = {"type": "podwire-cni", "capabilities": {"bandwidth": True, "ips": True, "mac": True}}
TUNING = {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}, "mtu": 1300}
FIREWALL = {"type": "firewall", "backend": "iptables"}
BRIDGE = {"type": "bridge", "bridge": "t-chain0", "isDefaultGateway": True,
          "ipam": {"type": "host-local", "ranges": [[{"subnet": "192.0.2.0/24"}]],
                   "dataDir": "/var/lib/cni/ipam"}}


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2")
    with lab.left_alone():  # CHECK would tell what somebody has just altered
        yield lab


@pytest.fixture(scope="module")
def target(lab):
    """A pod on the other node: (name, its addresses)"""
    return next((name, pod["addresses"]) for name, pod in lab.pods(app="a").items()
                if pod["node"] != lab.nodes()[0])


@pytest.fixture
def netns():
    with namespace(f"t-chain-{os.getpid()}") as path:
        yield path


class Tool:
    """cnitool with its own configurations; its cache and the others' state end with the test."""

    def __init__(self, lab, folder):
        self.lab, self.node, self.folder = lab, lab.nodes()[0], folder
        (folder / "state").mkdir()

    def network(self, name, *plugins, version="1.0.0"):
        (self.folder / f"{name}.conflist").write_text(json.dumps(
            {"cniVersion": version, "name": name, "plugins": list(plugins)}))

    def run(self, verb, network, netns, ifname="eth0", check=True, **environment):
        # /run/xtables.lock and /var/lib are of this command alone.
        done = self.lab.exec(
            self.node, "env", f"NETCONFPATH={self.folder}", f"CNI_IFNAME={ifname}",
            f"CNI_PATH={os.path.dirname(PLUGIN)}:{OTHERS}",
            f"PODWIRE_RUN_DIR={self.lab.run_directory(self.node)}",
            *(f"{key}={value}" for key, value in environment.items()),
            "unshare", "-m", "sh", "-c",
            'mount -t tmpfs none /var/lib && mkdir /var/lib/cni && '
            'mount --bind "$1" /var/lib/cni && exec "$2" "$3" "$4" "$5"', "sh",
            str(self.folder / "state"), CNITOOL, verb, network, netns, check=check)
        return done


@pytest.fixture
def tool(lab, tmp_path):
    return Tool(lab, tmp_path)


@contextlib.contextmanager
def attached(tool, network, netns, **options):
    """What `add` has said, until `del`."""
    yield json.loads(tool.run("add", network, netns, **options).stdout)
    tool.run("del", network, netns, **options)


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
def test_tuning_and_firewall_behind(lab, tool, netns, target, version):
    """They take the result, do their work, and CHECK of all of them agrees."""
    tool.network("chain", PODWIRE, TUNING, FIREWALL, version=version)
    with attached(tool, "chain", netns) as result:
        assert [is_in["name"] for is_in in result["interfaces"]][1] == "eth0"
        link = json.loads(inside(netns, "ip", "-j", "link", "show", "eth0").stdout)[0]
        assert link["mtu"] == 1300
        for address in target[1]:
            inside(netns, "ping", "-c", "1", "-W", "1", address)
        tool.run("check", "chain", netns)
        inside(netns, "ip", "route", "del", "default")
        failed = tool.run("check", "chain", netns, check=False)
        assert failed.returncode and "default route" in failed.stderr
    assert "eth0" not in inside(netns, "ip", "-o", "link").stdout


def test_sbr_makes_the_second_interface_answer(lab, tool, netns, target):
    """With routes by source both interfaces of a container are reached from elsewhere."""
    tool.network("first", PODWIRE)
    tool.network("second", PODWIRE, {"type": "sbr"})
    name, _ = target
    with attached(tool, "first", netns) as first, \
            attached(tool, "second", netns, ifname="net1") as second:
        for address in addresses(first) + addresses(second):
            lab.exec(name, "ping", "-c", "1", "-W", "1", address)
        tool.run("check", "second", netns, ifname="net1")
        tool.run("check", "first", netns)


def test_beside_a_bridge(lab, tool, netns, target):
    """Whose default route was there first, keeps it; podwire's interface works beside it."""
    tool.network("bridge", BRIDGE)
    tool.network("podwire", PODWIRE, {"type": "sbr"})
    name, _ = target
    with attached(tool, "bridge", netns), attached(tool, "podwire", netns, ifname="net1") as ours:
        route = inside(netns, "ip", "route", "show", "default").stdout
        assert "192.0.2.1" in route and "net1" not in route
        inside(netns, "ping", "-c", "1", "-W", "1", "192.0.2.1")
        for address in addresses(ours):
            lab.exec(name, "ping", "-c", "1", "-W", "1", address)


def test_behind_a_bridge(tool, netns):
    """Two plugins cannot make one interface: the second says so, and takes nothing."""
    tool.network("both", BRIDGE, PODWIRE)
    failed = tool.run("add", "both", netns, check=False)
    assert failed.returncode and "podwire makes the interface itself" in failed.stderr
    tool.run("del", "both", netns)


def test_bandwidth_behind(tool, netns):
    """The reference plugin's limit of what leaves the pod wants a qdisc that is taken: ADD ends."""
    tool.network("twice", {"type": "podwire-cni"},
                 {"type": "bandwidth", "egressRate": 10**6, "egressBurst": 10**6})
    failed = tool.run("add", "twice", netns, check=False)
    assert failed.returncode and "bandwidth" in failed.stderr
    tool.run("del", "twice", netns, check=False)


def test_ingress_bandwidth_behind(tool, netns):
    """Its limit of what enters would hold back nothing, for packets pass by: CHECK says so."""
    tool.network("twice", {"type": "podwire-cni"},
                 {"type": "bandwidth", "ingressRate": 10**6, "ingressBurst": 10**6})
    with attached(tool, "twice", netns):
        failed = tool.run("check", "twice", netns, check=False)
        assert failed.returncode and 'the capability "bandwidth"' in failed.stderr


def test_capabilities(lab, tool, netns):
    """What cnitool's CAP_ARGS asks for arrives by runtimeConfig."""
    tool.network("caps", PODWIRE)
    wanted = json.dumps({"mac": "0a:58:0a:f4:01:08", "bandwidth": {"egressRate": 10**6}})
    with attached(tool, "caps", netns, CAP_ARGS=wanted) as result:
        assert result["interfaces"][1]["mac"] == "0a:58:0a:f4:01:08"
        assert "tbf" in inside(netns, "tc", "qdisc", "show", "dev", "eth0").stdout
