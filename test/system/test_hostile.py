# SPDX-License-Identifier: Apache-2.0
"""A hostile lab is as hostile as it says, and podwire's rules in others' firewalls stay there."""
import contextlib
import json
import os
import signal

import pytest
from labs import is_ipv6, run, wait_for

pytestmark = pytest.mark.one_profile("it is about hostile nodes")

SECONDS = 10  # within which everything is repaired
HOST_PORT, OUTSIDE_PORT = 8080, 9200
CHAINS = {("inet", "firewall", "input"): 1, ("inet", "firewall", "forward"): 2,
          ("ip", "filter", "FORWARD"): 2, ("ip6", "filter", "FORWARD"): 2}


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2", "--route", "vxlan", "--profile", "hostile")
    lab.node = lab.nodes()[0]
    lab.pod = next(key for key, pod in sorted(lab.pods(app="a").items()) if pod["node"] == lab.node)
    return lab


def nft(lab, *words):
    return lab.exec(lab.node, "nft", *words).stdout


def our_rules(lab, chain):
    """Packets that each of our rules in a chain has counted."""
    rules = json.loads(nft(lab, "-j", "list", "chain", *chain))["nftables"]
    return [expression["counter"]["packets"] for rule in rules
            if rule.get("rule", {}).get("comment") == "podwire"
            for expression in rule["rule"]["expr"] if "counter" in expression]


def reload(lab, chain):
    """As a firewall does it that is loaded anew: its own rules, and nobody else's."""
    lines = [line.strip() for line in nft(lab, "list", "chain", *chain).splitlines()[3:]]
    rules = [line for line in lines if line and line != "}" and "podwire" not in line]
    name = " ".join(chain)
    nft(lab, "; ".join([f"flush chain {name}", *(f"add rule {name} {rule}" for rule in rules)]))


def all_in_place(lab):
    return all(len(our_rules(lab, chain)) == count for chain, count in CHAINS.items())


def through_the_stack(lab, probe):
    """What goes through a firewall: to the pod's own node, and masqueraded to the outside."""
    node = [["tcp", address, HOST_PORT] for address in lab.node_addresses(lab.node)]
    outside = [[protocol, address, OUTSIDE_PORT] for protocol in ("tcp", "udp")
               for address in ("10.89.1.10", "fd89:0:0:1::10")]
    return ["error" not in reply for reply in probe(lab.pod, node + outside, 1.0)]


@pytest.fixture(scope="module")
def outside(lab):
    server = lab.beside("outside", "traffic.py", "tell", str(OUTSIDE_PORT))
    yield
    server.kill()
    server.wait()


@contextlib.contextmanager
def paused(lab):
    """The agent of the node does nothing for a while."""
    pid = lab.agent_pid(lab.node)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_reverse_path_filter(lab):
    for name in "all", "default", "eth0":
        assert lab.exec(lab.node, "cat", f"/proc/sys/net/ipv4/conf/{name}/rp_filter").stdout == "1\n"


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_switch_checks_sources(lab, family):
    """From an address of a pod nothing passes it; from the node's own everything does."""
    wanted = family == "ipv6"
    pod = next(a for a in lab.pods()[lab.pod]["addresses"] if is_ipv6(a) == wanted)
    near, far = ([a for a in lab.node_addresses(node) if is_ipv6(a) == wanted][0]
                 for node in lab.nodes())

    def dropped():
        rules = run("nsenter", f"--net={lab.directory}/ns/fabric", "nft", "-j", "list", "chain",
                    "bridge", "switch", f"from-{lab.node}").stdout
        return [e["counter"]["packets"] for r in json.loads(rules)["nftables"] if "rule" in r
                for e in r["rule"]["expr"] if "counter" in e][-1]

    ping = ["ping", "-c", "2", "-i", "0.1", "-W", "1", far, "-I"]
    before = dropped()
    lab.exec(lab.node, *ping, near)
    assert dropped() == before
    lab.exec(lab.node, "ip", "address", "add", pod, "dev", "lo")
    try:
        assert lab.exec(lab.node, *ping, pod, check=False).returncode
        assert dropped() == before + 2
    finally:
        lab.exec(lab.node, "ip", "address", "del", pod, "dev", "lo")


