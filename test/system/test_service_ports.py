# SPDX-License-Identifier: Apache-2.0
"""Ports of Services are ports of the node, too: what the node's own flows have, and what processes
listen on, next to node ports and host ports of the same numbers."""
import contextlib
import json
import resource

import pytest
from flows import (BASE, FIRST, NODES, WHO_AB, Service, ask, beside, of_family, ready, service_object,
                   serving, slice_object, text_of)
from labs import FAMILIES, wait_for
from test_service_rows import rows
from test_services import own_addresses


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "3", "--route", "vxlan", manifests=("flows.yaml",))
    with serving(lab):
        yield lab


@pytest.fixture(scope="module")
def service(lab):
    return Service(lab, "watched", BASE)


CROWD = min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
CROWD_PORTS, CROWD_FIRST = 8, 9000
CROWDED = {"ipv4": 30078, "ipv6": 30080}  # which nothing has used before
RANGE = "net.ipv4.ip_local_port_range"


def outside_address(lab, family):
    return of_family(map(str, own_addresses(lab, "outside")), family)


def who(lab, where, *targets):
    return ask(lab, where, "who", json.dumps(targets))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_flow_from_a_node_port(lab, service, family):
    """TCP, and UDP of a socket that is not connected; and the Service is served meanwhile."""
    service.set(BASE)
    node = (of_family(lab.node_addresses("node2"), family), 30070, 30070)
    target = (outside_address(lab, family), CROWD_FIRST, CROWD_FIRST)
    with beside(lab, "outside", "name", "out", CROWD_FIRST):
        answers = ask(lab, "node2", "from", 30070, json.dumps([target]))
        assert answers == {"tcp": [f"out/{CROWD_FIRST} ?"] * 3, "udp": [f"out/{CROWD_FIRST} ?"] * 3}
        [reply] = who(lab, "outside", node)
        assert set(reply.values()) <= WHO_AB, reply


@pytest.mark.parametrize("family", FAMILIES)
def test_one_flow_from_a_node_port_to_pods(lab, service, family):
    """Answers of pods on the node, and by TCP of pods elsewhere, are for the process that has asked."""
    service.set(BASE)
    pods = lab.pods()
    here, there = (of_family(pods[key]["addresses"], family) for key in ("f/a", "f/b"))
    with contextlib.ExitStack() as stack:
        for pod in "f/a", "f/b":
            stack.enter_context(beside(lab, pod, "name", pod, CROWD_FIRST))
        answers = ask(lab, "node2", "from", 30070, json.dumps([(here, CROWD_FIRST, CROWD_FIRST)]))
        assert set(answers["tcp"] + answers["udp"]) == {f"f/a/{CROWD_FIRST} ?"}, answers
        answers = ask(lab, "node2", "from", 30070, json.dumps([(there, 0, CROWD_FIRST)]))
        assert set(answers["tcp"]) == {f"f/b/{CROWD_FIRST} ?"}, answers


@pytest.mark.parametrize("family", FAMILIES)
def test_a_process_on_a_node_port(lab, service, family):
    """It gives way to the Service. One on the port of a load balancer that has no address does not."""
    service.set(BASE)
    address = of_family(lab.node_addresses("node2"), family)
    balancer = service_object("waiting", 30074, [])
    balancer["spec"]["type"] = "LoadBalancer"
    balancer["spec"]["ports"][0]["port"] = 443
    lab.apply(text_of([balancer, *(slice_object(lab.pods(), "waiting", f, FIRST, ready("a"))
                                   for f in FAMILIES)]))
    for node in NODES:
        wait_for(lambda n=node: "port 30074 TCP" in "\n".join(rows(lab, n, "service")), "it is known")
    with beside(lab, "node2", "name", "host", 30070, 443):
        own, taken = who(lab, "outside", (address, 30070, 443), (address, 30070, 30070))
        assert own["tcp"] == "host/443", own
        assert {own["udp"], *taken.values()} <= WHO_AB, (own, taken)
    lab.delete(text_of([balancer]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_masqueraded_flow_on_a_host_port(lab, family):
    """The node may give a pod's flow the very port that is another pod's host port."""
    ports = [{"containerPort": FIRST, "hostPort": 40070},
             {"containerPort": FIRST, "hostPort": 40070, "protocol": "UDP"}]
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "f"},
             "spec": {"nodeName": "node2", "containers": [
                 {"name": "main", "image": "example.com/any", "ports": own}]}}
            for name, own in (("holder", ports), ("leaver", []))]
    lab.apply(text_of(pods))
    pod = of_family(lab.pods()["f/leaver"]["addresses"], family)
    word = "ip6" if FAMILIES[family] == 6 else "ip"
    target = (outside_address(lab, family), CROWD_FIRST, CROWD_FIRST)
    node = of_family(lab.node_addresses("node2"), family)
    lab.exec("node2", "nft", f"table {word} t_forced {{ chain out {{ type nat hook postrouting "
             f"priority srcnat - 5; {word} saddr {pod} meta l4proto {{ tcp, udp }} "
             f"masquerade to :40070; }}; }}")
    try:
        with beside(lab, "outside", "name", "out", CROWD_FIRST):
            [control] = lab.probe("outside", [("tcp", node, 40070)])
            assert control["pod"] == "f/holder", control
            answers = ask(lab, "f/leaver", "from", 5555, json.dumps([target]))
            assert set(answers["tcp"] + answers["udp"]) == {f"out/{CROWD_FIRST} ?"}, answers
            [control] = lab.probe("outside", [("udp", node, 40070)])
            assert control["pod"] == "f/holder", control
    finally:
        lab.exec("node2", "nft", f"delete table {word} t_forced")
        lab.delete(text_of(pods))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_crowd_of_outgoing_connections(lab, family):
    """Connections of the node from its node ports' numbers are not the Service's, and it is served."""
    number = CROWDED[family]
    service = Service(lab, f"crowded-{family}", BASE.but(node_port=number))
    node = (of_family(lab.node_addresses("node2"), family), number, number)
    before = lab.exec("node2", "sysctl", "-n", RANGE).stdout.strip()
    lab.exec("node2", "sysctl", "-q", "-w", f"{RANGE}=30000 32767")
    try:
        with beside(lab, "outside", "echo", CROWD_FIRST, CROWD_PORTS), \
                beside(lab, "node2", "crowd", outside_address(lab, family), CROWD_FIRST, CROWD_PORTS,
                       CROWD) as crowd:
            for _ in range(2):
                crowd.stdin.write("?\n")
                crowd.stdin.flush()
                answer = json.loads(crowd.stdout.readline())
                assert number in answer["local"] and answer["failed"] == 0, answer["failed"]
                for reply in who(lab, "outside", *[node] * 10):
                    assert set(reply.values()) <= WHO_AB, reply
    finally:
        lab.exec("node2", "sysctl", "-q", "-w", f"{RANGE}={before}")
    service.set(BASE.but(node_port=number, there=False))
