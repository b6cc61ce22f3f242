# SPDX-License-Identifier: Apache-2.0
"""What one node costs: adding and removing pods, many of them, the agent's restart and its rest."""
import atexit
import concurrent.futures
import contextlib
import json
import os
import select
import signal
import subprocess
import time

from peers import PODWIRE, ROOT, TAG, run, spread

PLUGIN = os.path.join(ROOT, "build", "podwire-cni")
REFERENCE = "/usr/lib/cni"  # of Debian's containernetworking-plugins
PEER = "bridge + host-local"
ADDS = 100
AT_ONCE = (1, 8, 32)
DENSE = 1000  # pods on one node; a bridge has room for 1,023
FOREIGN_CHAINS = 10000
REST_SECONDS = 60
CHANGE_SECONDS = 5  # between two changes of somebody else's ruleset
SETTLE_SECONDS, SETTLED_KB = 60, 1000
TICK_MS = 10  # of the kernel's times of ended children


# --- two ways to give a container its network ---

class Lab:
    """A lab of one node with room for many pods."""

    NODE = "node1"
    OBJECT = json.dumps({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE},
        "spec": {"podCIDRs": ["10.64.0.0/18", "fd64::/64"]}})

    def __init__(self, name):
        self.name = f"{TAG}-{name}"
        atexit.register(self.close)
        self.lab("up", "-f", "-", input=self.OBJECT)
        self.directory = f"/run/podwire/lab/{self.name}/nodes/{self.NODE}"
        self.plugin = [PLUGIN]
        self.config = json.dumps({"cniVersion": "1.0.0", "name": "podwire", "type": "podwire-cni"})
        self.environment = {"PODWIRE_RUN_DIR": self.directory}
        self.agent, self.arguments = self.find_agent()

    def lab(self, verb, *arguments, **options):
        return run(PODWIRE, "lab", verb, "--name", self.name, *arguments, **options)

    def command(self, *arguments):
        return [PODWIRE, "lab", "exec", "--name", self.name, self.NODE, "--", *arguments]

    def find_agent(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
                arguments = file.read().decode(errors="replace").split("\0")[:-1]
                if arguments[1:2] == ["agent"] and self.directory in arguments:
                    return int(pid), arguments
        raise AssertionError("no agent")

    def restart(self):
        """Milliseconds from the start of another agent until it is ready."""
        os.kill(self.agent, signal.SIGKILL)
        wait_until(lambda: not is_running(self.agent))
        reader, writer = os.pipe()
        arguments = list(self.arguments)
        if "--ready-fd" in arguments:
            at = arguments.index("--ready-fd")
            del arguments[at:at + 2]
        with open(f"{self.directory}/agent.log", "a", encoding="utf-8") as log:
            begin = time.monotonic()
            subprocess.Popen(  # ends with the lab
                self.command(PODWIRE, *arguments[1:], "--ready-fd", str(writer)),
                pass_fds=[writer], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        os.close(writer)
        ready = select.select([reader], [], [], 60)[0] and os.read(reader, 1)
        took = (time.monotonic() - begin) * 1000
        os.close(reader)
        assert ready, "the agent did not become ready"
        self.agent, self.arguments = self.find_agent()
        return took

    def close(self):
        if os.path.exists(f"/run/podwire/lab/{self.name}"):
            self.lab("down")


class Reference:
    """Debian's plugins, with a bridge in a namespace of its own."""

    def __init__(self):
        self.namespace, folder = f"{TAG}ref", f"/run/{TAG}-host-local"
        self.folder = folder
        atexit.register(self.close)
        run("ip", "netns", "add", self.namespace)
        self.plugin = ["ip", "netns", "exec", self.namespace, f"{REFERENCE}/bridge"]
        self.environment = {}
        self.config = json.dumps({
            "cniVersion": "1.0.0", "name": TAG, "type": "bridge", "bridge": "br0",
            "isGateway": True, "ipam": {"type": "host-local", "dataDir": folder, "ranges": [
                [{"subnet": "10.99.0.0/16"}], [{"subnet": "fd99::/64"}]]}})

    def close(self):
        if self.namespace:
            run("ip", "netns", "del", self.namespace)
            run("rm", "-rf", self.folder)
        self.namespace = None


def wait_until(fact):
    while not fact():
        time.sleep(0.001)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def call(way, command, number):
    """Milliseconds that one call of the plugin takes."""
    variables = {"CNI_COMMAND": command, "CNI_CONTAINERID": f"{TAG}-{number}",
                 "CNI_NETNS": f"/run/netns/{TAG}c{number}", "CNI_IFNAME": "eth0",
                 "CNI_PATH": REFERENCE, "PATH": os.environ["PATH"], **way.environment}
    begin = time.monotonic()
    done = subprocess.run(way.plugin, input=way.config, env=variables, capture_output=True,
                          text=True, check=False)
    took = (time.monotonic() - begin) * 1000
    assert done.returncode == 0, done.stdout + done.stderr
    return took


def call_all(way, command, count, at_once=1):
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda number: call(way, command, number), range(count)))


