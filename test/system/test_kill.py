# SPDX-License-Identifier: Apache-2.0
"""kill -9, at any moment: while traffic flows, at each system call of a start, in the middle of an
upgrade. No packet is lost, none gets through that should not, no row changes, nothing is left over."""
import collections
import json
import os
import random
import re
import subprocess
import time

import pytest
from labs import HERE, PODWIRE, PYTHON, run, wait_for, write_json
from test_agent import (START_SECONDS, agent_arguments, check_traffic, serves, start_agent, stopped,
                        traffic)
from test_upgrade import layouts

LONG = bool(os.environ.get("PODWIRE_TEST_ALL"))
KILLS = 1000 if LONG else 20
POINTS = None if LONG else 8  # of a start; None: all that change anything
ONE_PROFILE = "a start changes the same on every node; what traffic makes of kills, random moments show"
BPFTOOL = "/usr/sbin/bpftool"
pytestmark = pytest.mark.alone

# System calls that change anything outside the process: between two of them nothing can go wrong.
CHANGING = re.compile(r"""
    (mkdir|rmdir|unlink|rename|ftruncate|fchown|chown|chmod|fchmod|symlink|link|mount|umount|
     sendto|sendmsg|write|bind|listen|kill|clone|vfork|fork|setresuid|setresgid|capset|flock)\w*\(|
    openat\(.*O_CREAT|
    bpf\(BPF_(MAP_CREATE|MAP_UPDATE_ELEM|MAP_DELETE_ELEM|OBJ_PIN|PROG_LOAD|LINK_CREATE|LINK_UPDATE)
    """, re.X)


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab("-n", "2", "--route", "vxlan")  # given, so that no probe changes rows meanwhile


def victim(lab):
    return lab.nodes()[1]


def pair(lab):
    """A pod on the other node, and one on the node whose agent is killed."""
    pods = lab.pods(app="a")
    far = next(key for key in sorted(pods) if pods[key]["node"] != victim(lab))
    near = next(key for key in sorted(pods) if pods[key]["node"] == victim(lab))
    return far, near, pods[near]["addresses"]


# --- what the kernel holds ---

def bpftool(*arguments):
    return json.loads(run(BPFTOOL, "-j", *arguments).stdout)


def pins(lab, node, folder):
    path = os.path.join(lab.run_directory(node), "bpf", folder)
    return {name: os.path.join(path, name) for name in sorted(os.listdir(path))}


def compiled_tables(lab, node):
    """The maps that compile owns, by the agent's own account."""
    rows = lab.query(node, "tables")["rows"]
    return {"pw_" + row["row"].split()[0] for row in rows}


def rows(lab, node, names):
    """Byte for byte, of a live agent or a dead one."""
    [layout] = layouts(lab, node)
    found = {name: sorted((row["key"], row["value"]) for row in bpftool("map", "dump", "pinned", path))
             for name, path in pins(lab, node, layout).items() if name in names}
    assert len(found["pw_pod"]) >= 4 and len(found["pw_settings"]) == 1
    return found


def kernel(lab, node):
    """Which tables, links, devices there are, by number: the same number is the same thing. Of
    programs, which every start makes anew, how many there are that work on our tables."""
    [layout] = layouts(lab, node)
    tables = {name: bpftool("map", "show", "pinned", path)["id"]
              for name, path in pins(lab, node, layout).items()}
    programs = [program for program in bpftool("prog", "show")
                if set(program.get("map_ids", [])) & set(tables.values())]
    return {
        "tables": tables,
        "links": {name: bpftool("link", "show", "pinned", path)["id"]
                  for name, path in pins(lab, node, "links").items()},
        "programs": len(programs),
        "devices": lab.exec(node, "sh", "-c", "ls /sys/class/net | sort").stdout,
        "records": sorted(os.listdir(os.path.join(lab.run_directory(node), "attachments"))),
        "descriptors": len(os.listdir(f"/proc/{lab.agent_pid(node)}/fd")),
    }


def compared(lab, node):
    """Everything was compared once more."""
    count = lab.query(node, "status")["reconciled"]
    wait_for(lambda: lab.query(node, "status")["reconciled"] > count, "all is compared again")
    wait_for(lambda: not lab.query(node, "diff")["rows"], "what a meddler has done is undone")


