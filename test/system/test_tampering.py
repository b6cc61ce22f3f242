# SPDX-License-Identifier: Apache-2.0
"""Somebody else's hands: what of ours is removed or altered comes back, and is counted."""
import contextlib
import json
import os
import re
import shutil
import signal

import pytest
from labs import PODWIRE, process_arguments, run, wait_for

PORT = 80
SECONDS = 10  # within which everything is repaired


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2", "--family", "dual")
    lab.victim = lab.nodes()[0]
    lab.settle()
    return lab


def links(lab):
    done = lab.exec(lab.victim, "ip", "-j", "link")
    return {link["ifname"]: link for link in json.loads(done.stdout)}


def pod_link(lab):
    return next(name for name in sorted(links(lab)) if re.fullmatch("pw[0-9a-f]{12}", name))


def repaired(lab):
    return lab.query(lab.victim, "status")["repaired"]


def tables(lab):
    """Without the numbers of devices, which a device that was made anew has changed."""
    return sorted(re.sub(r"dev \d+", "dev", row["row"])
                  for row in lab.query(lab.victim, "tables")["rows"])


def ruleset(lab):
    return lab.exec(lab.victim, "nft", "list", "table", "inet", "podwire", check=False).stdout


def filters(lab):
    """Programs by block; the numbers of programs differ after a repair by pin."""
    found = [lab.exec(lab.victim, "tc", "filter", "show", "block", block, check=False).stdout
             for block in ("6083", "6084")]
    return ["from_pod" in found[0], "to_pod" in found[1]]


def addresses(lab):
    """Of the tunnel."""
    done = lab.exec(lab.victim, "ip", "-o", "address", "show", "dev", "pw-tunnel", "scope",
                    "global", check=False)
    return sorted(line.split()[3] for line in done.stdout.splitlines())


def qdisc(lab, device=None):
    done = lab.exec(lab.victim, "tc", "qdisc", "show", "dev", device or pod_link(lab), check=False)
    return re.findall(r"(?:in|e)gress_block \d+", done.stdout)


def sysctls(lab):
    keys = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.pw-tunnel.rp_filter",
            "net.ipv6.conf.pw-tunnel.accept_ra"]
    return lab.exec(lab.victim, "sysctl", *keys, check=False).stdout


def state(lab):
    link = links(lab)
    pod = link[pod_link(lab)]
    return (tables(lab), ruleset(lab), filters(lab), qdisc(lab), sysctls(lab),
            pod["address"], "UP" in pod["flags"], link.get("pw-tunnel", {}).get("mtu"),
            [link.get("pw-anchor", {}).get(key) for key in ("flags", "qdisc")],
            qdisc(lab, "pw-anchor"), addresses(lab))


def settled(lab):
    """The state while nobody has just altered it: a hostile node's meddler does so, too."""
    def whole():
        return not lab.query(lab.victim, "diff")["rows"]

    def once():
        found = state(lab) if whole() else None
        return found if found and whole() and found[5].startswith("0a:") else None

    return wait_for(once, "all is as it should be", SECONDS)


TAMPERING = {
    "filter of a pod": "tc qdisc del dev {link} clsact",
    "program of all pods": "tc filter del block 6083 ingress",
    "another program": "tc filter del block 6084 ingress",
    "state of a link": "ip link set {link} down",
    "MAC of a link": "ip link set {link} address 02:00:00:00:00:01",
    "all routes": "sh -c 'ip route flush proto 83; ip -6 route flush proto 83'",
    "one route altered": "ip route replace {range} dev lo proto 83",
    "neighbors": "ip neigh flush dev {link} nud permanent",
    "tunnel": "ip link del pw-tunnel",
    "tunnel down": "ip link set pw-tunnel down",
    "another tunnel": "ip link del pw-tunnel; ip link add pw-tunnel type vxlan id 7 dstport 4789; "
                      "ip link set pw-tunnel up",
    "MTU of the tunnel": "ip link set pw-tunnel mtu 1300",
    "addresses of the tunnel": "ip address flush dev pw-tunnel",
    "another address on the tunnel": "ip address add 192.0.2.1/32 dev pw-tunnel",
    "anchor": "ip link del pw-anchor",
    "filter of the anchor": "tc qdisc del dev pw-anchor clsact",
    "anchor up": "ip link set pw-anchor up",
    "nft table": "nft delete table inet podwire",
    "nft rules": "nft flush table inet podwire",
    "nft rule altered": "nft replace rule inet podwire tunnel_in handle $(nft -a list chain inet "
                        "podwire tunnel_in | sed -n 's/.*notrack # handle //p') udp dport 1 notrack",
    "nft chain": "nft 'add chain inet podwire extra {{ type filter hook input priority 0; policy drop; }}'",
    "forwarding": "sysctl -qw net.ipv4.ip_forward=0",
    "forwarding of IPv6": "sysctl -qw net.ipv6.conf.all.forwarding=0",
    "reverse-path filter": "sysctl -qw net.ipv4.conf.pw-tunnel.rp_filter=1",
    "router advertisements": "sysctl -qw net.ipv6.conf.pw-tunnel.accept_ra=1",
}


