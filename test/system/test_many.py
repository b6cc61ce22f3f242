# SPDX-License-Identifier: Apache-2.0
"""A node that starts with all its pods at once: a thousand ADDs, and a thousand DELs."""
import contextlib
import json
import os
import random
import resource
import socket
import subprocess

import pytest
from cni import Runtime, addresses, config, inside
from labs import PLUGIN, run, wait_for
from test_faults import check_clean

PODS = 1000
RANGES = ["10.244.200.0/22", "fd44:0:0:c8::/118"]
BIG = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "big"}, "spec": {"podCIDRs": RANGES}}

pytestmark = [pytest.mark.alone,
              pytest.mark.one_profile("its thousand namespaces take their time")]


@pytest.fixture(scope="module")
def runtime(make_lab):
    lab = make_lab("-n", "1", manifests=())
    lab.apply(json.dumps(BIG))
    return Runtime(lab, "big")


@pytest.fixture(scope="module")
def names():
    names = [f"t-many-{os.getpid()}-{n}" for n in range(PODS)]
    run("ip", "-batch", "-", input="".join(f"netns add {name}\n" for name in names))
    yield names
    run("ip", "-force", "-batch", "-", input="".join(f"netns del {name}\n" for name in names),
        check=False)


def all_at_once(runtime, command, names, folder):
    """{name: what the plugin printed}; each of them has succeeded."""
    (folder / "stdin").write_text(json.dumps(config("1.1.0")))
    environment = {"CNI_COMMAND": command, "CNI_IFNAME": "eth0", "CNI_PATH": os.path.dirname(PLUGIN),
                   "PODWIRE_RUN_DIR": runtime.lab.run_directory(runtime.node)}
    processes = {}
    for name in names:
        with open(folder / "stdin", "rb") as stdin, open(folder / name, "wb") as stdout:
            processes[name] = subprocess.Popen(
                [PLUGIN], stdin=stdin, stdout=stdout,
                env={**environment, "CNI_CONTAINERID": name, "CNI_NETNS": f"/run/netns/{name}"})
    codes = {name: process.wait(timeout=120) for name, process in processes.items()}
    said = {name: (folder / name).read_text() for name in names}
    failed = {said[name] for name, code in codes.items() if code}
    assert not failed, f"{sum(map(bool, codes.values()))} failed, such as {sorted(failed)[0]}"
    return said


def test_a_thousand(runtime, names, tmp_path):
    results = {name: json.loads(text)
               for name, text in all_at_once(runtime, "ADD", names, tmp_path).items()}
    given = [a for result in results.values() for a in addresses(result)]
    assert len(given) == len(set(given)) == 2 * PODS
    status = runtime.lab.query(runtime.node, "status")
    assert [pool["used"] for pool in status["pools"]] == [PODS, PODS] and status["ready"]
    for name in random.sample(names, 5):
        for address in addresses(results[random.choice(names)]):
            inside(f"/run/netns/{name}", "ping", "-c", "1", "-W", "1", address)
    assert not any(all_at_once(runtime, "DEL", names, tmp_path).values())
    wait_for(lambda: not runtime.lab.query(runtime.node, "pods")["pods"], "all have gone")
    check_clean(runtime)


def test_idle_readers(runtime, names):
    """Who reads the status and says nothing, however many they are, does not keep pods waiting."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(1100):  # more than are served at once, and fewer than that and the queue
                peer = stack.enter_context(socket.socket(socket.AF_UNIX))
                peer.connect(f"{runtime.lab.run_directory(runtime.node)}/status.sock")
            runtime.add(names[0], f"/run/netns/{names[0]}")
            runtime.delete(names[0], f"/run/netns/{names[0]}")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    assert runtime.lab.query(runtime.node, "status")["ready"]
