# SPDX-License-Identifier: Apache-2.0
"""Services in the socket call: real sockets of pods and of a node's own processes."""
import collections
import contextlib
import json
import os
import re
import struct

import pytest
from cni import Runtime, addresses, namespace
from labs import FAMILIES, HERE, PYTHON, end, is_ipv6, run, wait_for
from test_agent import stopped

REFUSED = {"error": "ECONNREFUSED"}
REFUSED_LATER = {"error": "ECONNREFUSED later"}
CLIENTS = ["node1", "node2", "client1", "client2"]
SPREAD = 400  # of 4 backends 100 each, and 8.7 is the deviation: 60 off is one run in 10**11
SPREAD_OFF = 60
STICKY = 20
FORMER_SIZE = 2128  # of a record
CHANGES = 30
KILLS = 3
HOOKS = [call + family for call in ("connect", "sendmsg", "recvmsg", "getpeername") for family in "46"]
LOOPBACK = {"ipv4": "127.0.0.1", "ipv6": "::1"}
ON_THE_WAY = ["timeout", "ENETUNREACH later", "EHOSTUNREACH later"]  # of the lab's router, too
NO_ANSWER = {"client1": ["timeout"], "client2": ["timeout"], "node1": ON_THE_WAY, "node2": ON_THE_WAY}


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2", manifests=("sockets.yaml",))
    for node in "node1", "node2":
        wait_for(lambda n=node: "30081" in rows(lab, n), f"{node} has the rows of Services")
    with lab.left_alone():
        yield lab


def rows(lab, node):
    return "\n".join(row["row"] for row in lab.query(node, "tables")["rows"])


def place(lab, name):
    """Of a client's name: "client1" is the pod that asks on node1."""
    if not name.startswith("client"):
        return name
    return next(key for key, pod in lab.pods(app="client").items()
                if pod["node"] == "node" + name[-1])


def calls(lab, where, *wanted):
    script = os.path.join(HERE, "sockets.py")
    done = lab.exec(place(lab, where), PYTHON, "-B", script, "calls", json.dumps(wanted),
                    timeout=120)
    return json.loads(done.stdout)


def call(lab, where, address, port, **more):
    return calls(lab, where, {"to": [address, port], **more})[0]


def service(lab, name, family="ipv4"):
    """Its address in this family."""
    spec = next(s["spec"] for s in lab.get("services") if s["metadata"]["name"] == name)
    return next(a for a in spec["clusterIPs"] if is_ipv6(a) == (family == "ipv6"))


def own_address(lab, where, family):
    key = place(lab, where)
    found = lab.pods()[key]["addresses"] if "/" in key else lab.node_addresses(key)
    return next(a for a in found if is_ipv6(a) == (family == "ipv6"))


def node_address(lab, node, family):
    return next(a for a in lab.node_addresses(node) if is_ipv6(a) == (family == "ipv6"))


def backends(lab, **labels):
    return {(a, 8080) for pod in lab.pods(**labels).values() for a in pod["addresses"]}


def is_translated(lab, answer, frontend, **labels):
    """The kernel is connected to a backend, the caller believes in the Service."""
    assert "error" not in answer, answer
    assert answer["pod"] in lab.pods(**labels)
    assert tuple(answer["real"]) in backends(lab, **labels)
    assert answer["peer"] == list(frontend)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", CLIENTS)
