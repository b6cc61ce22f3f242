# SPDX-License-Identifier: Apache-2.0
"""Pods of a real containerd on a node of a lab, made and taken by the CRI as a kubelet does it."""
import concurrent.futures
import contextlib
import json

import containerd
import pytest
from labs import FAMILIES, REPAIR_SECONDS, is_ipv6, paused, wait_for
from test_agent import stopped

pytestmark = pytest.mark.skipif(bool(containerd.missing()), reason=containerd.missing())

PORT, LAB_PORT, MANY = 8080, 80, 20


@pytest.fixture(scope="module")
def runtime(make_lab, tmp_path_factory):
    lab = make_lab("-n", "2")
    made = containerd.Containerd(lab, lab.nodes()[0], tmp_path_factory.mktemp("containerd"))
    try:
        made.up()
        yield made
    finally:
        made.down()
    assert not made.left_behind()


@pytest.fixture(autouse=True)
def nothing_left(runtime):
    """Each test takes all its pods away, and with them go their addresses, links and records."""
    yield
    if not runtime.runs():
        runtime.start()
    left = runtime.pods(), held(runtime)
    runtime.remove_all()
    assert left == ([], {})


@pytest.fixture
def pod(runtime):
    """A pod that listens."""
    with running(runtime, "web") as pod:
        pod.serve(PORT)
        yield pod


@contextlib.contextmanager
def running(runtime, name, **options):
    pod = runtime.pod(name, **options)
    try:
        yield pod
    finally:
        pod.stop()
        pod.remove()


def held(runtime):
    """What the agent has for this containerd's pods: {name: pod}"""
    return {pod["name"]: pod for pod in runtime.lab.query(runtime.node, "pods")["pods"]
            if pod["namespace"] == "cri"}


def used(runtime):
    return [pool["used"] for pool in runtime.lab.query(runtime.node, "status")["pools"]]


def other(runtime):
    """A pod of the lab on another node: (name, addresses)"""
    return next((name, pod["addresses"]) for name, pod in sorted(runtime.lab.pods(app="a").items())
                if pod["node"] != runtime.node)


def clients(runtime, addresses, where):
    """Whom a pod sees when somebody of the lab asks at its addresses; None: there is no answer."""
    targets = [["tcp", address, PORT] for address in addresses]
    return [reply.get("client") for reply in runtime.lab.probe(where, targets)]


# --- a pod ---

def test_pod(runtime, pod):
    """The kubelet gets one address of each family, IPv4 first, of the node's ranges; the agent has
    the pod under the names that Kubernetes gave it."""
    addresses = pod.addresses()
    assert [is_ipv6(address) for address in addresses] == [False, True]
    found = held(runtime)["web"]
    assert found["addresses"] == addresses and found["container"] == pod.id
    assert found["ifname"] == "eth0" and found["network"] == "podwire"
    shown = json.loads(pod.ip("ip", "-j", "address", "show", "dev", "eth0", "scope", "global").stdout)
    assert {a["local"] for a in shown[0]["addr_info"]} == set(addresses)


def test_reached(runtime, pod):
    """By a pod of another node, which is seen under its own address, and by the node itself."""
    name, addresses = other(runtime)
    assert clients(runtime, pod.addresses(), name) == addresses
    assert all(clients(runtime, pod.addresses(), runtime.node))


def test_reaches(runtime, pod):
    """From a container, by the program that asks in the pods of a lab too."""
    name, addresses = other(runtime)

    def replies():
        return [reply.get("pod") for reply in
                pod.probe([[protocol, address, port] for address in addresses
                           for protocol, port in (("tcp", LAB_PORT), ("udp", 7777))])]

    wait_for(lambda: replies() == [name] * 4, "it reaches the other node's pod", REPAIR_SECONDS)


def test_containers_share_localhost(runtime, pod):
    """What one container listens on, another one of the pod reaches; a second pod does not."""
    targets = [["tcp", address, PORT] for address in ("127.0.0.1", "::1")]
    assert [reply.get("client") for reply in pod.probe(targets)] == ["127.0.0.1", "::1"]
    with running(runtime, "second") as second:
        assert [reply.get("error") for reply in second.probe(targets)] == ["refused"] * 2


def test_stopped(runtime, pod):
    """Nobody reaches it any more, and its addresses are free; stopped twice, it is no error."""
    name, _ = other(runtime)
    targets = [["tcp", address, PORT] for address in pod.addresses()]
    assert all("client" in reply for reply in runtime.lab.probe(name, targets))
    pod.stop()
    assert not held(runtime)
    assert all("error" in reply for reply in runtime.lab.probe_once(name, targets, 0.5))
    pod.stop()


