# SPDX-License-Identifier: Apache-2.0
"""The plugin beyond ADD and DEL: CHECK, GC, STATUS, and what a runtime may ask for."""
import ipaddress
import json
import os

import pytest
from cni import Runtime, addresses, config, inside, namespace
from labs import run
from test_agent import stopped

INCOMPATIBLE, UNKNOWN, ENVIRONMENT, CONFIG, UNAVAILABLE, CHANGED = 1, 3, 4, 7, 50, 101
VALID, OLD_VALID = "cni.dev/valid-attachments", "cni.dev/attachments"


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2")
    with lab.left_alone():  # CHECK would tell what somebody has just altered
        yield lab


@pytest.fixture(scope="module")
def runtime(lab):
    return Runtime(lab, lab.nodes()[0])


@pytest.fixture(scope="module")
def target(lab):
    """A pod on the other node: both its addresses."""
    return next(pod["addresses"] for pod in lab.pods(app="a").values()
                if pod["node"] != lab.nodes()[0])


@pytest.fixture
def netns():
    with namespace(f"t-verbs-{os.getpid()}") as path:
        yield path


@pytest.fixture
def added(runtime, netns):
    """An attachment by name, gone after the test: (its configuration, with its result)"""
    made = []

    def add(container="c1", ifname="eth0", **options):
        stdin = options.pop("stdin", config("1.1.0"))
        result = runtime.add(container, netns, ifname=ifname, stdin=stdin, **options)
        made.append((container, ifname))
        return {**stdin, "prevResult": result}

    yield add
    for container, ifname in made:
        runtime.delete(container, netns, ifname=ifname)


def held(runtime):
    """(container, interface) of all that is attached by this file's tests"""
    return {(pod["container"], pod["ifname"]): pod
            for pod in runtime.lab.query(runtime.node, "pods")["pods"] if not pod["namespace"]}


def far_addresses(runtime, netns, offset):
    """One address of each range, far from the next ones that the agent gives of its own accord."""
    near = addresses(runtime.add("near", netns, ifname="near0"))
    runtime.delete("near", netns, ifname="near0")
    networks = [ipaddress.ip_network(pool["range"])
                for pool in runtime.lab.query(runtime.node, "status")["pools"]]
    return [str(network[2 + (int(ipaddress.ip_address(a)) - int(network[0]) + 120 + offset) % 250])
            for network, a in zip(networks, near)]


# --- CHECK ---

@pytest.mark.parametrize("version", ["0.4.0", "1.0.0", "1.1.0"])
def test_check(runtime, netns, added, version):
    stdin = added(stdin=config(version))
    assert runtime.call("CHECK", "c1", netns, stdin=stdin) == (0, None)


def test_check_is_not_in_the_oldest_version(runtime, netns, added):
    stdin = added(stdin=config("0.3.1"))
    assert "0.4.0" in runtime.fails("CHECK", INCOMPATIBLE, "c1", netns, stdin=stdin)


def test_check_needs_what_add_said(runtime, netns, added):
    stdin = added()
    result = stdin["prevResult"]
    for previous, word in ((None, "prevResult"), ("x", "prevResult"),
                           ({**result, "interfaces": []}, "prevResult.interfaces"),
                           ({**result, "ips": result["ips"][:1]}, "prevResult.ips"),
                           ({**result, "interfaces": "x"}, "prevResult.interfaces"),
                           ({**result, "cniVersion": "1.0.0"}, "prevResult.cniVersion"),
                           ({**result, "interfaces": [*result["interfaces"],
                                                      {"name": "bwp123"}]}, "bandwidth")):
        message = runtime.fails("CHECK", CONFIG, "c1", netns,
                                stdin={**stdin, "prevResult": previous})
        assert word in message
    assert "c9" in runtime.fails("CHECK", UNKNOWN, "c9", netns, stdin=stdin)


# What somebody does inside the container, and a word of the complaint.
BROKEN_INSIDE = {
    "its address": ("ip address flush dev eth0 scope global", "is missing"),
    "an IPv6 address": ("ip -6 address flush dev eth0 scope global", "is missing"),
    "the default route": ("ip route del default", "default route of IPv4"),
    "the IPv6 default route": ("ip -6 route del default", "default route of IPv6"),
    "the neighbor": ("ip neigh del 169.254.1.1 dev eth0", "neighbor 169.254.1.1"),
    "another neighbor": ("ip neigh replace fe80::1 dev eth0 lladdr 02:00:00:00:00:09",
                         "neighbor fe80::1"),
    "down": ("ip link set eth0 down", "is down"),
    "another name": ("ip link set eth0 down && ip link set eth0 name x0", "eth0"),
    "another MAC": ("ip link set eth0 address 02:00:00:00:00:09", "MAC"),
    "no interface": ("ip link del eth0", "eth0"),
}


