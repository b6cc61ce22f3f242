# SPDX-License-Identifier: Apache-2.0
"""From one release to the next and back, node by node, under load: with tables of another form,
longer records and another version between the nodes. releases.py says what these releases are."""
import contextlib
import os
import re
import signal

import pytest
from cni import Runtime, inside, namespace
from labs import PODWIRE, end, is_ipv6, run, wait_for
from test_agent import agent_arguments, backlog_drops, check_traffic, serves, snapshot, start_agent, traffic

pytestmark = [pytest.mark.alone,
              pytest.mark.one_profile("its variants name theirs")]

OUTSIDE_PORT, OPEN_PORT, SERVICE_PORT = 9101, 9102, 30999
RATE = 100  # a second, of the streams beside the one between pods
POD = """apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: t, labels: {app: late}}
spec: {nodeName: %s, containers: [{name: main, image: x, ports: [{containerPort: 80}]}]}
"""

SERVICE = """apiVersion: v1
kind: Service
metadata: {name: kept, namespace: t}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  ports:
  - {name: u, protocol: UDP, port: 30999, nodePort: 30999}
  - {name: t, protocol: TCP, port: 30999, nodePort: 30999}
"""
SLICE = """---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kept-%(family)s, namespace: t, labels: {kubernetes.io/service-name: kept}}
addressType: IPv%(family)s
ports: [{name: u, protocol: UDP, port: 30999}, {name: t, protocol: TCP, port: 30999}]
endpoints: [{addresses: ["%(address)s"], nodeName: %(node)s}]
"""


def serve_by(lab, target):
    """A Service with this pod behind it; its cluster addresses."""
    pod = lab.pods()[target]
    lab.apply(SERVICE + "".join(
        SLICE % {"family": 6 if is_ipv6(a) else 4, "address": a, "node": pod["node"]}
        for a in pod["addresses"]))
    return next(service["spec"]["clusterIPs"] for service in lab.get("services")
                if service["metadata"]["name"] == "kept")


def is_layout(folder, name):
    return name != "links" and os.path.isdir(os.path.join(folder, name))


def layouts(lab, node):
    folder = os.path.join(lab.run_directory(node), "bpf")
    return sorted(name for name in os.listdir(folder) if is_layout(folder, name))


def replace(lab, node, podwire):
    """Another release's agent in the place of the one that runs; its layout."""
    arguments = agent_arguments(lab, node)
    lab.kill(lab.agent_pid(node), signal.SIGTERM)
    start_agent(lab, node, arguments, podwire)
    layout = lab.query(node, "status")["layout"]
    assert layouts(lab, node) == [layout], "the former layout has gone, and only that"
    wait_for(lambda: not lab.query(node, "diff")["rows"], "all is as wanted")
    return layout


def pod_on(lab, node):
    return next(key for key, pod in sorted(lab.pods(app="a").items()) if pod["node"] == node)


def check_reached(lab, source, target):
    addresses = lab.pods()[target]["addresses"]
    replies = lab.probe(source, [["tcp", a, 80] for a in addresses])
    assert [reply.get("pod") for reply in replies] == [target] * len(addresses), replies


def own_addresses(lab, where):
    text = lab.exec(where, "ip", "-o", "address", "show", "scope", "global").stdout
    return [line.split()[3].split("/")[0] for line in text.splitlines()]


def route_from_outside(lab):
    """The operator's routes: the outside knows the pod ranges by their nodes."""
    for node in lab.get("nodes"):
        via = lab.node_addresses(node["metadata"]["name"])
        for prefix in node["spec"]["podCIDRs"]:
            gateway = next(a for a in via if is_ipv6(a) == is_ipv6(prefix))
            lab.exec("outside", "ip", "route", "replace", prefix, "via", gateway)


@contextlib.contextmanager
def openings(lab, source, target, addresses, results):
    """New flows all the time meanwhile."""
    server = lab.beside(target, "traffic.py", "serve", str(OPEN_PORT))
    clients = {a: lab.beside(source, "traffic.py", "open", a, str(OPEN_PORT)) for a in addresses}
    try:
        yield
        for address, client in clients.items():
            results[address] = end(client)
    finally:
        for process in (server, *clients.values()):
            process.kill()
            process.wait()


