# SPDX-License-Identifier: Apache-2.0
"""From one release to the next and back, node by node, under load: with other tables, longer
records and another version between the nodes. What these releases are: releases.py."""
import contextlib
import os
import signal

import labs
import pytest
import releases
from labs import PODWIRE, run, wait_for
from test_agent import agent_arguments, check_traffic, start_agent, traffic
from test_paths import same_family

pytestmark = pytest.mark.one_profile("its variants name theirs")

PORT = 9100
POD = """apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: t, labels: {app: late}}
spec: {nodeName: %s, containers: [{name: main, image: x, ports: [{containerPort: 80}]}]}
"""


@pytest.fixture(scope="session")
def release():
    """The podwire of a release by name, built once; "this" is the tree's own."""
    built = {"this": PODWIRE}

    def find(name):
        if name not in built:
            built[name] = releases.release(name)
        return built[name]

    return find


@pytest.fixture(scope="module", params=["vxlan-clean", "direct-clean", "vxlan-hostile"])
def lab(request, make_lab):
    route, profile = request.param.split("-")
    lab = make_lab("-n", "3", "--route", route, "--profile", profile, name="-" + request.param)
    lab.expected = [r"another agent", r"lock", r"runs here already"]
    return lab


def layouts(lab, node):
    folder = os.path.join(lab.run_directory(node), "bpf")
    return sorted(name for name in os.listdir(folder)
                  if name != "links" and os.path.isdir(os.path.join(folder, name)))


def replace(lab, node, podwire):
    """Another release's agent in the place of the one that runs."""
    arguments = agent_arguments(lab, node)
    lab.kill(lab.agent_pid(node), signal.SIGTERM)
    start_agent(lab, node, arguments, podwire)
    status = lab.query(node, "status")
    assert layouts(lab, node) == [status["layout"]]
    return status["layout"]


def pod_on(lab, node):
    return next(key for key, pod in sorted(lab.pods(app="a").items()) if pod["node"] == node)


def test_forth_and_back(lab, release):
    nodes = lab.nodes()
    source, target = pod_on(lab, nodes[0]), pod_on(lab, nodes[1])
    addresses = lab.pods()[target]["addresses"]
    results = {}
    with traffic(lab, source, target, addresses, results):
        for name in "next", "this":
            for node in nodes:
                replace(lab, node, release(name))
                late = f"late-{name}-{node}"
                lab.apply(POD % (late, node))
                replies = lab.probe(source, [["tcp", a, 80] for a in lab.pods()[f"t/{late}"]["addresses"]])
                assert [reply.get("pod") for reply in replies] == [f"t/{late}"] * 2, replies
    check_traffic(results)
