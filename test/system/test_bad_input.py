# SPDX-License-Identifier: Apache-2.0
"""Bad input is answered with what would be right, and everything else goes on."""
import contextlib
import json
import os
import re
import select
import socket
import subprocess

import pytest
from cni import Runtime, namespace
from labs import LABS, PLUGIN, PODWIRE, run, wait_for

NODE = """apiVersion: v1
kind: Node
metadata: {name: ghost}
spec: {podCIDRs: ["%s"]}
status: {addresses: [{type: InternalIP, address: "%s"}]}
"""
SERVICE = """apiVersion: v1
kind: Service
metadata: {name: strange, namespace: t}
spec: {ports: [%s], type: %s}
"""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: t}\nspec: {containers: []}\n"


pytestmark = pytest.mark.one_profile("what is read and refused asks no firewall")


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
    "deep.yaml": ("a: " + "[" * 500 + "]" * 500 + "\n", ["64 levels"]),
    # K1
    "far-too-deep.yaml": ("a: " + "[" * 700000 + "]" * 700000 + "\n", ["64 levels"]),
    "far-too-deep.json": ('{"a":' * 100000 + "1" + "}" * 100000, ["64 levels"]),
    "labels.yaml": ("apiVersion: v1\nkind: Node\nmetadata:\n  name: ghost\n  labels:\n"
                    + "".join(f"    k{i}: v\n" for i in range(1000000)), ["1000000 values"]),
    "elements.json": ('{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}, "spec": '
                      '{"podCIDRs": [' + '"10.0.0.0/24",' * 1000000 + '""]}}', ["1000000 values"]),
    "long-name.yaml": (POD % ("a" * 254), ["253"]),
    # K2
    "overlong-utf8.json": (b'{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "\xc0\xaf"}}',
                           ["UTF-8"]),
    "half-a-surrogate.json": ('{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "\\ud800"}}',
                              ["line 1"]),
    "nul.json": ('{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a\\u0000b"}}', ["NUL"]),
    "nul.yaml": ('apiVersion: v1\nkind: Node\nmetadata: {name: "a\\0b"}\n', ["NUL"]),
    "key-twice.json": ('{"apiVersion": "v1", "kind": "Node", "kind": "Pod", "metadata": {}}',
                       ["kind"]),
    "number-in-quotes.yaml": (SERVICE % ("{port: '80'}", "ClusterIP"), ["spec.ports[0].port"]),
    "string-without.yaml": ("apiVersion: v1\nkind: Node\nmetadata: {name: 7}\n", ["metadata.name"]),
    "huge-exponent.yaml": (SERVICE % ("{port: 1e400}", "ClusterIP"), ["spec.ports[0].port"]),
    "huge-number.json": ('{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": '
                         '{"ports": [{"port": 99999999999999999999}]}}', []),
    "fraction.yaml": (SERVICE % ("{port: 80.5}", "ClusterIP"), ["spec.ports[0].port"]),
    "unknown-enum.yaml": (SERVICE % ("{port: 80, protocol: ICMP}", "ClusterIP"),
                          ["spec.ports[0].protocol", "ICMP"]),
    "unknown-type.yaml": (SERVICE % ("{port: 80}", "Tunnel"), ["spec.type", "Tunnel"]),
    # K3
    "all-addresses.yaml": (NODE % ("0.0.0.0/0", "10.89.1.99"), ["podCIDRs", "0.0.0.0/0"]),
    "all-addresses-6.yaml": (NODE % ("::/0", "10.89.1.99"), ["podCIDRs", "::/0"]),
    "half-mapped.yaml": (NODE % ("::ffff:10.244.99.0/64", "10.89.1.99"), ["podCIDRs"]),
    "three-numbers.yaml": (NODE % ("10.244.99/24", "10.89.1.99"), ["podCIDRs"]),
    "hexadecimal.yaml": (NODE % ("0x0a.244.99.0/24", "10.89.1.99"), ["podCIDRs"]),
    "no-length.yaml": (NODE % ("10.244.99.0/", "10.89.1.99"), ["podCIDRs"]),
    "signed-length.yaml": (NODE % ("10.244.99.0/+24", "10.89.1.99"), ["podCIDRs"]),
    "unspecified.yaml": (NODE % ("10.244.99.0/24", "0.0.0.0"), ["address", "0.0.0.0"]),
    "loopback.yaml": (NODE % ("10.244.99.0/24", "127.0.0.1"), ["address", "127.0.0.1"]),
    "many.yaml": (NODE % ("10.244.99.0/24", "224.0.0.1"), ["address", "224.0.0.1"]),
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


