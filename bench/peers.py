# SPDX-License-Identifier: Apache-2.0
"""Two namespaces that can talk, made by podwire's lab or by what the kernel offers."""
import atexit
import ipaddress
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PODWIRE = os.path.join(ROOT, "build", "podwire")
TAG = f"pwb{os.getpid()}"
ROUND_TRIP = os.path.join(ROOT, "build", "bench", "round-trip")
PORT = 5999  # of the servers of small messages


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


class Pair:
    """A client and a server; `command` gives the argv that runs something in one of them."""

    port = PORT  # that the client of small messages asks for

    def __init__(self, name):
        self.name = name
        atexit.register(self.close)  # also where something fails on the way

    def address(self, family):
        raise NotImplementedError

    def command(self, end, *arguments):
        raise NotImplementedError

    def close(self):
        """May be called twice."""


class NamespacePair(Pair):
    """Namespaces made by hand: "client" and "server", and whatever lies between."""

    ADDRESSES = {"client": ("192.0.2.1", "2001:db8::1"), "server": ("192.0.2.2", "2001:db8::2")}

    def __init__(self, name, between):
        super().__init__(name)
        self.namespaces = ["client", "server", *between]
        self.server_addresses = self.ADDRESSES["server"]
        for namespace in self.namespaces:
            run("ip", "netns", "add", f"{TAG}{namespace}")
            self.on(namespace, "ip", "link", "set", "dev", "lo", "up")

    def on(self, namespace, *command):
        return run(*self.command(namespace, *command))

    def command(self, end, *arguments):
        return ["ip", "netns", "exec", f"{TAG}{end}", *arguments]

    def address(self, family):
        return self.server_addresses[family == 6]

    def link(self, one, other):
        """A veth pair between two (namespace, device)."""
        run("ip", "link", "add", one[1], "netns", TAG + one[0], "type", "veth",
            "peer", "name", other[1], "netns", TAG + other[0])
        for namespace, device in one, other:
            self.on(namespace, "ip", "link", "set", "dev", device, "up")

    def number(self, mtu=1500):
        for end, (ipv4, ipv6) in self.ADDRESSES.items():
            self.on(end, "ip", "link", "set", "dev", "eth0", "mtu", str(mtu))
            self.on(end, "ip", "address", "add", f"{ipv4}/24", "dev", "eth0")
            self.on(end, "ip", "address", "add", f"{ipv6}/64", "dev", "eth0", "nodad")

    def bridge(self, namespace, *devices):
        self.on(namespace, "ip", "link", "add", "br0", "type", "bridge")
        self.on(namespace, "ip", "link", "set", "dev", "br0", "up")
        for device in devices:
            self.on(namespace, "ip", "link", "set", "dev", device, "master", "br0")

    def close(self):
        while self.namespaces:
            subprocess.run(["ip", "netns", "del", f"{TAG}{self.namespaces.pop()}"], check=False)


def veth_pair():
    """Nothing between the two."""
    pair = NamespacePair("veth", [])
    pair.link(("client", "eth0"), ("server", "eth0"))
    pair.number()
    return pair


def bridge_pair():
    """One bridge, as the simplest plugins make it."""
    pair = NamespacePair("bridge", ["node"])
    pair.link(("client", "eth0"), ("node", "a"))
    pair.link(("server", "eth0"), ("node", "b"))
    pair.bridge("node", "a", "b")
    pair.number()
    return pair


def vxlan_pair():
    """The kernel's own VXLAN between two bridges, over a switch as between the lab's nodes."""
    pair = NamespacePair("kernel vxlan", ["node1", "node2", "switch"])
    pair.link(("client", "eth0"), ("node1", "pod"))
    pair.link(("server", "eth0"), ("node2", "pod"))
    for number, other in (1, 2), (2, 1):
        node = f"node{number}"
        pair.link((node, "eth0"), ("switch", f"n{number}"))
        pair.on(node, "ip", "address", "add", f"198.51.100.{number}/24", "dev", "eth0")
        pair.on(node, "ip", "link", "add", "vxlan0", "type", "vxlan", "id", "1", "dstport", "4789",
                "local", f"198.51.100.{number}", "remote", f"198.51.100.{other}")
        pair.on(node, "ip", "link", "set", "dev", "vxlan0", "up")
        pair.bridge(node, "pod", "vxlan0")
    pair.bridge("switch", "n1", "n2")
    pair.number(1450)
    return pair


