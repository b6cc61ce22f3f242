# SPDX-License-Identifier: Apache-2.0
"""What a hostile pod or neighbor sends reaches nobody (hazards A1, A2, A3, A5, B1, B2, B5, C1, H5).

Every case is sent in several rounds over a window, by scapy, from inside a namespace of the lab.
Watchers count marked frames everywhere meanwhile. So each test can say three things: the hostile
frame left its sender (the node's side of the sender's link saw it), it came out nowhere else, and
the node counted it under the verdict that the case expects. The positive control is a case like
the others that must arrive.
"""
import collections
import ipaddress
import json
import os

import pytest
from labs import HERE, PYTHON, end, is_ipv6, wait_for, write_json

ROUNDS, PERIOD = 8, 0.12
TUNNEL_PORT, POD_VNI = 6083, 0x70d101
VICTIM_PORT = 7777
LOOPBACK_PORT = 9999


class Scene:
    """Who is who: an attacker, a victim on its node, a victim on another node, the outside."""

    def __init__(self, lab):
        self.lab = lab
        pods = lab.pods(app="a")
        self.attacker = sorted(pods)[0]
        self.node = pods[self.attacker]["node"]
        self.far = next(key for key in pods if pods[key]["node"] != self.node)
        self.far_node = pods[self.far]["node"]
        beside = lab.pods(app="b")
        self.near = next(key for key in beside if beside[key]["node"] == self.node)
        self.pods = {**pods, **beside}
        self.link, self.mac, self.gateway_mac = self.wiring(self.attacker)

    def wiring(self, pod):
        """(the node's side of the pod's link, the pod's MAC, the MAC behind its gateway)"""
        link = json.loads(self.lab.exec(pod, "ip", "-j", "link", "show", "eth0").stdout)[0]
        on_node = json.loads(self.lab.exec(self.pods[pod]["node"], "ip", "-j", "link").stdout)
        peer = next(l for l in on_node if l["ifindex"] == link["link_index"])
        return peer["ifname"], link["address"], peer["address"]

    def address(self, key, family):
        wanted = family == "ipv6"
        if key in self.pods:
            addresses = self.pods[key]["addresses"]
        elif key == "outside":
            text = self.lab.exec("outside", "ip", "-o", "address", "show", "scope", "global").stdout
            addresses = [line.split()[3].split("/")[0] for line in text.splitlines()]
        else:
            addresses = self.lab.node_addresses(key)
        return next(a for a in addresses if is_ipv6(a) == wanted)


def ip(source, target, **fields):
    return ["IPv6" if is_ipv6(source) else "IP", {"src": source, "dst": target, **fields}]


def udp(source, target, port=VICTIM_PORT, **ether):
    return [["Ether", ether], ip(source, target), ["UDP", {"sport": 5000, "dport": port}],
            ["Raw", {}]]


def spoofed_sources(scene, family):
    """A3: sources that are not the pod's own."""
    near = scene.address(scene.near, family)
    return {
        "pod-here": near,
        "pod-far": scene.address(scene.far, family),
        "own-node": scene.address(scene.node, family),
        "far-node": scene.address(scene.far_node, family),
        "outside": scene.address("outside", family),
        "service": {"ipv4": "10.96.0.10", "ipv6": "fd96::10"}[family],
        "gateway": {"ipv4": "169.254.1.1", "ipv6": "fe80::1"}[family],
        "loopback": {"ipv4": "127.0.0.1", "ipv6": "::1"}[family],
        "unspecified": {"ipv4": "0.0.0.0", "ipv6": "::"}[family],
        "multicast": {"ipv4": "224.0.0.9", "ipv6": "ff05::9"}[family],
        "broadcast": {"ipv4": "255.255.255.255", "ipv6": "ff02::1"}[family],
    }


