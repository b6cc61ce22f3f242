# SPDX-License-Identifier: Apache-2.0
"""Which lines of user space have run, by gcov's counters in a build folder.

usage: coverage.py BUILD          a table by folder, and the files of which least has run
       coverage.py BUILD FILE...  the lines of these files that have not run

What is killed leaves no counts, so that all is at least as good as it says.
"""
import collections
import glob
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("src/", "bpf/")
WORST = 10


def counts(build):
    """{path: {line: how often it has run}}, over all objects that a source is compiled to."""
    notes = glob.glob(f"{os.path.abspath(build)}/**/*.gcno", recursive=True)
    done = subprocess.run(["gcov", "--json-format", "--stdout", *notes], cwd=build, check=True,
                          capture_output=True, text=True)
    files = collections.defaultdict(collections.Counter)
    for document in map(json.loads, filter(str.strip, done.stdout.splitlines())):
        for file in document["files"]:
            path = os.path.relpath(os.path.join(build, file["file"]), ROOT)
            if path.startswith(FOLDERS):
                for line in file["lines"]:
                    files[path][line["line_number"]] += line["count"]
    return files


def ranges(numbers):
    """"3-5 9" of 3, 4, 5, 9"""
    found = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return " ".join(f"{a}-{b}" if a != b else str(a) for a, b in found)


def row(name, lines):
    ran = sum(count > 0 for count in lines)
    return f"{name:28}{len(lines):8}{ran:8}{100 * ran / len(lines):8.1f} %"


def show(files):
    folders = collections.defaultdict(list)
    for path, lines in files.items():
        folders[os.path.dirname(path)] += lines.values()
    print(f"{'FOLDER':28}{'LINES':>8}{'RAN':>8}{'SHARE':>10}")
    for folder in sorted(folders):
        print(row(folder, folders[folder]))
    print(row("all", [count for lines in folders.values() for count in lines]))

    def share(path):
        return sum(count > 0 for count in files[path].values()) / len(files[path])

    print(f"\n{'LEAST':28}{'LINES':>8}{'RAN':>8}{'SHARE':>10}")
    for path in sorted(files, key=share)[:WORST]:
        print(row(path, list(files[path].values())))


def main(build, *paths):
    files = counts(build)
    for path in paths:
        print(f"{path}: {ranges(line for line, count in files[path].items() if not count) or 'all ran'}")
    if not paths:
        show(files)


if __name__ == "__main__":
    main(*sys.argv[1:])
