# SPDX-License-Identifier: Apache-2.0
"""Count the tests in a meson test log and print "N passed, N failed" as the last line.

Meson counts programs; a program of cmocka holds many tests and says at its end how many passed,
unittest likewise, others end with the same line as this one. One that says nothing (it crashed) counts as one.
"""
import json
import re
import sys


def count(record):
    output = record.get("stdout", "") + record.get("stderr", "")
    passed = sum(map(int, re.findall(r"^\[  PASSED  \] (\d+) test", output, re.M)))
    failed = sum(map(int, re.findall(r"^\[  FAILED  \] (\d+) test", output, re.M)))
    for own in re.findall(r"^(\d+) passed, (\d+) failed$", output, re.M):
        passed, failed = passed + int(own[0]), failed + int(own[1])
    for ran in re.findall(r"^Ran (\d+) tests? in", output, re.M):  # unittest
        wrong = sum(map(int, re.findall(r"(?:failures|errors)=(\d+)", output)))
        passed, failed = passed + int(ran) - wrong, failed + wrong
    if record["result"] in ("OK", "EXPECTEDFAIL"):
        return passed or 1, 0
    return passed, failed or 1


def main(log):
    with open(log) as lines:
        counts = [count(json.loads(line)) for line in lines if line.strip()]
    print(f"{sum(c[0] for c in counts)} passed, {sum(c[1] for c in counts)} failed")


if __name__ == "__main__":
    main(sys.argv[1])
