# SPDX-License-Identifier: Apache-2.0
"""A Service that lives: its type, families, affinity and labels change, it goes and comes back. What
it is now works, and what it was is nobody's any more."""
import collections
import json

import pytest
from labs import FAMILIES, is_ipv6, wait_for

NODE_PORT = 30090
BALANCER = {"ipv4": "192.0.2.90", "ipv6": "2001:db8:b::90"}
PORTS = [("tcp", 80), ("udp", 53)]
TYPES = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]
WAYS = {"ClusterIP": {"cluster"}, "NodePort": {"cluster", "node"},
        "LoadBalancer": {"cluster", "node", "balancer"}, "ExternalName": set()}
PODS = """
apiVersion: v1
kind: Namespace
metadata: {name: t}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web, namespace: t}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: example.com/any
        ports:
        - {name: http, containerPort: 8080}
        - {name: echo, containerPort: 7777, protocol: UDP}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: t}
spec: {nodeName: node1, containers: [{name: main, image: example.com/any}]}
"""
pytestmark = pytest.mark.one_profile("what hostile nodes do to packets of Services is in test_services.py")


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2", manifests=())
    lab.apply(PODS)
    wait_for(lambda: len(lab.pods(app="web")) == 2, "the pods are there")
    return lab


@pytest.fixture(scope="module")
def fixed(lab):
    """The addresses that the Service has whenever it has any."""
    lab.apply(manifest("ClusterIP"))
    spec = stored(lab)["spec"]
    lab.delete(manifest("ClusterIP"))
    return {family: next(a for a in spec["clusterIPs"] if is_ipv6(a) == (family == "ipv6"))
            for family in FAMILIES}


@pytest.fixture
def service(lab, fixed):
    """service(type, ...): the Service as it is from now on, known to every node."""
    def change(kind, labels=None, **spec):
        addresses = {} if kind == "ExternalName" else {"clusterIPs": list(fixed.values())}
        lab.apply(manifest(kind, labels, **{**addresses, **spec}))
    lab.delete(manifest("ClusterIP"), check=False)
    yield change
    lab.delete(manifest("ClusterIP"), check=False)


def manifest(kind, labels=None, **spec):
    ports = [{"name": "http", "port": 80, "targetPort": "http"},
             {"name": "echo", "port": 53, "protocol": "UDP", "targetPort": "echo"}]
    if kind in ("NodePort", "LoadBalancer"):
        for port in ports:
            port["nodePort"] = NODE_PORT
    whole = {"type": kind, "selector": {"app": "web"}, "ports": ports,
             "ipFamilyPolicy": "RequireDualStack"}
    if kind == "ExternalName":
        whole = {"type": kind, "externalName": "example.com"}
    status = {"loadBalancer": {"ingress": [{"ip": ip} for ip in BALANCER.values()]}}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "spec": {**whole, **spec},
                       "metadata": {"name": "changing", "namespace": "t", "labels": labels or {}},
                       "status": status if kind == "LoadBalancer" else {}})


def stored(lab):
    return next(s for s in lab.get("services") if s["metadata"]["name"] == "changing")


def node_address(lab, family):
    return next(a for a in lab.node_addresses("node2") if is_ipv6(a) == (family == "ipv6"))


def ways_in(lab, fixed):
    """{(way, family): (who asks, [(protocol, address, port), ...])}"""
    found = {}
    for family in FAMILIES:
        for way, where, address in (("cluster", "t/client", fixed[family]),
                                    ("balancer", "t/client", BALANCER[family])):
            found[way, family] = where, [(protocol, address, port) for protocol, port in PORTS]
        found["node", family] = "outside", [
            (protocol, node_address(lab, family), NODE_PORT) for protocol, _ in PORTS]
    return found