@contextlib.contextmanager
def paused(pid):
    """The agent does nothing for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def other_range(lab):
    """The IPv4 pod range of the other node."""
    node = next(n for n in lab.get("nodes") if n["metadata"]["name"] != lab.victim)
    return next(r for r in node["spec"]["podCIDRs"] if ":" not in r)


def all_reach(lab):
    """From a pod of the victim to every pod, in both families."""
    pods = lab.pods()
    where = next(key for key, pod in sorted(pods.items()) if pod["node"] == lab.victim)
    targets = [["tcp", address, PORT] for pod in pods.values() for address in pod["addresses"]
               if not pod["host"]]
    return all("error" not in reply for reply in lab.probe(where, targets))


@pytest.mark.parametrize("what", TAMPERING)
def test_command(lab, what):
    before, count = settled(lab), repaired(lab)
    assert all_reach(lab)
    lab.exec(lab.victim, "sh", "-c", TAMPERING[what].format(
        link=pod_link(lab), range=other_range(lab)))
    wait_for(lambda: state(lab) == before, f"{what}: as it was", SECONDS)
    wait_for(lambda: not lab.query(lab.victim, "diff")["rows"], "no difference is left", SECONDS)
    assert all_reach(lab)
    wait_for(lambda: repaired(lab) > count, f"{what}: is counted", SECONDS)


@pytest.mark.parametrize("table", ["pw_node", "pw_range", "pw_pod"])
def test_rows(lab, table):
    """A row that somebody removed or added in a pinned table."""
    if not shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin"):
        pytest.skip("bpftool is not installed")
    before = settled(lab)
    path = run("sh", "-c", f"echo {lab.run_directory(lab.victim)}/bpf/*/{table}").stdout.strip()
    dump = json.loads(run("/usr/sbin/bpftool", "-j", "map", "dump", "pinned", path).stdout)
    key = dump[0]["key"]
    run("/usr/sbin/bpftool", "map", "delete", "pinned", path, "key", *key)
    wait_for(lambda: state(lab) == before, f"{table}: the row is back", SECONDS)
    other = ["0x01" if byte == "0x00" else byte for byte in key]
    run("/usr/sbin/bpftool", "map", "update", "pinned", path, "key", *other, "value",
        *dump[0]["value"])
    wait_for(lambda: state(lab) == before, f"{table}: the foreign row has gone", SECONDS)
    assert all_reach(lab)


def pins(lab):
    """Tables and links by path, without the numbers of devices."""
    found = run("find", f"{lab.run_directory(lab.victim)}/bpf", "-type", "f").stdout.split()
    return sorted(re.sub(r":\d+$", "", path.split("/bpf/")[1]) for path in found)


def attached(lab):
    """How many links run a program of this agent."""
    _, programs = lab.kernel_objects()
    links = json.loads(run("/usr/sbin/bpftool", "-j", "link", "list").stdout)
    return sum(link.get("prog_id") in programs for link in links)


@pytest.mark.parametrize("what", ["links/*", "*/pw_*", "[!mp]*"])
def test_pins(lab, what):
    """The agent holds what somebody has unpinned: nothing is detached, and all is pinned again."""
    if not shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin"):
        pytest.skip("bpftool is not installed")
    before, links, count = pins(lab), attached(lab), repaired(lab)
    assert links >= 3 * len(lab.nodes()) and len(before) > 10
    with paused(lab.agent_pid(lab.victim)):
        run("sh", "-c", f"rm -r {lab.run_directory(lab.victim)}/bpf/{what}")
        assert pins(lab) != before
        assert attached(lab) == links
        assert all_reach(lab)
    wait_for(lambda: pins(lab) == before, "all is pinned again", SECONDS)
    wait_for(lambda: repaired(lab) > count, "it is counted", SECONDS)
    assert attached(lab) == links
    assert all_reach(lab)


def test_bpffs_unmounted(make_lab):
    """Nothing of ours is detached; the node says what is wrong, and `podwire init` mends it."""
    lab = make_lab("-n", "2", "--family", "dual", name="-bpffs")
    lab.victim = lab.nodes()[0]
    lab.expected = ["Permission denied"]
    before, links = pins(lab), attached(lab)
    lab.exec(lab.victim, "umount", f"{lab.run_directory(lab.victim)}/bpf")
    wait_for(lambda: not lab.query(lab.victim, "status")["ready"], "it is not ready", SECONDS)
    assert attached(lab) == links
    assert all_reach(lab)
    lab.exec(lab.victim, PODWIRE, "init", "--run-dir", lab.run_directory(lab.victim),
             "--settings", os.path.join(lab.run_directory(lab.victim), "podwire.yaml"))
    wait_for(lambda: lab.query(lab.victim, "status")["ready"], "it is ready again", SECONDS)
    assert pins(lab) == before
    assert attached(lab) == links


def test_tunnel_of_an_unknown_node(make_lab):
    """A node that has lost its own Node object, and its tunnel, guards the new one all the same."""
    lab = make_lab("-n", "2", "--family", "dual", name="-unknown")
    lab.victim = lab.nodes()[0]
    arguments = process_arguments(lab.agent_pid(lab.victim))
    own = os.path.join(arguments[arguments.index("--objects") + 1], f"node..{lab.victim}.json")
    before, count = settled(lab), attached(lab)
    os.rename(own, own + ".away")
    wait_for(lambda: not lab.query(lab.victim, "status")["ready"], "it is not ready", SECONDS)
    lab.exec(lab.victim, "ip", "link", "del", "pw-tunnel")
    wait_for(lambda: "UP" in links(lab).get("pw-tunnel", {}).get("flags", []), "a tunnel is up", SECONDS)
    device = links(lab)["pw-tunnel"]["ifindex"]
    assert {f"from_tunnel:{device}", f"to_tunnel:{device}"} <= set(os.listdir(
        f"{lab.run_directory(lab.victim)}/bpf/links"))
    os.rename(own + ".away", own)
    wait_for(lambda: state(lab) == before, "all is as it was", SECONDS)
    wait_for(lambda: attached(lab) == count, "nothing of the old one is left", SECONDS)
    assert all_reach(lab)


def test_strict_reverse_path(make_lab):
    """The administrator checks sources on all devices, and while routes change a node has another
    way to a pod than the pod's packets take: what comes out of the tunnel is taken all the same."""
    lab = make_lab("-n", "2", "--family", "ipv4", "--route", "vxlan", name="-strict")
    here, there = lab.nodes()
    far = next(n for n in lab.get("nodes") if n["metadata"]["name"] == there)
    targets = [["tcp", pod["addresses"][0], PORT] for pod in lab.pods().values()
               if pod["node"] == there and not pod["host"]]

    def strict(value):
        lab.exec(here, "sysctl", "-qw", f"net.ipv4.conf.all.rp_filter={value}")
        return ["error" not in reply for reply in lab.probe_once(here, targets, 1.0)]

    assert all(strict(1))
    with paused(lab.agent_pid(here)):
        lab.exec(here, "ip", "route", "change", far["spec"]["podCIDR"], "via",
                 lab.node_addresses(there)[0], "proto", "83")
        assert all(strict(0)) and all(strict(1))
        lab.exec(here, "sysctl", "-qw", "net.ipv4.conf.pw-tunnel.rp_filter=1")
        assert not any(strict(1)), "the control: the kernel checks strictly where it may"


def test_quiet(lab):
    """Where nobody tampers nothing is repaired, however often everything is compared."""
    with lab.left_alone():
        count = repaired(lab)
        compared = lab.comparisons()
        wait_for(lambda: all(now > then + 1 for now, then in zip(lab.comparisons(), compared)),
                 "everything was compared twice", 15)
        assert repaired(lab) == count
