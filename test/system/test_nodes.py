# SPDX-License-Identifier: Apache-2.0
"""Nodes come, go and change their addresses while traffic flows."""
import os

import labs
import pytest
from labs import wait_for, write_json
from test_agent import check_traffic, traffic

NODE = "apiVersion: v1\nkind: Node\nmetadata: {name: %s}\n"


@pytest.fixture(scope="module", params=["vxlan", "direct", "auto"])
def lab(request, profile, make_lab):
    if profile == "hostile" and request.param == "direct":
        pytest.skip(labs.NO_DIRECT)
    return make_lab("-n", "2", "--route", request.param, name="-" + request.param)


def pods_of(lab, node):
    return {key: pod for key, pod in lab.pods(app="a").items() if pod["node"] == node}


def test_added_and_removed(lab):
    """A third node: its pods are reached at once, and the others notice nothing."""
    first, second = lab.nodes()[:2]
    source = next(iter(pods_of(lab, first)))
    target, pod = next(iter(pods_of(lab, second).items()))
    results = {}
    with traffic(lab, source, target, pod["addresses"], results):
        lab.apply(NODE % "late")
        late, late_pod = next(iter(pods_of(lab, "late").items()))
        replies = lab.probe(source, [["tcp", a, 80] for a in late_pod["addresses"]])
        assert [reply.get("pod") for reply in replies] == [late] * 2
        lab.delete(NODE % "late")
        assert "late" not in lab.nodes()
    check_traffic(results)


def test_renumbered(lab):
    """Another InternalIP: the others follow within a second, and pods keep their addresses."""
    first, second = lab.nodes()[:2]
    source = next(iter(pods_of(lab, first)))
    target, pod = next(iter(pods_of(lab, second).items()))
    node = next(n for n in lab.get("nodes") if n["metadata"]["name"] == second)
    new = []
    for address in node["status"]["addresses"]:
        if address["type"] == "InternalIP":
            address["address"] = renumber(address["address"])
            new.append(address["address"])
    if lab.hostile:
        admit(lab, second, new)
    device = lab.exec(second, "ip", "-o", "route", "get", "10.89.1.10").stdout.split("dev ")[1]
    for address in new:
        lab.exec(second, "ip", "address", "add", address + ("/64" if ":" in address else "/24"),
                 "dev", device.split()[0], *(["nodad"] if ":" in address else []))
    write_json(f"{lab.directory}/objects/{object_file(lab, second)}", node)

    def all_answer():
        replies = lab.probe(source, [["tcp", a, 80] for a in pod["addresses"]], 0.3)
        return [reply.get("pod") for reply in replies] == [target] * 2

    wait_for(lambda: all(a in str(lab.query(first, "nodes")) for a in new), "it is known", 2)
    wait_for(all_answer, "its pods answer", 2)


def admit(lab, node, addresses):
    """Tell the switch of a hostile lab that these are the node's too."""
    rules = [f"insert rule bridge switch from-{node} {'ip6' if ':' in a else 'ip'} saddr {a} accept"
             for a in addresses]
    labs.run("nsenter", f"--net={lab.directory}/ns/fabric", "nft", "; ".join(rules))


def renumber(address):
    if ":" in address:
        return address.rsplit(":", 1)[0] + ":77"
    return address.rsplit(".", 1)[0] + ".77"


def object_file(lab, node):
    """The file in which the lab tells the agents of this node."""
    return next(name for name in os.listdir(f"{lab.directory}/objects")
                if "node" in name.lower() and node in name)
