# SPDX-License-Identifier: Apache-2.0
"""Services of a real kube-proxy and of podwire, with the same objects, on one node each: a pod and a
client outside, a pod that answers, and as many other Services as are asked for, four endpoints each.

In both cases the objects are files of a directory: podwire's agent reads them itself, kube-proxy
watches an API server that does (../test/kubernetes/api.py).
"""
import contextlib
import json
import os
import subprocess
import sys
import time

import node
import peers
from peers import PODWIRE, PORT, ROOT, ROUND_TRIP, TAG, run, spread

sys.path.insert(0, os.path.join(ROOT, "test", "kubernetes"))
from proxy import PROGRAM, PYTHON, KubeProxy  # noqa: E402

MODES = ("nftables", "iptables")
NODE_PORT = 30599
SERVICE_ADDRESS = "10.96.100.100"
REST_SECONDS = 2  # kube-proxy puts off what comes within a second of its last change
ENDPOINTS, FILE_SERVICES = 4, 5000  # a file may have 64 MB
# Connects every millisecond until it is answered, or refused; says when, by the machine's
# clock. Closed by a reset, a connection keeps no port of the client's.
WAITER = """
import errno, socket, struct, sys, time
address, port, wanted = sys.argv[1], int(sys.argv[2]), {"answer": 0, "refusal": errno.ECONNREFUSED}[sys.argv[3]]
print("ready", flush=True)
while True:
    sock = socket.socket()
    sock.settimeout(0.2)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    found = sock.connect_ex((address, port))
    now = time.monotonic()
    sock.close()
    if found == wanted:
        break
    time.sleep(0.001)
print(now)
"""


# --- objects ---

def service(name, address, **more):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "bench"},
            "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
                     "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
                     "internalTrafficPolicy": "Cluster", "selector": {"app": name},
                     "ports": [{"name": "", "port": PORT, "protocol": "TCP", "targetPort": PORT}], **more},
            "status": {"loadBalancer": {}}}


def node_port_service(name, address, node_port):
    ports = [{"name": "", "port": PORT, "protocol": "TCP", "targetPort": PORT, "nodePort": node_port}]
    return service(name, address, type="NodePort", externalTrafficPolicy="Cluster", ports=ports)


