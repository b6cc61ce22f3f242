# SPDX-License-Identifier: Apache-2.0
"""A lab as an object of a test, and the facts that tests ask of it."""
import collections
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, os.environ.get("PODWIRE_BUILD", "build"))
PODWIRE = os.path.join(BUILD, "podwire")
PLUGIN = os.path.join(BUILD, "podwire-cni")
PYTHON = "/usr/bin/python3"
LABS = "/run/podwire/lab"
REPAIR_SECONDS = 3
NO_DIRECT = "the switch of a hostile lab drops pods' addresses, and direct routes need them there"
UNSETTLED = ("probing", "the neighbor is not found yet", "the other node does not take it yet")
FAMILIES = {"ipv4": 4, "ipv6": 6}


def wait_for(fact, what, seconds=10):
    """Ask until the answer is true, and return it. No test sleeps for anything else."""
    end = time.monotonic() + seconds
    while True:
        answer = fact()
        if answer:
            return answer
        assert time.monotonic() < end, f"within {seconds} s did not happen: {what}"
        time.sleep(0.02)


def run(*command, check=True, timeout=60, **options):
    """A finished process with text output; a failed one fails the test with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                          check=False, **options)
    assert not check or done.returncode == 0, \
        f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def is_ipv6(address):
    return ":" in address


class Lab:
    def __init__(self, name):
        self.name = name
        self.directory = os.path.join(LABS, name)
        self.hostile = False

    # --- the command line ---

    def podwire(self, verb, *arguments, **options):
        """podwire lab VERB --name NAME ..."""
        return run(PODWIRE, "lab", verb, "--name", self.name, *arguments, **options)

    def up(self, *flags, **options):
        self.hostile = "hostile" in flags
        return self.podwire("up", *flags, timeout=120, **options)

    def down(self, **options):
        return self.podwire("down", timeout=120, **options)

    def apply(self, text, **options):
        return self.podwire("apply", "-f", "-", input=text, **options)

    def delete(self, text, **options):
        return self.podwire("delete", "-f", "-", input=text, **options)

    def get(self, kind):
        """The objects of a kind, as kubectl would print them."""
        return json.loads(self.podwire("get", kind, "-A", "-o", "json").stdout)["items"]

    def exec(self, where, *command, **options):
        """Where: NAMESPACE/POD, a node, or outside."""
        return self.podwire("exec", where, "--", *command, **options)

    def start(self, where, *command, **options):
        """The same as a process that runs beside the test; the caller ends it."""
        return subprocess.Popen(
            [PODWIRE, "lab", "exec", "--name", self.name, where, "--", *command],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)

    @contextlib.contextmanager
    def left_alone(self):
        """Nobody meddles with hostile nodes meanwhile, for what asks whether all is as it was made.
        Their firewalls and filters, and the switch that checks sources, are there as ever."""
        meddlers = [int(pid) for pid in filter(str.isdigit, os.listdir("/proc"))
                    if process_name(pid) == "podwire-meddler" and self.name in process_arguments(pid)]
        assert len(meddlers) == (len(self.nodes()) if self.hostile else 0)
        with paused(*meddlers):
            if meddlers:
                seen = self.comparisons()
                wait_for(lambda: all(now > then for now, then in zip(self.comparisons(), seen)),
                         "the last of it is repaired", 15)
            yield

    # --- facts ---

    def nodes(self):
        return [node["metadata"]["name"] for node in self.get("nodes")]

    def node_addresses(self, node):
        found = next(n for n in self.get("nodes") if n["metadata"]["name"] == node)
        return [a["address"] for a in found["status"]["addresses"] if a["type"] == "InternalIP"]

    def pods(self, **labels):
        """Pods by key: "t/a-x7k2p" -> {node, addresses, labels}."""
        pods = {}
        for pod in self.get("pods"):
            meta = pod["metadata"]
            if all(meta.get("labels", {}).get(key) == value for key, value in labels.items()):
                pods[f"{meta['namespace']}/{meta['name']}"] = {
                    "node": pod["spec"]["nodeName"],
                    "addresses": [ip["ip"] for ip in pod["status"].get("podIPs", [])],
                    "labels": meta.get("labels", {}),
                    "host": pod["spec"].get("hostNetwork", False),
                }
        return pods

    def run_directory(self, node):
        return os.path.join(self.directory, "nodes", node)

    def agent_pid(self, node):
        """The process that serves this node; None while there is none. Its helpers look alike, so
        it is the one that holds the lock."""
        directory = self.run_directory(node)
        try:
            with open(os.path.join(directory, "lock"), encoding="utf-8") as lock:
                pid = int(lock.read() or 0)
        except (FileNotFoundError, ValueError):
            return None
        arguments = process_arguments(pid)
        if "agent" in arguments[1:2] and any(a.startswith(directory) for a in arguments):
            return pid
        return None

    def agent_log(self, node):
        with open(os.path.join(self.run_directory(node), "agent.log"), encoding="utf-8") as log:
            return log.read()

    def query(self, node, verb, *arguments):
        """A podwire command of the node's own command line, as JSON; its exit code may say that
        something is wrong with the node."""
        done = self.on_node(node, verb, "-o", "json", *arguments, check=False)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def on_node(self, node, *arguments, **options):
        return run(PODWIRE, *arguments, env={**os.environ,
                   "PODWIRE_RUN_DIR": self.run_directory(node)}, **options)

    def comparisons(self):
        """How often each node has compared all that is with what should be."""
        return [self.query(node, "status")["reconciled"] for node in self.nodes()]

    def routes(self, node):
        """How the ranges of other nodes are reached from this one: {range: (route, why)}."""
        return {route["range"]: (route["route"], route["why"])
                for other in self.query(node, "nodes")["nodes"] for route in other["routes"]}

    def settle(self):
        """Wait until probes have told all that they can tell. Before, routes and tables change."""
        wait_for(lambda: not any(why in UNSETTLED for node in self.nodes()
                                 for _, why in self.routes(node).values()),
                 "every neighbor has been probed")

    def drops(self, node):
        """How many packets each verdict has dropped on this node."""
        counts = collections.Counter()
        for row in self.query(node, "drops")["counts"]:
            if row["kind"] == "drop":
                counts[row["verdict"]] += row["packets"]
        return counts

    def kernel_objects(self):
        """What only the kernel knows of a lab: (inodes of its network namespaces, ids of its
        programs). What is left of them after `down` nobody would ever find by name."""
        folder = os.path.join(self.directory, "ns")
        namespaces = {os.stat(os.path.join(path, name)).st_ino
                      for path, _, names in os.walk(folder) for name in names}
        programs = set()
        for node in os.listdir(os.path.join(self.directory, "nodes")):
            pid = self.agent_pid(node)
            for fd in os.listdir(f"/proc/{pid}/fdinfo") if pid else []:
                # A descriptor that lives for one request may have gone since the listing.
                with contextlib.suppress(FileNotFoundError), \
                        open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8") as info:
                    programs |= {int(line.split()[1]) for line in info
                                 if line.startswith("prog_id:")}
        return namespaces, programs

    # --- probes ---

    def probe(self, where, targets, seconds=2.0):
        """Ask each (protocol, address, port) from there, all at once; a reply is the responder's
        line, or the reason why there is none ("timeout", "refused", ...). On a hostile node a
        route may just have been taken away: within REPAIR_SECONDS there must be an answer."""
        replies = self.probe_once(where, targets, seconds)
        end_of_repair = time.monotonic() + (REPAIR_SECONDS if self.hostile else 0)
        while time.monotonic() < end_of_repair:
            failed = [i for i, reply in enumerate(replies) if "error" in reply
                      and reply["error"] != "refused"]
            if not failed:
                break
            again = self.probe_once(where, [targets[i] for i in failed], seconds)
            for i, reply in zip(failed, again):
                replies[i] = reply
        return replies

    def probe_once(self, where, targets, seconds):
        done = self.exec(where, PYTHON, "-B", os.path.join(HERE, "probe.py"),
                         json.dumps({"targets": targets, "seconds": seconds}))
        return json.loads(done.stdout)

    def beside(self, where, script, *arguments):
        """One of this folder's programs, running beside the test from its "ready" on."""
        process = self.start(where, PYTHON, "-B", os.path.join(HERE, script), *arguments)
        line = process.stdout.readline()
        assert line == "ready\n", f"{script} in {where} said {line!r}"
        return process

    def end_processes(self):
        """Asks all that runs in the lab to end; what `down` ends would not have counted its lines."""
        namespaces, _ = self.kernel_objects()
        for pid in in_namespaces(namespaces):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
        wait_for(lambda: not in_namespaces(namespaces), "what runs in the lab ends")

    def kill(self, pid, signal_number=signal.SIGKILL):
        os.kill(pid, signal_number)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}") or process_state(pid) == "Z",
                 f"process {pid} ends")


