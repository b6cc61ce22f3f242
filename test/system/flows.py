# SPDX-License-Identifier: Apache-2.0
"""A Service whose endpoints a test changes, and clients of it that count who answers them."""
import contextlib
import dataclasses
import json

from labs import FAMILIES, HERE, PYTHON, end, is_ipv6, wait_for
from test_agent import backlog_drops
from test_service_rows import rows

NODES = ["node1", "node2", "node3"]
PORTS = [("tcp", "TCP", 80), ("udp", "UDP", 53)]
FIRST, SECOND = 7001, 7002  # ports of endpoints
RATE = 1000


@contextlib.contextmanager
def beside(lab, where, *arguments):
    """traffic.py there, meanwhile."""
    process = lab.beside(where, "traffic.py", *map(str, arguments))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def serving(lab):
    """Endpoints that say who they are."""
    with contextlib.ExitStack() as stack:
        for name in "abc":
            stack.enter_context(beside(lab, f"f/{name}", "name", name, FIRST, SECOND))
        yield


def ask(lab, where, *arguments):
    """What traffic.py there says."""
    return json.loads(lab.exec(where, PYTHON, "-B", f"{HERE}/traffic.py", *map(str, arguments)).stdout)


# --- a Service as a value ---

@dataclasses.dataclass(frozen=True)
class State:
    """What the cluster is told about the Service. An endpoint: (pod, port, how it is)."""
    endpoints: tuple
    node_port: int = 30070
    there: bool = True
    spec: tuple = ()  # more members of its spec

    def but(self, **changes):
        return dataclasses.replace(self, **changes)


CONDITIONS = {"ready": {"ready": True, "serving": True, "terminating": False},
              "terminating": {"ready": False, "serving": True, "terminating": True}}


def ready(*names, port=FIRST):
    return tuple((name, port, "ready") for name in names)


def service_object(name, node_port, addresses, spec=()):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "f"},
            "spec": {"type": "NodePort", "ipFamilyPolicy": "PreferDualStack",
                     **({"clusterIP": addresses[0], "clusterIPs": addresses} if addresses else {}),
                     "ports": [{"name": short, "protocol": protocol, "port": port,
                                "nodePort": node_port} for short, protocol, port in PORTS],
                     **dict(spec)}}


def slice_object(pods, name, family, port, endpoints):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-{family}-{port}", "namespace": "f",
                         "labels": {"kubernetes.io/service-name": name}},
            "addressType": {"ipv4": "IPv4", "ipv6": "IPv6"}[family],
            "ports": [{"name": short, "protocol": protocol, "port": port}
                      for short, protocol, _ in PORTS],
            "endpoints": [{"addresses": [of_family(pods[f"f/{pod}"]["addresses"], family)],
                           "nodeName": pods[f"f/{pod}"]["node"], "conditions": CONDITIONS[how]}
                          for pod, number, how in endpoints if number == port]}


def of_family(addresses, family):
    return next(a for a in addresses if is_ipv6(a) == (FAMILIES[family] == 6))


class Service:
    """One that is the whole module's; a test brings it into a state and waits until all know."""

    def __init__(self, lab, name, state):
        self.lab, self.name, self.addresses, self.pods = lab, name, [], lab.pods()
        self.node_ports = set()
        self.set(state)

    def set(self, state):
        slices = [slice_object(self.pods, self.name, family, port, state.endpoints)
                  for family in FAMILIES for port in (FIRST, SECOND)]
        own = service_object(self.name, state.node_port, self.addresses, state.spec)
        self.lab.apply(text_of(slices + ([own] if state.there else [])))
        if not state.there:
            self.lab.delete(text_of([own]))
        elif not self.addresses:
            found = next(s for s in self.lab.get("services")
                         if s["metadata"] == {**s["metadata"], "name": self.name, "namespace": "f"})
            self.addresses = found["spec"]["clusterIPs"]
        self.node_ports.add(state.node_port)
        for node in NODES:
            wait_for(lambda n=node: self.is_known(n, state), f"{node} knows {state}")

    def is_known(self, node, state):
        lines = rows(self.lab, node, "service", "backend")
        for family in FAMILIES:
            any_address = "::" if FAMILIES[family] == 6 else "0.0.0.0"
            for _, protocol, port in PORTS:
                wanted = self.led_to(node, state, family) if state.there else None
                cluster = f"service virtual {of_family(self.addresses, family)} port {port} {protocol}"
                outer = f"service own-node {any_address} port {state.node_port} {protocol}"
                if led_to(lines, cluster, "inside") != (wanted and wanted["internalTrafficPolicy"]) or \
                        led_to(lines, outer, "outside") != (wanted and wanted["externalTrafficPolicy"]):
                    return False
                if ("ClientIP" in str(state.spec)) != any(
                        line.startswith(cluster) and " affinity " in line for line in lines):
                    return False
                if any(f"service own-node {any_address} port {old} {protocol} " in "\n".join(lines)
                       for old in self.node_ports - {state.node_port}):
                    return False
        return True

    def led_to(self, node, state, family):
        usable = [e for e in state.endpoints if e[2] == "ready"] or state.endpoints
        found = {}
        for policy in "internalTrafficPolicy", "externalTrafficPolicy":
            local = dict(state.spec).get(policy) == "Local"
            found[policy] = sorted(
                f"{of_family(self.pods[f'f/{pod}']['addresses'], family)} port {port}"
                for pod, port, _ in usable if not local or self.pods[f"f/{pod}"]["node"] == node)
        return found