def memory(lab, node, key="VmRSS"):
    """Of the agent, in MiB."""
    with open(f"/proc/{lab.agent_pid(node)}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key + ":")) >> 10


def forget_peak(lab, node):
    with open(f"/proc/{lab.agent_pid(node)}/clear_refs", "w", encoding="utf-8") as file:
        file.write("5")


# What a file costs at most: 64 MiB of text in a buffer that doubles, and a million small values.
FILE_COST = 192 + 192  # MiB
HUGE_FILES = {
    "long.yaml": (b"# " + b"x" * (100 << 20), "larger than 64 MiB"),
    "empty-values.json": (b"[" + b"{}," * (20 << 20) + b"{}]", "1000000 values"),
    "empty-documents.yaml": (b"---\n" * (15 << 20), "1000000 values"),
    "refused-documents.yaml": ((POD % "Bad_Name" + "---\n").encode() * 12000, "is not read"),
}


@pytest.mark.parametrize("name", HUGE_FILES)
def test_huge_file(lab, node, drop_file, name):
    """Named, within bounds; what comes after it counts, and the memory comes back."""
    data, words = HUGE_FILES[name]
    before = memory(lab, node)
    forget_peak(lab, node)
    drop_file(name, data)
    drop_file("zz-after.yaml", NODE % ("10.244.97.0/24", "10.89.1.97"))
    wait_for(lambda: any(words in r for r in refused(lab, node)), f"{name} is refused", 30)
    wait_for(lambda: any(n["name"] == "ghost" for n in lab.query(node, "nodes")["nodes"]),
             "a file that came later counts", 30)
    assert memory(lab, node, "VmHWM") - before < FILE_COST
    assert memory(lab, node) - before < 32
    assert len(refused(lab, node)) <= 1001


TERMINAL = "\x1b]0;x\x07\x9b31m\u202e\u2028"
SHELL = "$(touch /tmp/podwire-was-here);`id`|&'\"\\\\"


def unsafe(text):
    """What of a text would reach a terminal as more than a character."""
    return sorted(set(re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e]", text)))


def test_names_that_talk(lab, node, drop_file):
    """Names for a terminal or a shell are refused and shown without talking to either; so are
    labels and a file's own name. The longest name is a name."""
    longest = "a" * 63 + ("." + "b" * 63) * 2 + "." + "c" * 61
    assert len(longest) == 253
    for i, text in enumerate((TERMINAL, SHELL, TERMINAL + SHELL)):
        quoted = json.dumps(text)
        drop_file(f"talk-{i}.yaml", "---\n".join([
            f"apiVersion: v1\nkind: Node\nmetadata: {{name: {quoted}}}\n",
            f"apiVersion: v1\nkind: {quoted}\nmetadata: {{name: x}}\n",
            f"apiVersion: {quoted}\nkind: Node\nmetadata: {{name: x}}\n",
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: x, labels: {{{quoted}: {quoted}}}}}\n",
            (NODE % ("10.244.99.0/24", "10.89.1.99")).replace("10.89.1.99", json.dumps(text)[1:-1]),
            f"{quoted}: [\n"]))
    drop_file("\x1b[31m\u202e$(id).yaml", "kind: [\n")
    drop_file("longest.yaml", (NODE % ("10.244.97.0/24", "10.89.1.97")).replace("ghost", longest))
    wait_for(lambda: any(n["name"] == longest for n in lab.query(node, "nodes")["nodes"]),
             "the longest name counts", 5)
    wait_for(lambda: len({r.split(",")[0] for r in refused(lab, node)}) >= 4, "all are refused", 5)
    for verb in "status", "nodes", "pods", "tables", "drops":
        for form in "table", "wide", "name":
            done = lab.on_node(node, verb, "-o", form, check=False)
            assert not unsafe(done.stdout + done.stderr), (verb, form)
    assert not unsafe(lab.agent_log(node))
    assert "x1b" in lab.agent_log(node)
    assert not os.path.exists("/tmp/podwire-was-here")


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
                                           ("10.244.99.7/24", "10.244.99.0/24"),
                                           ("::ffff:10.244.99.0/120", "10.244.99.0/24")])
def test_old_forms(lab, node, drop_file, text, address):
    """As Kubernetes reads its old objects: leading zeros are decimal and never octal, and bits
    behind the prefix do not count."""
    drop_file("old.yaml", NODE % (text, "10.89.001.099"))

    def ghost():
        return [n for n in lab.query(node, "nodes")["nodes"] if n["ranges"] == [address]]

    assert wait_for(ghost, "the node is read", 5)[0]["addresses"] == ["10.89.1.99"]


# --- requests to the agent's socket ---

def connect(lab, node, name="agent.sock"):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(os.path.join(lab.run_directory(node), name))
    sock.settimeout(5)
    return sock


def ask(lab, node, data):
    with connect(lab, node) as sock:
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
    "far too deep": b'{"method": ' + b"[" * 1000000 + b"]" * 1000000 + b"}\0",
    "a million values": b'{"method": [' + b"0," * 1000000 + b"0]}\0",
    "no UTF-8": b'{"method": "\xff\xfe"}\0',
    "half a surrogate": b'{"method": "\\ud800"}\0',
    "NUL in a string": b'{"method": "io.podwire.Status\\u0000x"}\0',
    "a key twice": b'{"method": "io.podwire.Status", "method": "io.podwire.Pods"}\0',
    "more behind it": b'{"method": "io.podwire.Status"} {}\0',
    "a configuration that is no UTF-8":
        b'{"method": "io.podwire.cni.Run", "parameters": {"command": "ADD", "containerID": "x", '
        b'"netns": "/x", "ifname": "eth0", "config": "\xff"}}\0',
    "a deep configuration":
        b'{"method": "io.podwire.cni.Run", "parameters": {"command": "ADD", "containerID": "x", '
        b'"netns": "/x", "ifname": "eth0", "config": "' + b"[" * 100000 + b'"}}\0',
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


