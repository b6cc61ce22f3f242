# SPDX-License-Identifier: Apache-2.0
"""Without memory the agent ends, and whoever started it starts it again: at each allocation of its
start and of its work for a pod, nobody loses anything by that, and the runtime is told."""
import contextlib
import json
import os
import signal
import struct
import subprocess

import pytest
from cni import config, inside, namespace
from labs import HERE, PODWIRE, have, run, wait_for
from test_agent import agent_arguments, serves, stopped
from test_faults import (ALL, PLAIN, answers, check_answer, check_clean, make_runtime, on_node,
                         settle)

OF_START, OF_REQUEST = (1, 1) if ALL else (199, 13)  # every so manyth allocation

pytestmark = [pytest.mark.skipif(not have("gcc"), reason="./run build installs gcc"),
              pytest.mark.one_profile("what it kills is started again, on whatever node")]


@pytest.fixture(scope="module")
def runtime(make_lab):
    return make_runtime(make_lab)


@pytest.fixture
def netns():
    with namespace(f"t-memory-{os.getpid()}") as path:
        yield path


@pytest.fixture
def other():
    with namespace(f"t-memory-other-{os.getpid()}") as path:
        yield path


class Allocations:
    """The library that fails an allocation, and the file that rules it (allocation.c)."""

    def __init__(self, folder):
        self.library, self.path = str(folder / "allocation.so"), str(folder / "allocations")
        run("gcc", "-shared", "-fPIC", "-o", self.library, f"{HERE}/allocation.c")
        self.rule(0)

    def rule(self, fail, go_on=False):
        """From now on counted from zero, the allocation of this number fails; 0: none."""
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("QQQ", 0, fail, go_on))

    def count(self):
        with open(self.path, "rb") as file:
            return struct.unpack("QQQ", file.read(24))[0]

    def command(self, arguments):
        return ("env", f"LD_PRELOAD={self.library}", f"ALLOCATION_FILE={self.path}", PODWIRE,
                *arguments[1:])


@pytest.fixture
def allocations(tmp_path):
    return Allocations(tmp_path)


@contextlib.contextmanager
def agent(runtime, command):
    """An agent from when it serves or has ended; it is ended, and must not have crashed."""
    with subprocess.Popen(on_node(runtime, *command), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for(lambda: process.poll() is not None or serves(runtime.lab, runtime.node),
                 "the agent serves or ends", 20)
        try:
            yield process
        finally:
            pid = runtime.lab.agent_pid(runtime.node)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            said = process.communicate(timeout=20)[1]
    assert process.returncode in (0, 1, -signal.SIGABRT), said
    assert process.returncode != 1 or "error: " in said
    assert process.returncode != -signal.SIGABRT or "podwire: out of memory\n" in said


def test_start(runtime, netns, other, allocations):
    """Those who are attached stay so."""
    command = allocations.command(agent_arguments(runtime.lab, runtime.node))
    result = runtime.add("c1", netns, stdin=PLAIN)
    ended = 0
    with stopped(runtime.lab, runtime.node):
        with agent(runtime, command):
            total = allocations.count()
        assert total > 1000
        for number in range(1, total, OF_START):
            allocations.rule(number, go_on=number % 2)
            with agent(runtime, command) as process:
                ended += process.returncode is not None
            assert os.path.exists(f"{runtime.lab.run_directory(runtime.node)}/attachments/c1:eth0")
            assert "eth0" in inside(netns, "ip", "-o", "link").stdout, number
    assert ended, "at least some of them were missed"
    assert runtime.call("CHECK", "c1", netns, stdin=config("1.1.0", prevResult=result)) == (0, None)
    settle(runtime, netns, other)
    check_clean(runtime)


def check_whole(result):
    """Nothing is left out of an answer because there was no room for it."""
    assert len(result["ips"]) == len(result["routes"]) == len(result["interfaces"]) == 2
    assert result["interfaces"][1]["sandbox"] and result["dns"] == {}


@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_request(runtime, netns, other, allocations, verb):
    """The runtime is told to try again, or the plugin does the DEL alone; nothing is lost."""
    command = allocations.command(agent_arguments(runtime.lab, runtime.node))
    ended, number = 0, 1
    with stopped(runtime.lab, runtime.node):
        while number:
            allocations.rule(0)
            with agent(runtime, command):
                settle(runtime, netns, other)
                if verb == "DEL":
                    runtime.add("c1", netns, stdin=PLAIN)
                allocations.rule(number)
                done = runtime.plugin(verb, "c1", netns, stdin=PLAIN)
                check_answer(done, (verb, number))
                assert verb == "ADD" or done.returncode == 0
                if verb == "ADD" and done.returncode == 0:
                    check_whole(json.loads(done.stdout))
                enough = allocations.count() < number
                ended += not answers(runtime)
            number = 0 if enough else number + OF_REQUEST
    assert ended
    settle(runtime, netns, other)
    check_clean(runtime)
