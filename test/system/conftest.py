# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a lab is up for the tests that share it, always goes down, and leaves nothing."""
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import labs  # noqa: E402
import releases  # noqa: E402

PROFILES = ["clean", "hostile"]
MANIFESTS = os.path.join(labs.HERE, "manifests")


def pytest_addoption(parser):
    parser.addoption("--keep", action="store_true", help="leave the labs up, to look at them")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: runs with ./run test --all only")
    config.addinivalue_line("markers", "one_profile(reason): does not run for each kind of nodes")
    config.addinivalue_line("markers", "alone: nobody else's tests run beside it, for it takes time")


def pytest_generate_tests(metafunc):
    """Each test with a lab runs on clean nodes and on hostile ones, but for those that say why not."""
    if "profile" in metafunc.fixturenames:
        alone = metafunc.definition.get_closest_marker("one_profile")
        metafunc.parametrize("profile", PROFILES[:1] if alone else PROFILES, indirect=True,
                             scope="module")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("PODWIRE_TEST_ALL"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: ./run test --all runs it"))


def error_lines(lab):
    """What the agents complained about; a test that provokes errors takes them out itself."""
    found = []
    folder = os.path.join(lab.directory, "nodes")
    for node in os.listdir(folder) if os.path.isdir(folder) else []:
        if os.path.exists(os.path.join(lab.run_directory(node), "agent.log")):
            found += [f"{node}: {line}" for line in lab.agent_log(node).split("\n")
                      if re.match(r"(<\d>)?error: ", line)]
    return found


@pytest.fixture(scope="module")
def profile(request):
    return request.param


@pytest.fixture(scope="module")
def make_lab(request, profile):
    """make_lab(*flags, manifests=..., name=...): a lab that is up, of the profile that it is the
    turn of. `expected` holds patterns of error lines that the module provokes."""
    module = request.module.__name__.replace("test_", "").replace("_", "-")
    before = labs.links()
    made = []

    def make(*flags, manifests=("cluster.yaml",), name="", up=True):
        lab = labs.Lab(f"t-{module}{name}-{os.getpid()}")
        lab.expected = []
        made.append(lab)
        if up:
            files = [f for m in manifests for f in ("-f", os.path.join(MANIFESTS, m))]
            lab.up(*([] if "--profile" in flags else ["--profile", profile]), *flags, *files)
        return lab

    yield make
    if request.config.getoption("--keep"):
        return
    complaints, objects = [], []
    for lab in made:
        if os.path.exists(lab.directory):
            objects.append(lab.kernel_objects())
        complaints += [line for line in error_lines(lab)
                       if not any(re.search(pattern, line) for pattern in lab.expected)]
        if os.environ.get("PODWIRE_BUILD") and os.path.exists(lab.directory):
            lab.end_processes()
        lab.down(check=False)
    left = [thing for lab in made for thing in labs.left_behind(lab.name)]
    assert not complaints, "the agents logged errors"
    assert not left, "something is left behind"
    for namespaces, programs in objects:
        assert namespaces and programs
        labs.wait_for(lambda: not labs.still_in_kernel(namespaces, programs),
                      "the kernel forgets the lab's namespaces and programs", 30)
    assert labs.links() == before, "links of the machine changed"


@pytest.fixture(scope="session")
def release():
    """The podwire of each release by name; "this" is the tree's own."""
    return {"this": labs.PODWIRE, **{name: releases.release(name) for name in ("next", "later")}}


class Counter:
    """Says at the end, as every level does, how much passed."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.passed += 1
        if report.failed:
            self.failed += 1

    def pytest_unconfigure(self):
        if self.failed and os.environ.get("PODWIRE_FIRST_TRY"):
            print(f"\n{self.failed} failed at the first try")
            self.failed = 0  # the second one counts
        print(f"\n{self.passed} passed, {self.failed} failed")


def pytest_cmdline_main(config):
    if not hasattr(config, "workerinput"):  # one of several that run at once, who report to one
        config.pluginmanager.register(Counter())