@pytest.mark.parametrize("what", BROKEN_INSIDE)
def test_check_sees_inside(runtime, netns, added, what):
    command, word = BROKEN_INSIDE[what]
    stdin = added()
    assert runtime.call("CHECK", "c1", netns, stdin=stdin)[0] == 0
    inside(netns, "sh", "-c", command)
    assert word in runtime.fails("CHECK", CHANGED, "c1", netns, stdin=stdin)


# The same on the node, with the name of its link; the agent closes such gaps itself after a while.
BROKEN_ON_NODE = {
    "down": ("ip link set {link} down", "is down"),
    "the filters": ("tc qdisc del dev {link} clsact", "programs"),
    "another MAC": ("ip link set {link} address 02:00:00:00:00:09", "MAC"),
    "the route": ("ip route del {address}", "route"),
    "the neighbor": ("ip neigh del {address} dev {link}", "neighbor"),
}


@pytest.mark.parametrize("what", BROKEN_ON_NODE)
def test_check_sees_the_node(lab, runtime, netns, added, what):
    command, word = BROKEN_ON_NODE[what]
    stdin = added()
    link = stdin["prevResult"]["interfaces"][0]["name"]
    address = addresses(stdin["prevResult"])[0]
    # Sometimes the agent has repaired it before it is asked.
    for _ in range(20):
        lab.exec(runtime.node, "sh", "-c", command.format(link=link, address=address), check=False)
        code, error = runtime.call("CHECK", "c1", netns, stdin=stdin)
        if code != 0:
            break
    assert code != 0 and error["code"] == CHANGED and word in error["msg"]


# --- GC ---

def gc(runtime, **more):
    return runtime.call("GC", stdin=config("1.1.0", **more), CNI_CONTAINERID=None,
                        CNI_NETNS=None, CNI_IFNAME=None)


def valid(*attachments):
    return [{"containerID": container, "ifname": ifname} for container, ifname in attachments]


@pytest.mark.parametrize("key", [VALID, OLD_VALID])
def test_gc(runtime, netns, added, key):
    """What is not named goes, and its addresses with it; what is named works on."""
    for ifname in "eth0", "eth1", "eth2":
        added(ifname=ifname)
    kept = {("c1", "eth1")}
    assert gc(runtime, **{key: valid(*kept, ("stranger", "eth0"))}) == (0, None)
    assert set(held(runtime)) == kept
    inside(netns, "ping", "-c", "1", "-W", "1", "-I", "eth1",
           runtime.lab.pods(app="a")[next(iter(runtime.lab.pods(app="a")))]["addresses"][0])
    assert gc(runtime, **{key: []}) == (0, None)
    assert not held(runtime)


def test_gc_of_another_network(runtime, added):
    added(stdin={**config("1.1.0"), "name": "other"})
    assert gc(runtime, **{VALID: []}) == (0, None)
    assert ("c1", "eth0") in held(runtime)


def test_gc_takes_either_key(runtime, added):
    """Two lists that differ: what either names is valid."""
    added()
    added(ifname="eth1")
    gc(runtime, **{VALID: valid(("c1", "eth0")), OLD_VALID: valid(("c1", "eth1"))})
    assert len(held(runtime)) == 2


@pytest.mark.parametrize("more", [{}, {VALID: None}], ids=["missing", "null"])
def test_gc_without_list(runtime, added, more):
    added()
    assert gc(runtime, **more) == (0, None)
    assert held(runtime)


@pytest.mark.parametrize("broken", ["x", {}, ["x"], [{"containerID": "c1"}],
                                    [{"containerID": 1, "ifname": "eth0"}]], ids=str)
def test_gc_of_nonsense(runtime, added, broken):
    """What cannot be read might have been valid, so nothing goes."""
    added()
    code, error = gc(runtime, **{VALID: broken})
    assert code != 0 and error["code"] == CONFIG and VALID in error["msg"]
    assert held(runtime)


def test_gc_and_status_are_of_1_1(runtime):
    for verb in "GC", "STATUS":
        assert "1.1.0" in runtime.fails(verb, INCOMPATIBLE, stdin=config("1.0.0"))


# --- STATUS ---

