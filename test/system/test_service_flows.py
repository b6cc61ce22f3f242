# SPDX-License-Identifier: Apache-2.0
"""No stale flows: clients of a Service talk on while everything about it changes (hazards.md G3). Who
answers says who he is, so each datagram and each connection that goes astray is seen."""
import contextlib
import dataclasses
import json
import os
import signal

import pytest
from flows import (BASE, FIRST, LOCAL, NODES, SECOND, WHO_AB, WHO_BC, BC, Service, State, ask, beside,
                   check_kept, check_phase, led_to, of_family, ready, service_object, serving,
                   slice_object, text_of, watched, ways)
from labs import FAMILIES, end, run, wait_for
from test_agent import stopped
from test_service_rows import rows


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "3", "--route", "vxlan", manifests=("flows.yaml",))
    with serving(lab):
        yield lab


@dataclasses.dataclass(frozen=True)
class Step:
    """A change, and who may answer from then on."""
    state: State
    who: frozenset
    new: dict  # flows that begin, where that differs: by the way that a client takes
    refused: bool  # where nobody may answer: is the sender told so at once?


def step(state, who=(), new=None, refused=False):
    return Step(state, frozenset(who), new or {}, refused)


WAYS = ["pod", "outside to node1", "outside to node2"]
CHANGES = {
    "other endpoints": [step(State(BC), WHO_BC), step(BASE, WHO_AB)],
    "none and back": [step(State(()), refused=True), step(BASE, WHO_AB)],
    "deleted and made again": [step(BASE.but(there=False)), step(BASE, WHO_AB)],
    "made again with others": [step(BASE.but(there=False)), step(State(BC), WHO_BC)],
    "another port of endpoints": [step(State(ready("a", "b", port=SECOND)), {"a/7002", "b/7002"}),
                                  step(BASE, WHO_AB)],
    "back with another port": [step(State(ready("b")), {"b/7001"}),
                               step(State(ready("b") + ready("a", port=SECOND)), {"b/7001", "a/7002"})],
    "terminating": [step(State((("a", FIRST, "terminating"), ("b", FIRST, "ready"))), WHO_AB,
                         new={way: {"b/7001"} for way in WAYS}),
                    step(State((("a", FIRST, "terminating"), ("b", FIRST, "terminating"))), WHO_AB),
                    step(State(ready("c")), {"c/7001"})],
    "affinity": [step(BASE.but(spec=(("sessionAffinity", "ClientIP"),)), WHO_AB), step(BASE, WHO_AB)],
    "policies": [step(BASE.but(spec=LOCAL), WHO_AB,
                      new={"pod": (), "outside to node1": (), "outside to node2": {"a/7001"}}),
                 step(BASE, WHO_AB)],
}


@pytest.fixture(scope="module")
def service(lab):
    return Service(lab, "watched", BASE)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", CHANGES)
def test_changes(lab, service, change, family):
    """Datagrams find an endpoint with the next one after the change is known, or are refused; no
    connection breaks; meanwhile nobody answers but those of before and after."""
    service.set(BASE)
    targets = ways(lab, service, family)
    with watched(lab, targets.values()) as (phase, results):
        for number, one in enumerate(CHANGES[change]):
            phase(f"during {number}")
            service.set(one.state)
            phase(f"after {number}")
    for way, result in zip(targets, results):
        before = frozenset(WHO_AB)
        check_phase(way, result, "start", before, before)
        for number, one in enumerate(CHANGES[change]):
            new = one.new.get(way, one.who)
            if before and new:
                check_phase(way, result, f"during {number}", before | one.who, before | one.who)
            check_phase(way, result, f"after {number}", one.who, new)
            if one.refused:
                assert result["refusals"][f"after {number}"]["refused"] > 0, f"{way}: not told"
            before = new
        check_kept(way, result)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_node_port_moves(lab, service, family):
    """Nobody answers at the old one any more, what is connected stays connected, the new one serves."""
    service.set(BASE)
    targets = {way: target for way, target in ways(lab, service, family).items() if way != "pod"}
    with watched(lab, targets.values()) as (phase, results):
        phase("during")
        service.set(BASE.but(node_port=30071))
        phase("after")
    for way, result in zip(targets, results):
        check_phase(way, result, "start", WHO_AB, WHO_AB)
        check_phase(way, result, "after", (), ())
        check_kept(way, result)
    moved = [(where, address, 30071, 30071) for where, address, _, _ in targets.values()]
    with watched(lab, moved) as (_, results):
        pass
    for way, result in zip(targets, results):
        check_phase(way, result, "start", WHO_AB, WHO_AB)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_old_node_port_is_free(lab, service, family):
    """A process takes the number, and a client that the Service had before comes from the same port."""
    service.set(BASE)
    target = (of_family(lab.node_addresses("node1"), family), 0, 30070)
    answers = ask(lab, "outside", "from", 20010, json.dumps([target]))
    assert {answer.split()[0] for answer in answers["tcp"]} <= WHO_AB, answers
    service.set(BASE.but(node_port=30071))
    with beside(lab, "node1", "name", "host", 30070):
        answers = ask(lab, "outside", "from", 20010, json.dumps([target]))
    assert answers["tcp"] == ["host/30070 ?"] * 3, answers