def endpoint_slice(name, endpoints):
    """`endpoints`: (address, node) each."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"{name}-bench", "namespace": "bench",
                         "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "", "port": PORT, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "nodeName": where,
                           "conditions": {"ready": True, "serving": True, "terminating": False}}
                          for address, where in endpoints]}


def others(first, count):
    """Services that nobody uses, with endpoints that are nowhere."""
    for number in range(first, first + count):
        name = f"other-{number}"
        yield service(name, f"10.96.{128 + (number >> 8)}.{number & 255}")
        places = [number * ENDPOINTS + i for i in range(ENDPOINTS)]
        yield endpoint_slice(name, [(f"10.{200 + (n >> 16)}.{n >> 8 & 255}.{n & 255}", f"far-{n % 100}")
                                    for n in places])


def write(directory, name, items):
    """At once, by renaming; when."""
    path = os.path.join(directory, f".{name}")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": items}, file)
    begin = time.monotonic()
    os.rename(path, os.path.join(directory, f"{name}.json"))
    return begin


# --- two nodes ---

class Node:
    """One node with Services. Below: `directory` of objects, `pod`, `server_address`, `node_name`,
    `node_address`, command(where, ...) with where "client", "server" or "outside", `pid`."""

    def is_alive(self):
        return os.path.exists(f"/proc/{self.pid}")

    def target(self):
        return [node_port_service("target", SERVICE_ADDRESS, NODE_PORT)]

    @contextlib.contextmanager
    def server(self):
        with subprocess.Popen(self.command("server", ROUND_TRIP, "serve", str(PORT)), stdout=subprocess.PIPE,
                              text=True) as process:
            try:
                assert process.stdout.readline() == "ready\n"
                yield
            finally:
                process.kill()

    def wait(self, what):
        """A function to call with the time of a change: seconds until it showed, at the node port. What
        is sent to a cluster address that is not there yet is lost, and would leave the kernel a record of
        its client port, which leads all that follows by that port into nothing too."""
        process = subprocess.Popen(
            self.command("outside", PYTHON, "-c", WAITER, self.node_address, str(NODE_PORT), what),
            stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"

        def finish(begin):
            while process.poll() is None and self.is_alive():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
            if process.poll() is None:
                process.kill()
                sys.exit(f"bench: {self.log()}")
            return float(process.stdout.read()) - begin
        return finish

    def set_endpoints(self, *endpoints):
        """Seconds until a client notices."""
        shown = self.wait("answer" if endpoints else "refusal")
        return shown(write(self.directory, "bench-slice", [endpoint_slice("target", endpoints)]))

    def fill(self, count):
        """Seconds until all Services are there, of which there were none."""
        files = [(first, min(FILE_SERVICES, count - first)) for first in range(0, count, FILE_SERVICES)]
        shown, begin = self.wait("answer"), None
        for first, number in files:
            wrote = write(self.directory, f"bench-{first:06}", list(others(first, number)))
            begin = begin or wrote
        write(self.directory, "bench-slice", [endpoint_slice("target", [self.endpoint()])])
        write(self.directory, "bench-target", self.target())
        took = shown(begin)
        self.settle()
        return max(took, self.settled - begin)

    def settle(self):
        self.settled = 0

    def endpoint(self):
        return self.server_address, self.node_name

    def changes(self, rounds):
        """Seconds each from the change of one EndpointSlice until it shows."""
        times = []
        for _ in range(rounds):
            self.set_endpoints()
            time.sleep(REST_SECONDS)
            times.append(self.set_endpoints(self.endpoint()))
        return times


class PodwireNode(Node):
    def __init__(self):
        self.pair = peers.LabPair("podwire", 1, "vxlan")
        where = f"/run/podwire/lab/{self.pair.lab}"
        self.directory, self.run_directory = f"{where}/objects", f"{where}/nodes/node1"
        self.node_name, self.server_address = "node1", self.pair.address(4)
        nodes = json.loads(self.pair.podwire("get", "nodes", "-o", "json"))["items"]
        self.node_address = next(a["address"] for a in nodes[0]["status"]["addresses"] if ":" not in a["address"])
        with open(f"{self.run_directory}/lock", encoding="utf-8") as lock:
            self.pid = int(lock.read())

    def command(self, where, *arguments):
        if where == "outside":
            return [PODWIRE, "lab", "exec", "--name", self.pair.lab, "outside", "--", *arguments]
        return self.pair.command(where, *arguments)

    def settle(self):
        """All rows are as the objects want them, and not the one that was asked for alone."""
        diff = [PODWIRE, "diff", "--run-dir", self.run_directory]
        waited = False
        while subprocess.run(diff, capture_output=True, check=False).returncode:
            waited = True
        self.settled = time.monotonic() if waited else 0

    def log(self):
        with open(f"{self.run_directory}/agent.log", encoding="utf-8") as log:
            return log.read()

    def close(self):
        self.pair.close()


class KubeProxyNode(Node):
    """Routes to two pods and to the outside, and a kube-proxy."""

    LINKS = {"client": ("10.99.1", 2, "a"), "server": ("10.99.2", 2, "b"), "outside": ("192.0.2", 1, "c")}

    def __init__(self, mode):
        self.pair = peers.NamespacePair("kube-proxy", ["node", "outside"])
        self.node_name, self.server_address, self.node_address = "node1", "10.99.2.2", "192.0.2.254"
        self.pair.on("node", "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        for end, (network, number, device) in self.LINKS.items():
            self.pair.link((end, "eth0"), ("node", device))
            self.pair.on("node", "ip", "address", "add", f"{network}.254/24", "dev", device)
            self.pair.on(end, "ip", "address", "add", f"{network}.{number}/24", "dev", "eth0")
            self.pair.on(end, "ip", "route", "add", "default", "via", f"{network}.254")
        # kube-proxy's node ports of mode nftables are on the address that has the default route.
        self.pair.on("node", "ip", "route", "add", "default", "via", "192.0.2.1")
        self.folder = f"/run/{TAG}-{mode}"
        self.directory = f"{self.folder}/objects"
        os.makedirs(self.directory)
        write(self.directory, "node", [{
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
            "spec": {"podCIDRs": ["10.99.0.0/16"]},
            "status": {"addresses": [{"type": "InternalIP", "address": self.node_address}]}}])
        self.proxy = KubeProxy(lambda *command: self.pair.command("node", *command), "node1", mode,
                               self.directory, ["10.99.0.0/16"], self.folder)
        self.pid = self.proxy.process.pid  # `ip netns exec` becomes it

    def is_alive(self):
        return self.proxy.process.poll() is None

    def log(self):
        return self.proxy.log()

    def command(self, where, *arguments):
        return self.pair.command(where, *arguments)

    def close(self):
        self.proxy.end()
        self.pair.close()
        run("rm", "-rf", self.folder)


class Way(peers.Pair):
    """From one of the two clients to the Service of a node, as a pair."""

    def __init__(self, place, where, name):
        super().__init__(name)
        self.place, self.where = place, where
        self.port = PORT if where == "client" else NODE_PORT

    def command(self, end, *arguments):
        return self.place.command(self.where if end == "client" else end, *arguments)

    def address(self, _family):
        return SERVICE_ADDRESS if self.where == "client" else self.place.node_address


# --- measuring ---

def beside(name, unit, ours, mode, theirs):
    return {"name": name, "unit": unit, "peer": mode, "podwire": spread(ours), "theirs": spread(theirs),
            "ratio": spread([a / b for a, b in zip(ours, theirs)])}


def measure(count, mode, options, compare):
    with contextlib.closing(PodwireNode()) as ours, contextlib.closing(KubeProxyNode(mode)) as theirs:
        with ours.server(), theirs.server():
            yield beside(f"{count} Services from nothing", "s", [ours.fill(count)], mode, [theirs.fill(count)])
            yield beside(f"one changed endpoint among {count} Services", "s", ours.changes(options.rounds), mode,
                         theirs.changes(options.rounds))
        yield beside(f"resident memory, {count} Services", "MB", [node.resident_kb(ours.pid) / 1024], mode,
                     [node.resident_kb(theirs.pid) / 1024])
        for where, words in ("client", "pod to Service"), ("outside", "outside to node port"):
            for name in "connect", "round-trip":
                yield from compare(name, Way(ours, where, f"{words}, {count} Services"),
                                   Way(theirs, where, mode), options, families=(4,))


def bench(options, compare):
    """Beside kube-proxy, which ./run has built."""
    if not PROGRAM:
        sys.exit("bench: there is no kube-proxy; `./run bench kube-proxy` builds it, where Go is")
    for count in options.services:
        for mode in MODES:
            yield from measure(count, mode, options, compare)
