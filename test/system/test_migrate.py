# SPDX-License-Identifier: Apache-2.0
"""kube-proxy beside podwire, and what it has left when it has gone."""
import contextlib
import json
import os
import re
import sys

import pytest
from labs import FAMILIES, HERE, PODWIRE, PYTHON, ROOT, end, run, wait_for
from test_services import check, cluster_address, node_address, pod_on, rows

KUBERNETES = os.path.join(ROOT, "test", "kubernetes")
sys.path.insert(0, KUBERNETES)
from proxy import PROGRAM, KubeProxy  # noqa: E402

# mode -> kube-proxy's name of it, whether by the older iptables, what kind of thing is left
MODES = {"nftables": ("nftables", False, "nftables"), "iptables": ("iptables", False, "iptables"),
         "legacy": ("iptables", True, "iptables-legacy")}
LEFT = {"nftables": [(["nft", "-f", "-"], "leftovers.nft")],
        **{mode: [([f"{tool}-{variant}-restore", "--noflush"], f"leftovers.{family}tables")
                  for tool, family in (("iptables", "ip4"), ("ip6tables", "ip6"))]
           for mode, variant in (("iptables", "nft"), ("legacy", "legacy"))}}
PODS = ["10.244.0.0/16", "fd44::/48"]
TOOLS = [f"{family}-{variant}" for variant in ("nft", "legacy") for family in ("iptables", "ip6tables")]
STREAM_PORT = 9000
MORE = 200  # packets
STREAM = """
apiVersion: v1
kind: Service
metadata: {name: stream, namespace: s}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: one}
  ports:
  - {name: tcp, port: 9000}
  - {name: udp, port: 9000, protocol: UDP}
"""
# A container of the operator's own: gateway, address and length by family.
CONTAINER = {"ipv4": ("172.31.9.1", "172.31.9.2", 24), "ipv6": ("fd00:c0::1", "fd00:c0::2", 64)}
# Of an operator, of kubelet and of kube-router: none of it is kube-proxy's.
OTHERS = """*nat
:OPERATOR - [0:0]
:KUBE-MARK-DROP - [0:0]
-A PREROUTING -m comment --comment "mine, not -j KUBE-SERVICES" -j OPERATOR
-A OPERATOR -p tcp -m tcp --dport 8022 -j REDIRECT --to-ports 22
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-ROUTER-INPUT - [0:0]
-A INPUT -j KUBE-ROUTER-INPUT
-A INPUT -j KUBE-FIREWALL
-A OUTPUT -j KUBE-FIREWALL
LOCALNETCOMMIT
*mangle
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-IPTABLES-HINT - [0:0]
COMMIT
"""

# Kubelet and kube-proxy both see to it that this one is there, of IPv4 alone.
LOCALNET = """-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet \
connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
"""

real = pytest.mark.skipif(not PROGRAM, reason="there is no kube-proxy: ./run test --all builds it, where Go is")


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "3", "--route", "vxlan", manifests=("services.yaml",))
    lab.apply(STREAM)
    wait_for(lambda: "30084" in rows(lab, "node1"), "node1 has the rows of Services")
    for tool in TOOLS:
        others = OTHERS.replace("LOCALNET", "" if tool.startswith("ip6") else LOCALNET)
        lab.exec("node1", f"{tool}-restore", "--noflush", input=others)
    return lab


def migrate(lab, *arguments, check=True):
    """What `podwire migrate` says on node1: its exit code, and what is left."""
    done = lab.exec("node1", PODWIRE, "migrate", "-o", "json", "--run-dir", lab.run_directory("node1"),
                    *arguments, check=False)
    assert not done.stderr, done.stderr
    assert not check or done.returncode == 0, done.stdout
    return done.returncode, json.loads(done.stdout)["leftovers"]


def kinds(leftovers):
    return {leftover["kind"] for leftover in leftovers}


def warnings(lab):
    return [problem["text"] for problem in lab.query("node1", "status")["problems"]
            if problem["object"] == "kube-proxy"]


def saved(lab):
    """All that iptables shows on node1, but for counts and times."""
    return {f"{tool}: {re.sub(r' .[0-9]+:[0-9]+.$', '', line)}" for tool in TOOLS
            for line in lab.exec("node1", f"{tool}-save").stdout.split("\n") if line[:1] != "#"}


def heard(lab):
    """Packets that the container has sent."""
    return json.loads(lab.exec("node1", "ip", "-j", "-s", "link", "show", "c0").stdout)[0]["stats64"]["rx"]["packets"]


def tables(lab):
    return set(lab.exec("node1", "nft", "list", "tables").stdout.split("\n"))


@contextlib.contextmanager
def kube_proxy(lab, mode, folder):
    name, legacy, _ = MODES[mode]
    proxy = KubeProxy(lambda *command: [PODWIRE, "lab", "exec", "--name", lab.name, "node1", "--", *command],
                      "node1", name, os.path.join(lab.directory, "objects"), PODS, str(folder), legacy)
    try:
        yield proxy
    finally:
        proxy.end()