# --- addresses that several nodes attract ---

BALANCER = {"ipv4": "192.0.2.70", "ipv6": "2001:db8:b::70"}


@pytest.fixture(scope="module")
def attracted(lab):
    """The same endpoints behind an address that the outside may reach by any node."""
    if lab.hostile:
        pytest.skip("a switch that checks sources lets no address of a load balancer pass")
    balancer = service_object("balanced", 30073, [])
    balancer["spec"]["type"] = "LoadBalancer"
    balancer["status"] = {"loadBalancer": {"ingress": [{"ip": ip} for ip in BALANCER.values()]}}
    pods = lab.pods()
    lab.apply(text_of([balancer, *(slice_object(pods, "balanced", family, FIRST, ready("a", "b", "c"))
                                   for family in FAMILIES)]))
    for node in NODES:
        for address in BALANCER.values():
            wait_for(lambda n=node, a=address: len(led_to(
                rows(lab, n, "service", "backend"), f"service virtual {a} port 53 UDP", "outside")
                or []) == 3, f"{node} knows the balancer")
    return lab


def attract(lab, family, *nodes):
    """The outside reaches the balancer by these nodes, by equal costs."""
    hops = [word for node in nodes
            for word in ("nexthop", "via", of_family(lab.node_addresses(node), family))]
    lab.exec("outside", "ip", "route", "replace", BALANCER[family], *hops)


@contextlib.contextmanager
def unplugged(lab, node):
    """Nothing reaches the node, and nothing comes from it."""
    def plug(state):
        run("nsenter", f"--net={lab.directory}/ns/fabric", "bridge", "link", "set", "dev", node,
            "state", state)
    plug("0")
    try:
        yield
    finally:
        plug("3")


@pytest.mark.parametrize("family", FAMILIES)
def test_flows_move_between_nodes(attracted, family):
    """Connections go on by another node, in mid-flow, and when the node that forwards them dies; all
    nodes choose alike for a flow that they see for the first time."""
    lab, moves = attracted, [["node2"], ["node3"], ["node1"], ["node2", "node1"]]
    attract(lab, family, "node1")
    with watched(lab, [("outside", BALANCER[family], 53, 80)]) as (phase, results):
        for nodes in moves:
            attract(lab, family, *nodes)
            phase(" and ".join(nodes))
        attract(lab, family, "node1")
        phase("node1 again")
        phase("without node1")
        with unplugged(lab, "node1"):
            attract(lab, family, "node2")
            phase("node1 is dead")
            phase("end")  # while it is
    [result] = results
    every, answered = {"a/7001", "b/7001", "c/7001"}, set()
    for name in "start", *(" and ".join(nodes) for nodes in moves), "node1 again", "node1 is dead":
        check_phase("outside", result, name, every, every)
        answered |= set(result["datagrams"][name]) - {"none"}
    assert len(answered) == 1, f"the nodes do not choose alike: {answered}"
    check_kept("outside", result)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_client_port_to_one_endpoint(lab, service, family):
    """To two nodes, two ports, and the endpoint itself before and behind: each answers, as itself."""
    service.set(State(ready("a")))
    other = Service(lab, "other", State(ready("a"), node_port=30072))
    pod = of_family(lab.pods()["f/a"]["addresses"], family)
    node1, node2 = (of_family(lab.node_addresses(node), family) for node in ("node1", "node2"))
    lab.exec("outside", "ip", "route", "replace", pod, "via", node2)
    frontends = [(node1, 30070, 30070), (node2, 30070, 30070), (node1, 30072, 30072),
                 (node2, 30072, 30072)]
    # A switch that checks sources lets no address of a pod pass.
    direct = [] if lab.hostile else [(pod, FIRST, FIRST)]
    for port, targets in (20001, [*frontends, *direct]), (20002, [*direct, *frontends]):
        answers = ask(lab, "outside", "from", port, json.dumps(targets))
        for protocol in "tcp", "udp":
            assert answers[protocol] == ["a/7001 ?"] * 3 * len(targets), (port, protocol, answers)
    other.set(State(ready("a"), node_port=30072, there=False))


