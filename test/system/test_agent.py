# SPDX-License-Identifier: Apache-2.0
"""The agent: what it may do, what it survives, and what it takes away with it."""
import contextlib
import json
import os
import re
import signal
import stat
import subprocess

import pytest
from cni import Runtime, inside, namespace
from labs import PODWIRE, end, process_arguments, process_state, run, wait_for

PORT = 9100
START_SECONDS = 30  # the kernel's verifier takes a second of a processor, whoever else wants it
CAP_NET_ADMIN, CAP_BPF = 12, 39


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2")
    lab.expected = [r"another agent", r"lock"]
    lab.settle()
    return lab


def start_agent(lab, node, arguments, podwire=PODWIRE):
    """The same agent again, as the lab would start it: in the node's namespaces."""
    log = open(os.path.join(lab.run_directory(node), "agent.log"), "a", encoding="utf-8")
    command = [PODWIRE, "lab", "exec", "--name", lab.name, node, "--", podwire, *arguments[1:]]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                               start_new_session=True)
    wait_for(lambda: serves(lab, node), f"the agent of {node} serves again",
             START_SECONDS)
    return process


def serves(lab, node):
    done = lab.on_node(node, "status", "-o", "json", check=False)
    return lab.agent_pid(node) and '"ready": true' in done.stdout


def agent_arguments(lab, node):
    """Without the descriptor that told the lab once that the agent serves."""
    arguments = [a for a in process_arguments(lab.agent_pid(node)) if a]
    if "--ready-fd" in arguments:
        at = arguments.index("--ready-fd")
        del arguments[at:at + 2]
    return arguments


@contextlib.contextmanager
def stopped(lab, node, signal_number=signal.SIGTERM):
    """No agent on this node for a while."""
    pid, arguments = lab.agent_pid(node), agent_arguments(lab, node)
    lab.kill(pid, signal_number)
    try:
        yield
    finally:
        start_agent(lab, node, arguments)


