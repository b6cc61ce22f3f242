# SPDX-License-Identifier: Apache-2.0
"""The source tree as the rules see it: a mapping of paths to texts, so that a made-up tree is a
literal."""
import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tracked_files():
    """Paths that belong to the tree; without a usable git (an archive), all but what is built."""
    listing = shutil.which("git") and subprocess.run(
        ["git", "-C", ROOT, "-c", f"safe.directory={ROOT}", "ls-files", "-z",
         "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=False)
    if listing and listing.returncode == 0:
        return [path for path in listing.stdout.split("\0") if path]
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith((".git", "build", "__pycache__"))]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files]
    return found


def real_tree():
    tree = {}
    for path in sorted(tracked_files()):
        full = os.path.join(ROOT, path)
        if os.path.isfile(full):  # a file that is deleted but not yet committed is none
            with open(full, encoding="utf-8", errors="replace") as text:
                tree[path] = text.read()
    return tree


def is_c(path):
    return path.endswith((".c", ".h"))


def strip_c(text):
    """C text without comments and the contents of strings; lines keep their numbers."""
    def blank(match):
        kept = "\n" * match.group().count("\n")
        return '""' + kept if match.group().startswith('"') else " " + kept
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
                  blank, text, flags=re.S)


def c_functions(text):
    """(name, line, length) of each function. The house's form makes this exact: a body opens and
    closes in the first column, and nothing else puts an opening brace there alone."""
    lines = strip_c(text).split("\n")
    found = []
    for number, line in enumerate(lines):
        if line.rstrip() != "{":
            continue
        start = number
        while start > 0 and lines[start - 1].strip() and not lines[start - 1].startswith(("}", "#")) \
                and not lines[start - 1].rstrip().endswith(";"):
            start -= 1
        end = next((n for n in range(number, len(lines)) if lines[n].startswith("}")), len(lines) - 1)
        name = re.search(r"(\w+)\s*\(", " ".join(lines[start:number]))
        found.append((name.group(1) if name else "?", start + 1, end - start + 1))
    return found
