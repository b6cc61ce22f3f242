# SPDX-License-Identifier: Apache-2.0
"""Fragments, malformed headers and large frames: what a program in the other pod gets (H2, H3, H6).

Each case is a few frames of one datagram, whose text is the case's name. All are sent by one pod to
one on its node and to one on another, in both families, while the two listen: the same sender,
tools and window, so the cases that must arrive are the controls of those that must not.
"""
import collections
import ipaddress
import json
import struct

import pytest
import scapy.all as scapy
from labs import HERE, PYTHON, end, is_ipv6

PORT, OTHER_PORT, SENDER_PORT = 7701, 7702, 5000
SIZE = 160  # of a datagram with its UDP header
FRAGMENT_TABLE = 4096
GSO_SIZE, GSO_COUNT = 1000, 10

Case = collections.namedtuple("Case", "arrives verdicts make", defaults=([], None))


class Pair:
    """Who sends to whom; makes the frames of cases."""

    def __init__(self, scene, victim, family):
        self.scene, self.family, self.v6 = scene, family, family == "ipv6"
        self.victim = victim
        self.source = scene.address(scene.sender, family)
        self.target = scene.address(scene.victims[victim], family)

    def ether(self, **fields):
        return scapy.Ether(**{"src": self.scene.mac, "dst": self.scene.gateway_mac, **fields})

    def ip(self, **fields):
        layer = scapy.IPv6 if self.v6 else scapy.IP
        return layer(**{"src": self.source, "dst": self.target, **fields})

    def datagram(self, text, port=PORT, size=SIZE):
        """UDP header and payload, checksum and all."""
        data = f"{text}-{self.victim}-{self.family} ".encode().ljust(size - 8, b".")
        whole = bytes(self.ip() / scapy.UDP(sport=SENDER_PORT, dport=port) / scapy.Raw(data))
        return whole[40 if self.v6 else 20:]

    def whole(self, body, **fields):
        fields = {"nh" if self.v6 else "proto": 17, **fields}
        return self.ether() / self.ip(**fields) / scapy.Raw(body)

    def piece(self, body, start, stop, number, total=SIZE, protocol=17, extra=None):
        """Bytes start to stop of a datagram; `extra`: a header between fragment header and UDP."""
        more = stop < total
        data = scapy.Raw(body[start:stop])
        if not self.v6:
            return self.ether() / self.ip(id=number, proto=protocol, frag=start // 8,
                                          flags="MF" if more else 0) / data
        head = scapy.IPv6ExtHdrFragment(offset=start // 8, m=int(more), id=number,
                                        nh=extra if extra is not None else protocol)
        return self.ether() / self.ip(nh=44) / head / data


def pieces(pair, text, cuts, order=None, **fields):
    """One datagram, cut at these bytes."""
    body, number = pair.datagram(text), pair.scene.next_id()
    edges = [0, *cuts, SIZE]
    made = [pair.piece(body, start, stop, number, **fields)
            for start, stop in zip(edges, edges[1:])]
    return [made[i] for i in order] if order else made


def overlap(pair, text):
    body, number = pair.datagram(text), pair.scene.next_id()
    return [pair.piece(body, 0, 80, number), pair.piece(body, 64, SIZE, number)]


def rewritten_port(pair, text, size=80):
    """A second first fragment, for another port, before the last one. Of the same size the kernel
    takes it for a copy of the first one; of another size it drops all."""
    number = pair.scene.next_id()
    body, other = pair.datagram(text), pair.datagram(text, OTHER_PORT)
    return [pair.piece(body, 0, 80, number), pair.piece(other, 0, size, number),
            pair.piece(body, 80, SIZE, number)]


def same_id(pair, text):
    """Two datagrams to different ports, piece by piece in turns, by one id; the guard must not mix
    them up. The kernel of the receiver may, so the second goes to the other victim."""
    number = pair.scene.next_id()
    other = Pair(pair.scene, "far" if pair.victim == "near" else "near", pair.family)
    one, two = pair.datagram(text), other.datagram("same-id-other")
    return [pair.piece(one, 0, 80, number), other.piece(two, 0, 80, number),
            pair.piece(one, 80, SIZE, number), other.piece(two, 80, SIZE, number)]


def with_options(pair, text):
    """IPv6: destination options behind the fragment header, which only the first piece has."""
    body = bytes([17, 0, 1, 4, 0, 0, 0, 0]) + pair.datagram(text, size=SIZE - 8)
    number = pair.scene.next_id()
    return [pair.piece(body, 0, 80, number, extra=60), pair.piece(body, 80, SIZE, number, extra=60)]


def lying_protocol(pair, text):
    """IPv6: a later piece says that it is TCP, which nobody may believe."""
    body, number = pair.datagram(text), pair.scene.next_id()
    return [pair.piece(body, 0, 80, number), pair.piece(body, 80, SIZE, number, protocol=6)]


