# SPDX-License-Identifier: Apache-2.0
"""The node's command line: what it says, in each form, to whom."""
import json
import os
import subprocess

import pytest
from labs import PODWIRE, ROOT, run

QUESTIONS = ["status", "pods", "nodes", "drops", "services", "flows", "tables", "diff"]
COMMANDS = [*QUESTIONS, "service", "verdicts", "agent", "init", "uninstall", "migrate", "lab"]
LAB_VERBS = ["up", "apply", "delete", "get", "exec", "matrix", "check", "down"]


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab("-n", "2", "--family", "dual", "--route", "vxlan")


def test_help():
    text = run(PODWIRE, "--help").stdout
    for command in COMMANDS:
        assert f"\n  {command} " in text


@pytest.mark.parametrize("command", [[c] for c in COMMANDS] + [["lab", v] for v in LAB_VERBS])
def test_help_of_command(command):
    """Everywhere, without root, on standard output."""
    done = run(PODWIRE, *command, "--help")
    assert done.stdout.startswith("usage: podwire " + " ".join(command)) and not done.stderr


@pytest.mark.parametrize("arguments", [["fly"], ["lab", "fly"], ["status", "-o", "xml"],
                                       ["status", "--no-such"], ["pods", "extra"], [],
                                       ["lab", "get"], ["lab", "get", "bananas"], ["service"],
                                       ["service", "a", "b"], ["flows", "--limit", "many"]])
def test_wrong_use(arguments):
    """Refused with a sentence on standard error, without a trace of success."""
    done = run(PODWIRE, *arguments, check=False)
    assert done.returncode != 0
    assert done.stderr and not done.stdout


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("form", ["table", "wide", "json", "name"])
def test_forms(lab, question, form):
    done = lab.on_node(lab.nodes()[0], question, "-o", form)
    if form == "json":
        json.loads(done.stdout)
    assert "\x1b" not in done.stdout


def test_status(lab):
    for node in lab.nodes():
        status = lab.query(node, "status")
        assert status["node"] == node
        assert status["ready"] is True
        assert status["user"] == 6083
        assert not status["problems"] and not status["refused"] and not status["errors"]


def test_pods(lab):
    """The node's own view is the cluster's."""
    node = lab.nodes()[0]
    wanted = {key: pod["addresses"] for key, pod in lab.pods().items()
              if pod["node"] == node and not pod["host"]}
    found = {f"{pod['namespace']}/{pod['name']}": pod["addresses"]
             for pod in lab.query(node, "pods")["pods"]}
    assert found == wanted


def test_nodes(lab):
    found = {node["name"]: node["route"] for node in lab.query(lab.nodes()[0], "nodes")["nodes"]}
    assert found == {lab.nodes()[0]: "own", lab.nodes()[1]: "vxlan"}


def test_drops(lab):
    """A dropped packet is named with its verdict, its ends and a sentence."""
    node = lab.nodes()[0]
    pods = lab.pods(app="a")
    source = next(key for key in pods if pods[key]["node"] == node)
    lab.probe(source, [["udp", "10.244.251.9", 5353]], seconds=0.2)
    row = next(d for d in lab.query(node, "drops")["drops"] if d["target"] == "10.244.251.9")
    assert row["verdict"] == "no-node"
    assert row["source"] in pods[source]["addresses"]
    assert row["protocol"] in ("UDP", "udp") and row["port"] == 5353
    assert row["why"]


def test_tables_and_diff(lab):
    node = lab.nodes()[0]
    text = lab.on_node(node, "tables").stdout
    for pod in lab.pods().values():
        if pod["node"] == node and not pod["host"]:
            assert all(address in text for address in pod["addresses"])
    with lab.left_alone():
        assert lab.on_node(node, "diff").stdout == ""


def test_readers_may_not_write(lab):
    """The socket for readers refuses what changes something, to root too."""
    script = """
import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(json.dumps({"method": "io.podwire.cni.Run", "parameters":
    {"command": "DEL", "containerID": "x", "ifname": "eth0", "config": "{}"}}).encode() + b"\\0")
print(sock.recv(65536).decode())
"""
    path = os.path.join(lab.run_directory(lab.nodes()[0]), "status.sock")
    assert "error" in run("/usr/bin/python3", "-c", script, path).stdout


def test_strangers_may_not_connect(lab):
    """Neither socket is for everybody."""
    directory = lab.run_directory(lab.nodes()[0])
    for name in "agent.sock", "status.sock":
        script = f"import socket; socket.socket(socket.AF_UNIX).connect('{directory}/{name}')"
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                               "/usr/bin/python3", "-c", script], capture_output=True, text=True,
                              check=False)
        assert done.returncode != 0 and "PermissionError" in done.stderr


def test_no_agent(tmp_path):
    """Says that there is none and how to name another run directory."""
    done = run(PODWIRE, "status", "--run-dir", str(tmp_path), check=False)
    assert done.returncode != 0 and "--run-dir" in done.stderr


def test_verdicts():
    """The list is that of abi/verdict.h."""
    with open(os.path.join(ROOT, "abi", "verdict.h"), encoding="utf-8") as header:
        text = header.read()
    rows = json.loads(run(PODWIRE, "verdicts", "-o", "json").stdout)
    rows = rows if isinstance(rows, list) else rows["verdicts"]
    assert len(rows) > 20
    assert all(f'"{row["name"]}"' in text for row in rows)


def test_no_colour_in_a_pipe(lab):
    assert "\x1b" not in lab.on_node(lab.nodes()[0], "status").stdout