@contextlib.contextmanager
def containers(count):
    made = 0
    try:
        while made < count:
            run("ip", "netns", "add", f"{TAG}c{made}")
            made += 1
        yield
    finally:
        for number in range(made):
            subprocess.run(["ip", "netns", "del", f"{TAG}c{number}"], check=False)


# --- adding and removing ---

def p99(times):
    return sorted(times)[int(len(times) * 0.99) - 1]


def has_peer():
    return os.path.exists(f"{REFERENCE}/bridge")


def measure_adds(way, at_once):
    """{command: [milliseconds, ...]}"""
    with contextlib.closing(way), containers(ADDS):
        return {command: call_all(way, command, ADDS, at_once) for command in ("ADD", "DEL")}


def bench_cni(_options):
    """ADD and DEL, so many at a time."""
    for at_once in AT_ONCE:
        ours = measure_adds(Lab("cni"), at_once)
        theirs = measure_adds(Reference(), at_once) if has_peer() else None
        for command, times in ours.items():
            result = {"name": f"CNI {command}, {at_once} at a time", "unit": "ms",
                      "podwire": spread(times), "p99": p99(times)}
            if theirs:
                result.update(peer=PEER, theirs=spread(theirs[command]),
                              ratio=spread([a / b for a, b in zip(times, theirs[command])]))
            yield result


# --- many pods ---

def available_kb():
    with open("/proc/meminfo", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def settle():
    """Until the kernel has done away with what was there before."""
    before = 0
    for _ in range(SETTLE_SECONDS):
        now = available_kb()
        if abs(now - before) < SETTLED_KB:
            break
        before = now
        time.sleep(1)


def fill(way):
    """(times of DENSE ADDs, kB of memory that each has taken)"""
    settle()
    before = available_kb()
    times = call_all(way, "ADD", DENSE)
    settle()
    return times, (before - available_kb()) / DENSE


def grown(who, times):
    first, last = times[:ADDS], times[-ADDS:]
    return {"name": f"ADD, last hundred of {DENSE}, {who}", "unit": "ms", "podwire": spread(last),
            "p99": p99(last), "peer": "first hundred", "theirs": spread(first),
            "ratio": spread([b / a for a, b in zip(first, last)])}


def restarts(lab, pods, rounds):
    return {"name": f"start of the agent until ready, {pods} pods", "unit": "ms",
            "podwire": spread([lab.restart() for _ in range(rounds)])}


def bench_dense(options):
    """A node that is full, and the agent's restart on an empty one beside it."""
    with contextlib.closing(Lab("dense")) as lab, containers(DENSE):
        idle = resident_kb(lab.agent)
        yield restarts(lab, 0, options.rounds)
        times, per_pod = fill(lab)
        yield grown("podwire", times)
        yield {"name": f"agent's resident memory, {DENSE} pods", "unit": "MB", "peer": "no pod",
               "podwire": spread([resident_kb(lab.agent) / 1024]), "theirs": spread([idle / 1024])}
        yield restarts(lab, DENSE, options.rounds)
        removed = call_all(lab, "DEL", DENSE)
        yield {"name": f"DEL, all of {DENSE}, podwire", "unit": "ms", "podwire": spread(removed),
               "p99": p99(removed)}
    if has_peer():
        with contextlib.closing(Reference()) as reference, containers(DENSE):
            times, theirs = fill(reference)
        yield grown(PEER, times)
    else:
        theirs = None
    result = {"name": f"memory of a pod's link, of {DENSE}", "unit": "kB", "podwire": spread([per_pod])}
    if theirs:
        result.update(peer=PEER, theirs=spread([theirs]), ratio=spread([per_pod / theirs]))
    yield result


# --- rest ---

def processor_ms(pid):
    """Its own time, and that of children that have ended."""
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
        own = int(file.read().split()[0]) / 1e6
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return own + TICK_MS * (int(fields[13]) + int(fields[14]))


def share(lab, what, beside=lambda: None):
    """Of one processor, while nobody does anything but `beside` every few seconds."""
    before, begin = processor_ms(lab.agent), time.monotonic()
    while time.monotonic() - begin < REST_SECONDS:
        beside()
        time.sleep(CHANGE_SECONDS)
    seconds = time.monotonic() - begin
    return {"name": f"agent at rest, {what}", "unit": "%",
            "podwire": spread([(processor_ms(lab.agent) - before) / seconds / 10])}


def bench_rest(_options):
    """What it costs to see whether somebody has changed anything of ours."""
    with contextlib.closing(Lab("rest")) as lab, containers(ADDS):
        yield share(lab, "no pod")
        call_all(lab, "ADD", ADDS)
        yield share(lab, f"{ADDS} pods")
        chains = "".join(f"chain c{i} {{\n tcp dport {i + 1} accept\n}}\n"
                         for i in range(FOREIGN_CHAINS))
        run(*lab.command("nft", "-f", "-"), input=f"table ip other {{\n{chains}}}\n")
        yield share(lab, f"{FOREIGN_CHAINS} chains of others")
        yield share(lab, f"one of them changes every {CHANGE_SECONDS} s", lambda: run(
            *lab.command("nft", "add", "rule", "ip", "other", "c0", "counter")))
        call_all(lab, "DEL", ADDS)


MEASURES = {"cni": bench_cni, "dense": bench_dense, "rest": bench_rest}
