# SPDX-License-Identifier: Apache-2.0
"""Bad input is answered with what would be right, and everything else goes on."""
import json
import os
import socket

import pytest
from labs import LABS, PODWIRE, run, wait_for

NODE = """apiVersion: v1
kind: Node
metadata: {name: ghost}
spec: {podCIDRs: ["%s"]}
status: {addresses: [{type: InternalIP, address: "%s"}]}
"""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: t}\nspec: {containers: []}\n"


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab("-n", "1")


@pytest.fixture(scope="module")
def node(lab):
    return lab.nodes()[0]


@pytest.fixture
def drop_file(lab, node):
    """Puts a file among the objects that the agent watches; it is gone after the test."""
    made = []

    def put(name, data):
        path = f"{lab.directory}/objects/{name}"
        hidden = f"{lab.directory}/objects/.{name}"
        with open(hidden, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        os.rename(hidden, path)
        made.append(path)

    yield put
    for path in made:
        os.unlink(path)
    wait_for(lambda: not lab.query(node, "status")["refused"], "nothing is refused any more", 5)


def refused(lab, node):
    return [str(entry) for entry in lab.query(node, "status")["refused"]]


# File name -> (contents, words that the refusal must have)
REFUSED_FILES = {
    "truncated.yaml": ("apiVersion: v1\nkind: Node\nmetadata: {name: ghost", []),
    "truncated.json": ('{"apiVersion": "v1", "kind": "Node", "metadata": {"name"', []),
    "binary.yaml": (b"\x00\x01\x02\xff\xfe", []),
    "no-utf8.yaml": (b"kind: \xff\xfe\n", []),
    "not-an-object.yaml": ("- 1\n- 2\n", []),
    "no-kind.yaml": ("apiVersion: v1\nmetadata: {name: x}\n", ["kind"]),
    "no-name.yaml": ("apiVersion: v1\nkind: Node\nmetadata: {}\n", ["name"]),
    "bad-name.yaml": (POD % "Not_A_Name", ["name"]),
    "bad-version.yaml": ("apiVersion: v2\nkind: Node\nmetadata: {name: ghost}\n", ["v2"]),
    "bad-type.yaml": ("apiVersion: v1\nkind: Node\nmetadata: {name: ghost}\nspec: {podCIDRs: 5}\n",
                      ["podCIDRs"]),
    "key-twice.yaml": ("apiVersion: v1\nkind: Node\nkind: Pod\nmetadata: {name: x}\n", ["kind"]),
    "bad-range.yaml": (NODE % ("10.244.0.0/33", "10.89.1.99"), ["podCIDRs", "10.244.0.0/33"]),
    "no-range.yaml": (NODE % ("bananas", "10.89.1.99"), ["podCIDRs", "bananas"]),
    "bad-address.yaml": (NODE % ("10.244.99.0/24", "10.89.1.999"), ["address", "10.89.1.999"]),
    "zone.yaml": (NODE % ("10.244.99.0/24", "fe80::1%eth0"), ["fe80::1%eth0"]),
    "deep.yaml": ("a: " + "[" * 500 + "]" * 500 + "\n", []),
}


@pytest.mark.parametrize("name", REFUSED_FILES)
def test_refused_file(lab, node, drop_file, name):
    """Named by file and field; the node stays ready."""
    data, words = REFUSED_FILES[name]
    drop_file(name, data)
    said = wait_for(lambda: [r for r in refused(lab, node) if name in r], f"{name} is refused", 5)
    assert all(any(word in text for text in said) for word in words), said
    assert lab.query(node, "status")["ready"]


def test_the_rest_of_a_file_counts(lab, node, drop_file):
    """One bad object among good ones: only it is left out."""
    drop_file("mixed.yaml", (NODE % ("10.244.99.0/24", "10.89.1.99")) + "---\n" + (POD % "Bad_Name"))
    wait_for(lambda: any(n["name"] == "ghost" for n in lab.query(node, "nodes")["nodes"]),
             "the good object counts", 5)
    assert any("Bad_Name" in text for text in refused(lab, node))


def test_duplicate(lab, node, drop_file):
    """The same object in two files: one stays in force, the other is refused by both names."""
    drop_file("a-ghost.yaml", NODE % ("10.244.98.0/24", "10.89.1.98"))
    drop_file("b-ghost.yaml", NODE % ("10.244.99.0/24", "10.89.1.99"))
    said = wait_for(lambda: [r for r in refused(lab, node) if "ghost" in r], "it is refused", 5)
    assert any("a-ghost.yaml" in text and "b-ghost.yaml" in text for text in said), said


@pytest.mark.parametrize("name", ["empty.yaml", "comment.yaml", "unknown.yaml", ".hidden.yaml",
                                  "notes.txt"])
def test_no_offence(lab, node, drop_file, name):
    """Empty files, unknown kinds and other files are no error."""
    drop_file(name, {"empty.yaml": "", "comment.yaml": "# nothing\n---\n---\n",
                     "unknown.yaml": "apiVersion: example.com/v1\nkind: Toaster\n"
                                     "metadata: {name: x}\n"}.get(name, "{ no object"))
    drop_file("zz-after.yaml", NODE % ("10.244.97.0/24", "10.89.1.97"))
    wait_for(lambda: any(n["name"] == "ghost" for n in lab.query(node, "nodes")["nodes"]),
             "a file that came later counts", 5)
    assert not refused(lab, node)


@pytest.mark.parametrize("text, address", [("10.244.099.0/24", "10.244.99.0/24"),
                                           ("010.244.99.0/24", "10.244.99.0/24"),
                                           ("::ffff:10.244.99.0/120", "10.244.99.0/24")])
def test_old_forms(lab, node, drop_file, text, address):
    """Leading zeros are decimal, as Kubernetes reads its old objects, never octal."""
    drop_file("old.yaml", NODE % (text, "10.89.001.099"))

    def ghost():
        return [n for n in lab.query(node, "nodes")["nodes"] if n["ranges"] == [address]]

    assert wait_for(ghost, "the node is read", 5)[0]["addresses"] == ["10.89.1.99"]


# --- requests to the agent's socket ---

def ask(lab, node, data):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(os.path.join(lab.run_directory(node), "agent.sock"))
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer.rstrip(b"\0").decode()


REQUESTS = {
    "no JSON": b"hello\0",
    "empty": b"\0",
    "a list": b"[]\0",
    "no method": b"{}\0",
    "an unknown method": b'{"method": "io.podwire.Fly"}\0',
    "a number as method": b'{"method": 5}\0',
    "a list as parameters": b'{"method": "io.podwire.Status", "parameters": []}\0',
    "ADD without anything": b'{"method": "io.podwire.cni.Run", "parameters": {"command": "ADD"}}\0',
    "ADD without descriptors":
        b'{"method": "io.podwire.cni.Run", "parameters": {"command": "ADD", "containerID": "x", '
        b'"netns": "/x", "ifname": "eth0", "config": "{\\"cniVersion\\": \\"1.0.0\\"}"}}\0',
    "deep": b'{"method": ' + b"[" * 10000 + b"]" * 10000 + b"}\0",
}


@pytest.mark.parametrize("what", REQUESTS)
def test_bad_request(lab, node, what):
    """An error with a reason; the agent goes on."""
    answer = json.loads(ask(lab, node, REQUESTS[what]))
    assert answer.get("error"), answer
    assert lab.query(node, "status")["ready"]


@pytest.mark.parametrize("data", [b"", b'{"method": "io.podw', b"x" * (9 << 20)],
                         ids=["nothing", "half", "without end"])
def test_broken_off(lab, node, data):
    """A peer that breaks off, or never ends, costs a connection and no more."""
    try:
        ask(lab, node, data)
    except OSError:
        pass
    assert lab.query(node, "status")["ready"]


# --- the lab's own input ---

LAB_REFUSALS = {
    "no such family": (["--family", "ipv5"], "ipv5"),
    "no such route": (["--route", "bananas"], "bananas"),
    "no nodes": (["-n", "0"], "0"),
    "too many nodes": (["-n", "100000"], "100000"),
    "nodes that are no number": (["-n", "three"], "three"),
    "no such file": (["-f", "/nonexistent/x.yaml"], "/nonexistent/x.yaml"),
    "a bad name": (["--name", "../x"], "../x"),
}


@pytest.mark.parametrize("what", LAB_REFUSALS)
def test_lab_refuses(what):
    """By name, before anything is made."""
    flags, word = LAB_REFUSALS[what]
    name = [] if "--name" in flags else ["--name", f"t-refused-{os.getpid()}"]
    done = run(PODWIRE, "lab", "up", *name, *flags, check=False)
    left = os.path.exists(f"{LABS}/t-refused-{os.getpid()}")
    run(PODWIRE, "lab", "down", "--name", f"t-refused-{os.getpid()}", check=False)
    assert done.returncode != 0 and word in done.stderr
    assert not left


SETTINGS = {
    "an unknown key": ("fly: true\n", "fly"),
    "a wrong type": ("masquerade: 7\n", "masquerade"),
    "a bad route": ("route: carrier-pigeon\n", "route"),
    "a bad range": ("podCIDRs: [10.0.0.0/99]\n", "podCIDRs"),
    "ports backwards": ('masqueradePorts: "500-400"\n', "masqueradePorts"),
    "no YAML": ("{", ""),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_settings_refused(what, tmp_path):
    """By key, with what would be right, before the node is touched."""
    text, word = SETTINGS[what]
    (tmp_path / "podwire.yaml").write_text(text)
    done = run(PODWIRE, "init", "--settings", str(tmp_path / "podwire.yaml"), "--run-dir",
               str(tmp_path / "run"), check=False)
    assert done.returncode != 0 and word in done.stderr
    assert not os.path.exists(tmp_path / "run")