@contextlib.contextmanager
def served_traffic(lab, target, sources, results):
    """From each (where, the addresses of a Service) to its backend."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(lab.beside(target, "traffic.py", "serve", str(SERVICE_PORT)))
        stack.callback(server.kill)
        clients = {address: stack.enter_context(lab.beside(
            where, "traffic.py", "client", address, str(SERVICE_PORT), str(RATE)))
            for where, addresses in sources for address in addresses}
        for client in clients.values():
            stack.callback(client.kill)
        before = backlog_drops()
        yield
        results.update({address: {**end(client), "backlog_drops": backlog_drops() - before}
                        for address, client in clients.items()})


def check_openings(results):
    for address, result in results.items():
        assert result["opened"] > 100 and not result["failed"], f"{address}: {result}"


def packets(lab, node):
    return sum(row["packets"] for row in lab.query(node, "drops")["counts"])


@pytest.mark.parametrize("variant", ["vxlan-clean", "direct-clean", "auto-clean", "vxlan-hostile"])
def test_forth_and_back(make_lab, release, variant):
    """Nothing is lost between pods, nor of what the outside has opened (whose opener only the
    table of flows knows), nor of what a pod has opened to the outside, nor by a Service, from a pod
    and from outside by another node. Pods come and go at each stage, and a pod of one release is
    removed by the other one."""
    route, profile = variant.split("-")
    lab = make_lab("-n", "3", "--route", route, "--profile", profile, name="-" + route + "-" + profile)
    lab.settle()
    nodes = lab.nodes()
    source, target = pod_on(lab, nodes[0]), pod_on(lab, nodes[1])
    addresses = lab.pods()[target]["addresses"]
    results, inward, outward, served = {}, {}, {}, {}
    for node in nodes:
        lab.apply(POD % ("from-this-" + node, node))
    with contextlib.ExitStack() as stack:
        stack.enter_context(traffic(lab, source, target, addresses, results))
        if not lab.hostile:  # whose switch drops pods' addresses, and where routes are taken away
            route_from_outside(lab)
            stack.enter_context(traffic(lab, target, "outside", own_addresses(lab, "outside"),
                                        outward, OUTSIDE_PORT, RATE))
            stack.enter_context(traffic(lab, "outside", target, addresses, inward, OUTSIDE_PORT, RATE))
            cluster = serve_by(lab, target)
            stack.enter_context(served_traffic(lab, target, [(source, cluster), (
                "outside", lab.node_addresses(nodes[0]))], served))
        for former, name in ("this", "next"), ("next", "this"):
            for node in nodes:
                counted = packets(lab, node)
                replace(lab, node, release[name])
                assert packets(lab, node) >= counted > 0, "counts go on"
                lab.apply(POD % (f"from-{name}-{node}", node))
                check_reached(lab, source, f"t/from-{name}-{node}")
                lab.delete(POD % (f"from-{former}-{node}", node))
                assert f"from-{former}" not in lab.on_node(node, "pods").stdout
    check_traffic(results)
    check_traffic(outward)
    check_traffic(inward)
    check_traffic(served)
    for node in nodes:
        assert "tunnel-version" not in lab.drops(node)
        # What the first agent has learnt of two neighbors in two families the others go on with.
        assert lab.agent_log(node).count("are reached ") == (4 if route == "auto" else 0)


def test_versions_between_nodes(make_lab, release):
    """Of neighboring releases each takes what the other one sends, in every mixture; of releases
    that are no neighbors one is refused by name. Flows of one form are shared by two layouts, so
    that not even those which are opened while programs are swapped miss their opener."""
    lab = make_lab("-n", "2", "--route", "vxlan", name="-versions")
    first, second = lab.nodes()
    source, target = pod_on(lab, first), pod_on(lab, second)
    addresses = lab.pods()[target]["addresses"]
    results, opened = {}, {}
    replace(lab, first, release["later"])
    replies = lab.probe(source, [["tcp", a, 80] for a in addresses], 0.5)
    assert [reply.get("error") for reply in replies] == ["timeout"] * 2
    assert lab.drops(second)["tunnel-version"] >= 2
    layout = replace(lab, second, release["next"])
    refused = lab.drops(second)["tunnel-version"]
    route_from_outside(lab)
    with traffic(lab, source, target, addresses, results), \
            openings(lab, "outside", target, addresses, opened):
        for node, name in (second, "later"), (first, "next"), (first, "later"), (second, "next"):
            assert replace(lab, node, release[name]) != layout or name == "next"
            check_reached(lab, source, target)
    check_traffic(results)
    check_openings(opened)
    assert lab.drops(second)["tunnel-version"] == refused
    assert "tunnel-version" not in lab.drops(first)


@pytest.mark.parametrize("name", ["next", "later"])
def test_packets(release, name):
    """The packet tests of that release pass: on its tables, with its range of versions."""
    done = run(os.path.join(os.path.dirname(release[name]), "test", "packet", "packet"), timeout=300)
    assert re.search(r"^[1-9]\d* passed, 0 failed$", done.stdout, re.M), done.stdout


def test_plugins_of_both(make_lab, release):
    """Either release's plugin speaks to either release's agent, and without an agent removes what
    the other release has added."""
    lab = make_lab("-n", "1", manifests=(), name="-plugins")
    [node] = lab.nodes()
    runtime = Runtime(lab, node)
    plugins = {name: os.path.join(os.path.dirname(release[name]), "podwire-cni")
               for name in ("this", "next")}
    arguments = agent_arguments(lab, node)
    for former, name in ("this", "next"), ("next", "this"):
        with namespace(f"t-upgrade-{os.getpid()}") as netns, \
                namespace(f"t-upgrade2-{os.getpid()}") as other:
            runtime.add("c1", netns, binary=plugins[former])
            runtime.add("c2", other, binary=plugins[name])
            lab.kill(lab.agent_pid(node), signal.SIGTERM)
            runtime.delete("c1", netns, binary=plugins[name])
            assert os.listdir(os.path.join(lab.run_directory(node), "attachments")) == ["c2:eth0"]
            start_agent(lab, node, arguments, release[name])
            assert "c2" in lab.on_node(node, "pods").stdout
            inside(other, "ping", "-c", "1", "-W", "1", lab.node_addresses(node)[0])
            runtime.delete("c2", other, binary=plugins[former])
            assert lab.on_node(node, "diff").stdout == ""


def test_one_agent_only(make_lab, release):
    """An agent of another release does not touch what one that runs works on."""
    lab = make_lab("-n", "1", manifests=(), name="-one")
    [node] = lab.nodes()
    before, tables = layouts(lab, node), lab.on_node(node, "tables").stdout
    done = lab.exec(node, release["next"], *agent_arguments(lab, node)[1:], check=False, timeout=20)
    assert done.returncode != 0 and "runs here already" in done.stderr
    assert layouts(lab, node) == before
    assert lab.on_node(node, "tables").stdout == tables
    assert serves(lab, node)


def test_uninstall_in_the_middle(make_lab, release):
    """Of an upgrade that broke off: nothing is left of either release, and no agent starts
    between the end of the one that runs and the removal."""
    lab = make_lab("-n", "2", manifests=(), name="-uninstall")
    lab.expected = [".*"]
    node = lab.nodes()[0]
    arguments = agent_arguments(lab, node)
    directory = lab.run_directory(node)
    lab.kill(lab.agent_pid(node))
    lab.exec(node, "strace", "-qq", "-o", "/dev/null", "-e", "inject=setresuid:signal=KILL:when=1",
             release["next"], *arguments[1:], check=False)
    assert len(layouts(lab, node)) == 2
    start_agent(lab, node, arguments)
    lab.kill(lab.agent_pid(node))
    lab.exec(node, "strace", "-qq", "-o", "/dev/null", "-e", "inject=setresuid:signal=KILL:when=1",
             release["next"], *arguments[1:], check=False)
    assert len(layouts(lab, node)) == 2
    lab.exec(node, PODWIRE, "uninstall", "--run-dir", directory)
    assert not os.path.exists(os.path.join(directory, "bpf"))
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        assert directory + "/bpf" not in mounts.read()
    assert "pw-" not in snapshot(lab, node)


def test_uninstall_beside_a_supervisor(make_lab):
    """Somebody starts the agent again whenever it ends: uninstall is done all the same."""
    lab = make_lab("-n", "2", manifests=(), name="-supervisor")
    lab.expected = [".*"]
    node = lab.nodes()[0]
    arguments, directory = agent_arguments(lab, node), lab.run_directory(node)
    lab.kill(lab.agent_pid(node))
    supervisor = lab.start(node, "sh", "-c", 'echo ready; while :; do "$@" 2>/dev/null; done',
                           "supervisor", PODWIRE, *arguments[1:], start_new_session=True)
    try:
        assert supervisor.stdout.readline() == "ready\n"
        wait_for(lambda: serves(lab, node), "the supervisor's agent serves")
        lab.exec(node, PODWIRE, "uninstall", "--run-dir", directory)
        assert not lab.agent_pid(node) or not serves(lab, node)
        assert not os.path.exists(os.path.join(directory, "bpf"))
        assert "pw-" not in snapshot(lab, node)
    finally:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
