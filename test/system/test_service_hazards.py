# SPDX-License-Identifier: Apache-2.0
"""What broke in others (hazards.md): endpoints that nobody may name (C2), addresses that somebody else
has (D1), host ports that take more than their own (D2), segments out of the window (G4)."""
import json
import os

import pytest
from flows import (BASE, FIRST, NODES, WHO_AB, Service, State, ask, beside, led_to, of_family, ready,
                   service_object, serving, slice_object, text_of)
from labs import FAMILIES, HERE, PYTHON, REPAIR_SECONDS, end, wait_for, write_json
from test_service_rows import rows
from test_services import own_addresses

HOSTILE = {"ipv4": ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255"],
           "ipv6": ["::1", "fe80::1", "::ffff:127.0.0.1", "ff02::1", "::"]}
OUT_OF_WINDOW = [1, 0x7fffffff, 0xffffffff]


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "3", "--route", "vxlan", manifests=("flows.yaml",))
    with serving(lab):
        yield lab


@pytest.fixture(scope="module")
def service(lab):
    return Service(lab, "watched", BASE)


def node_address(lab, node, family):
    return of_family(lab.node_addresses(node), family)


def who(lab, where, *targets):
    return ask(lab, where, "who", json.dumps(targets))


def test_hostile_endpoints(lab):
    """Each in a slice of its own beside one that is good: none is programmed, the good one serves. The
    agents get them past the lab, which takes as little of it as the API server would."""
    pods, bad = lab.pods(), {}
    good = [service_object("hostile", 30090, []),
            *(slice_object(pods, "hostile", family, FIRST, ready("a")) for family in FAMILIES)]
    for family, addresses in HOSTILE.items():
        for number, address in enumerate(addresses):
            one = slice_object(pods, "hostile", family, FIRST, ready("a"))
            one["metadata"]["name"] += f"-{number}"
            one["endpoints"][0]["addresses"] = [address]
            bad[os.path.join(lab.directory, "objects", f"{family}-{number}.json")] = one
    lab.apply(text_of(good))
    try:
        for path, one in bad.items():
            write_json(path, one)
        for node in NODES:
            wait_for(lambda n=node: all(one["metadata"]["name"] in str(lab.query(n, "status"))
                                        for one in bad.values()), f"{node} names each slice")
            for family, any_address in ("ipv4", "0.0.0.0"), ("ipv6", "::"):
                wanted = [f"{of_family(pods['f/a']['addresses'], family)} port {FIRST}"]
                for protocol in "TCP", "UDP":
                    outer = f"service own-node {any_address} port 30090 {protocol}"
                    for side in "inside", "outside":
                        assert led_to(rows(lab, node, "service", "backend"), outer, side) == wanted
        for family in FAMILIES:
            target = (node_address(lab, "node1", family), 30090, 30090)
            for reply in who(lab, "outside", *[target] * 8):
                assert set(reply.values()) == {f"a/{FIRST}"}, reply
    finally:
        for path in bad:
            os.unlink(path)
        lab.delete(text_of(good))


@pytest.mark.parametrize("family", FAMILIES)
def test_addresses_of_others(lab, service, family):
    """A balancer's status names another Service's address, a node and a pod: each goes on as before."""
    service.set(BASE)
    pods = lab.pods()
    victim = of_family(service.addresses, family)
    node = node_address(lab, "node2", family)
    pod = of_family(pods["f/b"]["addresses"], family)
    grabber = service_object("grabber", 30091, [])
    grabber["spec"]["type"] = "LoadBalancer"
    grabber["spec"]["ports"] = [{"name": "tcp", "port": port, "protocol": "TCP"} if port == 80 else
                                {"name": name, "port": port, "protocol": name.upper()}
                                for name, port in (("tcp", 80), ("udp", 53))]
    grabber["status"] = {"loadBalancer": {"ingress": [{"ip": ip} for ip in (victim, node, pod)]}}
    lab.apply(text_of([grabber, *(slice_object(pods, "grabber", f, FIRST, ready("c")) for f in FAMILIES)]))
    try:
        for name in NODES:
            wait_for(lambda n=name: all(a in str(lab.query(n, "status")["problems"])
                                        for a in (victim, node, pod)), f"{name} names all three")
        asked = [(victim, 53, 80)] * 8 + [(pod, FIRST, FIRST)]
        for reply in who(lab, "f/client", *asked):
            assert set(reply.values()) <= WHO_AB, reply
        with beside(lab, "node2", "name", "host", 80):
            [reply] = who(lab, "outside", (node, 53, 80))
            assert reply["tcp"] == "host/80", reply
    finally:
        lab.delete(text_of([grabber]))


