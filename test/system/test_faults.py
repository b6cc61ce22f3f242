# SPDX-License-Identifier: Apache-2.0
"""Each system call once: the plugin and the agent killed there, or told by the kernel that it cannot
be done. Nothing crashes, the runtime is told why, nothing is lost, and the next one works."""
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from cni import Runtime, addresses, config, inside, namespace
from labs import PODWIRE, have, run, wait_for
from test_agent import agent_arguments, serves, start_agent, stopped

ALL = bool(os.environ.get("PODWIRE_TEST_ALL"))
STRACE = have("strace")
ERRORS = ["EIO", "ENOMEM", "ENOSPC", "EINTR", "EMFILE", "EAGAIN", "EPERM"]
# The C library's start: it crashes on purpose where the kernel refuses these.
BEFORE_MAIN = {"execve", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64"}
MEMORY = {"brk", "mmap", "mremap"}
# Without these there is no loop any more: the agent ends, and whoever started it starts it again.
LOOP = {"epoll_wait", "timerfd_settime"}
PLAIN = config("1.1.0")
GONE = config("1.1.0", **{"cni.dev/valid-attachments": []})

pytestmark = [pytest.mark.skipif(not STRACE, reason="./run test installs strace"),
              pytest.mark.one_profile("its answers are compared, not its packets")]


def make_runtime(make_lab):
    """A node whose addresses need no rest, and whose agent may complain."""
    lab = make_lab("-n", "1", manifests=())
    lab.expected = [".*"]  # what is told to fail is logged
    node = lab.nodes()[0]
    with open(f"{lab.run_directory(node)}/podwire.yaml", "a", encoding="utf-8") as file:
        file.write("addressRestSeconds: 0\n")
    with stopped(lab, node):
        pass
    return Runtime(lab, node)


@pytest.fixture(scope="module")
def runtime(make_lab):
    return make_runtime(make_lab)


@pytest.fixture
def netns():
    with namespace(f"t-faults-{os.getpid()}") as path:
        yield path


@pytest.fixture
def other():
    with namespace(f"t-faults-other-{os.getpid()}") as path:
        yield path


@pytest.fixture
def trace(tmp_path):
    return str(tmp_path / "trace")


def strace(trace, fault, call, *more):
    """Of this system call, ("read", 3) is the third read."""
    return (STRACE, "-f", "-qqq", "-o", trace, "-e", f"inject={call[0]}:{fault}:when={call[1]}",
            *more)


def calls_of(trace, loaded=True):
    """The system calls of a run: [("read", 1), ("read", 2), ...]; where the trace has the work of
    the dynamic loader in it, from its last one on. Each process is counted for itself: a child's
    first read is none of these where the loader's first one would be met before it."""
    counts, calls, loader = collections.Counter(), [], set()
    with open(trace, encoding="utf-8", errors="replace") as file:
        for pid, name in re.findall(r"^(\d* *)(\w+)\(", file.read(), re.M):
            counts[pid, name] += 1
            call = (name, counts[pid, name])
            loaded = loaded or name == "munmap"
            if not loaded:
                loader.add(call)
            elif name not in BEFORE_MAIN and call not in loader and call not in calls:
                calls.append(call)
    return calls


def refusable(calls):
    """brk returns no error but the break that stays; glibc takes a number for an address."""
    return [call for call in calls if call[0] != "brk"]


def was_injected(trace):
    with open(trace, encoding="utf-8", errors="replace") as file:
        return "(INJECTED)" in file.read()


def errors_of(number):
    """All by name, in CI one of them for each system call in turn."""
    return ERRORS if ALL else [ERRORS[number % len(ERRORS)]]


def remains(runtime):
    """What is left of attachments anywhere; nothing when all is well."""
    lab, node = runtime.lab, runtime.node
    status = lab.query(node, "status")
    links = lab.exec(node, "sh", "-c", "ip -o link | grep ': pw[0-9a-f]' || true").stdout
    return [text for text in (
        *(f"pod {pod['container']}" for pod in lab.query(node, "pods")["pods"]),
        *(f"{pool['used']} used of {pool['range']}" for pool in status["pools"] if pool["used"]),
        *(f"record {name}" for name in os.listdir(f"{lab.run_directory(node)}/attachments")),
        links, *map(str, lab.query(node, "diff")["rows"]),
        "" if status["ready"] else f"not ready: {status['errors']}") if text]


def settle(runtime, netns, other):
    """What a runtime does after any failure: DEL, and then it goes on with this container and with
    others, which work."""
    runtime.delete("c1", netns)
    results = [runtime.add("c1", netns, stdin=PLAIN), runtime.add("c2", other)]
    assert not set(addresses(results[0])) & set(addresses(results[1]))
    assert runtime.call("CHECK", "c1", netns, stdin=config("1.1.0", prevResult=results[0])) \
        == (0, None)
    runtime.delete("c1", netns)
    runtime.delete("c2", other)


def check_clean(runtime):
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not remains(runtime), "nothing remains", 10)
    assert not remains(runtime)


