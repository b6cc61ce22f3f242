# SPDX-License-Identifier: Apache-2.0
"""No room: tables of 64 rows, a full or read-only run directory. What comes too late is refused by
name, everybody else goes on, and with room all is well again."""
import contextlib
import itertools
import json
import os
import signal

import pytest
from cni import Runtime, addresses, config, inside, namespace
from labs import PODWIRE, run, wait_for, write_json
from test_agent import agent_arguments, start_agent
from test_faults import check_clean

ROWS = 64
TRY_AGAIN, IO = 11, 5
PLAIN = config("1.1.0")

pytestmark = pytest.mark.one_profile("it is about tables and files, which firewalls leave alone")


@pytest.fixture(scope="module")
def lab(make_lab):
    """The first node has small tables, the second is as nodes are; a pod on it."""
    lab = make_lab("-n", "2", "--family", "dual")
    lab.expected = [r"tables are full", r"frontends of Services are closed"]
    node = lab.nodes()[0]
    arguments = agent_arguments(lab, node)
    settings = arguments[arguments.index("--settings") + 1]
    with open(settings, "a", encoding="utf-8") as file:
        file.write("addressRestSeconds: 0\n")
    lab.kill(lab.agent_pid(node), signal.SIGTERM)
    lab.exec(node, PODWIRE, "uninstall", "--run-dir", lab.run_directory(node))
    lab.exec(node, PODWIRE, "init", "--settings", settings, "--run-dir", lab.run_directory(node))
    start_agent(lab, node, [*arguments, "--table-entries", str(ROWS)])
    return lab


@pytest.fixture(scope="module")
def runtime(lab):
    return Runtime(lab, lab.nodes()[0])


@pytest.fixture(scope="module")
def far(lab):
    """The addresses of a pod on the other node."""
    return next(pod["addresses"] for pod in lab.pods(app="a").values()
                if pod["node"] == lab.nodes()[1])