def process_status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_privileges(lab):
    """Its own user, two capabilities, no way to get more."""
    for node in lab.nodes():
        status = process_status(lab.agent_pid(node))
        mask = 1 << CAP_NET_ADMIN | 1 << CAP_BPF
        assert set(status["Uid"].split()) == {"6083"}
        assert set(status["Gid"].split()) == {"6083"}
        assert status["Groups"].strip() in ("", "6083")
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == mask
        assert int(status["CapBnd"], 16) | mask == mask
        assert int(status["CapAmb"], 16) == int(status["CapInh"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Threads"].strip() == "1"


def test_sockets(lab):
    """Who may write is not who may read."""
    directory = lab.run_directory(lab.nodes()[0])
    for name, mode in ("agent.sock", 0o600), ("status.sock", 0o660):
        found = os.stat(os.path.join(directory, name))
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == mode


def test_second_agent_refuses(lab):
    node = lab.nodes()[0]
    arguments = agent_arguments(lab, node)
    done = lab.exec(node, PODWIRE, *arguments[1:], check=False, timeout=20)
    assert done.returncode != 0
    assert "agent" in done.stderr
    assert serves(lab, node)


def pair(lab):
    """A pod on each of two nodes."""
    pods = lab.pods(app="a")
    first, second = (next(key for key in pods if pods[key]["node"] == node)
                     for node in lab.nodes()[:2])
    return first, second, pods[second]["addresses"]


def backlog_drops():
    """What the processors' queues between devices could not hold. All namespaces of the machine
    share them, so somebody else's flood drops here, too; on a quiet machine it is nothing."""
    with open("/proc/net/softnet_stat", encoding="utf-8") as processors:
        return sum(int(line.split()[1], 16) for line in processors)


def check_traffic(results):
    for address, result in results.items():
        assert result["udp"]["sent"] > 100
        assert result["udp"]["lost"] <= result["backlog_drops"], f"{address}: {result}"
        assert result["tcp"]["lost"] == 0 and result["tcp"]["error"] is None, f"{address}: {result}"
        # Datagrams that came late and were not lost: so late were the processes themselves.
        assert result["tcp"]["gap_ms"] <= 200 + result["udp"]["gap_ms"], f"{address}: {result}"


@contextlib.contextmanager
def traffic(lab, source, target, addresses, results, port=PORT, rate=1000):
    """A thousand datagrams and TCP messages a second each way, in each family, meanwhile."""
    server = lab.beside(target, "traffic.py", "serve", str(port))
    clients = {a: lab.beside(source, "traffic.py", "client", a, str(port), str(rate))
               for a in addresses}
    before = backlog_drops()
    try:
        yield
        for address, client in clients.items():
            results[address] = end(client)
            results[address]["backlog_drops"] = backlog_drops() - before
    finally:
        for process in (server, *clients.values()):
            process.kill()
            process.wait()


def test_stopped_the_path_stays(lab):
    """SIGTERM ends the agent; pods go on talking without one."""
    source, target, addresses = pair(lab)
    with stopped(lab, lab.nodes()[0]), stopped(lab, lab.nodes()[1]):
        replies = lab.probe(source, [["tcp", a, 80] for a in addresses])
        assert [reply.get("pod") for reply in replies] == [target] * 2


def test_same_tables_after_restart(lab):
    """What the new agent holds is what the old one held, and nothing differs from the wanted."""
    node = lab.nodes()[0]
    before = lab.on_node(node, "tables").stdout
    with stopped(lab, node, signal.SIGKILL):
        pass
    assert lab.on_node(node, "tables").stdout == before
    assert lab.on_node(node, "diff").stdout == ""


def snapshot(lab, where):
    """What podwire changes on a node: devices, routes, rules, sysctls, mounts."""
    script = """ip -o link | sed 's/ qlen.*//; s/^[0-9]*: //' | sort
ip route show table all | sed 's/ expires.*//' | sort
ip -6 route show table all | sed 's/ expires.*//' | sort
ip rule; ip -6 rule; nft list ruleset; ip -o address | sed 's/^[0-9]*: //' | sort
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
grep -H . /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv6/conf/*/accept_ra"""
    return lab.exec(where, "sh", "-c", script).stdout


def on_cgroup(lab, node):
    """The programs on the sockets of this node's processes."""
    with open(os.path.join(lab.run_directory(node), "podwire.yaml"), encoding="utf-8") as file:
        path = re.search(r"^cgroup: (.*)$", file.read(), re.M).group(1)
    shown = run("bpftool", "-j", "cgroup", "show", path).stdout.strip()
    return {program["name"] for program in json.loads(shown or "[]")}


def test_uninstall(make_lab):
    """The node is as it was found: a node that never had podwire is the model."""
    lab = make_lab("-n", "2", manifests=(), name="-uninstall")
    lab.expected = [".*"]
    node = lab.nodes()[0]
    arguments = agent_arguments(lab, node)
    assert "connect4" in on_cgroup(lab, node)
    lab.kill(lab.agent_pid(node), signal.SIGTERM)
    lab.exec(node, PODWIRE, "uninstall", "--run-dir", lab.run_directory(node))
    assert not on_cgroup(lab, node)
    bare = snapshot(lab, node)
    assert not re.search(r"podwire|pw|vxlan|10\.244\.|fd44:", bare), bare
    settings = arguments[arguments.index("--settings") + 1]
    lab.exec(node, PODWIRE, "init", "--settings", settings, "--run-dir", lab.run_directory(node))
    start_agent(lab, node, arguments)
    assert re.search(r"10\.244\.", snapshot(lab, node))
    lab.kill(lab.agent_pid(node), signal.SIGTERM)
    lab.exec(node, PODWIRE, "uninstall", "--run-dir", lab.run_directory(node))
    assert snapshot(lab, node) == bare


def test_attachments_survive(lab):
    """An address that was given before a crash is not given again after it."""
    node = lab.nodes()[0]
    runtime = Runtime(lab, node)
    with namespace(f"t-agent-{os.getpid()}") as first, namespace(f"t-agent2-{os.getpid()}") as second:
        given = runtime.add("x1", first)["ips"]
        with stopped(lab, node, signal.SIGKILL):
            pass
        again = runtime.add("x2", second)["ips"]
        assert not {ip["address"] for ip in given} & {ip["address"] for ip in again}
        inside(second, "ping", "-c", "1", "-W", "1", given[0]["address"].split("/")[0])
        runtime.delete("x1", first)
        runtime.delete("x2", second)


def test_without_init(lab, tmp_path):
    """No bpffs: the agent says what is missing and what would be right."""
    node = lab.nodes()[0]
    done = lab.exec(node, PODWIRE, "agent", "--objects", str(tmp_path), "--run-dir",
                    str(tmp_path / "run"), check=False, timeout=20)
    assert done.returncode != 0
    assert "podwire init" in done.stderr


def test_missing_capabilities(lab):
    node = lab.nodes()[0]
    arguments = agent_arguments(lab, node)
    with stopped(lab, node):
        done = lab.exec(node, "setpriv", "--bounding-set", "-bpf", "--inh-caps", "-bpf", PODWIRE,
                        *arguments[1:], check=False, timeout=20)
    assert done.returncode != 0
    assert re.search(r"CAP_BPF|capabilit", done.stderr, re.I), done.stderr


def test_nobody_reads_the_log(lab):
    """Whoever read what it says has gone before it says the first word, and again later."""
    node = lab.nodes()[0]
    pid, arguments = lab.agent_pid(node), agent_arguments(lab, node)
    lab.kill(pid, signal.SIGTERM)
    reader, writer = os.pipe()
    os.close(reader)
    command = [PODWIRE, "lab", "exec", "--name", lab.name, node, "--", PODWIRE, *arguments[1:]]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
                               start_new_session=True)
    os.close(writer)
    wait_for(lambda: serves(lab, node), "the agent serves")
    lab.exec(node, "sysctl", "-qw", "net.ipv4.ip_forward=0")
    wait_for(lambda: lab.query(node, "status")["repaired"], "it repaired, and said so to nobody")
    assert process.poll() is None
    lab.kill(lab.agent_pid(node), signal.SIGTERM)
    start_agent(lab, node, arguments)


def test_agent_is_no_zombie(lab):
    for node in lab.nodes():
        assert process_state(lab.agent_pid(node)) in "SR"


def test_no_option_twice():
    """Help is there without root and without an agent."""
    done = run(PODWIRE, "agent", "--help")
    assert "--objects" in done.stdout and "--settings" in done.stdout