def prepare(runtime, verb, netns):
    """What the verb needs before it, and its configuration."""
    if verb in ("ADD", "STATUS"):
        return PLAIN
    result = runtime.add("c1", netns, stdin=PLAIN)
    return GONE if verb == "GC" else config("1.1.0", prevResult=result)


# --- the plugin ---

def calls_of_plugin(runtime, trace, verb, netns):
    stdin = prepare(runtime, verb, netns)
    runtime.plugin(verb, "c1", netns, stdin=stdin, prefix=(STRACE, "-f", "-qqq", "-o", trace))
    runtime.delete("c1", netns)
    calls = calls_of(trace)
    assert len(calls) > 15 and ("sendmsg", 1) in calls
    return calls


@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC"])
def test_plugin_killed(runtime, netns, other, trace, verb):
    for call in calls_of_plugin(runtime, trace, verb, netns):
        stdin = prepare(runtime, verb, netns)
        done = runtime.plugin(verb, "c1", netns, stdin=stdin,
                              prefix=strace(trace, "signal=KILL", call))
        assert done.returncode == -9, call
        settle(runtime, netns, other)
    check_clean(runtime)


def check_answer(done, call):
    """A result, or an error object with code and sentence; never a signal."""
    assert done.returncode >= 0, f"signal {-done.returncode} after {call} failed"
    if done.returncode == 0 or call[0] == "write":
        return
    answer = re.search(r'"code":(\d+),"msg":".+"', done.stdout)
    assert answer and int(answer[1]) > 0, f"{call} failed: {done.stdout!r}"


@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
def test_plugin_refused(runtime, netns, other, trace, verb):
    for number, call in enumerate(calls_of_plugin(runtime, trace, verb, netns)):
        for error in errors_of(number):
            stdin = prepare(runtime, verb, netns)
            done = runtime.plugin(verb, "c1", netns, stdin=stdin,
                                  prefix=strace(trace, f"error={error}", call))
            assert was_injected(trace), call
            check_answer(done, call)
            settle(runtime, netns, other)
    check_clean(runtime)


@pytest.mark.parametrize("fault", ["killed", "refused"])
def test_plugin_alone(runtime, netns, trace, fault):
    """DEL while no agent is there does its work by itself, and what breaks off is done again."""
    count = 80  # interfaces: one for each system call
    for number in range(count):
        runtime.add("c1", netns, ifname=f"e{number}")
    with stopped(runtime.lab, runtime.node):
        runtime.plugin("DEL", "c1", netns, ifname="e0",
                       prefix=(STRACE, "-f", "-qqq", "-o", trace))
        calls = calls_of(trace)
        assert ("bpf", 1) in calls and ("unlink", 1) in calls and len(calls) < count
        for number, call in enumerate(calls, 1):
            what = "signal=KILL" if fault == "killed" else f"error={ERRORS[number % 7]}"
            done = runtime.plugin("DEL", "c1", netns, ifname=f"e{number}",
                                  prefix=strace(trace, what, call))
            if fault == "refused":
                check_answer(done, call)
        for number in range(count):
            runtime.delete("c1", netns, ifname=f"e{number}")
    # The lab's plugin is not in the node's namespace: where it could not enter the container's, it
    # reached no end of the link, which then goes when the agent is back.
    wait_for(lambda: ": e" not in inside(netns, "ip", "-o", "link").stdout, "the links are gone")
    check_clean(runtime)


# --- a namespace that goes ---

