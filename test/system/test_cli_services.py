# SPDX-License-Identifier: Apache-2.0
"""`podwire services`, `podwire service` and `podwire flows`: what they say is what packets meet."""
import collections
import json
import os

import pytest
from labs import FAMILIES, HERE, PYTHON, wait_for, write_json
from test_services import NODES, PORTS, balancer, cluster_address, node_address, of_family, pod_on

NAMES = {"ipv4": "IPv4", "ipv6": "IPv6"}
WANTS_ONES_ADDRESS = """
apiVersion: v1
kind: Service
metadata: {name: late, namespace: s}
spec:
  type: LoadBalancer
  ipFamilyPolicy: PreferDualStack
  ports: [{name: http, port: 80}, {name: other, port: 81}]
status: {loadBalancer: {ingress: [{ip: 192.0.2.81}, {ip: "2001:db8:b::81"}]}}
"""
SEND_SEVEN = """
import socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.connect((sys.argv[1], int(sys.argv[2])))
for _ in range(7):
    sock.send(b"?")
    sock.recv(65536)
print(sock.getsockname()[1])
"""
SINGLE = """
apiVersion: v1
kind: Service
metadata: {name: single-%(family)s, namespace: s}
spec: {ipFamilies: [%(type)s], ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: single-%(family)s-own, namespace: s, labels: {kubernetes.io/service-name: single-%(family)s}}
addressType: %(type)s
ports: [{name: metrics, port: 9090}]
endpoints: [{addresses: ["%(own)s"]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: single-%(family)s-other, namespace: s, labels: {kubernetes.io/service-name: single-%(family)s}}
addressType: %(other_type)s
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ["%(other)s"]}]
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reasons-%(name)s, namespace: s, labels: {kubernetes.io/service-name: reasons}}
addressType: %(family)s
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: ["%(a)s1"], nodeName: node1, hints: {forNodes: [{name: node2}]}}
- {addresses: ["%(a)s2"], nodeName: node2, hints: {forNodes: [{name: node1}]}}
- {addresses: ["%(a)s3"], nodeName: node1, conditions: {ready: false}}
- {addresses: ["%(a)s4"], nodeName: node2, conditions: {ready: false, serving: true, terminating: true}}
"""
REASONS = """
apiVersion: v1
kind: Service
metadata: {name: reasons, namespace: s}
spec:
  ipFamilyPolicy: PreferDualStack
  internalTrafficPolicy: Local
  ports: [{name: http, port: 80}]
---""" + SLICE % {"name": "4", "family": "IPv4", "a": "198.51.100."} + "---" + \
    SLICE % {"name": "6", "family": "IPv6", "a": "2001:db8:c::"}
MANY = "".join(f"""
apiVersion: v1
kind: Service
metadata: {{name: many-{number:04d}, namespace: many}}
spec: {{ipFamilyPolicy: PreferDualStack, ports: [{{port: 80}}]}}
---""" for number in range(3000))


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "3", "--route", "vxlan", manifests=("services.yaml",))
    for node in NODES:
        wait_for(lambda n=node: any(f["port"] == 30084 for row in services(lab, n) for f in row["frontends"]),
                 f"{node} has all Services")
    return lab


def services(lab, node, *arguments):
    return lab.query(node, "services", *arguments)["services"]


def row_of(lab, node, name, family, port="http"):
    return next(row for row in services(lab, node) if row["kind"] == "Service" and row["name"] == name
                and row["family"] == NAMES[family] and row["port"] == port)


def other(family):
    return next(f for f in FAMILIES if f != family)


def flows(lab, node, *arguments):
    return lab.query(node, "flows", *arguments)["flows"]


