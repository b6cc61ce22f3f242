# SPDX-License-Identifier: Apache-2.0
"""Releases to come, built from this tree with another abi/: what an upgrade must cope with.

  next   another layout of the tables: a pod's row begins with a new member, a flow's row ends with
         one; the record of an attachment is longer; takes one more version of the wire format,
         and sends the old one
  later  one more layout, with the same form of flows, and the new version is sent

The product has no switch for this: a folder of links to the tree has a changed copy of abi/.
"""
import os
import re

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
LATER = {
    "pod.h": [(r"(\t__u64 next;\n)(.*?sizeof\(struct pod_row\) == )(\d+)",
               lambda m: f"\t__u64 later;\n{m[1]}{m[2]}{int(m[3]) + 8}")],
    "wire.h": [(r"(#define WIRE_VERSION )(\d+)", lambda m: f"{m[1]}{int(m[2]) + 1}")],
}


def abi(name):
    """{file: text} of abi/ in this release. Each change must find its place, and only one."""
    folder, files = os.path.join(ROOT, "abi"), {}
    for file in os.listdir(folder):
        with open(os.path.join(folder, file), encoding="utf-8") as source:
            files[file] = source.read()
    for changes in (CHANGES, LATER) if name == "later" else (CHANGES,):
        for file, edits in changes.items():
            for pattern, edit in edits:
                files[file], count = re.subn(pattern, edit, files[file], flags=re.S)
                assert count == 1, f"abi/{file}: {pattern} is there {count} times"
    return files


def write_source(folder, name):
    """What is as it was stays untouched, so that only what has changed is built again."""
    os.makedirs(os.path.join(folder, "abi"), exist_ok=True)
    for entry in os.listdir(ROOT):
        link = os.path.join(folder, entry)
        if entry != "abi" and not entry.startswith((".git", "build")) and not os.path.lexists(link):
            os.symlink(os.path.join(ROOT, entry), link)
    for file, text in abi(name).items():
        path = os.path.join(folder, "abi", file)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as old:
                if old.read() == text:
                    continue
        with open(path, "w", encoding="utf-8") as new:
            new.write(text)


def release(name):
    """The path of this release's podwire; its plugin and packet tests lie where they always do."""
    folder = os.path.join(ROOT, "build", "release-" + name)
    source, build = os.path.join(folder, "source"), os.path.join(folder, "build")
    write_source(source, name)
    if not os.path.exists(os.path.join(build, "build.ninja")):
        run("meson", "setup", build, source, timeout=300)
    run("ninja", "-C", build, "podwire", "podwire-cni", "test/packet/packet", timeout=600)
    return os.path.join(build, "podwire")