def bad_checksum(pair, text):
    frame = bytearray(bytes(pair.whole(pair.datagram(text))))
    frame[14 + 10] ^= 0x55
    return [bytes(frame)]


def atomic(pair, text):
    body = pair.datagram(text)
    return [pair.ether() / pair.ip(nh=44) / scapy.IPv6ExtHdrFragment(nh=17, id=7) / scapy.Raw(body)]


CASES = {
    "whole": Case(True, make=lambda p, t: [p.whole(p.datagram(t))]),
    "in-order": Case(True, make=lambda p, t: pieces(p, t, [80])),
    "of-three": Case(True, make=lambda p, t: pieces(p, t, [40, 80])),
    "later-ones-swapped": Case(True, make=lambda p, t: pieces(p, t, [40, 80], [0, 2, 1])),
    "twice-the-same": Case(True, make=lambda p, t: [f for f in pieces(p, t, [40, 80])
                                                    for _ in range(2)][:-1]),
    "shortest-first": Case(True, make=lambda p, t: pieces(p, t, [8])),
    "last-first": Case(False, ["fragment"], lambda p, t: pieces(p, t, [80], [1, 0])),
    "never-a-first": Case(False, ["fragment"], lambda p, t: pieces(p, t, [80], [1])),
    "never-a-last": Case(False, make=lambda p, t: pieces(p, t, [80], [0])),
    "overlap": Case(False, make=overlap),
    "rewritten-port": Case(True, make=rewritten_port),
    "rewritten-port-longer": Case(False, make=lambda p, t: rewritten_port(p, t, 88)),
    "same-id": Case(True, make=same_id),
    "dead": Case(False, ["malformed"], lambda p, t: [
        p.whole(p.datagram(t), **{"hlim" if p.v6 else "ttl": 0})]),
    "cut-off": Case(False, ["malformed"], lambda p, t: [
        bytes(p.whole(p.datagram(t)))[:60]]),
    "bad-checksum-ipv4": Case(False, make=bad_checksum),
    "source-route-ipv4": Case(False, ["ip-headers"], lambda p, t: [
        p.whole(p.datagram(t), options=[scapy.IPOption_LSRR(routers=["192.0.2.7"])])]),
    "strict-route-ipv4": Case(False, ["ip-headers"], lambda p, t: [
        p.whole(p.datagram(t), options=[scapy.IPOption_SSRR(routers=["192.0.2.7"])])]),
    "record-route-ipv4": Case(False, ["ip-headers"], lambda p, t: [
        p.whole(p.datagram(t), options=[scapy.IPOption_RR(routers=["0.0.0.0"])])]),
    "timestamp-ipv4": Case(False, ["ip-headers"], lambda p, t: [
        p.whole(p.datagram(t), options=[scapy.IPOption(b"\x44\x08\x05\x00\x00\x00\x00\x00")])]),
    "atomic-ipv6": Case(True, make=atomic),
    "with-options-ipv6": Case(True, make=with_options),
    "lying-protocol-ipv6": Case(True, make=lying_protocol),
}
PAIRS = [(victim, family) for victim in ("near", "far") for family in ("ipv4", "ipv6")]


def case_is_of(name, family):
    return not name.endswith(("-ipv4", "-ipv6")) or name.endswith(family)


class Scene:
    """Who sends, and who listens."""

    def __init__(self, lab):
        self.lab, self.number = lab, 0
        pods = lab.pods(app="a")
        self.pods = {**pods, **lab.pods(app="b")}
        self.sender = sorted(pods)[0]
        self.node = pods[self.sender]["node"]
        self.victims = {
            "near": next(k for k, p in sorted(self.pods.items())
                         if p["node"] == self.node and k != self.sender),
            "far": next(k for k, p in sorted(self.pods.items()) if p["node"] != self.node)}
        link = json.loads(lab.exec(self.sender, "ip", "-j", "link", "show", "eth0").stdout)[0]
        on_node = json.loads(lab.exec(self.node, "ip", "-j", "link").stdout)
        self.mac = link["address"]
        self.gateway_mac = next(l["address"] for l in on_node if l["ifindex"] == link["link_index"])

    def address(self, key, family):
        return next(a for a in self.pods[key]["addresses"] if is_ipv6(a) == (family == "ipv6"))

    def next_id(self):
        self.number += 1
        return self.number

    def send(self, frames):
        task = {"interface": "eth0", "frames": [
            frame if isinstance(frame, list) else ["", bytes(frame).hex()] for frame in frames]}
        self.lab.exec(self.sender, PYTHON, "-B", f"{HERE}/send.py", input=json.dumps(task))

    def deliver(self, frames):
        """Sends, and says what each victim's program got: {victim: {port: {text: count}}}. What
        comes last is a datagram that must arrive, so all before it has come or never will."""
        listeners = {victim: self.lab.beside(pod, "receive.py", str(PORT), str(OTHER_PORT))
                     for victim, pod in self.victims.items()}
        self.send(frames)
        self.send([Pair(self, *pair).whole(Pair(self, *pair).datagram("end")) for pair in PAIRS])
        reports = {victim: end(process) for victim, process in listeners.items()}
        for victim, family in PAIRS:
            assert reports[victim][str(PORT)].pop(f"end-{victim}-{family}") == 1
        return reports