def test_huge_request(lab, node):
    """100 MB on the socket: a reason, the end, and no more memory than a request may have."""
    before = memory(lab, node)
    forget_peak(lab, node)
    with connect(lab, node) as sock:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100):
                sock.sendall(b"x" * (1 << 20))
        answer = json.loads(sock.recv(65536).rstrip(b"\0"))
    assert answer["parameters"]["reason"] == "a request has at most 8 MiB"
    assert memory(lab, node, "VmHWM") - before < 64
    assert lab.query(node, "status")["ready"]


def test_silent_peers(lab, node):
    """A thousand who say nothing, and some who ask all the time and never read: everybody else is
    answered meanwhile, by both sockets."""
    tables = b'{"method": "io.podwire.Tables"}\0'
    before = memory(lab, node)
    with contextlib.ExitStack() as stack:
        for name in "agent.sock", "status.sock":
            for _ in range(1000):
                stack.enter_context(connect(lab, node, name))
            for _ in range(10):
                sock = stack.enter_context(connect(lab, node, name))
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    for _ in range(10000):
                        sock.send(tables)
            answer = json.loads(ask(lab, node, b'{"method": "io.podwire.Status"}\0'))
            assert answer["parameters"]["ready"]
            assert lab.query(node, "status")["ready"]
        assert memory(lab, node) - before < 64
    wait_for(lambda: descriptors(lab, node) < 200, "their descriptors are closed")


def descriptors(lab, node):
    return len(os.listdir(f"/proc/{lab.agent_pid(node)}/fd"))


# --- what a runtime hands to the plugin ---

CONFIGURATIONS = {
    "no UTF-8": b'{"cniVersion": "1.0.0", "name": "podwire", "type": "\xff"}',
    "deep": b'{"cniVersion": "1.0.0", "name": ' + b"[" * 100000 + b"]" * 100000 + b"}",
    "100 MB": b'{"cniVersion": "1.0.0", "name": "' + b"x" * (100 << 20) + b'"}',
    "half": b'{"cniVersion": "1.0.0", "name": "podw',
    "a NUL": b'{"cniVersion": "1.0.0", "name": "pod\0wire"}',
    "an escaped NUL": b'{"cniVersion": "1.0.0", "name": "pod\\u0000wire"}',
    "a key twice": b'{"cniVersion": "1.0.0", "name": "podwire", "name": "other"}',
    "a terminal's name": json.dumps({"cniVersion": "1.0.0", "name": TERMINAL}).encode(),
    "a shell's name": json.dumps({"cniVersion": "1.0.0", "name": SHELL}).encode(),
    "a path for a name": b'{"cniVersion": "1.0.0", "name": "../../x"}',
}


@pytest.mark.parametrize("what", CONFIGURATIONS)
def test_bad_configuration(lab, node, what):
    """ADD says what is wrong, in JSON of CNI and without a control character; nothing is made."""
    before = os.listdir(os.path.join(lab.run_directory(node), "attachments"))
    with namespace(f"t-bad-{os.getpid()}") as netns:
        environment = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "bad", "CNI_NETNS": netns,
                       "CNI_IFNAME": "eth0", "CNI_PATH": os.path.dirname(PLUGIN),
                       "PODWIRE_RUN_DIR": lab.run_directory(node)}
        done = subprocess.run([PLUGIN], input=CONFIGURATIONS[what], env=environment, check=False,
                              capture_output=True, timeout=30)
    error = json.loads(done.stdout)
    assert done.returncode and error["code"] and error["msg"]
    assert not unsafe(done.stdout.decode() + done.stderr.decode())
    assert os.listdir(os.path.join(lab.run_directory(node), "attachments")) == before
    assert lab.query(node, "status")["ready"]


@pytest.mark.parametrize("key", ["K8S_POD_NAME", "K8S_POD_NAMESPACE", "K8S_POD_UID"])
@pytest.mark.parametrize("value", [TERMINAL, SHELL.replace(";", ""), "../../x", "a" * 254 + "b"],
                         ids=["terminal", "shell", "path", "long"])
def test_bad_pod_name(lab, node, key, value):
    """A runtime's names are shown and written down, so they must be names."""
    arguments = {"K8S_POD_NAMESPACE": "t", "K8S_POD_NAME": "p", "K8S_POD_UID": "u", key: value}
    with namespace(f"t-bad-{os.getpid()}") as netns:
        said = Runtime(lab, node).fails(
            "ADD", 4, "bad", netns, args=";".join(f"{k}={v}" for k, v in arguments.items()))
    assert key in said and not unsafe(said)


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
