# SPDX-License-Identifier: Apache-2.0
"""Every command of the documents works as it stands.

A ```console block is a session: lines with "$ " are commands, the rest shows what they print (and
may be shortened). The blocks of one document run in order, in the source's root, with build/ in
PATH. A block after the comment <!-- not run: REASON --> is only shown, and needs its reason.
"""
import os
import re
import subprocess

import pytest
from labs import LABS, PODWIRE, ROOT, run

DOCUMENTS = [name for name in ["README.md", "HACKING.md", "ARCHITECTURE.md", "SECURITY.md"]
             + sorted(f"doc/{name}" for name in os.listdir(os.path.join(ROOT, "doc")))
             if name.endswith(".md") and os.path.exists(os.path.join(ROOT, name))]


def blocks(name):
    """[(reason not to run or None, [command, ...])]"""
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        text = file.read()
    found = []
    for reason, body in re.findall(r"(?:<!-- not run: ([^>]+) -->\n)?```console\n(.*?)```", text, re.S):
        body = body.replace("\\\n", " ")
        found.append((reason or None, re.findall(r"^[$#] (.*)$", body, re.M)))
    return found


def runnable(name):
    return [command for reason, commands in blocks(name) if reason is None for command in commands]


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if runnable(name)])
def test_commands(name):
    environment = {**os.environ, "PATH": os.path.join(ROOT, "build") + ":" + os.environ["PATH"],
                   "NO_COLOR": "1"}
    try:
        for command in runnable(name):
            command = re.sub(r"\bsudo ", "", command)
            done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True,
                                  timeout=300, env=environment, check=False)
            assert done.returncode == 0, f"{name}: {command}\n{done.stdout}{done.stderr}"
    finally:
        used = {"default"} if any(" lab " in c and "--name" not in c for c in runnable(name)) else set()
        for lab in used & set(os.listdir(LABS) if os.path.isdir(LABS) else []):
            subprocess.run(["build/podwire", "lab", "down", "--name", lab], cwd=ROOT,
                           capture_output=True, check=False)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links(name):
    """Files that a document links to are there."""
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        links = re.findall(r"\]\(([^)#:]+)[)#]", file.read())
    folder = os.path.dirname(os.path.join(ROOT, name))
    assert [link for link in links if not os.path.exists(os.path.join(folder, link))] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_shell_blocks(name):
    """Commands stand in console blocks only, so that none escapes this test."""
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        assert not re.findall(r"^```(?:sh|bash|shell)$", file.read(), re.M)


def test_settings():
    """doc/settings.md names each setting of the program, with its default, and no other."""
    with open(os.path.join(ROOT, "doc", "settings.md"), encoding="utf-8") as file:
        documented = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", file.read(), re.M))
    shown = run(PODWIRE, "agent", "--help").stdout.split("Settings:")[1].splitlines()[1:]
    known = dict(re.match(r"  (\w+) +(.*?)  ", line).groups() for line in shown if line.strip())
    assert {key: text.strip("`") for key, text in documented.items()} == known
