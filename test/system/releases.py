# SPDX-License-Identifier: Apache-2.0
"""Releases to come, built from this tree with another abi/: what an upgrade must cope with.

  next   another layout of the tables: a pod's row begins with a new member, a flow's row ends with
         one, a verdict and a hook are new; a record of an attachment is longer; takes one more
         version of the wire format, and sends the old one
  later  as next, and sends the new version

The product has no switch for this. A folder of links to the tree has a changed copy of abi/.
"""
import os
import re
import shutil

from labs import ROOT, run

CHANGES = {
    "flow.h": [(r"(struct flow_row \{.*?)(\};\n_Static_assert\(sizeof\(struct flow_row\) == )(\d+)",
                lambda m: f"{m[1]}\t__u64 next;\n{m[2]}{int(m[3]) + 8}")],
    "pod.h": [(r"(struct pod_row \{\n)(.*?sizeof\(struct pod_row\) == )(\d+)",
               lambda m: f"{m[1]}\t__u64 next;\n{m[2]}{int(m[3]) + 8}")],
    "attachment.h": [(r"(\t__u64 netns_cookie;.*?\n)(.*?== ATTACHMENT_SIZE_FIRST)",
                      lambda m: f"{m[1]}\tchar next[64];\n{m[2]} + 64")],
    "wire.h": [(r"(#define WIRE_VERSION_LAST )(\d+)", lambda m: f"{m[1]}{int(m[2]) + 1}")],
}
LATER = {"wire.h": [(r"(#define WIRE_VERSION )(\d+)", lambda m: f"{m[1]}{int(m[2]) + 1}")]}


def change(folder, changes):
    """Each of them must find its place, and only one."""
    for name, edits in changes.items():
        path = os.path.join(folder, "abi", name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for pattern, edit in edits:
            text, count = re.subn(pattern, edit, text, flags=re.S)
            assert count == 1, f"abi/{name}: {pattern} is there {count} times"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def release(name):
    """The path of this release's podwire; its plugin and packet tests lie where they always do."""
    folder = os.path.join(ROOT, "build", "release-" + name)
    source = os.path.join(folder, "source")
    shutil.rmtree(source, ignore_errors=True)
    os.makedirs(source)
    for entry in os.listdir(ROOT):
        if entry != "abi" and not entry.startswith((".git", "build")):
            os.symlink(os.path.join(ROOT, entry), os.path.join(source, entry))
    shutil.copytree(os.path.join(ROOT, "abi"), os.path.join(source, "abi"))
    change(source, CHANGES)
    if name == "later":
        change(source, LATER)
    build = os.path.join(folder, "build")
    if not os.path.exists(os.path.join(build, "build.ninja")):
        run("meson", "setup", build, source, timeout=300)
    run("ninja", "-C", build, "podwire", "podwire-cni", "test/packet/packet", timeout=600)
    return os.path.join(build, "podwire")