def spoofing_cases(scene, family):
    near, far = scene.address(scene.near, family), scene.address(scene.far, family)
    own = scene.address(scene.attacker, family)
    cases = {}
    for name, source in spoofed_sources(scene, family).items():
        cases[f"spoof-{name}"] = ([udp(source, near), udp(source, far),
                                   udp(source, scene.address(scene.node, family))],
                                  "foreign-source")
    cases["spoof-mac"] = ([udp(own, near, src="02:00:00:00:00:99"),
                           udp(own, far, src=scene.gateway_mac)], "foreign-mac")
    if family == "ipv6":
        mapped = "::ffff:" + scene.address(scene.near, "ipv4")
        cases["spoof-mapped"] = ([udp(mapped, near)], "malformed")
    return cases


def arp(scene, source, target, **fields):
    return [["Ether", {"dst": fields.pop("dst", scene.gateway_mac)}],
            ["ARP", {"psrc": source, "pdst": target, "hwsrc": scene.mac, **fields}]]


def neighbor_cases(scene, family):
    """A1, A2: who speaks for others on the link, or gives itself out as a router."""
    own = scene.address(scene.attacker, family)
    claimed = [scene.address(key, family) for key in (scene.near, scene.far, scene.node)]
    if family == "ipv4":
        claimed.append("169.254.1.1")
        every = "ff:ff:ff:ff:ff:ff"
        return {
            "arp-gratuitous": ([arp(scene, a, a, op=2, dst=every) for a in claimed], "not-ip"),
            "arp-reply": ([arp(scene, a, own, op=2) for a in claimed], "not-ip"),
            "arp-foreign-sender": ([arp(scene, a, own, op=2, hwsrc="02:00:00:00:00:98")
                                    for a in claimed], "not-ip"),
            "arp-request": ([arp(scene, own, a, op=1, dst=every) for a in claimed], "not-ip"),
        }
    claimed.append("fe80::1")
    all_nodes = {"dst": "33:33:00:00:00:01"}
    prefix = ["ICMPv6NDOptPrefixInfo", {"prefix": "2001:db8:bad::", "prefixlen": 64}]
    address = ["ICMPv6NDOptDstLLAddr", {"lladdr": scene.mac}]
    ra = [["Ether", all_nodes], ip("fe80::1", "ff02::1", hlim=255),
          ["ICMPv6ND_RA", {"routerlifetime": 1800}], prefix]
    ra_link_local = [["Ether", {}], ip("fe80::2", "fe80::1", hlim=255),
                     ["ICMPv6ND_RA", {"routerlifetime": 1800}], prefix]
    ra_hidden = [["Ether", all_nodes], ip(own, "ff02::1", hlim=255), ["IPv6ExtHdrDestOpt", {}],
                 ["ICMPv6ND_RA", {"routerlifetime": 1800}], prefix]
    return {
        "router-advertisement": ([ra, ra_link_local], "neighbor-discovery"),
        "router-advertisement-hidden": ([ra_hidden], "neighbor-discovery"),
        "redirect": ([[["Ether", {}], ip("fe80::1", own, hlim=255),
                       ["ICMPv6ND_Redirect", {"tgt": own, "dst": claimed[0]}]]],
                     "neighbor-discovery"),
        "neighbor-advertisement": ([[["Ether", {}], ip(own, c, hlim=255),
                                     ["ICMPv6ND_NA", {"tgt": t, "R": 0, "S": 0, "O": 1}], address]
                                    for c in claimed for t in claimed], "neighbor-discovery"),
        "neighbor-solicitation": ([[["Ether", {}], ip(own, c, hlim=255), ["ICMPv6ND_NS", {"tgt": c}]]
                                   for c in claimed], "neighbor-discovery"),
    }