def places(row):
    return {(f["kind"], f["address"], f["port"]) for f in row["frontends"] if f["held"]}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_line_for_each_port(lab, family):
    for node in NODES:
        row = row_of(lab, node, "local", family)
        assert (row["ready"], row["terminating"], row["here"]) == (1, 0, int(node == "node2"))
        assert (row["internalPolicy"], row["externalPolicy"]) == ("Cluster", "Local")
        assert places(row) == {("cluster", cluster_address(lab, "local", family), 80),
                               ("node-port", "*", 30082),
                               ("load-balancer", balancer(lab, "local", family), 80)}
        assert row_of(lab, node, "none", family)["ready"] == 0
        assert row_of(lab, node, "every", family, "echo")["protocol"] == "UDP"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table(lab, family):
    lines = [line.split() for line in lab.on_node("node2", "services", "-o", "wide").stdout.splitlines()]
    assert lines[0] == ["NAMESPACE", "NAME", "PORT", "FAMILY", "FRONTENDS", "POLICY", "AFFINITY", "READY",
                        "TERMINATING", "HERE", "USED", "CONNECTIONS", "PACKETS"]
    line = next(l for l in lines if l[1:4] == ["one", "http/TCP", NAMES[family]])
    address = cluster_address(lab, "one", family)
    assert (f"[{address}]:80" if family == "ipv6" else f"{address}:80") in line[4].split(",")
    assert line[5:11] == ["Cluster", "-", "1", "0", "1", "1"]


def test_by_namespace_and_name(lab):
    wanted = {f"s/{name}" for name in ("every", "one", "local", "host", "none")}
    assert wanted <= set(lab.on_node("node1", "services", "-n", "s", "-o", "name").stdout.split())
    assert services(lab, "node1", "-n", "no-such-namespace") == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("protocol,port,name", [("tcp", 80, "http"), ("udp", 53, "echo")])
def test_connections_are_counted_where_they_are_led(lab, protocol, port, name, family):
    """In the socket's call or by packets; by the node that does it, and by no other."""
    before = {node: row_of(lab, node, "one", family, name)["connections"] for node in NODES}
    elsewhere = row_of(lab, "node1", "one", other(family), name)["connections"]
    target = [protocol, cluster_address(lab, "one", family), port]
    replies = lab.probe(pod_on(lab, "node1"), [target] * 5)
    assert not [reply for reply in replies if "error" in reply]
    after = {node: row_of(lab, node, "one", family, name)["connections"] for node in NODES}
    assert after["node1"] - before["node1"] >= 5
    assert row_of(lab, "node1", "one", other(family), name)["connections"] == elsewhere
    assert (after["node2"], after["node3"]) == (before["node2"], before["node3"])
    if not lab.hostile:  # there, one that was lost is asked again
        assert after["node1"] - before["node1"] == 5


@pytest.mark.parametrize("family", FAMILIES)
def test_what_comes_from_outside_counts_at_its_endpoint(lab, family):
    before = {node: row_of(lab, node, "one", family, "echo")["connections"] for node in NODES}
    target = ["udp", node_address(lab, "node1", family), 30081]
    assert not [r for r in lab.probe("outside", [target] * 3) if "error" in r]
    after = {node: row_of(lab, node, "one", family, "echo")["connections"] for node in NODES}
    assert after["node2"] - before["node2"] >= 3
    assert (after["node1"], after["node3"]) == (before["node1"], before["node3"])


@pytest.mark.parametrize("family", FAMILIES)
def test_packets_are_counted(lab, family):
    """Of one long flow of datagrams, each within a second or two, by the node that rewrites them."""
    def packets():
        return [row_of(lab, node, "one", family, "echo")["packets"] for node in NODES]
    before, address = packets(), cluster_address(lab, "one", family)
    code = ("import socket, time\n"
            f"s = socket.socket(socket.AF_INET{6 if family == 'ipv6' else ''}, socket.SOCK_DGRAM)\n"
            f"s.connect(('{address}', 53))\n"
            "for _ in range(40):\n"
            " s.send(b'?'); s.settimeout(2); s.recv(9999); time.sleep(0.08)\n")
    lab.exec(pod_on(lab, "node1"), "/usr/bin/python3", "-c", code)
    after = packets()
    assert 20 <= after[0] - before[0] <= 40
    assert after[1:] == before[1:]