# --- under load ---

UPDATED, NODE_PORTS = 20, 30100


def update_pod(number, generation, place):
    name = f"u{number}-{generation}-{place}"
    ports = [{"containerPort": FIRST}, {"containerPort": FIRST, "protocol": "UDP"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "f"},
            "spec": {"nodeName": NODES[(number + generation + place) % 3],
                     "containers": [{"name": "main", "image": "example.com/any", "ports": ports}]}}


def update_slices(pods, ending, serving):
    """Of all Services, where the generation `ending` is on its way out and `serving` is there."""
    found = []
    for number in range(UPDATED):
        endpoints = [(f"u{number}-{generation}-{place}", FIRST, how) for place in range(2)
                     for generation, how in ((ending, "terminating"), (serving, "ready"))
                     if generation is not None]
        found += [slice_object(pods, f"u{number}", family, FIRST, endpoints) for family in FAMILIES]
    return found


def update_is_known(lab, objects):
    """Every node leads to the endpoints that are ready, and leaves flows at no others."""
    for node in NODES:
        lines = rows(lab, node, "service", "backend", "member")
        for number in range(UPDATED):
            for family, any_address in ("ipv4", "0.0.0.0"), ("ipv6", "::"):
                of = next(o for o in objects if o["metadata"]["name"] == f"u{number}-{family}-{FIRST}")
                wanted = {how: sorted(f"{e['addresses'][0]} port {FIRST}" for e in of["endpoints"]
                                      if e["conditions"][how]) for how in ("ready", "serving")}
                port = f"service own-node {any_address} port {NODE_PORTS + number} UDP"
                if led_to(lines, port, "outside") != wanted["ready"] or \
                        led_to(lines, port, "serving") != wanted["serving"]:
                    return False
    return True


def apply_slices(lab, ending, serving):
    objects = update_slices(lab.pods(), ending, serving)
    lab.apply(text_of(objects))
    wait_for(lambda: update_is_known(lab, objects), f"generation {serving} serves", 30)


def test_rolling_updates(lab):
    """Twenty at a time, as the controllers do it: new pods become ready, the old ones are terminating,
    then they go. Not one request fails."""
    def pods(generation):
        return text_of([update_pod(number, generation, place)
                        for number in range(UPDATED) for place in range(2)])
    lab.apply(pods(0))
    lab.apply(text_of([service_object(f"u{number}", NODE_PORTS + number, [])
                       for number in range(UPDATED)]))
    apply_slices(lab, None, 0)
    services = {s["metadata"]["name"]: s["spec"]["clusterIPs"] for s in lab.get("services")}
    inside = [(address, 53, 80) for number in range(UPDATED) for address in services[f"u{number}"]]
    outside = [(address, NODE_PORTS + number, NODE_PORTS + number) for number in range(UPDATED)
               for address in lab.node_addresses("node1")]
    with beside(lab, "f/client", "hammer", json.dumps(inside)) as one, \
            beside(lab, "outside", "hammer", json.dumps(outside)) as other:
        for generation in 1, 2:
            lab.apply(pods(generation))
            apply_slices(lab, generation - 1, generation)
            apply_slices(lab, None, generation)
            lab.delete(pods(generation - 1))
        results = [end(client) for client in (one, other)]
    for result in results:
        assert result["asked"] > 100 and not result["failed"], result
    lab.delete(text_of([service_object(f"u{number}", NODE_PORTS + number, [])
                        for number in range(UPDATED)]) + "\n---\n" + pods(2))


KILLS = 50 if os.environ.get("PODWIRE_TEST_ALL") else 5


def test_agents_are_killed(lab, service):
    """No datagram is lost, no connection, and none fails to open, while agents die again and again."""
    service.set(BASE)
    targets = {f"{way} {family}": target for family in FAMILIES
               for way, target in ways(lab, service, family).items() if way != "outside to node2"}
    with watched(lab, targets.values()) as (phase, results):
        for number in range(KILLS):
            for node in NODES:
                with stopped(lab, node, signal.SIGKILL):
                    phase(f"{number} without {node}")
    for way, result in zip(targets, results):
        for name in result["datagrams"]:
            check_phase(way, result, name, WHO_AB, WHO_AB)
        check_kept(way, result)