def dhcp_cases(scene, family):
    """A5: a pod that plays server or client."""
    own, near = scene.address(scene.attacker, family), scene.address(scene.near, family)
    if family == "ipv4":
        def frame(target, sport, dport, **ether):
            return [["Ether", ether], ip(own, target), ["UDP", {"sport": sport, "dport": dport}],
                    ["BOOTP", {"op": 2}], ["DHCP", {"options": [["message-type", 2], "end"]}]]
        every = {"dst": "ff:ff:ff:ff:ff:ff"}
        return {"dhcp-offer": ([frame("255.255.255.255", 67, 68, **every), frame(near, 67, 68)],
                               "dhcp"),
                "dhcp-request": ([frame("255.255.255.255", 68, 67, **every)], "dhcp")}
    return {"dhcp-advertise": ([[["Ether", {"dst": "33:33:00:01:00:02"}], ip(own, target),
                                 ["UDP", {"sport": 547, "dport": 546}], ["DHCP6_Advertise", {}]]
                                for target in ("ff02::1", near)], "dhcp")}


def vxlan(outer_source, outer_target, inner, port=TUNNEL_PORT, vni=POD_VNI):
    return [["Ether", {}], ip(outer_source, outer_target), ["UDP", {"sport": 4000, "dport": port}],
            ["VXLAN", {"vni": vni, "flags": 8}], ["Ether", {"dst": "02:00:00:00:00:01"}],
            *inner[1:]]


def overlay_cases(scene, family):
    """B2: a pod makes overlay packets itself, for every node."""
    own = scene.address(scene.attacker, family)
    inner = udp(scene.address(scene.far, family), scene.address(scene.near, family))
    nodes = [scene.address(node, family) for node in (scene.node, scene.far_node)]
    into = [["Ether", {}], None, *inner[1:]]
    return {
        "overlay-own-port": ([vxlan(own, node, inner) for node in nodes], "tunnel-port"),
        "overlay-other-ports": ([vxlan(own, node, inner, port) for node in nodes
                                 for port in (4789, 8472)], None),
        "overlay-ip-in-ip": ([[into[0], ip(own, node), *into[2:]] for node in nodes], None),
    }


def loopback_cases(scene, family):
    """C1: what is for loopback comes by no wire."""
    own = scene.address(scene.attacker, family)
    target = {"ipv4": "127.0.0.1", "ipv6": "::1"}[family]
    tcp = [["Ether", {}], ip(own, target), ["TCP", {"sport": 5000, "dport": LOOPBACK_PORT}]]
    return {"loopback": ([udp(own, target, LOOPBACK_PORT), tcp], "loopback")}


def multicast_cases(scene, family):
    own = scene.address(scene.attacker, family)
    targets = {"ipv4": ["224.0.0.251", "255.255.255.255"], "ipv6": ["ff02::fb", "ff05::1"]}[family]
    return {"multicast": ([udp(own, target) for target in targets], "multicast")}


def wrapped(frame):
    """H5: the same packet behind a tag, or with a length where its type should be."""
    inner = frame[1:]
    snap = [["LLC", {"dsap": 0xaa, "ssap": 0xaa, "ctrl": 3}],
            ["SNAP", {"code": 0x86dd if inner[0][0] == "IPv6" else 0x0800}]]
    return {
        "vlan-priority": [frame[0], ["Dot1Q", {"vlan": 0}], *inner],
        "vlan": [frame[0], ["Dot1Q", {"vlan": 5}], *inner],
        "vlan-twice": [frame[0], ["Dot1AD", {"vlan": 5}], ["Dot1Q", {"vlan": 0}], *inner],
        "llc-snap": [["Dot3", {}], *snap, *inner],
        "length-for-type": [["Ether", {"type": 80}], *inner],
    }


def layer_two_cases(scene, family):
    own = scene.address(scene.attacker, family)
    near, far = (wrapped(udp(own, scene.address(victim, family)))
                 for victim in (scene.near, scene.far))
    return {name: ([near[name], far[name]], "not-ip") for name in near}