@pytest.fixture(scope="module")
def scene(make_lab):
    return Scene(make_lab("-n", "2"))


@pytest.fixture(scope="module")
def campaign(scene):
    """(what arrived, what was dropped) of all cases, sent one after the other."""
    frames = [frame for victim, family in PAIRS for name, case in CASES.items()
              if case_is_of(name, family)
              for frame in case.make(Pair(scene, victim, family), name)]
    before = scene.lab.drops(scene.node)
    reports = scene.deliver(frames)
    drops = scene.lab.drops(scene.node)
    drops.subtract(before)
    return reports, drops


@pytest.mark.parametrize("name, victim, family", [
    (name, victim, family) for name in CASES for victim, family in PAIRS if case_is_of(name, family)])
def test_case(campaign, name, victim, family):
    got = campaign[0][victim][str(PORT)].get(f"{name}-{victim}-{family}", 0)
    assert got == (1 if CASES[name].arrives else 0)


def test_other_port(campaign):
    """Nothing has come to the port that no whole datagram was sent to."""
    assert [report.get(str(OTHER_PORT)) for report in campaign[0].values()] == [None, None]


def test_named(campaign):
    """Each drop is counted under its name, once a case and pair."""
    wanted = collections.Counter(
        verdict for _, family in PAIRS for name, case in CASES.items() if case_is_of(name, family)
        for verdict in case.verdicts)
    assert {verdict: campaign[1][verdict] for verdict in wanted} == dict(wanted)


def flood(pair, count):
    """First fragments by so many ids, for a pod of no node: they go no further than the table."""
    pair.target = {"ipv4": "10.244.240.5", "ipv6": "fd44:0:0:f0::5"}[pair.family]
    frame = bytes(pieces(pair, "flood", [80], [0])[0])
    at, form = (14 + 40 + 4, "!I") if pair.v6 else (14 + 4, "!H")
    size = struct.calcsize(form)
    return [frame[:at] + struct.pack(form, 10000 + i) + frame[at + size:] for i in range(count)]


@pytest.mark.parametrize("victim, family", PAIRS)
def test_full_table(scene, victim, family):
    """Who fills the table of first fragments makes old datagrams be dropped by name; fresh ones
    go through."""
    pair = Pair(scene, victim, family)
    old = pieces(pair, "old", [80])
    many = flood(Pair(scene, victim, family), FRAGMENT_TABLE + FRAGMENT_TABLE // 2)
    before = scene.lab.drops(scene.node)
    got = scene.deliver([old[0], *many, old[1], *pieces(pair, "fresh", [80])])[victim][str(PORT)]
    drops = scene.lab.drops(scene.node)
    assert got == {f"fresh-{victim}-{family}": 1}
    assert drops["no-node"] == before["no-node"] + len(many)
    assert drops["fragment"] == before["fragment"] + 1


# --- one large frame that is cut later ---

def pseudo_sum(source, target, length):
    """What a sender leaves in the checksum field for the device to go on from."""
    data = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed \
        + struct.pack("!HH", 17, length)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def large(pair, text, linear, source=None):
    """One frame of GSO_COUNT datagrams, of which the kernel holds `linear` bytes in one piece."""
    source = source or pair.source
    data = f"{text}-{pair.victim}-{pair.family} ".encode().ljust(GSO_SIZE, b".") * GSO_COUNT
    udp = struct.pack("!HHHH", SENDER_PORT, PORT, len(data) + 8,
                      pseudo_sum(source, pair.target, len(data) + 8))
    fields = {"nh" if pair.v6 else "proto": 17}
    head = bytes(pair.ether() / pair.ip(src=source, **fields) / scapy.Raw(udp + data))
    offload = struct.pack("<BBHHHH", 1, 5, linear, GSO_SIZE, len(head) - len(data) - 8, 6)
    return [offload.hex(), head.hex()]


@pytest.mark.parametrize("linear", [14, 24, 34, 42, 54, 62, 200])
def test_large(scene, linear):
    """Wherever the part ends that is in one piece: from the pod's own address all arrives, from
    another's nothing, and the large frame counts as one."""
    own, forged = [], []
    for victim, family in PAIRS:
        pair = Pair(scene, victim, family)
        other = scene.address(scene.victims["near" if victim == "far" else "far"], family)
        own.append(large(pair, "large", linear))
        forged.append(large(pair, "forged", linear, other))
    before = scene.lab.drops(scene.node)["foreign-source"]
    got = scene.deliver([*own, *forged])
    assert scene.lab.drops(scene.node)["foreign-source"] == before + len(PAIRS)
    for victim, report in got.items():
        assert report[str(PORT)] == {f"large-{victim}-{family}": GSO_COUNT
                                     for family in ("ipv4", "ipv6")}