def test_cluster_address(lab, where, family):
    """The client's address is kept, and getpeername says the Service."""
    address = service(lab, "web", family)
    answer = call(lab, where, address, 80)
    is_translated(lab, answer, (address, 80), app="many")
    assert answer["client"] == own_address(lab, where, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_fast_open(lab, family):
    """Connected by the first send instead of a call of its own."""
    address = service(lab, "web", family)
    answer = call(lab, "client1", address, 80, kind="fastopen")
    is_translated(lab, answer, (address, 80), app="many")
    assert call(lab, "client1", address, 81, kind="fastopen")["error"].startswith("ECONNREFUSED")


@pytest.mark.parametrize("where", CLIENTS)
def test_mapped_address(lab, where):
    """A socket of IPv6 that is connected to an address of IPv4."""
    address = service(lab, "web")
    answer = call(lab, where, address, 80, family=6)
    is_translated(lab, answer, (address, 80), app="many")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", ["node1", "client1"])
def test_all_backends_alike(lab, where, family):
    answers = calls(lab, where, {"to": [service(lab, "web", family), 80], "times": SPREAD})
    count = collections.Counter(answer.get("pod") for answer in answers)
    assert set(count) == set(lab.pods(app="many"))
    assert all(abs(n - SPREAD / 4) < SPREAD_OFF for n in count.values()), count


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", CLIENTS)
def test_refused_in_the_call(lab, where, family):
    """Without endpoints, and on ports that no Service has taken; no packet is waited for."""
    web, nobody = service(lab, "web", family), service(lab, "nobody", family)
    refused = [(kind, nobody, port) for kind, port in
               (("tcp", 80), ("udp", 53), ("sendto", 53), ("tcp", 81))]
    refused += [("tcp", web, 81), ("tcp", web, 53)]
    answers = calls(lab, where, *({"kind": kind, "to": [address, port]}
                                  for kind, address, port in refused))
    assert dict(zip(refused, answers)) == {key: REFUSED for key in refused}
    # What has endpoints is not: TCP is translated, and datagrams are left to the packet path.
    good = calls(lab, where, {"to": [web, 80]}, {"kind": "udp", "to": [web, 53]},
                 {"kind": "sendto", "to": [web, 53]})
    assert all("error" not in answer for answer in good), good
    assert good[1]["peer"] == [web, 53]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", CLIENTS)
def test_question_for_a_source(lab, where, family):
    """Resolvers connect a UDP socket, to any port, and look at its own address: so they learn which
    addresses of a name can be reached, and from where. The ports are glibc's, Go's and musl's."""
    address, own = service(lab, "web", family), own_address(lab, where, family)
    answers = calls(lab, where, *({"kind": "udp", "to": [address, port]} for port in (0, 9, 65535)))
    assert [answer.get("own") for answer in answers] == [own] * 3, answers


def test_refused_mapped(lab):
    address = service(lab, "nobody")
    answers = calls(lab, "client1", *({"kind": kind, "family": 6, "to": [address, port]}
                                      for kind, port in (("tcp", 80), ("udp", 53), ("sendto", 53))))
    assert answers == [REFUSED] * 3


@pytest.mark.parametrize("family", FAMILIES)
def test_others_are_left_alone(lab, family):
    """Another cluster in a network namespace of its own, in the node's very cgroup, with a
    Service at the same address."""
    address, node = service(lab, "web", family), "node1"
    script = os.path.join(HERE, "sockets.py")
    commands = (f"set -e; cat /proc/self/cgroup >&2; ip link set lo up; "
                f"ip address add {address}/{128 if is_ipv6(address) else 32} dev lo; "
                f"{PYTHON} -B {script} alone {address} 80")
    done = lab.exec(node, "unshare", "--net", "sh", "-c", commands)
    assert f"/podwire-lab-{lab.name}/{node}\n" in done.stderr
    answer = json.loads(done.stdout)
    assert answer == {"peer": [address, 80], "real": [address, 80], "client": address}
    # The same call from the node itself is translated.
    is_translated(lab, call(lab, node, address, 80), (address, 80), app="many")


@pytest.mark.parametrize("family", FAMILIES)
def test_port_of_a_node(lab, family):
    for node in "node1", "node2":
        own = node_address(lab, node, family)
        for where in CLIENTS:
            is_translated(lab, call(lab, where, own, 30080), (own, 30080), app="many")
            assert call(lab, where, own, 30079) == REFUSED_LATER


@pytest.mark.parametrize("family,loopback", LOOPBACK.items())
def test_port_of_a_pod(lab, family, loopback):
    """hostPort, on each address of the pod's node, for its own processes on loopback too."""
    own = node_address(lab, "node1", family)
    for where, address in ("node1", own), ("client1", own), ("node1", loopback):
        is_translated(lab, call(lab, where, address, 38080), (address, 38080), app="one")
    for where in "client1", "node2":
        assert call(lab, where, loopback, 38080) == REFUSED_LATER


def test_port_of_a_node_on_loopback(lab):
    """Where the setting says so, for the node's own processes; a pod's loopback is its own."""
    for loopback in LOOPBACK.values():
        assert call(lab, "node1", loopback, 30080) == REFUSED_LATER
    with settings(lab, "node1", lambda text: text + "nodePortAddresses: [primary, localhost]\n"):
        for loopback in LOOPBACK.values():
            is_translated(lab, call(lab, "node1", loopback, 30080), (loopback, 30080), app="many")
            assert call(lab, "client1", loopback, 30080) == REFUSED_LATER


@pytest.mark.parametrize("family,address", [("ipv4", "203.0.113.80"), ("ipv6", "2001:db8:113::80")])
def test_ranges_of_sources(lab, family, address):
    """Of a load balancer's address, for clients in the cluster too. Who is outside is told nothing."""
    is_translated(lab, call(lab, "client1", address, 80), (address, 80), app="many")
    for where in "client2", "node1":
        assert call(lab, where, address, 80)["error"] in NO_ANSWER[where]


@pytest.mark.parametrize("family", FAMILIES)
def test_port_of_a_node_with_local_policy(lab, family):
    """On this node's own address it leads to all endpoints, on another's that node judges."""
    other = node_address(lab, "node2", family)
    for where in "node2", "client2":
        is_translated(lab, call(lab, where, other, 30081), (other, 30081), app="one")
    for where in "node1", "client1":
        assert "pod" not in call(lab, where, other, 30081)


@pytest.mark.parametrize("family", FAMILIES)
def test_internal_policy(lab, family):
    """Where there is no endpoint, packets are dropped: the call is neither refused nor answered."""
    address = service(lab, "near", family)
    for where in "node1", "client1":
        is_translated(lab, call(lab, where, address, 80), (address, 80), app="one")
    for where in "node2", "client2":
        assert call(lab, where, address, 80) == {"error": "timeout"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", CLIENTS)
def test_affinity(lab, where, family):
    address = service(lab, "sticky", family)
    answers = calls(lab, where, {"to": [address, 80], "times": STICKY})
    assert len({answer.get("pod") for answer in answers}) == 1
    is_translated(lab, answers[0], (address, 80), app="many")


@pytest.mark.parametrize("family", FAMILIES)
def test_connected_again(lab, family):
    """What was remembered of a socket's first peer is not said of its second."""
    web, nobody = service(lab, "web", family), service(lab, "nobody", family)
    pod = next((a, 8080) for a, _ in backends(lab, app="one") if is_ipv6(a) == (family == "ipv6"))
    direct = call(lab, "client1", *pod, first=[web, 80])
    assert direct["peer"] == direct["real"] == list(pod)
    again = call(lab, "client1", web, 80, first=list(pod))
    is_translated(lab, again, (web, 80), app="many")
    after = call(lab, "client1", web, 80, first=[nobody, 80])
    is_translated(lab, after, (web, 80), app="many")
    assert call(lab, "client1", nobody, 80, first=[web, 80]) == REFUSED


@pytest.mark.parametrize("where", ["node1", "client1"])
def test_agent_restarts(lab, where):
    """The programs stay on the cgroup, by the same links, and no call is lost."""
    links = {name: link_id(lab, "node1", name) for name in HOOKS}
    running = lab.beside(place(lab, where), "sockets.py", "steady", service(lab, "web"), "80")
    for _ in range(KILLS):
        with stopped(lab, "node1", 9):
            pass
    result = end(running)
    assert result["made"] > 100 and not result["failed"], result
    assert links == {name: link_id(lab, "node1", name) for name in HOOKS}


def link_id(lab, node, name):
    path = os.path.join(lab.run_directory(node), "bpf", "links", name)
    return json.loads(run("bpftool", "-j", "link", "show", "pinned", path).stdout)["id"]


@pytest.mark.parametrize("family,address", [("ipv4", "10.96.200.1"), ("ipv6", "fd96::c801")])
def test_local_address(lab, family, address):
    """A cluster address that somebody has put on a node (a cache of DNS) is his, on that node."""
    length = 128 if is_ipv6(address) else 32
    change = ["dev", "lo", *(["nodad"] if is_ipv6(address) else [])]
    server = lab.beside("node1", "traffic.py", "tell", "80")
    try:
        lab.exec("node1", "ip", "address", "add", f"{address}/{length}", *change)
        wait_for(lambda: f"node {address} stack" in rows(lab, "node1"), "the address is seen")
        with short_service(lab, "many", nodes=["node2"], clusterIP=address, ipFamilies=[
                "IPv6" if is_ipv6(address) else "IPv4"]):
            answer = call(lab, "node1", address, 80)
            assert answer["peer"] == answer["real"] == [address, 80] and not answer["pod"]
            is_translated(lab, call(lab, "node2", address, 80), (address, 80), app="many")
            lab.exec("node1", "ip", "address", "del", f"{address}/{length}", "dev", "lo")
            wait_for(lambda: f"virtual {address} port 80" in rows(lab, "node1"), "the rows")
            is_translated(lab, call(lab, "node1", address, 80), (address, 80), app="many")
    finally:
        server.kill()
        server.wait()


def short(app, **more):
    return json.dumps({"apiVersion": "v1", "kind": "Service",
                       "metadata": {"name": "short", "namespace": "t"},
                       "spec": {"selector": {"app": app}, **more,
                                "ports": [{"port": 80, "targetPort": 8080}]}})


@contextlib.contextmanager
def short_service(lab, app, nodes=("node1", "node2"), **more):
    """The address of a Service that is there for a while, on these nodes for certain."""
    lab.apply(short(app, **more))
    try:
        address = next(s["spec"]["clusterIP"] for s in lab.get("services")
                       if s["metadata"]["name"] == "short")
        wait_for(lambda: all(f"virtual {address} port 80" in rows(lab, node) for node in nodes),
                 "the Service's rows")
        yield address
    finally:
        lab.delete(short(app))


def test_endpoints_change(lab):
    """All of them at once, again and again: each call finds the old ones or the new ones."""
    with short_service(lab, "one") as address:
        running = [lab.beside(place(lab, where), "sockets.py", "steady", address, "80")
                   for where in CLIENTS]
        for number in range(CHANGES):
            lab.apply(short(("many", "one")[number % 2]))
        for result in map(end, running):
            assert result["made"] > CHANGES and not result["failed"], result
            assert len(result["pods"]) > 1  # else nothing has changed meanwhile


def test_affinity_ends_with_the_setting(lab):
    with short_service(lab, "many", sessionAffinity="ClientIP") as address:
        sticky = calls(lab, "client1", {"to": [address, 80], "times": STICKY})
        lab.apply(short("many", sessionAffinity="None"))
        wait_for(lambda: not re.search(rf"{re.escape(address)} port 80 .*affinity",
                                       rows(lab, "node1")), "the row without affinity")
        free = calls(lab, "client1", {"to": [address, 80], "times": STICKY})
    assert len({answer["pod"] for answer in sticky}) == 1
    assert len({answer["pod"] for answer in free}) > 1


def test_connection_outlives_its_service(lab):
    with short_service(lab, "one") as address:
        held = lab.beside(place(lab, "client2"), "sockets.py", "hold", address, "80")
    wait_for(lambda: address not in rows(lab, "node2"), "the rows go")
    assert end(held)["pod"] == "t/one"


def test_pod_comes_and_goes(lab):
    """A pod's namespace is known exactly as long as the pod."""
    manifest = """
apiVersion: v1
kind: Pod
metadata: {name: brief, namespace: t}
spec: {nodeName: node2, containers: [{name: main, image: example.com/any}]}
"""
    before = namespaces(lab, "node2")
    lab.apply(manifest)
    added = namespaces(lab, "node2") - before
    assert len(added) == 1 and added.pop().endswith(" ".join(
        f"client {a}" for a in lab.pods()["t/brief"]["addresses"]))
    assert len([row for row in before if "host" in row]) == 1
    script = os.path.join(HERE, "sockets.py")
    done = lab.exec("t/brief", PYTHON, "-B", script, "calls",
                    json.dumps([{"to": [service(lab, "web"), 80]}]))
    is_translated(lab, json.loads(done.stdout)[0], (service(lab, "web"), 80), app="many")
    lab.delete(manifest)
    assert namespaces(lab, "node2") == before


def test_two_interfaces(lab):
    """A namespace is known as long as it has the first of them."""
    runtime, before = Runtime(lab, "node1"), namespaces(lab, "node1")
    with namespace(f"pw-h-{os.getpid()}") as netns:
        first = runtime.add("two", netns)
        known = namespaces(lab, "node1")
        assert len(known - before) == 1
        runtime.add("two", netns, ifname="eth1")
        assert namespaces(lab, "node1") == known
        runtime.delete("two", netns, ifname="eth1")
        assert namespaces(lab, "node1") == known
        assert all(a in "".join(known - before) for a in addresses(first))
        runtime.delete("two", netns)
        assert namespaces(lab, "node1") == before


def test_record_of_a_former_release(lab):
    """It does not say the namespace: packets of the pod are translated, its calls are not."""
    pod = place(lab, "client2")
    folder = os.path.join(lab.run_directory("node2"), "attachments")
    record = next(path for path in (os.path.join(folder, name) for name in os.listdir(folder))
                  if pod.split("/")[1].encode() in read(path))
    text, nobody = read(record), (service(lab, "nobody"), 80)
    assert call(lab, "client2", *nobody) == REFUSED
    try:
        with stopped(lab, "node2"):
            former = text[:4] + struct.pack("=I", FORMER_SIZE) + text[8:FORMER_SIZE]
            write(record, former)
        assert len(lab.query("node2", "pods")["pods"]) == len(os.listdir(folder))
        assert call(lab, "client2", *nobody) != REFUSED
    finally:
        with stopped(lab, "node2"):
            write(record, text)
    assert call(lab, "client2", *nobody) == REFUSED


def namespaces(lab, node):
    return {row for row in rows(lab, node).split("\n") if row.startswith("netns ")}


@contextlib.contextmanager
def settings(lab, node, edit):
    """The node's agent with other settings for a while."""
    path = os.path.join(lab.run_directory(node), "podwire.yaml")
    text = read(path)
    try:
        with stopped(lab, node):
            write(path, edit(text.decode()).encode())
        yield
    finally:
        with stopped(lab, node):
            write(path, text)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, text):
    with open(path, "wb") as file:
        file.write(text)


def test_without_the_hook(lab):
    """A cgroup that is not there: the node says so, and does all else. One that comes is taken."""
    pod, nobody = next(iter(backends(lab, app="one"))), (service(lab, "nobody"), 80)
    old = link_id(lab, "node2", "connect4")
    with settings(lab, "node2", lambda text: re.sub(r"(cgroup: .*)", r"\1/nowhere", text)):
        problem, = lab.query("node2", "status")["problems"]
        path, reason = re.search(r"cgroup (/.*/nowhere): .*: (.*)", problem["text"]).groups()
        assert reason == "No such file or directory"
        assert "error" not in call(lab, "node2", *pod)
        # The programs stay where they were.
        assert link_id(lab, "node2", "connect4") == old
        assert call(lab, "node2", *nobody) == REFUSED
        os.mkdir(path)
        with stopped(lab, "node2"):
            pass
        assert not lab.query("node2", "status")["problems"]
        assert link_id(lab, "node2", "connect4") != old
        assert call(lab, "node2", *nobody) == REFUSED_LATER  # nobody lives in the new one
        # TCP is translated as datagrams are.
        for family in FAMILIES:
            address = service(lab, "web", family)
            answer = call(lab, "node2", address, 80)
            assert answer["pod"] in lab.pods(app="many") and answer["real"] == [address, 80]
    assert call(lab, "node2", *nobody) == REFUSED