def led_to(lines, frontend, side):
    """The backends of one list or set of a frontend's row, sorted; None where there is no such row."""
    row = next((line.split() for line in lines if line.startswith(frontend + " ")), None)
    if not row:
        return None
    name = row[row.index(side) + 1].split("/")[0]
    return sorted({" ".join(line.split()[3 - line.startswith("member"):][:3]) for line in lines
                   if line.startswith((f"backend {name} ", f"member {name} "))})


def text_of(objects):
    return "\n---\n".join(json.dumps(o) for o in objects)


# --- clients ---

@contextlib.contextmanager
def watched(lab, targets):
    """Clients of each (where, address, UDP port, TCP port), a thousand datagrams a second each, and
    a function that begins another phase. The list that is yielded is filled at the end."""
    before, results = backlog_drops(), []
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(beside(lab, where, "watch", *target, RATE))
                   for where, *target in targets]

        def phase(name):
            for client in clients:
                client.stdin.write(name + "\n")
                client.stdin.flush()
            for client in clients:
                assert client.stdout.readline() == "ok\n"

        yield phase, results
        results += [end(client) for client in clients]
        late = backlog_drops() - before
        for result in results:
            result["late"] = late


def ways(lab, service, family):
    """A pod, and the outside by a node without an endpoint and by one with one."""
    def node(name):
        return of_family(lab.node_addresses(name), family)
    return {"pod": ("f/client", of_family(service.addresses, family), 53, 80),
            "outside to node1": ("outside", node("node1"), 30070, 30070),
            "outside to node2": ("outside", node("node2"), 30070, 30070)}


def check_answers(what, result, kind, phase, allowed):
    """Whoever has answered in this phase was one of `allowed`; where there is one, all are answered."""
    seen = result[kind][phase]
    assert sum(seen.values()) > 0, f"{what}: no {kind} in {phase}"
    wrong = {who: count for who, count in seen.items() if who not in (allowed or SILENCE)}
    if allowed and kind == "datagrams" and wrong.get("none", 0) <= result["late"]:
        wrong.pop("none", None)
    assert not wrong, f"{what}, {kind} in {phase}: {dict(seen)}, not only {set(allowed)}"


def check_phase(what, result, phase, who, new):
    """`who` may answer a flow that goes on, `new` one that begins."""
    check_answers(what, result, "datagrams", phase, who)
    for kind in "flows", "requests":
        check_answers(what, result, kind, phase, new)


def check_kept(what, result):
    """A connection lives as long as the process at its end, whatever becomes of the Service."""
    assert len(result["kept"]) > 0
    for kept in result["kept"]:
        assert kept["error"] is None and kept["asked"] > 10 and len(kept["who"]) == 1, f"{what}: {kept}"


SILENCE = {"none", "refused"}
AB, BC = ready("a", "b"), ready("b", "c")
BASE = State(AB)
WHO_AB, WHO_BC = {"a/7001", "b/7001"}, {"b/7001", "c/7001"}
LOCAL = (("internalTrafficPolicy", "Local"), ("externalTrafficPolicy", "Local"))