@pytest.fixture
def pods(runtime):
    """pods(): the namespace of one more pod, which goes at the end, and the result of its ADD."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:
        def make():
            name = f"t-full-{os.getpid()}-{next(numbers)}"
            path = stack.enter_context(namespace(name))
            stack.callback(runtime.delete, name, path)
            return path, runtime.add(name, path, stdin=PLAIN)
        yield make


@pytest.fixture
def netns():
    with namespace(f"t-full-{os.getpid()}") as path:
        yield path


def reaches(path, targets):
    for target in targets:
        inside(path, "ping", "-c", "1", "-W", "1", target)


def problems(runtime):
    """What `podwire status` says of tables: {name: sentence}"""
    status = runtime.lab.query(runtime.node, "status")
    assert status["ready"], "a full table is no reason to refuse all pods"
    return {p["object"]: p["text"] for p in status["problems"] if p["object"].startswith("table ")}


# --- tables ---

def test_pods(runtime, pods, netns, far):
    first, _ = pods()
    reaches(first, far)
    for number in itertools.count():
        code, answer = runtime.call("ADD", "c1", netns, ifname=f"e{number}", stdin=PLAIN)
        if code:
            break
    assert number == (ROWS - 2) // 2, "two rows for each"
    assert answer["code"] == TRY_AGAIN and "full" in answer["msg"]
    wait_for(lambda: "full" in problems(runtime).get("table pod", ""), "status names the table")
    reaches(first, far)
    assert not runtime.lab.query(runtime.node, "diff")["rows"], "nothing of the refused is left"
    runtime.delete("c1", netns, ifname="e0")
    runtime.add("c1", netns, ifname="e0", stdin=PLAIN)
    for gone in range(number):
        runtime.delete("c1", netns, ifname=f"e{gone}")
    wait_for(lambda: not problems(runtime), "there is room again")


def ghost(number):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"ghost{number:02}"},
            "spec": {"podCIDRs": [f"10.244.{100 + number}.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": f"10.89.1.{100 + number}"}]}}


def test_nodes(runtime, pods, far):
    """Nodes for which there is no row are not reached; those that were known before are."""
    lab, objects = runtime.lab, f"{runtime.lab.directory}/objects"
    first, _ = pods()
    ghosts = [f"{objects}/ghost{n}.json" for n in range(ROWS + 6)]
    try:
        for number, path in enumerate(ghosts):
            write_json(path, ghost(number))
        for table in "table node", "table range":
            wait_for(lambda: f"full with {ROWS} rows" in problems(runtime).get(table, ""),
                     "status names the table")  # pylint: disable=cell-var-from-loop
        assert "10.244." in problems(runtime)["table range"]
        reaches(first, far)
        reaches(pods()[0], far)
        for path in ghosts[20:]:  # a node has a row for each of its addresses
            os.unlink(path)
        wait_for(lambda: not lab.query(runtime.node, "diff")["rows"],
                 "with room, the others have their rows")
        assert not [text for text in problems(runtime).values() if "no place," in text]
    finally:
        for path in ghosts:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    wait_for(lambda: not problems(runtime), "all is well")
    reaches(first, far)


def test_flows(runtime, pods, lab):
    """A thousand flows of one pod push out the oldest, and stop nobody else."""
    (greedy, _), (other, result) = pods(), pods()
    outside, node = global_addresses(lab, "outside"), lab.node_addresses(runtime.node)
    for pool, gateway in zip(lab.query(runtime.node, "status")["pools"], node):
        lab.exec("outside", "ip", "route", "replace", pool["range"], "via", gateway)
    flood = ("import socket\n"
             "for port in range(20000, 21000):\n"
             " for family, address in ((socket.AF_INET, '%s'), (socket.AF_INET6, '%s')):\n"
             "  with socket.socket(family, socket.SOCK_DGRAM) as s:\n"
             "   s.bind(('', port))\n"
             "   s.sendto(b'x', (address, 9))\n") % tuple(outside)
    reaches(other, outside)
    for _ in range(3):
        inside(greedy, "/usr/bin/python3", "-c", flood)
        reaches(other, outside)
        for address in addresses(result):
            lab.exec("outside", "ping", "-c", "1", "-W", "1", address)
    layout = lab.query(runtime.node, "status")["layout"]
    table = f"{lab.run_directory(runtime.node)}/bpf/{layout}/pw_flow"
    rows = len(json.loads(run("bpftool", "-j", "map", "dump", "pinned", table).stdout))
    assert ROWS // 2 <= rows <= ROWS, "the table was full"


def service_objects(number, endpoint):
    """A Service at 10.96.200.NUMBER with this one endpoint, as the API server would have them."""
    name, address = f"full{number:02}", f"10.96.200.{number}"
    port = {"name": "http", "port": 80, "protocol": "TCP"}
    return [{"apiVersion": "v1", "kind": "Service",
             "metadata": {"name": name, "namespace": "default",
                          "creationTimestamp": f"2026-01-01T00:{number:02}:00Z"},
             "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
                      "ipFamilies": ["IPv4"], "ports": [{**port, "targetPort": 80}]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
             "metadata": {"name": name, "namespace": "default",
                          "labels": {"kubernetes.io/service-name": name}},
             "addressType": "IPv4", "ports": [port],
             "endpoints": [{"addresses": [endpoint], "conditions": {"ready": True}}]}]


def connects(path, number):
    """Does TCP reach the Service from this pod?"""
    code = ("import socket\n"
            f"socket.create_connection(('10.96.200.{number}', 80), 1).close()")
    return inside(path, "/usr/bin/python3", "-c", code, check=False).returncode == 0


def test_services(runtime, pods, far):
    """Those for which there is no row are closed, alone; those that were there go on, and with room
    the others come."""
    objects = f"{runtime.lab.directory}/objects"
    path, _ = pods()
    files = {number: f"{objects}/full{number:02}.json" for number in range(1, ROWS - 4)}

    def write(number):
        write_json(files[number], {"apiVersion": "v1", "kind": "List",
                                   "items": service_objects(number, far[0])})

    def refused():
        return [p["text"] for p in runtime.lab.query(runtime.node, "status")["problems"]
                if p["object"] == "tables"]
    try:
        write(1)
        wait_for(lambda: connects(path, 1), "the first one is there")
        for number in files:
            write(number)
        wait_for(lambda: any("closed" in text for text in refused()), "status says that some are closed")
        open_ = [number for number in files if connects(path, number)]
        assert 1 in open_ and 10 < len(open_) < len(files)
        reaches(path, far)
        closed = next(number for number in files if number not in open_)
        for number in [n for n in open_ if n != 1][:10]:
            os.unlink(files[number])
        wait_for(lambda: connects(path, closed) or connects(path, max(files)),
                 "with room, others are there", 20)
        assert connects(path, 1)
    finally:
        for file in files.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)
    wait_for(lambda: not refused(), "all is well", 20)


def global_addresses(lab, where):
    """One global address of each family."""
    links = json.loads(lab.exec(where, "ip", "-j", "address").stdout)
    found = [a for link in links for a in link["addr_info"] if a["scope"] == "global"]
    return [next(a["local"] for a in found if a["family"] == family) for family in ("inet", "inet6")]


def test_fragments(runtime, pods, far):
    """More fragmented packets than there are rows, and those of another pod arrive all the same."""
    (greedy, _), (other, _) = pods(), pods()
    for target in far:
        inside(greedy, "ping", "-c", "200", "-i", "0.002", "-s", "3000", "-W", "1", target)
        done = inside(other, "ping", "-c", "20", "-i", "0.01", "-s", "3000", "-W", "1", target)
        assert " 0% packet loss" in done.stdout


# --- the run directory ---

@contextlib.contextmanager
def records_on(runtime, options):
    """Other records' ground, while there are no records."""
    path = f"{runtime.lab.run_directory(runtime.node)}/attachments"
    assert not os.listdir(path)
    run("mount", "-t", "tmpfs", "-o", f"mode=0700,uid=6083,gid=6083,{options}", "none", path)
    try:
        yield path
    finally:
        run("umount", path)