def test_status(lab, runtime):
    assert runtime.call("STATUS", stdin=config("1.1.0"), CNI_CONTAINERID=None) == (0, None)
    with stopped(lab, runtime.node):
        runtime.fails("STATUS", UNAVAILABLE, stdin=config("1.1.0"))


# --- DEL with poor input ---

@pytest.mark.parametrize("stdin", [{}, {"cniVersion": "0.3.1"}, {"name": "x"},
                                   {"cniVersion": "9.9.9"},
                                   config("1.1.0", prevResult={}), config("1.1.0", prevResult=7),
                                   config("0.4.0", runtimeConfig="x", args=[])], ids=str)
def test_del_of_little(runtime, netns, stdin):
    """However little or wrong: the attachment goes (multus#1521 leaked one address each time)."""
    runtime.add("c1", netns, stdin=config("1.1.0"))
    runtime.delete("c1", "", stdin=stdin, args="K8S_POD_NAME=" + "x" * 500)
    assert not held(runtime)


# --- what a runtime asks for ---

def ask(**runtime_config):
    return config("1.1.0", runtimeConfig=runtime_config)


def test_addresses_by_name(runtime, netns, added):
    """runtimeConfig.ips before args.cni.ips before IP=; each with or without a prefix length."""
    # What is given back rests, so each case needs its own.
    for offset, (stdin, args) in enumerate((
            (lambda v4, v6: ask(ips=[v6, v4 + "/24"]), "IP=192.0.2.1"),
            (lambda v4, v6: config("1.1.0", args={"cni": {"ips": [v4, v6]}}), "IP=192.0.2.1"),
            (lambda v4, v6: config("1.1.0"), "IP={},{}"))):
        wanted = far_addresses(runtime, netns, offset)
        result = runtime.add("c1", netns, stdin=stdin(*wanted), args=args.format(*wanted))
        assert addresses(result) == wanted
        runtime.delete("c1", netns)


def test_one_family_by_name(runtime, netns):
    ipv6 = far_addresses(runtime, netns, 9)[1]
    result = runtime.add("c1", netns, stdin=ask(ips=[ipv6]))
    assert addresses(result)[1] == ipv6 and len(addresses(result)) == 2
    runtime.delete("c1", netns)


def test_mac_by_name(runtime, netns, target):
    for stdin, args in ((ask(mac="0A:58:0a:f4:01:07"), "MAC=02:00:00:00:00:01"),
                        (config("1.1.0"), "MAC=0a:58:0a:f4:01:07")):
        result = runtime.add("c1", netns, stdin=stdin, args=args)
        assert result["interfaces"][1]["mac"] == "0a:58:0a:f4:01:07"
        for address in target:
            inside(netns, "ping", "-c", "1", "-W", "1", address)
        runtime.delete("c1", netns)