def all_cases(scene):
    cases = collections.OrderedDict()
    for family in "ipv4", "ipv6":
        own = scene.address(scene.attacker, family)
        for make in (spoofing_cases, neighbor_cases, dhcp_cases, overlay_cases, loopback_cases,
                     multicast_cases, layer_two_cases):
            for name, case in make(scene, family).items():
                cases[f"{name}-{family}"] = case
        for victim in "near", "far":
            cases[f"control-{victim}-{family}"] = (
                [udp(own, scene.address(getattr(scene, victim), family))], None)
    return cases


def attack(scene, where, cases, mac, gateway_mac, interface="eth0"):
    task = {"interface": interface, "mac": mac, "gateway_mac": gateway_mac, "rounds": ROUNDS,
            "period": PERIOD, "cases": cases}
    done = scene.lab.exec(where, PYTHON, "-B", f"{HERE}/hostile.py", input=json.dumps(task))
    return json.loads(done.stdout)


def stable_state(scene):
    """Routes and neighbors of the node and the victims, without what ages by itself."""
    state = {}
    for where in (scene.node, scene.near, scene.far):
        routes = scene.lab.exec(where, "ip", "route", "show", "table", "all").stdout \
            + scene.lab.exec(where, "ip", "-6", "route", "show", "table", "all").stdout
        neighbors = json.loads(scene.lab.exec(where, "ip", "-j", "neigh").stdout)
        addresses = scene.lab.exec(where, "ip", "-o", "address").stdout
        state[where] = (sorted(line for line in routes.splitlines() if "expires" not in line),
                        sorted((n["dst"], n["dev"], n.get("lladdr", "")) for n in neighbors
                               if "PERMANENT" in n["state"] or not n["dev"].startswith("eth0")),
                        sorted(a for a in addresses.splitlines()))
    return state


Campaign = collections.namedtuple("Campaign", "scene cases sent seen heard drops before after")


@pytest.fixture(scope="module")
def scene(make_lab):
    return Scene(make_lab("-n", "2", "--route", "vxlan"))


@pytest.fixture(scope="module")
def campaign(scene):
    cases = all_cases(scene)
    before, counts = stable_state(scene), scene.lab.drops(scene.node)
    watchers = {where: scene.lab.beside(where, "watch.py")
                for where in (scene.node, scene.far_node, scene.near, scene.far, "outside")}
    sent = attack(scene, scene.attacker, {name: case[0] for name, case in cases.items()},
                  scene.mac, scene.gateway_mac)
    reports = {where: end(watcher) for where, watcher in watchers.items()}
    drops = scene.lab.drops(scene.node)
    drops.subtract(counts)
    return Campaign(scene, cases, sent,
                    {where: report["seen"] for where, report in reports.items()},
                    {where: report["heard"] for where, report in reports.items()},
                    drops, before, stable_state(scene))


def names(prefix, *families):
    return [f"{prefix}-{family}" for family in families or ("ipv4", "ipv6")]


HOSTILE = [
    *names("arp-gratuitous", "ipv4"), *names("arp-reply", "ipv4"), *names("arp-request", "ipv4"),
    *names("arp-foreign-sender", "ipv4"), *names("router-advertisement", "ipv6"),
    *names("router-advertisement-hidden", "ipv6"), *names("redirect", "ipv6"),
    *names("neighbor-advertisement", "ipv6"), *names("neighbor-solicitation", "ipv6"),
    *names("spoof-pod-here"), *names("spoof-pod-far"), *names("spoof-own-node"),
    *names("spoof-far-node"), *names("spoof-outside"), *names("spoof-service"),
    *names("spoof-gateway"), *names("spoof-loopback"), *names("spoof-unspecified"),
    *names("spoof-multicast"), *names("spoof-broadcast"), *names("spoof-mapped", "ipv6"),
    *names("spoof-mac"), *names("dhcp-offer", "ipv4"), *names("dhcp-request", "ipv4"),
    *names("dhcp-advertise", "ipv6"), *names("overlay-own-port"), *names("loopback"),
    *names("multicast"), *names("vlan-priority"), *names("vlan"), *names("vlan-twice"),
    *names("llc-snap"), *names("length-for-type"),
]
ONLY_TO_STACK = [*names("overlay-other-ports"), *names("overlay-ip-in-ip")]
CONTROLS = [*names("control-near"), *names("control-far")]