def add_until_refused(runtime, netns):
    """ADD, interface after interface: (how many, the error)"""
    for number in range(20):
        code, answer = runtime.call("ADD", "c1", netns, ifname=f"e{number}", stdin=PLAIN)
        if code:
            return number, answer
    raise AssertionError("twenty records fit")


@pytest.mark.parametrize("options", ["size=16k", "size=1m,nr_inodes=5"])
def test_no_space(runtime, netns, far, options):
    """A full /run, by bytes or by files."""
    with records_on(runtime, options) as path:
        count, error = add_until_refused(runtime, netns)
        assert count == 4
        assert error["code"] == IO and path in error["msg"] and "No space left" in error["msg"]
        reaches(netns, far)
        runtime.delete("c1", netns, ifname="e3")
        runtime.add("c1", netns, ifname="e3", stdin=PLAIN)
        for number in range(count):
            runtime.delete("c1", netns, ifname=f"e{number}")
        check_clean(runtime)


def test_read_only_records(runtime, pods, netns, far):
    with records_on(runtime, "size=1m") as path:
        first, _ = pods()
        runtime.add("c1", netns, stdin=PLAIN)
        run("mount", "-o", "remount,ro", path)
        _, error = add_until_refused(runtime, netns)
        assert error["code"] == IO and path in error["msg"] and "Read-only" in error["msg"]
        reaches(first, far)
        runtime.delete("c1", netns)
        assert "eth0" not in inside(netns, "ip", "-o", "link").stdout
        run("mount", "-o", "remount,rw", path)
        runtime.add("c1", netns, stdin=PLAIN)
        runtime.delete("c1", netns)
        wait_for(lambda: len(os.listdir(path)) == 1, "the record that could not be removed is gone")
        runtime.delete(os.path.basename(first), first)
    check_clean(runtime)


def test_read_only_tables(runtime, pods, netns, far):
    """A read-only bpffs hinders neither pods nor their coming and going; only a start needs more,
    and says so."""
    lab, node = runtime.lab, runtime.node
    bpf = f"{lab.run_directory(node)}/bpf"
    arguments = agent_arguments(lab, node)
    first, _ = pods()
    run("mount", "-o", "remount,ro", bpf)
    try:
        runtime.add("c1", netns, stdin=PLAIN)
        reaches(netns, far)
        lab.kill(lab.agent_pid(node))
        done = lab.exec(node, PODWIRE, *arguments[1:], check=False, timeout=20)
        assert done.returncode == 1 and "Read-only" in done.stderr and bpf in done.stderr
        reaches(first, far)
        error = runtime.fails("DEL", IO, "c1", netns)
        assert "Read-only" in error
    finally:
        run("mount", "-o", "remount,rw", bpf)
    runtime.delete("c1", netns)
    start_agent(lab, node, arguments)
    reaches(first, far)
    assert "c1" not in str(lab.query(node, "pods"))


def test_nothing_is_lost(runtime):
    check_clean(runtime)