@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK"])
def test_namespace_vanishes(runtime, other, trace, verb):
    """Its name goes at any system call of the plugin; what is open keeps it alive until then."""
    name = f"t-faults-gone-{os.getpid()}"
    with namespace(name) as path:
        calls = calls_of_plugin(runtime, trace, verb, path)
    outcomes = set()
    for call in calls:
        with namespace(name) as path:
            stdin = prepare(runtime, verb, path)
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(runtime.plugin, verb, "c1", path, stdin=stdin,
                                      prefix=strace(trace, "delay_enter=50000", call))
                wait_for(lambda: calls_so_far(trace)[-1:] == [call], f"it is at {call}")
                run("ip", "netns", "del", name)
                done = running.result()
        check_answer(done, call)
        outcomes.add(json.loads(done.stdout)["code"] if done.returncode else 0)
        assert outcomes <= {0, 3, 4, 101} and (verb != "DEL" or outcomes == {0})
        runtime.delete("c1", path)
        runtime.add("c2", other)
        runtime.delete("c2", other)
    assert verb == "DEL" or {0, 3} <= outcomes
    check_clean(runtime)


def calls_so_far(trace):
    with contextlib.suppress(FileNotFoundError):
        return calls_of(trace)
    return []


# --- the agent ---

@contextlib.contextmanager
def traced_agent(runtime, command):
    """The agent under strace, which says when it is there."""
    pid = runtime.lab.agent_pid(runtime.node)
    command = [argument for argument in command if argument != "-qqq"]
    with subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        assert "attached" in line, line
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def calls_of_agent(runtime, trace, verb, netns):
    stdin = prepare(runtime, verb, netns)
    with traced_agent(runtime, (STRACE, "-f", "-o", trace)):
        runtime.plugin(verb, "c1", netns, stdin=stdin)
        runtime.delete("c1", netns)
        # What DEL leaves to a helper belongs to it.
        wait_for(lambda: "wait4" in open(trace, encoding="utf-8").read(), "the link is deleted")
    calls = calls_of(trace)
    assert len(calls) > 50
    return calls


def revive(runtime, arguments, trace, call):
    """The agent is ready again soon; only some failures may end it, and only by a decision."""
    lab, node = runtime.lab, runtime.node
    with open(trace, encoding="utf-8", errors="replace") as file:
        ends = re.findall(r"\+\+\+ (?:exited with|killed by) (\w+)", file.read())
    assert not {"SIGSEGV", "SIGBUS"} & set(ends), f"{call}: {ends}"
    if answers(runtime):
        wait_for(lambda: serves(lab, node), "the agent is ready again")
        return
    assert call[0] in MEMORY | LOOP, f"{call} ended the agent: {ends}"
    wait_for(lambda: not lab.agent_pid(node), "it has ended")
    start_agent(lab, node, arguments)


def answers(runtime):
    """Whether an agent is there at all."""
    return runtime.lab.on_node(runtime.node, "status", "-o", "json", check=False).stdout


@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC"])
def test_agent_refused(runtime, netns, other, trace, verb):
    arguments = agent_arguments(runtime.lab, runtime.node)
    calls = refusable(calls_of_agent(runtime, trace, verb, netns))
    for number, call in enumerate(calls if ALL else calls[::6]):
        for error in errors_of(number):
            stdin = prepare(runtime, verb, netns)
            with traced_agent(runtime, strace(trace, f"error={error}", call)):
                done = runtime.plugin(verb, "c1", netns, stdin=stdin)
                runtime.plugin("DEL", "c1", netns)
            check_answer(done, call)
            revive(runtime, arguments, trace, call)
            settle(runtime, netns, other)
    # Descriptors that could not be closed are in its hands yet.
    with stopped(runtime.lab, runtime.node):
        pass
    check_clean(runtime)


@pytest.mark.parametrize("verb", ["ADD", "DEL", "GC"])
def test_agent_killed(runtime, netns, other, trace, verb):
    """At each system call of its work for one request."""
    arguments = agent_arguments(runtime.lab, runtime.node)
    calls = calls_of_agent(runtime, trace, verb, netns)
    for call in calls if ALL else calls[::25]:
        stdin = prepare(runtime, verb, netns)
        with traced_agent(runtime, strace(trace, "signal=KILL", call)):
            check_answer(runtime.plugin(verb, "c1", netns, stdin=stdin), call)
        if not answers(runtime):
            wait_for(lambda: not runtime.lab.agent_pid(runtime.node), "it has ended")
            start_agent(runtime.lab, runtime.node, arguments)
        settle(runtime, netns, other)
    check_clean(runtime)


# --- the start ---