def left_sender(campaign, name):
    """On the node's side of the attacker's link every frame of the case was seen."""
    return campaign.seen[campaign.scene.node].get(campaign.scene.link, {}).get(name, 0)


def seen_elsewhere(campaign, name, places=None):
    """Where else a frame of the case was seen: {(namespace, interface): count}."""
    return {(where, interface): counts[name]
            for where, interfaces in campaign.seen.items() if places is None or where in places
            for interface, counts in interfaces.items()
            if name in counts and (where, interface) != (campaign.scene.node, campaign.scene.link)}


def test_table_is_complete(campaign):
    """The lists above name every case that is sent, and no other."""
    assert sorted(campaign.cases) == sorted(HOSTILE + ONLY_TO_STACK + CONTROLS)


@pytest.mark.parametrize("name", CONTROLS)
def test_control(campaign, name):
    """The same sender, tool and window, with nothing forged: every frame arrives."""
    victim = getattr(campaign.scene, name.split("-")[1])
    assert campaign.sent[name] == ROUNDS
    assert left_sender(campaign, name) == ROUNDS
    assert campaign.seen[victim]["eth0"].get(name) == ROUNDS


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(campaign, name):
    """It left the sender, and was seen nowhere else in the whole window."""
    assert campaign.sent[name] == ROUNDS * len(campaign.cases[name][0])
    assert left_sender(campaign, name) == campaign.sent[name]
    assert not seen_elsewhere(campaign, name)


@pytest.mark.parametrize("name", ONLY_TO_STACK)
def test_foreign_overlay(campaign, name):
    """Other overlays' packets are a node's own business; no pod ever sees what is inside."""
    assert left_sender(campaign, name) == campaign.sent[name]
    assert not seen_elsewhere(campaign, name, [campaign.scene.near, campaign.scene.far])


@pytest.mark.parametrize("verdict", sorted({"foreign-source", "foreign-mac", "not-ip", "dhcp",
                                            "neighbor-discovery", "tunnel-port", "loopback",
                                            "multicast", "malformed"}))
def test_counted(campaign, verdict):
    """Each hostile frame is counted under its verdict, and nothing else is."""
    wanted = sum(campaign.sent[name] for name, case in campaign.cases.items() if case[1] == verdict)
    assert wanted
    if verdict == "multicast":  # a pod's own kernel reports its groups now and then
        assert campaign.drops[verdict] >= wanted
    else:
        assert campaign.drops[verdict] == wanted


def test_nothing_changed(campaign):
    """No route, neighbor or address of the node or of a victim is another one than before."""
    changed = {where: [sorted(set(old) ^ set(new)) for old, new in
                       zip(campaign.before[where], campaign.after[where])]
               for where in campaign.before}
    assert changed == {where: [[], [], []] for where in campaign.before}


def test_nothing_on_loopback(campaign):
    assert not any(campaign.heard.values())


def test_settings_of_links(scene):
    """What the kernel itself must refuse on the links that podwire makes."""
    script = "for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo $f $(cat $f); done; " \
             f"echo accept_ra $(cat /proc/sys/net/ipv6/conf/{scene.link}/accept_ra)"
    lines = scene.lab.exec(scene.node, "sh", "-c", script).stdout.splitlines()
    assert len(lines) > 3
    assert [line for line in lines if not line.endswith(" 0")] == []


# --- from outside (B1, B5) ---

