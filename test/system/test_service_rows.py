# SPDX-License-Identifier: Apache-2.0
"""Rows of Services: made as objects come and go, the same after a restart, mended when altered."""
import json
import signal

import pytest
from labs import run, wait_for
from test_agent import stopped

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: t}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  selector: {app: %s}
  ports: [{port: 80}]
"""
BACKENDS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s, namespace: t}
spec:
  replicas: %d
  selector: {matchLabels: {app: %s}}
  template:
    metadata: {labels: {app: %s}}
    spec: {containers: [{name: c, image: any, ports: [{containerPort: 8080}]}]}
"""
GRABBER = """
apiVersion: v1
kind: Service
metadata: {name: grabber, namespace: t}
spec:
  externalIPs: ["%s", 8.8.8.8]
  ports: [{port: 80}]
"""


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2")
    lab.apply(BACKENDS % ("web", 3, "web", "web"))
    lab.apply(SERVICE % ("web", "web"))
    return lab


def service(lab, name):
    return next(s for s in lab.get("services") if s["metadata"]["name"] == name)


def rows(lab, node, *kinds):
    """The rows of these tables, as lines."""
    lines = [row["row"] for row in lab.query(node, "tables")["rows"]]
    return [line for line in lines if line.split()[0] in kinds]


def frontend(lab, node, address):
    """The row of port 80 of an address, as words; None where there is none."""
    found = [line for line in rows(lab, node, "service") if f"virtual {address} port 80 TCP" in line]
    return found[0].split() if found else None


def backends(lab, node, address):
    """Whom pods of the node are led to, sorted."""
    words = frontend(lab, node, address)
    if not words:
        return None
    name = words[words.index("inside") + 1].split("/")[0]
    return sorted(line.split()[3] for line in rows(lab, node, "backend") if f" {name} " in line)


def is_settled(lab, node):
    return not lab.query(node, "diff")["rows"]


def pod_addresses(lab, app, ipv6):
    return sorted(a for pod in lab.pods(app=app).values() for a in pod["addresses"]
                  if (":" in a) == ipv6)


def test_follow_the_objects(lab):
    """Both families, every node; with each change the kernel has what compiling all gives."""
    addresses = service(lab, "web")["spec"]["clusterIPs"]
    assert len(addresses) == 2
    for count in 3, 1, 0, 4:
        lab.apply(BACKENDS % ("web", count, "web", "web"))
        for node in lab.nodes():
            for address in addresses:
                wanted = pod_addresses(lab, "web", ":" in address)
                assert len(wanted) == count
                wait_for(lambda: backends(lab, node, address) == wanted,
                         f"{node} leads {address} to {wanted}")
            wait_for(lambda: is_settled(lab, node), f"{node} has all rows")
    node_port = service(lab, "web")["spec"]["ports"][0]["nodePort"]
    for scope in "own-node", "other-node":
        for address in "0.0.0.0", "::":
            assert [line for line in rows(lab, lab.nodes()[0], "service")
                    if f"{scope} {address} port {node_port} TCP" in line]


def test_deleted(lab):
    """Nothing of a Service is left."""
    lab.apply(SERVICE % ("gone", "web"))
    address = service(lab, "gone")["spec"]["clusterIPs"][0]
    node = lab.nodes()[0]
    wait_for(lambda: backends(lab, node, address), "the Service leads somewhere")
    with_it = rows(lab, node, "service", "backend", "maglev")
    lab.delete(SERVICE % ("gone", "web"))
    wait_for(lambda: frontend(lab, node, address) is None, "the Service is gone")
    wait_for(lambda: is_settled(lab, node), "its rows are gone")
    left = rows(lab, node, "service", "backend", "maglev")
    assert len(left) < len(with_it)
    assert not [line for line in left if address in line]


def test_nothing_is_captured(lab):
    """An older Service's address stays its own; the refusal is named by object and field."""
    address = service(lab, "web")["spec"]["clusterIPs"][0]
    node = lab.nodes()[0]
    before = frontend(lab, node, address)
    assert before
    lab.apply(GRABBER % address)
    problems = wait_for(
        lambda: [p for p in lab.query(node, "status")["problems"] if "grabber" in str(p)],
        "the refusals are named")
    assert "spec.externalIPs[0]" in str(problems) and address in str(problems)
    assert "spec.externalIPs[1]" in str(problems) and "8.8.8.8" in str(problems)
    assert frontend(lab, node, address) == before
    assert frontend(lab, node, "8.8.8.8") is None
    lab.delete(GRABBER % address)
    wait_for(lambda: "grabber" not in str(lab.query(node, "status")["problems"]),
             "the refusals are gone with it")


def test_address_on_the_node(lab):
    """A cluster address that somebody puts on the node is left to him; one that kube-proxy's IPVS
    mode has left behind is not."""
    node = lab.nodes()[0]
    address = service(lab, "web")["spec"]["clusterIPs"][0]
    assert frontend(lab, node, address)
    lab.exec(node, "ip", "address", "add", f"{address}/32", "dev", "lo")
    wait_for(lambda: not frontend(lab, node, address), "the address is left alone")
    wait_for(lambda: is_settled(lab, node), "all rows are as they should be")
    lab.exec(node, "ip", "address", "delete", f"{address}/32", "dev", "lo")
    wait_for(lambda: frontend(lab, node, address), "the address is served again")
    compared = lab.query(node, "status")["reconciled"]
    lab.exec(node, "ip", "link", "add", "kube-ipvs0", "type", "veth", "peer", "name", "ipvs-end")
    lab.exec(node, "ip", "address", "add", f"{address}/32", "dev", "kube-ipvs0")
    wait_for(lambda: lab.query(node, "status")["reconciled"] > compared + 1, "it was seen")
    assert frontend(lab, node, address)
    lab.exec(node, "ip", "link", "delete", "kube-ipvs0")


def test_same_after_restart(lab):
    """Killed and started again, also with a change that it has missed."""
    node = lab.nodes()[0]
    address = service(lab, "web")["spec"]["clusterIPs"][0]
    tables = "service", "backend", "maglev", "member"
    before = rows(lab, node, *tables)
    for _ in range(3):
        with stopped(lab, node, signal.SIGKILL):
            pass
        assert rows(lab, node, *tables) == before
    lab.kill(lab.agent_pid(node))
    lab.apply(BACKENDS % ("web", 2, "web", "web"))  # brings the agent back
    wait_for(lambda: backends(lab, node, address) == pod_addresses(lab, "web", False),
             "the agent has caught up")


def test_altered(lab):
    """What somebody else removes from the tables is back within seconds, and counted."""
    node = lab.nodes()[0]
    before = rows(lab, node, "service", "backend")
    repaired = lab.query(node, "status")["repaired"]
    pin = wait_for(lambda: table_pin(lab, node, "pw_backend"), "the table is pinned")
    dump = json.loads(lab.exec(node, "bpftool", "-j", "map", "dump", "pinned", pin).stdout)
    key = [byte.removeprefix("0x") for byte in dump[0]["key"]]
    lab.exec(node, "bpftool", "map", "delete", "pinned", pin, "key", "hex", *key)
    assert rows(lab, node, "service", "backend") != before
    wait_for(lambda: rows(lab, node, "service", "backend") == before, "the row is back")
    assert lab.query(node, "status")["repaired"] > repaired


def table_pin(lab, node, name):
    directory = lab.run_directory(node)
    return run("find", f"{directory}/bpf", "-name", name, "-print", "-quit").stdout.strip()
