# SPDX-License-Identifier: Apache-2.0
"""What a real kube-proxy leaves, into files for the tests that have none; as root:

    PODWIRE_KUBE_PROXY=PATH python3 leftovers.py

In a network namespace that ends with it: leftovers.nft is mode nftables, the others are mode iptables.
One Service of each kind of chain, so that the files stay small.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from proxy import HERE, KubeProxy

PODS = ["10.244.0.0/16", "fd44::/48"]
FAMILIES = {"IPv4": ("10.96.0.80", "192.0.2.80", "10.244.1.{}", "10.89.1.11", "198.51.100.0/24"),
            "IPv6": ("fd96::80", "2001:db8:b::80", "fd44:0:0:1::{}", "fd89:0:0:1::11", "2001:db8:a::/64")}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def objects():
    names = [FAMILIES[family] for family in FAMILIES]
    yield {"kind": "Node", "metadata": {"name": "node1"}, "spec": {"podCIDRs": PODS},
           "status": {"addresses": [{"type": "InternalIP", "address": name[3]} for name in names]}}
    yield {"kind": "Service", "metadata": {"name": "web", "namespace": "t"}, "spec": {
        "type": "LoadBalancer", "clusterIP": names[0][0], "clusterIPs": [name[0] for name in names],
        "ipFamilies": list(FAMILIES), "ipFamilyPolicy": "RequireDualStack", "externalTrafficPolicy": "Local",
        "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "healthCheckNodePort": 30086,
        "loadBalancerSourceRanges": [name[4] for name in names],
        "ports": [{"name": "", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": name[1], "ipMode": "VIP"} for name in names]}}}
    for family, name in FAMILIES.items():
        yield {"kind": "EndpointSlice", "addressType": family, "metadata": {
            "name": f"web-{family.lower()}", "namespace": "t", "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "", "protocol": "TCP", "port": 8080}],
            "endpoints": [{"addresses": [name[2].format(number)], "nodeName": node, "conditions": {"ready": True}}
                          for number, node in ((2, "node1"), (3, "node2"))]}


def leave(mode, folder):
    """Runs it until its rules are there."""
    os.makedirs(f"{folder}/objects")
    with open(f"{folder}/objects/all.json", "w", encoding="utf-8") as file:
        json.dump({"kind": "List", "items": list(objects())}, file)
    proxy = KubeProxy(lambda *command: list(command), "node1", mode, f"{folder}/objects", PODS, folder)
    while not all("30080" in run("nft", "list", "ruleset", family) for family in ("ip", "ip6")):
        assert proxy.process.poll() is None, proxy.log()
        time.sleep(0.1)
    proxy.end()


def main():
    if sys.argv[1:] != ["inside"]:
        sys.exit(subprocess.run(["unshare", "--net", sys.executable, "-B", __file__, "inside"], check=False).returncode)
    run("ip", "link", "set", "lo", "up")
    for name in FAMILIES.values():
        run("ip", "address", "add", name[3], "dev", "lo")
    for mode, commands in (("nftables", {"leftovers.nft": ["nft", "-s", "list", "ruleset"]}),
                           ("iptables", {"leftovers.ip4tables": ["iptables-nft-save"],
                                         "leftovers.ip6tables": ["ip6tables-nft-save"]})):
        with tempfile.TemporaryDirectory() as folder:
            leave(mode, folder)
        for name, command in commands.items():
            text = "".join(line for line in run(*command).splitlines(keepends=True) if line[0] != "#")
            text = re.sub(" -m nfacct --nfacct-name +\\S+", "", text)  # which no file can bring with it
            with open(f"{HERE}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        run("nft", "flush", "ruleset")


if __name__ == "__main__":
    main()