@contextlib.contextmanager
def paused(*pids):
    """These processes do nothing meanwhile."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def write_json(path, tree):
    """By temporary name and rename, as the agents expect it."""
    folder, name = os.path.split(path)
    hidden = os.path.join(folder, "." + name)
    with open(hidden, "w", encoding="utf-8") as file:
        json.dump(tree, file)
    os.rename(hidden, path)


def end(process):
    """Ends the standard input of a program that runs beside the test; what it prints, as JSON."""
    output, _ = process.communicate(timeout=30)
    return json.loads(output)


def process_arguments(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def process_name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def process_state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "X"


def left_behind(name):
    """What `down` must have taken away: a list of sentences, empty when all is gone."""
    left = []
    if os.path.exists(os.path.join(LABS, name)):
        left.append(f"directory {LABS}/{name}")
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        left += [f"mount {line.split()[4]}" for line in mounts if f"{LABS}/{name}/" in line]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        arguments = process_arguments(pid)
        if int(pid) != os.getpid() and process_state(pid) != "Z" and \
                any(f"lab/{name}/" in a or a == name for a in arguments):
            left.append(f"process {pid}: {' '.join(arguments)}")
    for folder, folders, _ in os.walk("/sys/fs/cgroup"):
        left += [f"cgroup {folder}/{f}" for f in folders if name in f]
    return left


def in_namespaces(inodes):
    """Processes in these network namespaces."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}/ns/net").st_ino in inodes and process_state(pid) != "Z":
                found.append(pid)
    return found


def still_in_kernel(namespaces, programs):
    """Which of a lab's kernel objects are there yet."""
    found = [f"process {pid} in a network namespace of the lab" for pid in in_namespaces(namespaces)]
    for number in programs:
        if not run("bpftool", "prog", "show", "id", str(number), check=False).returncode:
            found.append(f"program {number}")
    return found


def links():
    return set(os.listdir("/sys/class/net"))


def have(program):
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