@contextlib.contextmanager
def container(lab):
    """A network namespace behind node1 that podwire knows nothing of; how to run something there."""
    process = lab.start("node1", "unshare", "--net", "sh", "-c", "echo ready; exec cat")
    try:
        assert process.stdout.readline() == "ready\n"
        inside = ["nsenter", f"--net=/proc/{process.pid}/ns/net"]
        lab.exec("node1", "ip", "link", "add", "c0", "type", "veth", "peer", "name", "eth0",
                 "netns", str(process.pid))
        lab.exec("node1", "ip", "link", "set", "c0", "up")
        run(*inside, "ip", "link", "set", "eth0", "up")
        for gateway, address, length in CONTAINER.values():
            lab.exec("node1", "ip", "address", "add", f"{gateway}/{length}", "dev", "c0", "nodad")
            run(*inside, "ip", "address", "add", f"{address}/{length}", "dev", "eth0", "nodad")
            run(*inside, "ip", "route", "add", "default", "via", gateway)
        yield lambda *command: lab.start("node1", *inside, *command)
    finally:
        lab.exec("node1", "ip", "link", "delete", "c0", check=False)
        process.stdin.close()
        process.wait(10)


def services_work(lab):
    for family in FAMILIES:
        targets = [("tcp", cluster_address(lab, "every", family), 80), ("udp", cluster_address(lab, "every", family), 53)]
        check(lab, pod_on(lab, "node1"), targets * 2, "every", keeps_client=False)
        ports = [(protocol, node_address(lab, "node1", family), 30080) for protocol in ("tcp", "udp")]
        check(lab, "outside", ports * 2, "every")


def test_nothing(lab):
    """What others have made is nothing of kube-proxy."""
    assert migrate(lab) == (0, [])
    assert migrate(lab, "--remove") == (0, [])
    assert not warnings(lab)


def skip_unreadable(lab, mode):
    if lab.hostile and mode == "iptables":
        pytest.skip("iptables, and kube-proxy with it, cannot read what nft has written in Docker's place")


def all_gone(lab, mode, before):
    """What is left goes at the first try, and nothing else."""
    left = migrate(lab)[1]
    assert "process" not in kinds(left) and MODES[mode][2] in kinds(left)
    assert {item["state"] for item in left} == {"found"}
    assert {item["state"] for item in migrate(lab, "--remove")[1] if item["kind"] != "sysctl"} == {"removed"}
    assert (saved(lab) | tables(lab)) ^ before == set()
    assert kinds(migrate(lab)[1]) <= {"sysctl"}
    wait_for(lambda: not warnings(lab), "the status warns no more")
    services_work(lab)


@pytest.mark.parametrize("mode", MODES)
def test_gone(lab, mode):
    """What a kube-proxy has left once, from files."""
    skip_unreadable(lab, mode)
    before = saved(lab) | tables(lab)
    for command, name in LEFT[mode]:
        with open(os.path.join(KUBERNETES, name), encoding="utf-8") as file:
            lab.exec("node1", *command, input=file.read())
    wait_for(lambda: warnings(lab), "the status warns")
    services_work(lab)
    all_gone(lab, mode, before)


@real
@pytest.mark.parametrize("mode", MODES)
def test_beside(lab, mode, tmp_path):
    """While it runs, Services are podwire's, and nothing is removed."""
    skip_unreadable(lab, mode)
    before = saved(lab) | tables(lab)
    with kube_proxy(lab, mode, tmp_path):
        wait_for(lambda: sum(left["count"] for left in migrate(lab)[1]) > 50, "kube-proxy has written its rules", 60)
        assert kinds(migrate(lab)[1]) >= {"process", MODES[mode][2]}
        wait_for(lambda: warnings(lab), "the status warns")
        services_work(lab)
        there = saved(lab) | tables(lab)
        code, left = migrate(lab, "--remove", check=False)
        assert code == 1 and {item["state"] for item in left if item["kind"] == "process"} == {"failed"}
        assert (saved(lab) | tables(lab)) ^ there == set()
    all_gone(lab, mode, before)


@real
@pytest.mark.one_profile("the firewall of a hostile node lets no container of others through")
@pytest.mark.parametrize("mode", MODES)
def test_connections_go_on(lab, mode, tmp_path):
    """What kube-proxy has translated: TCP goes on to its end, UDP is let go of."""
    server = lab.beside("s/one", "traffic.py", "serve", str(STREAM_PORT))
    try:
        with container(lab) as start:
            streams = []
            with kube_proxy(lab, mode, tmp_path):
                wait_for(lambda: sum(left["count"] for left in migrate(lab)[1]) > 50, "kube-proxy's rules", 60)
                for family in FAMILIES:
                    address = cluster_address(lab, "stream", family)
                    stream = start(PYTHON, "-B", os.path.join(HERE, "traffic.py"), "client", address,
                                   str(STREAM_PORT), "200")
                    assert stream.stdout.readline() == "ready\n"
                    streams.append(stream)
                wait_for(lambda: [left["count"] for left in migrate(lab)[1] if left["kind"] == "flows"] == [2],
                         "UDP flows of both families are found")
            left = migrate(lab, "--remove")[1]
            assert [item["state"] for item in left if item["kind"] == "flows"] == ["removed"]
            assert "flows" not in kinds(migrate(lab)[1])
            before = heard(lab)
            wait_for(lambda: heard(lab) > before + MORE, "the streams go on")
            for stream in streams:
                result = end(stream)
                assert result["tcp"]["lost"] == 0 and not result["tcp"]["error"], result
                assert 0 < result["udp"]["lost"] < result["udp"]["sent"], result
    finally:
        server.kill()
        server.wait()