def serving(lab, ways):
    """Of these ways in, those by which each port answers, and those by which none does."""
    answers = collections.defaultdict(list)
    for asker in {where for where, _ in ways.values()}:
        asked = [(way, target) for way, (where, targets) in ways.items() if where == asker
                 for target in targets]
        replies = lab.probe_once(asker, [target for _, target in asked], 0.4)
        for (way, _), reply in zip(asked, replies):
            answers[way].append("pod" in reply)
    return ({way for way, found in answers.items() if all(found)},
            {way for way, found in answers.items() if not any(found)})


def is_there(lab, fixed, ways, families=tuple(FAMILIES)):
    """By these ways in, in these families, every port answers; by all others none."""
    asked = ways_in(lab, fixed)
    wanted = {(way, family) for way, family in asked if way in ways and family in families}
    wait_for(lambda: serving(lab, asked) == (wanted, set(asked) - wanted),
             f"{sorted(wanted)} serve, and nothing else")


def test_type(lab, fixed, service):
    """Each change from one type to another, once."""
    changes = [(before, after) for before in TYPES for after in TYPES if before != after]
    now = TYPES[0]
    service(now)
    is_there(lab, fixed, WAYS[now])
    while changes:
        # Every type has as many changes to it as from it, so the walk never gets stuck; the one
        # with most left goes first, so it misses none.
        after = max((a for b, a in changes if b == now),
                    key=lambda kind: sum(b == kind for b, _ in changes))
        changes.remove((now, after))
        service(after)
        is_there(lab, fixed, WAYS[after])
        now = after


def test_families(lab, fixed, service):
    """The second family comes and goes; the first one never notices."""
    one = {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"], "clusterIPs": [fixed["ipv4"]]}
    service("NodePort")
    is_there(lab, fixed, WAYS["NodePort"])
    service("NodePort", **one)
    is_there(lab, fixed, WAYS["NodePort"], ["ipv4"])
    service("NodePort")
    is_there(lab, fixed, WAYS["NodePort"])
    other = {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"], "clusterIPs": [fixed["ipv6"]]}
    lab.delete(manifest("NodePort"))
    is_there(lab, fixed, set())
    service("NodePort", **other)
    is_there(lab, fixed, WAYS["NodePort"], ["ipv6"])


@pytest.mark.parametrize("label", ["service-proxy-name", "headless"])
def test_label(lab, fixed, service, label):
    """Somebody else's, as long as the label is there."""
    service("NodePort")
    is_there(lab, fixed, WAYS["NodePort"])
    service("NodePort", {f"service.kubernetes.io/{label}": "other"})
    is_there(lab, fixed, set())
    service("NodePort")
    is_there(lab, fixed, WAYS["NodePort"])


def test_gone_and_back(lab, fixed, service):
    for _ in range(3):
        service("LoadBalancer")
        is_there(lab, fixed, WAYS["LoadBalancer"])
        lab.delete(manifest("LoadBalancer"))
        is_there(lab, fixed, set())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("way", ["cluster", "node"])
def test_affinity(lab, fixed, service, way, family):
    """Switched on, one backend; switched off, both again, by packets as in the socket."""
    def seen():
        where, address = {"cluster": ("t/client", fixed[family]),
                          "node": ("outside", node_address(lab, family))}[way]
        ports = [(protocol, NODE_PORT) for protocol, _ in PORTS] if way == "node" else PORTS
        targets = [(protocol, address, port) for protocol, port in ports for _ in range(16)]
        replies = lab.probe(where, targets)
        assert all("pod" in reply for reply in replies), replies
        # Each port has an affinity of its own.
        return [len({reply["pod"] for reply in replies[i:i + 16]}) for i in (0, 16)]
    service("NodePort")
    wait_for(lambda: seen() == [2, 2], "both backends serve")
    service("NodePort", sessionAffinity="ClientIP")
    wait_for(lambda: seen() == [1, 1], "each port has one backend for the client")
    service("NodePort")
    wait_for(lambda: seen() == [2, 2], "both backends serve again")