def host_port_pod(name, port, **more):
    ports = [{"containerPort": FIRST, "hostPort": port, "protocol": protocol, **more}
             for protocol in ("TCP", "UDP")]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "f"},
            "spec": {"nodeName": "node2", "containers": [
                {"name": "main", "image": "example.com/any", "ports": ports}]}}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_host_port_takes_its_own_only(lab, service, family):
    """A pod has host port 53 of node2: what else goes to port 53 of anybody goes where it did."""
    service.set(State(ready("b")))
    holder = host_port_pod("holder", 53)
    lab.apply(text_of([holder]))
    own = [("udp", node_address(lab, "node2", family), 53), ("tcp", node_address(lab, "node2", family), 53)]
    outside = of_family(map(str, own_addresses(lab, "outside")), family)
    pod = of_family(lab.pods()["f/b"]["addresses"], family)
    cluster = of_family(service.addresses, family)
    try:
        for reply in lab.probe("outside", own):
            assert reply.get("pod") == "f/holder", reply
        with beside(lab, "outside", "name", "out", 53), beside(lab, "f/b", "name", "b", 53):
            wanted = [{"tcp": name, "udp": name} for name in ("out/53", "b/53", f"b/{FIRST}")]
            wait_for(lambda: who(lab, "f/a", (outside, 53, 53), (pod, 53, 53), (cluster, 53, 80)) ==
                     wanted, "each is reached", REPAIR_SECONDS)
        for reply in lab.probe("outside", own):
            assert reply.get("pod") == "f/holder", reply
    finally:
        lab.delete(text_of([holder]))


def test_a_host_port_on_loopback(lab):
    """Processes of the node reach it, nobody else does."""
    lab.apply(text_of([host_port_pod("shy", 30053, hostIP="127.0.0.1")]))
    try:
        wait_for(lambda: "127.0.0.1 port 30053 TCP" in "\n".join(rows(lab, "node2", "service")),
                 "the host port is known")
        address = node_address(lab, "node2", "ipv4")
        for _ in range(2):
            [reply] = lab.probe("node2", [("tcp", "127.0.0.1", 30053)])
            assert reply.get("pod") == "f/shy", reply
            [reply] = lab.probe_once("outside", [("tcp", address, 30053)], 1.0)
            assert "error" in reply, reply
    finally:
        lab.delete(text_of([host_port_pod("shy", 30053, hostIP="127.0.0.1")]))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("node", ["node1", "node2"])
def test_segments_out_of_the_window(lab, service, family, node):
    """Old and future ones of the endpoint: the connection survives, and its client sees the Service's
    address only, whether the endpoint is on the node or elsewhere."""
    service.set(State(ready("a")))
    address = node_address(lab, node, family)
    client = of_family(map(str, own_addresses(lab, "outside")), family)
    pod = of_family(lab.pods()["f/a"]["addresses"], family)
    holder = lab.beside("outside", "segments.py", "hold", address, "30070")

    def again():
        holder.stdin.write("?\n")
        holder.stdin.flush()
        reply = json.loads(holder.stdout.readline())
        assert reply["answer"].startswith(f"a/{FIRST} "), reply
        return reply["port"]
    watcher = None
    try:
        port = again()
        watcher = lab.beside("outside", "segments.py", "sources", str(port))
        lab.exec("f/a", PYTHON, "-B", f"{HERE}/segments.py", "send", pod, str(FIRST), client, str(port),
                 *map(str, OUT_OF_WINDOW))
        again()
        seen = end(watcher)
    finally:
        for process in (holder, watcher):
            if process:
                process.kill()
                process.wait()
    assert list(seen) == [f"{address} 30070"], seen
    assert seen[f"{address} 30070"] >= len(OUT_OF_WINDOW) + 1, f"the segments did not leave: {seen}"