def routed_pair():
    """Two nodes that the kernel routes between, over a switch as between the lab's nodes."""
    pair = NamespacePair("kernel routes", ["node1", "node2", "switch"])
    pair.link(("client", "eth0"), ("node1", "pod"))
    pair.link(("server", "eth0"), ("node2", "pod"))
    pair.bridge("switch")
    for number, other, end in (1, 2, "client"), (2, 1, "server"):
        node = f"node{number}"
        pair.link((node, "eth0"), ("switch", f"n{number}"))
        pair.on("switch", "ip", "link", "set", "dev", f"n{number}", "master", "br0")
        for key in "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding":
            pair.on(node, "sysctl", "-q", "-w", f"{key}=1")
        for pods, nodes, length in ("10.99.{}.{}", "198.51.100.{}", 24), \
                ("fd99:0:0:{}::{}", "2001:db8:100::{}", 64):
            nodad = ["nodad"] if length == 64 else []
            gateway, own = pods.format(number, 1), pods.format(number, 2)
            pair.on(node, "ip", "address", "add", f"{nodes.format(number)}/{length}", "dev", "eth0", *nodad)
            pair.on(node, "ip", "address", "add", f"{gateway}/{length}", "dev", "pod", *nodad)
            pair.on(end, "ip", "address", "add", f"{own}/{length}", "dev", "eth0", *nodad)
            pair.on(end, "ip", "route", "add", "default", "via", gateway)
            range_there = ipaddress.ip_network(f"{pods.format(other, 1)}/{length}", strict=False)
            pair.on(node, "ip", "route", "add", str(range_there), "via", nodes.format(other))
    pair.server_addresses = ("10.99.2.2", "fd99:0:0:2::2")
    return pair


class LabPair(Pair):
    """Two pods of a lab, on one node or on two."""

    MANIFEST = os.path.join(ROOT, "test", "system", "manifests", "cluster.yaml")

    def __init__(self, name, nodes, route):
        super().__init__(name)
        self.lab = f"{TAG}-{nodes}-{route}"
        self.podwire("up", "-n", str(nodes), "--route", route, "-f", self.MANIFEST)
        pods = [pod for pod in json.loads(self.podwire("get", "pods", "-A", "-o", "json"))["items"]
                if not pod["spec"].get("hostNetwork") and pod["metadata"]["name"] != "two"]
        self.client = pods[0]
        self.server = next(pod for pod in pods[1:] if nodes == 1 or
                           pod["spec"]["nodeName"] != pods[0]["spec"]["nodeName"])

    def podwire(self, verb, *arguments):
        return run(PODWIRE, "lab", verb, "--name", self.lab, *arguments)

    def command(self, end, *arguments):
        meta = getattr(self, end)["metadata"]
        return [PODWIRE, "lab", "exec", "--name", self.lab,
                f"{meta['namespace']}/{meta['name']}", "--", *arguments]

    def address(self, family):
        return next(ip["ip"] for ip in self.server["status"]["podIPs"]
                    if (":" in ip["ip"]) == (family == 6))

    def close(self):
        if os.path.exists(f"/run/podwire/lab/{self.lab}"):
            self.podwire("down")


class ServicePair(Pair):
    """The pods of another pair, by a Service in front of the server."""

    NAME = "bench"

    def __init__(self, pair, port):
        super().__init__("Service")
        self.pair = pair
        labels = pair.server["metadata"]["labels"]
        run(PODWIRE, "lab", "apply", "--name", pair.lab, "-f", "-", input=json.dumps({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.NAME, "namespace": pair.server["metadata"]["namespace"]},
            "spec": {"selector": {"app": labels["app"]}, "ipFamilyPolicy": "PreferDualStack",
                     "ports": [{"port": port}]}}))
        services = json.loads(pair.podwire("get", "services", "-A", "-o", "json"))["items"]
        self.addresses = next(service["spec"]["clusterIPs"] for service in services
                              if service["metadata"]["name"] == self.NAME)

    def command(self, end, *arguments):
        return self.pair.command(end, *arguments)

    def address(self, family):
        return next(a for a in self.addresses if (":" in a) == (family == 6))