def test_bandwidth(runtime):
    """The annotations of Kubernetes arrive as the pod's limits."""
    annotations = {"kubernetes.io/ingress-bandwidth": "20M", "kubernetes.io/egress-bandwidth": "10M"}
    with running(runtime, "limited", annotations=annotations) as pod, \
            running(runtime, "free") as free:
        link = held(runtime)["limited"]["link"]
        assert "rate 10Mbit" in pod.ip("tc", "qdisc", "show", "dev", "eth0").stdout
        assert "rate 20Mbit" in runtime.lab.exec(
            runtime.node, "tc", "qdisc", "show", "dev", link).stdout
        assert "rate" not in free.ip("tc", "qdisc", "show", "dev", "eth0").stdout


# --- many at once ---

def test_many_at_once(runtime):
    """Each has addresses of its own and is reached; none is left when all are taken at once."""
    before = used(runtime)
    with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
        pods = list(pool.map(runtime.pod, [f"many-{n}" for n in range(MANY)]))
        addresses = [address for pod in pods for address in pod.addresses()]
        assert len(set(addresses)) == len(FAMILIES) * MANY
        name, _ = other(runtime)
        replies = runtime.lab.probe(name, [["icmp", address, 0] for address in addresses])
        assert replies == [{}] * len(addresses)
        list(pool.map(containerd.Pod.stop, pods))
        list(pool.map(containerd.Pod.remove, pods))
    assert used(runtime) == before


# --- what breaks ---

def test_network_ready(runtime):
    """Without the configuration a node is not ready, and says what is missing; with it it is."""
    assert runtime.condition("NetworkReady")[0]
    runtime.conflist_remove()
    wait_for(lambda: not runtime.condition("NetworkReady")[0], "the node is not ready")
    assert "cni" in runtime.condition("NetworkReady")[1]
    assert runtime.pod("early", check=False).returncode
    assert not held(runtime)
    runtime.conflist_write()
    wait_for(lambda: runtime.condition("NetworkReady")[0], "the node is ready again")
    runtime.remove_all()  # containerd keeps what it could not even try
    with running(runtime, "late") as pod:
        assert pod.addresses() == held(runtime)["late"]["addresses"]


def test_agent_gone(runtime):
    """A pod is refused with a sentence, nothing is left of it, and the next try gets it."""
    before = used(runtime)
    with stopped(runtime.lab, runtime.node):
        failed = runtime.pod("early", check=False)
        assert failed.returncode and "podwire agent" in failed.stderr
        assert not runtime.pods()
    assert used(runtime) == before
    with running(runtime, "early"):
        assert "early" in held(runtime)


def test_removed_while_the_agent_is_gone(runtime):
    """DEL does not wait for an agent; the next one finds what has ended."""
    pod = runtime.pod("orphan")
    with stopped(runtime.lab, runtime.node):
        pod.stop()
        pod.remove()
    wait_for(lambda: not held(runtime), "the agent finds it gone")


def test_namespace_deleted_behind_its_back(runtime):
    """Its processes killed and its namespace's file gone: it can be stopped, and nothing is left."""
    pod = runtime.pod("gone")
    path, task = pod.namespace(), pod.inspect()["info"]["pid"]
    runtime.inside("umount", path)
    runtime.inside("rm", path)
    runtime.inside("kill", "-9", str(task))
    wait_for(lambda: pod.inspect()["status"]["state"] == "SANDBOX_NOTREADY", "its end is noticed")
    pod.stop()
    pod.remove()


# --- containerd itself ends ---

def test_killed_containerd(runtime, pod):
    """Pods go on; the next containerd knows them, and its DEL finds what the old one's ADD made."""
    name, addresses = other(runtime)
    own = pod.addresses()
    runtime.kill()
    assert clients(runtime, own, name) == addresses
    runtime.start()
    assert runtime.pods() == [pod.id]
    assert pod.addresses() == own == held(runtime)["web"]["addresses"]
    assert clients(runtime, own, name) == addresses


def test_killed_while_adding(runtime):
    """ADDs that end when nobody waits for them any more: what they made goes when the next
    containerd is told to remove what the old one had begun."""
    before = used(runtime)
    with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
        with paused(runtime.lab.agent_pid(runtime.node)):
            made = [pool.submit(runtime.pod, f"half-{n}", check=False) for n in range(MANY)]
            wait_for(lambda: runtime.plugins() == MANY, "all plugins are waiting for the agent")
            runtime.kill()
            assert all(m.result().returncode for m in made)
    wait_for(lambda: not runtime.plugins(), "the plugins end")
    assert held(runtime)
    runtime.start()
    runtime.remove_all()
    assert used(runtime) == before