def neighbor_mac(scene, address):
    scene.lab.exec("outside", "ping", "-c", "1", "-W", "2", address)
    neighbors = json.loads(scene.lab.exec("outside", "ip", "-j", "neigh", "show", address).stdout)
    return neighbors[0]["lladdr"], neighbors[0]["dev"]


def outside_attack(scene, cases, mac_of):
    """Send from the outside client and watch the victims: {case: seen by a victim}."""
    gateway_mac, interface = neighbor_mac(scene, mac_of)
    link = json.loads(scene.lab.exec("outside", "ip", "-j", "link", "show", interface).stdout)[0]
    watchers = {where: scene.lab.beside(where, "watch.py")
                for where in (scene.node, scene.near, scene.far)}
    sent = attack(scene, "outside", cases, link["address"], gateway_mac, interface)
    reports = {where: end(watcher) for where, watcher in watchers.items()}
    arrived = collections.Counter()
    for where in (scene.near, scene.far):
        for counts in reports[where]["seen"].values():
            arrived.update(counts)
    at_node = collections.Counter()
    for counts in reports[scene.node]["seen"].values():
        at_node.update(counts)
    heard = sum(report["heard"] for report in reports.values())
    return sent, at_node, arrived, heard


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_injection_from_outside(scene, family):
    """B1: right port, right identifier, plausible inner addresses; but the sender is no node."""
    outside, node = scene.address("outside", family), scene.address(scene.node, family)
    near, far = scene.address(scene.near, family), scene.address(scene.far, family)
    inner = {"as-far-pod": udp(far, near), "as-node": udp(node, near),
             "as-outside": udp(outside, near)}
    cases = {f"inject-{name}-{port}": [vxlan(outside, node, frame, port)]
             for name, frame in inner.items() for port in (TUNNEL_PORT, 4789, 8472)}
    cases["plain-as-far-pod"] = [udp(far, near)]
    cases["plain-as-near-pod"] = [udp(near, near)]
    cases["plain-to-loopback"] = [udp(outside, {"ipv4": "127.0.0.1", "ipv6": "::1"}[family],
                                      LOOPBACK_PORT)]
    cases["control"] = [udp(outside, near)]
    for source in far, outside:
        cases |= {f"{name}-{source}": [frame] for name, frame in wrapped(udp(source, near)).items()}
    sent, at_node, arrived, heard = outside_attack(scene, cases, node)
    assert {name: at_node[name] >= sent[name] for name in cases} == dict.fromkeys(cases, True)
    # A tag of VLAN 0 bears a priority and no more: behind it the packet is judged as any other.
    assert arrived == {"control": ROUNDS, f"vlan-priority-{outside}": ROUNDS}
    assert not heard


def ghost(address, ranges):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"},
            "spec": {"podCIDRs": ranges},
            "status": {"addresses": [{"type": "InternalIP", "address": a} for a in address]}}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_node_removed(scene, family):
    """B5: a node may tunnel from when its object is there until a second after it has gone."""
    outside, node = scene.address("outside", family), scene.address(scene.node, family)
    near = scene.address(scene.near, family)
    ranges = {"ipv4": "10.244.250.0/24", "ipv6": "fd44:0:0:fa::/64"}
    inside = str(ipaddress.ip_network(ranges[family])[5])
    cases = {"ghost": [vxlan(outside, node, udp(inside, near))]}
    path = f"{scene.lab.directory}/objects/ghost.json"

    def knows_ghost():
        return any(n["name"] == "ghost" for n in scene.lab.query(scene.node, "nodes")["nodes"])

    def arrived():
        return outside_attack(scene, cases, node)[2]["ghost"]

    assert arrived() == 0
    write_json(path, ghost([scene.address("outside", f) for f in ranges], list(ranges.values())))
    wait_for(knows_ghost, "the agent knows the new node", 3)
    assert arrived() == ROUNDS
    os.unlink(path)
    wait_for(lambda: not knows_ghost(), "the agent forgets the removed node", 1)
    assert arrived() == 0