WRONG = {
    "an address that is none": (CONFIG, "runtimeConfig.ips", ask(ips=["10.1"]), ""),
    "an address of nobody": (CONFIG, "runtimeConfig.ips", ask(ips=["192.0.2.7"]), ""),
    "a number as address": (CONFIG, "runtimeConfig.ips[0]", ask(ips=[7]), ""),
    "two of one family": (CONFIG, "runtimeConfig.ips", ask(ips=["10.0.0.1", "10.0.0.2"]), ""),
    "addresses in no list": (CONFIG, "runtimeConfig.ips", ask(ips="10.0.0.1"), ""),
    "args.cni.ips": (CONFIG, "args.cni.ips", config("1.1.0", args={"cni": {"ips": ["x"]}}), ""),
    "an argument": (ENVIRONMENT, "CNI_ARGS: IP", config("1.1.0"), "IP=x"),
    "a MAC that is none": (CONFIG, "runtimeConfig.mac", ask(mac="0a:58:0a:f4:01"), ""),
    "a MAC for many": (CONFIG, "runtimeConfig.mac", ask(mac="01:00:5e:00:00:01"), ""),
    "no MAC": (CONFIG, "runtimeConfig.mac", ask(mac="00:00:00:00:00:00"), ""),
    "a number as MAC": (CONFIG, "runtimeConfig.mac", ask(mac=7), ""),
    "a MAC argument": (ENVIRONMENT, "CNI_ARGS: MAC", config("1.1.0"), "MAC=zz"),
    "a negative rate": (CONFIG, "runtimeConfig.bandwidth.ingressRate",
                        ask(bandwidth={"ingressRate": -1}), ""),
    "a rate in words": (CONFIG, "runtimeConfig.bandwidth.egressRate",
                        ask(bandwidth={"egressRate": "10M"}), ""),
    "a label without key": (CONFIG, "args.cni.labels[0]",
                            config("1.1.0", args={"cni": {"labels": [{"value": "x"}]}}), ""),
    "a label that is none": (CONFIG, "args.cni.labels[1]", config("1.1.0", args={"cni": {
        "labels": [{"key": "a", "value": "b"}, {"key": "a b", "value": ""}]}}), ""),
    "no name": (CONFIG, "name", {"cniVersion": "1.1.0", "type": "podwire-cni"}, ""),
    "a name with a slash": (CONFIG, "name", {**config("1.1.0"), "name": "a/b"}, ""),
    "a result that is none": (CONFIG, "prevResult", config("1.1.0", prevResult=[]), ""),
    "a result with our interface": (CONFIG, "prevResult.interfaces[0]", config(
        "1.1.0", prevResult={"interfaces": [{"name": "eth0", "sandbox": "/x"}]}), ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_wish(runtime, netns, what):
    """Refused by the name of its field, and nothing is taken."""
    code, field, stdin, args = WRONG[what]
    before = runtime.lab.query(runtime.node, "status")["pools"]
    assert field in runtime.fails("ADD", code, "c1", netns, stdin=stdin, args=args)
    assert [p["used"] for p in runtime.lab.query(runtime.node, "status")["pools"]] == \
        [p["used"] for p in before]


def test_an_address_that_is_in_use(runtime, netns, added):
    used = addresses(added()["prevResult"])[0]
    assert used in runtime.fails("ADD", CONFIG, "c2", netns, ifname="eth1",
                                 stdin=ask(ips=[used]))


def test_container_without_kubernetes(runtime, added):
    """It is named by its id, and its labels are kept; a pod of Kubernetes has others."""
    labels = {"cni": {"labels": [{"key": "app", "value": "db"}, {"key": "x.y/tier"}]}}
    added(stdin=config("1.1.0", args=labels))
    added(ifname="eth1", stdin=config("1.1.0", args=labels),
          args="K8S_POD_NAMESPACE=;K8S_POD_NAME=web")
    pods = held(runtime)
    assert pods["c1", "eth0"]["name"] == "c1"
    assert pods["c1", "eth0"]["labels"] == {"app": "db", "x.y/tier": ""}
    assert pods["c1", "eth1"]["name"] == "web" and not pods["c1", "eth1"]["labels"]


# --- several interfaces ---

def default_routes(netns, family):
    return json.loads(inside(netns, "ip", "-j", family, "route", "show", "default").stdout)


def test_second_interface(runtime, netns, added, target):
    """The first one's default route stays the first; both reach others when bound to."""
    added()
    second = added(ifname="net1")["prevResult"]
    for family in "-4", "-6":
        routes = default_routes(netns, family)
        assert sorted(routes, key=lambda r: r.get("metric", 0))[0]["dev"] == "eth0"
        assert {route["dev"] for route in routes} == {"eth0", "net1"}
    assert all(route["priority"] for route in second["routes"])
    for address in target:
        for device in "eth0", "net1":
            inside(netns, "ping", "-c", "1", "-W", "1", "-I", device, address)


def test_beside_another_network(runtime, netns, added, target):
    """A default route that somebody else has made stays the first."""
    inside(netns, "sh", "-c", "ip link add d0 type veth peer name d1 && ip link set d0 up && "
           "ip link set d1 up && ip address add 192.0.2.2/24 dev d0 && ip route add default via 192.0.2.1")
    added()
    assert min(default_routes(netns, "-4"), key=lambda r: r.get("metric", 0))["dev"] == "d0"
    inside(netns, "ping", "-c", "1", "-W", "1", "-I", "eth0", target[0])
    inside(netns, "ping", "-c", "1", "-W", "1", target[1])


def test_result_of_an_earlier_plugin(runtime, added):
    """It is passed on, with ours behind it."""
    previous = {"cniVersion": "1.1.0", "interfaces": [{"name": "x0"}], "dns": {"domain": "d"},
                "ips": [{"address": "192.0.2.1/24", "interface": 0}], "routes": None}
    result = added(stdin=config("1.1.0", prevResult=previous))["prevResult"]
    assert [i["name"] for i in result["interfaces"]][::2] == ["x0", "eth0"]
    assert [ip["interface"] for ip in result["ips"]] == [0, 2, 2]
    assert result["dns"] == {"domain": "d"} and len(result["routes"]) == 2


def test_nothing_is_left(runtime):
    assert not held(runtime)
    assert run("ip", "netns").returncode == 0