def test_somebody_meddles(lab):
    """Without a hand of ours things change, and are put right."""
    count = lab.query(lab.node, "status")["repaired"]
    wait_for(lambda: lab.query(lab.node, "status")["repaired"] > count, "something is repaired")
    assert "the MAC of" in lab.agent_log(lab.node)


def test_rules_count(lab, outside):
    """What a pod says to its node and to the outside passes by our rules."""
    before = [sum(our_rules(lab, chain)) for chain in CHAINS]
    assert all(through_the_stack(lab, lab.probe))
    after = [sum(our_rules(lab, chain)) for chain in CHAINS]
    assert all(new > old for old, new in zip(before, after))


def test_iptables_shows_them(lab):
    """A rule that iptables cannot show would hide the whole table from its users."""
    shown = lab.exec(lab.node, "iptables-nft", "-S", "FORWARD", check=False)
    if shown.returncode == 127:
        pytest.skip("iptables is not installed")
    assert "-A FORWARD -i pw+ -m comment --comment podwire -j ACCEPT" in shown.stdout


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(chain))
def test_rules_come_back(lab, chain):
    """Lost to a firewall that was loaded anew; counted as a repair."""
    wait_for(lambda: all_in_place(lab), "all rules are there", SECONDS)
    count = lab.query(lab.node, "status")["repaired"]
    reload(lab, chain)
    assert not our_rules(lab, chain)
    wait_for(lambda: len(our_rules(lab, chain)) == CHAINS[chain], "our rules are back", SECONDS)
    wait_for(lambda: lab.query(lab.node, "status")["repaired"] > count, "it is counted", SECONDS)


def handles(lab, chain):
    rules = json.loads(nft(lab, "-j", "list", "chain", *chain))["nftables"]
    return [rule["rule"]["handle"] for rule in rules
            if rule.get("rule", {}).get("comment") == "podwire"]


def test_rules_altered(lab, outside):
    """In their place and with our comment: they drop until they are as they were."""
    chain = ("inet", "firewall", "input")
    with paused(lab):
        for handle in handles(lab, chain):
            nft(lab, "replace", "rule", *chain, "handle", str(handle),
                "iifname", "pw*", "counter", "drop", "comment", "podwire")
        assert not all(through_the_stack(lab, lab.probe_once))
        altered = handles(lab, chain)
    wait_for(lambda: handles(lab, chain) not in ([], altered), "our rule is another", SECONDS)
    assert all(through_the_stack(lab, lab.probe))


def test_rules_through_iptables(lab):
    """iptables writes a comment in words of its own; what it has saved and restored is ours yet."""
    chain = ("ip", "filter", "FORWARD")
    shown = lab.exec(lab.node, "iptables-nft", "-S", "FORWARD", check=False)
    if shown.returncode == 127:
        pytest.skip("iptables is not installed")
    lab.exec(lab.node, "sh", "-c", "iptables-nft-save -t filter | iptables-nft-restore")

    def ours():
        listed = lab.exec(lab.node, "iptables-nft", "-S", "FORWARD").stdout
        return listed.count("--comment podwire"), len(handles(lab, chain))

    wait_for(lambda: ours() == (2, 2), "two rules are ours again, and no more", SECONDS)


def test_rules_are_needed(lab, outside):
    """The control: while nobody puts them back nothing passes; then everything does again."""
    with paused(lab):
        for chain in CHAINS:
            reload(lab, chain)
        assert not any(through_the_stack(lab, lab.probe_once))
    wait_for(lambda: all_in_place(lab), "our rules are back", SECONDS)
    assert all(through_the_stack(lab, lab.probe))


def test_new_firewall(lab, outside):
    """One that is switched on later, and drops by its last rule."""
    chain = ("inet", "late", "in")
    nft(lab, "add table inet late; add chain inet late in { type filter hook input priority 20; }; "
             "add rule inet late in meta l4proto { icmp, icmpv6 } accept; "
             "add rule inet late in udp dport 6083 accept; add rule inet late in counter reject")
    wait_for(lambda: len(our_rules(lab, chain)) == 1, "it gets our rule", SECONDS)
    assert all(through_the_stack(lab, lab.probe))
    last = json.loads(nft(lab, "-j", "list", "chain", *chain))["nftables"][-1]["rule"]
    nft(lab, "delete", "rule", *chain, "handle", str(last["handle"]))
    wait_for(lambda: not our_rules(lab, chain), "one that drops no longer loses it", SECONDS)
    nft(lab, "delete", "table", "inet", "late")