@pytest.mark.parametrize("family", FAMILIES)
def test_flows_of_a_pod(lab, family):
    client = pod_on(lab, "node1")
    address = cluster_address(lab, "one", family)
    assert "error" not in lab.probe(client, [["udp", address, 53]])[0]
    found = [flow for flow in flows(lab, "node1", "--pod", client, "--service", "s/one")
             if flow["frontend"]["address"] == address and flow["packets"] == 1]
    assert found, flows(lab, "node1")
    flow = found[0]
    assert (flow["protocol"], flow["here"], flow["via"]) == ("UDP", "client", "")
    assert flow["client"]["name"] == f"Pod {client}" and flow["client"]["port"] > 1023
    assert flow["frontend"] == {"address": address, "port": 53, "name": "Service s/one"}
    assert flow["backend"]["name"] == "Pod s/one" and flow["backend"]["port"] == 7777
    assert 0 <= flow["lastSeconds"] < 60
    assert flows(lab, "node1", "--pod", client, "--service", "s/none") == []
    assert flow in [{**f, "lastSeconds": flow["lastSeconds"]}
                    for f in flows(lab, "node1", "--address", flow["backend"]["address"])]


@pytest.mark.parametrize("family", FAMILIES)
def test_flows_from_outside(lab, family):
    """The node that hands over, and the endpoint's, which knows through whom."""
    front = node_address(lab, "node1", family)
    assert "error" not in lab.probe("outside", [["udp", front, 30081]])[0]
    handed = [f for f in flows(lab, "node1", "--service", "s/one") if f["frontend"]["address"] == front]
    assert handed and {(f["here"], f["backend"]["name"]) for f in handed} == {("", "Pod s/one")}
    taken = [f for f in flows(lab, "node2", "--service", "s/one") if f["frontend"]["address"] == front]
    assert taken and {(f["here"], f["viaName"]) for f in taken} == {("backend", "Node node1")}
    assert not [f for f in flows(lab, "node3") if f["frontend"]["address"] == front]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", ["pod", "outside"])
def test_packets_of_a_flow_are_counted(lab, where, family):
    """Of the client alone, on every node that sees them."""
    client = pod_on(lab, "node1") if where == "pod" else "outside"
    address, port = (cluster_address(lab, "one", family), 53) if where == "pod" else \
        (node_address(lab, "node1", family), 30081)
    local = int(lab.exec(client, PYTHON, "-c", SEND_SEVEN, address, str(port)).stdout)
    for node in ["node1"] if where == "pod" else ["node1", "node2"]:
        found = [f for f in flows(lab, node, "--service", "s/one", "--limit", "10000")
                 if f["client"]["port"] == local and f["frontend"]["address"] == address]
        assert [f["packets"] for f in found] == [7], node