# --- agents with a short life ---

def launch(lab, node, arguments, podwire=PODWIRE, tracer=()):
    log = open(os.path.join(lab.run_directory(node), "agent.log"), "a", encoding="utf-8")
    return subprocess.Popen([PODWIRE, "lab", "exec", "--name", lab.name, node, "--", *tracer,
                             podwire, *arguments[1:]], stdin=subprocess.DEVNULL, stdout=log,
                            stderr=log, start_new_session=True)


def killed_after(lab, node, arguments, seconds):
    process = launch(lab, node, arguments)
    time.sleep(seconds)  # what happens meanwhile is what is tested
    assert process.poll() is None, lab.agent_log(node)[-500:]
    process.kill()
    process.wait()


def changing_calls(lab, node, arguments, podwire, trace):
    """[(system call, its number among those of its name)] of a start, up to where it serves."""
    launch(lab, node, arguments, podwire, ["strace", "-qq", "-o", trace])
    wait_for(lambda: serves(lab, node), "the traced agent serves", START_SECONDS)
    lab.kill(lab.agent_pid(node))
    seen, found = collections.Counter(), []
    with open(trace, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name = re.match(r"\w+(?=\()", line)
            if not name:
                continue
            if name[0] == "epoll_wait":
                break
            seen[name[0]] += 1
            if CHANGING.match(line):
                found.append((name[0], seen[name[0]]))
    assert len(found) > 50
    return found


def killed_at(lab, node, arguments, podwire, point):
    name, number = point
    process = launch(lab, node, arguments, podwire, [
        "strace", "-qq", "-o", "/dev/null", "-e", f"inject={name}:signal=KILL:when={number}"])
    process.wait(timeout=START_SECONDS)


def chosen(points):
    """All of them, or some that are spread evenly, the first and the last among them."""
    if POINTS is None or len(points) <= POINTS:
        return points
    return [points[i * (len(points) - 1) // (POINTS - 1)] for i in range(POINTS)]


# --- a hostile pod meanwhile ---

def forge(lab, seconds):
    """A pod of the victim that forges its source a thousand times a second, and does not each
    other time. (the process, who sees what arrives)"""
    pods = lab.pods()
    far, near, addresses = pair(lab)
    own = next(a for a in addresses if ":" not in a)
    target = next(a for a in pods[far]["addresses"] if ":" not in a)
    other = next(a for key, pod in pods.items() for a in pod["addresses"]
                 if key not in (far, near) and ":" not in a and not pod["host"])
    link = json.loads(lab.exec(near, "ip", "-j", "link", "show", "eth0").stdout)[0]
    gateway = json.loads(lab.exec(near, "ip", "-j", "neigh", "show", "dev", "eth0").stdout)[0]
    frame = {source: [[["Ether", {}], ["IP", {"src": address, "dst": target}],
                       ["UDP", {"dport": 4000}], ["Raw", {}]]]
             for source, address in (("own", own), ("forged", other))}
    watcher = lab.beside(far, "watch.py")
    sender = lab.start(near, PYTHON, "-B", os.path.join(HERE, "hostile.py"))
    sender.stdin.write(json.dumps({"interface": "eth0", "mac": link["address"], "cases": frame,
                                   "gateway_mac": gateway["lladdr"], "period": 0.001,
                                   "rounds": int(seconds * 1000)}))
    sender.stdin.close()
    sender.stdin = None
    return sender, watcher


def check_forged(sender, watcher):
    sent = json.loads(sender.communicate(timeout=600)[0])
    seen = json.loads(watcher.communicate(timeout=30)[0])["seen"]
    arrived = collections.Counter()
    for cases in seen.values():
        arrived.update(cases)
    assert sent["own"] > 1000 and sent["forged"] > 1000
    assert arrived["own"] == sent["own"]
    assert arrived["forged"] == 0


def test_random_moments(lab):
    """Killed again and again, two times of three before it serves."""
    node, moments = victim(lab), random.Random(KILLS)
    arguments, names = agent_arguments(lab, node), compiled_tables(lab, node)
    compared(lab, node)
    before, there = rows(lab, node, names), kernel(lab, node)
    source, target, addresses = pair(lab)
    results = {}
    with stopped(lab, node):
        began = time.monotonic()
    life = 1.5 * (time.monotonic() - began)
    sender, watcher = forge(lab, KILLS * min(life, 1) / 2)
    with traffic(lab, source, target, addresses, results):
        lab.kill(lab.agent_pid(node))
        assert rows(lab, node, names) == before
        for number in range(KILLS):
            killed_after(lab, node, arguments, moments.uniform(0.01, life))
            if number % 10 == 0:
                assert rows(lab, node, names) == before
        start_agent(lab, node, arguments)
        assert rows(lab, node, names) == before
        compared(lab, node)
        assert rows(lab, node, names) == before
    check_forged(sender, watcher)
    check_traffic(results)
    wait_for(lambda: kernel(lab, node) == there, "nothing is left over")


class Cluster:
    """The objects with and without some more, so that a start has rows to add or to remove."""

    def __init__(self, lab):
        self.path = os.path.join(lab.directory, "objects", "more-nodes.json")

    def grow(self, grown):
        if grown:
            write_json(self.path, {"apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"more-{i}"},
                 "spec": {"podCIDRs": [f"10.244.{200 + i}.0/24"]},
                 "status": {"addresses": [{"type": "InternalIP", "address": f"10.89.1.{200 + i}"}]}}
                for i in range(5)]})
        elif os.path.exists(self.path):
            os.unlink(self.path)


@pytest.mark.one_profile(ONE_PROFILE)
def test_each_change_of_a_start(lab, tmp_path):
    """Killed where it is about to change something, while there are rows to add or to remove: the
    next start completes that, byte for byte as a start that nobody disturbs."""
    node, cluster = victim(lab), Cluster(lab)
    arguments, names = agent_arguments(lab, node), compiled_tables(lab, node)
    compared(lab, node)
    wanted, there = {False: rows(lab, node, names)}, kernel(lab, node)
    source, target, addresses = pair(lab)
    results = {}
    with traffic(lab, source, target, addresses, results):
        lab.kill(lab.agent_pid(node))
        cluster.grow(True)
        points = changing_calls(lab, node, arguments, PODWIRE, str(tmp_path / "trace"))
        wanted[True] = rows(lab, node, names)
        assert len(wanted[True]["pw_range"]) == len(wanted[False]["pw_range"]) + 5
        for number, point in enumerate(chosen(points)):
            grown = number % 2 == 1
            cluster.grow(grown)
            killed_at(lab, node, arguments, PODWIRE, point)
            start_agent(lab, node, arguments)
            assert rows(lab, node, names) == wanted[grown], point
            lab.kill(lab.agent_pid(node))
        cluster.grow(False)
        start_agent(lab, node, arguments)
        compared(lab, node)
        assert rows(lab, node, names) == wanted[False]
    check_traffic(results)
    wait_for(lambda: kernel(lab, node) == there, "nothing is left over")


@pytest.mark.one_profile(ONE_PROFILE)
def test_each_change_of_an_upgrade(lab, tmp_path, release):
    """Killed in the middle of an upgrade; then either release starts, and all is whole."""
    node, podwire = victim(lab), release["next"]
    arguments, names = agent_arguments(lab, node), compiled_tables(lab, node)
    compared(lab, node)
    before, devices = rows(lab, node, names), kernel(lab, node)["devices"]
    links = kernel(lab, node)["links"]
    source, target, addresses = pair(lab)
    results = {}
    with traffic(lab, source, target, addresses, results):
        lab.kill(lab.agent_pid(node))
        points = changing_calls(lab, node, arguments, podwire, str(tmp_path / "trace"))
        start_agent(lab, node, arguments)
        for number, point in enumerate(chosen(points)):
            lab.kill(lab.agent_pid(node))
            killed_at(lab, node, arguments, podwire, point)
            if number % 2:
                start_agent(lab, node, arguments, podwire)
                assert len(layouts(lab, node)) == 1, point
                lab.kill(lab.agent_pid(node))
            start_agent(lab, node, arguments)
            assert rows(lab, node, names) == before, point
        compared(lab, node)
        assert rows(lab, node, names) == before
    check_traffic(results)
    there = kernel(lab, node)
    assert there["devices"] == devices and there["links"] == links
