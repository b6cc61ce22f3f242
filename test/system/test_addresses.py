# SPDX-License-Identifier: Apache-2.0
"""Which addresses pods get, which they never get, and what is said when ranges contradict."""
import ipaddress
import json
import os

import pytest
from cni import Runtime, addresses, namespace
from labs import wait_for, write_json

RANGES = ["10.244.200.0/29", "fd44:0:0:c8::/125"]
SMALL = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "small"},
         "spec": {"podCIDR": RANGES[0], "podCIDRs": RANGES}}


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "1", manifests=())
    lab.apply(json.dumps(SMALL))
    return lab


@pytest.fixture(scope="module")
def runtime(lab):
    return Runtime(lab, "small")


def pools(runtime):
    return {pool["range"]: pool for pool in runtime.lab.query(runtime.node, "status")["pools"]}


@pytest.fixture
def netns():
    with namespace(f"t-addresses-{os.getpid()}") as path:
        yield path


def fill(runtime, netns):
    """ADD until it is refused: (results, the error)"""
    results = []
    while len(results) < 20:
        code, answer = runtime.call("ADD", "c", netns, ifname=f"e{len(results)}")
        if code:
            return results, answer
        results.append(answer)
    raise AssertionError("a range of eight addresses gave twenty")


def test_exhausted(runtime, netns):
    """All usable addresses are given, none twice, none reserved; then the range is named."""
    results, error = fill(runtime, netns)
    given = [ipaddress.ip_address(a) for result in results for a in addresses(result)]
    assert len(given) == len(set(given)) == 2 * len(results)
    for text in RANGES:
        network = ipaddress.ip_network(text)
        reserved = {network[0], network[1]} | ({network[7]} if network.version == 4 else set())
        inside = {a for a in given if a in network}
        assert not inside & reserved
    assert len(results) == 5, "an IPv4 range of eight has five for pods"
    assert error["code"] and RANGES[0] in error["msg"]
    for n in range(len(results)):
        runtime.delete("c", netns, ifname=f"e{n}")
    assert all(pool["used"] == 0 for pool in pools(runtime).values())


def test_rest_before_reuse(runtime, netns):
    """What was freed is not given next."""
    wait_for(lambda: pools(runtime)[RANGES[0]]["resting"] >= 5, "the freed addresses rest", 2)
    code, error = runtime.call("ADD", "c", netns)
    assert code != 0 and "rest" in error["msg"]


def ghost(name, ranges, *internal):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "spec": {"podCIDRs": ranges},
            "status": {"addresses": [{"type": "InternalIP", "address": a} for a in internal]}}


# Objects that contradict, and what `podwire status` must say: (object, a word of the sentence).
CONTRADICTIONS = {
    "two nodes, one range": (ghost("ghost", ["10.244.200.0/24"], "10.89.1.200"), "Node small"),
    "pods and Services": (ghost("ghost", ["10.96.0.0/24"], "10.89.1.200"), "Service range"),
    "pods and a node": (ghost("ghost", ["10.89.1.0/24"], "10.89.1.200"), "10.89.1."),
    "no address": (ghost("ghost", ["10.244.77.0/24"]), "InternalIP"),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_contradiction(lab, what):
    """Found, named with its object, refused; and gone when the object is mended."""
    tree, word = CONTRADICTIONS[what]
    path = f"{lab.directory}/objects/ghost.json"

    def problems():
        return [p["text"] for p in lab.query("small", "status")["problems"] if "ghost" in p["object"]]

    write_json(path, tree)
    try:
        wait_for(lambda: any(word in text for text in problems()), f"it is named: {what}", 3)
    finally:
        os.unlink(path)
    wait_for(lambda: not problems(), "the problem is gone", 3)


def test_own_node_without_range(lab, runtime, netns):
    """Said by name; no pod is added meanwhile, and all is well again with the range."""
    folder = f"{lab.directory}/objects"
    name = next(file for file in os.listdir(folder) if "small" in file)
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        good = json.load(file)
    bad = json.loads(json.dumps(good))
    del bad["spec"]["podCIDRs"]
    bad["spec"].pop("podCIDR", None)

    def complaints():
        status = lab.query("small", "status")
        return [p for p in status["problems"] if "small" in p["object"] and "podCIDRs" in p["text"]]

    write_json(f"{folder}/{name}", bad)
    try:
        wait_for(complaints, "the missing range is named", 3)
        code, error = runtime.call("ADD", "c", netns)
        assert code != 0 and "range" in error["msg"]
    finally:
        write_json(f"{folder}/{name}", good)
    wait_for(lambda: not complaints(), "all is well again", 3)


@pytest.mark.parametrize("family", ["ipv4", "ipv6", "dual"])
def test_families_of_pools(make_lab, family):
    lab = make_lab("-n", "1", "--family", family, manifests=(), name=f"-{family}")
    versions = {ipaddress.ip_network(pool["range"]).version
                for pool in lab.query(lab.nodes()[0], "status")["pools"]}
    assert versions == {"ipv4": {4}, "ipv6": {6}, "dual": {4, 6}}[family]