@pytest.mark.parametrize("family", FAMILIES)
def test_flows_without_a_service(lab, family):
    """A connection between pods of one node has a record at each end, and is one flow."""
    here = [key for key, pod in lab.pods().items() if pod["node"] == "node2" and not pod["host"]]
    client, target = here[0], here[1]
    address = of_family(lab.pods()[target]["addresses"], family)
    assert "error" not in lab.probe(client, [["tcp", address, 8080]])[0]
    found = [f for f in flows(lab, "node2", "--pod", client) if f["backend"]["address"] == address]
    assert found and {(f["client"]["name"], f["backend"]["name"], f["here"], f["frontend"]["port"])
                      for f in found} == {(f"Pod {client}", f"Pod {target}", "client", 0)}
    assert len({f["client"]["port"] for f in found}) == len(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_more_flows_than_one_answer_holds(lab, family):
    """Each is shown or counted, and none twice."""
    client, count = pod_on(lab, "node1"), 3000
    address = cluster_address(lab, "every", family)
    ports = json.loads(lab.exec(client, PYTHON, "-B", os.path.join(HERE, "many_flows.py"), address, "53",
                                str(count)).stdout)
    assert len(set(ports)) == count
    asked = "--pod", client, "--service", "s/every", "--limit"
    answer = lab.query("node1", "flows", *asked, "10000")
    seen = collections.Counter((f["client"]["port"], f["frontend"]["address"]) for f in answer["flows"])
    assert {port for port, place in seen if place == address} >= set(ports) and answer["more"] == 0
    assert max(seen.values()) == 1
    assert {f["packets"] for f in answer["flows"] if f["client"]["port"] in ports} == {1}
    few = lab.query("node1", "flows", *asked, "7")
    assert len(few["flows"]) == 7 and few["more"] == len(answer["flows"]) - 7


def test_the_table_of_flows(lab):
    client = pod_on(lab, "node1")
    addresses = [cluster_address(lab, "one", family) for family in FAMILIES]
    assert not [r for r in lab.probe(client, [["udp", a, 53] for a in addresses] * 3) if "error" in r]
    named = lab.on_node("node1", "flows", "--service", "s/one").stdout
    assert named.splitlines()[0].split() == ["PROTOCOL", "CLIENT", "FRONTEND", "BACKEND", "HERE", "VIA",
                                             "SEEN", "AS", "PACKETS", "LAST"]
    assert f"{client}:" in named and "s/one:53" in named and "s/one:7777" in named
    bare = lab.on_node("node1", "flows", "--service", "s/one", "--numeric").stdout
    assert f"{addresses[0]}:53" in bare and f"[{addresses[1]}]:53" in bare and client not in bare
    short = lab.on_node("node1", "flows", "--service", "s/one", "--limit", "2").stdout.splitlines()
    more = len(flows(lab, "node1", "--service", "s/one")) - 2
    assert more >= 4 and short[3:] == [f"and {more} more; --limit shows them"]


@pytest.mark.parametrize("family", FAMILIES)
def test_one_service(lab, family):
    """Its rows are those of the tables, its endpoints those that packets meet."""
    answer = lab.query("node1", "service", "s/local")
    assert answer["service"]["externalPolicy"] == "Local" and not answer["problems"]
    tables = {row["row"] for row in lab.query("node1", "tables")["rows"]}
    assert answer["rows"] and not [r for r in answer["rows"] if r["state"] or r["row"] not in tables]
    assert any(cluster_address(lab, "local", family) in row["row"] for row in answer["rows"])
    for node, local, why in (("node1", "elsewhere", "not on this node, and the policy is Local"),
                             ("node2", "used", "")):
        endpoint = next(e for e in lab.query(node, "service", "s/local")["endpoints"]
                        if e["family"] == NAMES[family] and e["port"] == "http")
        assert endpoint["address"] in lab.pods()["s/one"]["addresses"] and endpoint["number"] == 8080
        assert (endpoint["node"], endpoint["cluster"], endpoint["local"], endpoint["why"]) == \
            ("node2", "used", local, why)


def test_status_counts_them(lab):
    status = lab.query("node1", "status")["services"]
    rows = collections.Counter(row["row"].split()[0] for row in lab.query("node1", "tables")["rows"])
    assert status == {"services": len(lab.get("services")), "frontends": rows["service"],
                      "backends": rows["backend"]}
    assert f"services   {status['services']}, with" in lab.on_node("node1", "status").stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_why_an_endpoint_is_not_used(lab, family):
    lab.apply(REASONS)
    wait_for(lambda: row_of(lab, "node1", "reasons", family)["ready"] == 2, "its endpoints are known")
    start = {"ipv4": "198.51.100.", "ipv6": "2001:db8:c::"}[family]
    found = {e["address"].removeprefix(start): (e["cluster"], e["local"], e["why"])
             for e in lab.query("node1", "service", "s/reasons")["endpoints"]
             if e["family"] == NAMES[family]}
    assert found == {
        "1": ("other-node", "used", "its hints name other nodes"),
        "2": ("used", "elsewhere", "not on this node, and the policy is Local"),
        "3": ("not-ready", "not-ready", "not ready"),
        "4": ("terminating", "elsewhere", "terminating, and others are ready")}
    text = lab.on_node("node1", "service", "reasons", "-n", "s").stdout
    lines = {n: next(line.split() for line in text.splitlines() if f"{start}{n}" in line) for n in "123"}
    assert lines["1"][3:5] == ["ready", "local"] and lines["2"][3:5] == ["ready", "cluster"]
    assert lines["3"][3:] == ["serving", "no", "not", "ready"]


@pytest.mark.parametrize("family", FAMILIES)
def test_why_a_whole_slice_is_not_used(lab, family):
    addresses = {"ipv4": "198.51.100.9", "ipv6": "2001:db8:c::9"}
    lab.apply(SINGLE % {"family": family, "type": NAMES[family], "other_type": NAMES[other(family)],
                        "own": addresses[family], "other": addresses[other(family)]})
    answer = wait_for(lambda: (now := run_json(lab, f"s/single-{family}")) and len(now["endpoints"]) == 2 and now,
                      "its slices are known")
    assert {e["address"]: (e["cluster"], e["local"], e["why"]) for e in answer["endpoints"]} == {
        addresses[family]: ("no-port", "no-port", "its slice has no port of that name and protocol"),
        addresses[other(family)]: ("other-family", "other-family",
                                   "the Service has no address of its family")}
    assert [port["ready"] for port in answer["ports"]] == [0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_refused_slice_is_named(lab, family):
    address = {"ipv4": "127.0.0.1", "ipv6": "::1"}[family]
    path = os.path.join(lab.directory, "objects", f"bad-{family}.json")
    write_json(path, {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                      "metadata": {"name": f"one-bad-{family}", "namespace": "s",
                                   "labels": {"kubernetes.io/service-name": "one"}},
                      "addressType": NAMES[family], "ports": [{"name": "http", "port": 80}],
                      "endpoints": [{"addresses": [address]}]})
    try:
        refused = wait_for(lambda: run_json(lab, "s/one")["refused"], "it is refused")
        assert len(refused) == 1 and f"one-bad-{family}" in refused[0] and address in refused[0]
        assert run_json(lab, "s/none")["refused"] == []
    finally:
        os.unlink(path)
    wait_for(lambda: not run_json(lab, "s/one")["refused"], "it has gone")


@pytest.mark.parametrize("family", FAMILIES)
def test_who_holds_what_was_lost(lab, family):
    lab.apply(WANTS_ONES_ADDRESS)
    wait_for(lambda: "late" in {row["name"] for row in services(lab, "node1")}, "it is known")
    address = balancer(lab, "one", family)
    lost, kept = (next(f for f in row_of(lab, "node1", "late", family, port)["frontends"]
                       if f["address"] == address) for port in ("http", "other"))
    assert (lost["held"], lost["holder"], kept["held"]) == (False, "Service s/one", True)
    assert lost["rule"] in ("age", "name")
    text = lab.on_node("node1", "service", "s/late").stdout
    assert any(address in line and "no: Service s/one is" in line for line in text.splitlines())
    row = next(line for line in lab.on_node("node1", "services").stdout.splitlines()
               if line.split()[1:3] == ["late", "http/TCP"] and address in line)
    assert f"{address}:80!" in row or f"[{address}]:80!" in row


@pytest.mark.parametrize("asked,near", [("s/on", "s/one"), ("one", "s/one"), ("x/host", "s/host"),
                                        ("s/evry", "s/every")])
def test_near_names(lab, asked, near):
    done = lab.on_node("node1", "service", asked, check=False)
    assert done.returncode == 1 and not done.stdout
    assert f"there is no Service {asked if '/' in asked else 'default/' + asked} here" in done.stderr
    assert near in done.stderr.split(";", 1)[1]


@pytest.mark.parametrize("arguments,said", [
    (["service", "s/nothing-like-it"], "`podwire services` lists all"),
    (["flows", "--pod", "s/gone"], "no address is known of a Pod s/gone"),
    (["flows", "--service", "s/gone"], "there is no Service s/gone here"),
    (["flows", "--address", "here"], "here is no address"),
    (["flows", "--limit", "0"], "use a number from 1 to 10000")])
def test_wrong_questions(lab, arguments, said):
    done = lab.on_node("node1", *arguments, check=False)
    assert done.returncode and not done.stdout and said in done.stderr


def test_headless(lab):
    lab.apply("apiVersion: v1\nkind: Service\nmetadata: {name: headless, namespace: s}\n"
              "spec: {clusterIP: None, ports: [{port: 80}]}\n")
    answer = wait_for(lambda: run_json(lab, "s/headless"), "it is known")
    assert answer["service"]["notServed"].startswith("headless") and not answer["ports"]


def run_json(lab, name):
    done = lab.on_node("node1", "service", name, "-o", "json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


@pytest.mark.one_profile("it is about how long an answer may be")
def test_many(lab):
    """More than one answer holds: each once, in order, and none is missing."""
    lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: many}\n---" + MANY)
    wanted = [f"many/many-{number:04d}" for number in range(3000)]
    wait_for(lambda: lab.on_node("node1", "services", "-n", "many", "-o", "name").stdout.split() == wanted,
             "all are known", 30)
    every = lab.on_node("node1", "services", "-o", "name").stdout.split()
    services_only = [name for name in every if name in set(wanted)]
    assert services_only == wanted and len(every) > len(wanted)
    assert len(services(lab, "node1", "-n", "many")) == 2 * len(wanted)