def on_node(runtime, *command):
    return PODWIRE, "lab", "exec", "--name", runtime.lab.name, runtime.node, "--", *command


def start_under(runtime, command):
    """Starts an agent, waits until it serves or has ended, and ends it."""
    with subprocess.Popen(on_node(runtime, *command), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: process.poll() is not None or serves(runtime.lab, runtime.node),
                 "the agent serves or ends", 20)
        pid = runtime.lab.agent_pid(runtime.node)
        if pid:
            os.kill(pid, signal.SIGTERM)
        process.wait()
    assert process.returncode not in (-signal.SIGSEGV, -signal.SIGBUS)


def test_start_refused(runtime, netns, other, trace):
    """Whatever fails while the agent starts, those who are attached stay so."""
    arguments = agent_arguments(runtime.lab, runtime.node)
    command = [PODWIRE, *arguments[1:]]
    result = runtime.add("c1", netns, stdin=PLAIN)
    with stopped(runtime.lab, runtime.node):
        start_under(runtime, (STRACE, "-f", "-qqq", "-o", trace, *command))
        calls = refusable(calls_of(trace, loaded=False))
        assert ("bpf", 99) in calls
        for number, call in enumerate(calls if ALL else calls[::150]):
            start_under(runtime, (*strace(trace, f"error={ERRORS[number % 7]}", call), *command))
            assert was_injected(trace), call
            assert os.path.exists(f"{runtime.lab.run_directory(runtime.node)}/attachments/c1:eth0")
            assert "eth0" in inside(netns, "ip", "-o", "link").stdout, call
    assert runtime.call("CHECK", "c1", netns, stdin=config("1.1.0", prevResult=result)) == (0, None)
    settle(runtime, netns, other)
    check_clean(runtime)


def test_init_refused(runtime, netns, other, trace):
    """What `podwire init` did not finish it does when it is called again, beside a running agent."""
    arguments = agent_arguments(runtime.lab, runtime.node)
    at = arguments.index("--settings")
    command = [PODWIRE, "init", "--settings", arguments[at + 1], "--run-dir",
               runtime.lab.run_directory(runtime.node)]
    run(*on_node(runtime, *command))
    run(*on_node(runtime, STRACE, "-f", "-qqq", "-o", trace, *command))
    calls = refusable(calls_of(trace, loaded=False))
    assert len(calls) > 50
    met = 0
    for number, call in enumerate(calls if ALL else calls[::4]):
        done = run(*on_node(runtime, *strace(trace, f"error={ERRORS[number % 7]}", call), *command),
                   check=False)
        # A device that has gone meanwhile has no files to be opened any more.
        met += was_injected(trace)
        assert done.returncode >= 0 and (done.returncode == 0 or done.stderr), call
        run(*on_node(runtime, *command))
    assert met >= number - 3
    settle(runtime, netns, other)
    check_clean(runtime)


def test_uninstall_refused(runtime, netns, other, trace):
    """What `podwire uninstall` did not finish it does when it is called again."""
    lab, node = runtime.lab, runtime.node
    directory = lab.run_directory(node)
    arguments = agent_arguments(lab, node)
    init = on_node(runtime, PODWIRE, "init", "--settings",
                   arguments[arguments.index("--settings") + 1], "--run-dir", directory)
    command = [PODWIRE, "uninstall", "--run-dir", directory]
    # With all that an agent makes it is traced once, and later without what takes a second to make.
    run(*on_node(runtime, STRACE, "-f", "-qqq", "-o", trace, *command))
    wait_for(lambda: not lab.agent_pid(node), "the agent has ended")
    run(*init)
    run(*on_node(runtime, STRACE, "-f", "-qqq", "-o", trace, *command))
    calls = refusable(calls_of(trace, loaded=False))
    assert ("umount2", 1) in calls
    hits = 0
    for number, call in enumerate(calls if ALL else calls[::12]):
        run(*init)
        done = run(*on_node(runtime, *strace(trace, f"error={ERRORS[number % 7]}", call), *command),
                   check=False)
        hits += was_injected(trace)
        assert done.returncode >= 0 and (done.returncode == 0 or done.stderr), call
        run(*on_node(runtime, *command))
        assert not set(os.listdir(directory)) & {"bpf", "attachments", "lock", "found"}, call
    assert hits > 10
    run(*init)
    start_agent(lab, node, arguments)
    settle(runtime, netns, other)
    check_clean(runtime)
