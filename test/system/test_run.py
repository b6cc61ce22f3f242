# SPDX-License-Identifier: Apache-2.0
"""./run itself: what it offers, what it refuses, and that it installs what it built."""
import os

import pytest
from labs import ROOT, left_behind, run

RUN = os.path.join(ROOT, "run")


def test_help():
    text = run(RUN, "help").stdout
    for verb in "demo test bench build install uninstall down clean".split():
        assert f"\n  {verb}" in text


@pytest.mark.parametrize("release", ["4.19.0-1-amd64", "6.1.0-18-amd64", "6.5.13", "5.15.0-generic"])
@pytest.mark.parametrize("verb", ["demo", "test"])
def test_old_kernel(verb, release):
    """Refused with a sentence, before anything is installed or built."""
    done = run(RUN, verb, check=False, env={**os.environ, "PODWIRE_KERNEL_RELEASE": release})
    assert done.returncode != 0
    assert "6.6" in done.stderr and release in done.stderr


@pytest.mark.parametrize("arguments", [["fly"], ["test", "no-such-level"]])
def test_wrong_use(arguments):
    done = run(RUN, *arguments, check=False)
    assert done.returncode != 0 and arguments[-1] in done.stderr


def test_needs_root():
    done = run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", RUN, "demo",
               check=False)
    assert done.returncode != 0 and "sudo ./run demo" in done.stderr


def test_demo():
    """Works, and works again on top of itself; what it proposes can be copied; all goes away."""
    try:
        for time in "first", "second":
            text = run(RUN, "demo", timeout=300).stdout
            assert ("taking it down first" in text) == (time == "second")
            assert "demo/web-" in text and "46" in text
        proposed = [line.split("sudo ")[1] for line in text.splitlines() if "    sudo build" in line]
        assert len(proposed) >= 3
        for command in proposed:
            run("sh", "-c", command, cwd=ROOT)
    finally:
        run(RUN, "down")
    assert not left_behind("demo")


def test_install_and_uninstall(tmp_path):
    """By DESTDIR, so that the machine is left alone."""
    environment = {**os.environ, "DESTDIR": str(tmp_path)}
    run(RUN, "install", env=environment, timeout=300)
    for path in "usr/local/sbin/podwire", "opt/cni/bin/podwire-cni":
        assert os.access(tmp_path / path, os.X_OK)
    run(RUN, "uninstall", env=environment)
    assert not [name for _, _, files in os.walk(tmp_path) for name in files]
