# SPDX-License-Identifier: Apache-2.0
"""The house test: the rules on made-up offences, then on this tree; then the tree in figures."""
import re
import sys

import offences
import rules
import tree as trees


def figures(tree):
    """The table by which the house compares itself with the models that it learnt from."""
    print(f"{'folder':<14}{'files':>6}{'lines':>7}  file p50/max  function p50/p90/max  comments")
    folders = {}
    for path, text in tree.items():
        if trees.is_c(path):
            folders.setdefault(path.rsplit("/", 1)[0], []).append(text)
    for folder, texts in sorted(folders.items()):
        files = [text.count("\n") for text in texts]
        lengths = [f[2] for text in texts for f in trees.c_functions(text)]
        comments = sum(len(c) for text in texts for c in re.findall(r"/\*.*?\*/", text, re.S))
        size = sum(map(len, texts)) or 1
        sizes = f"{rules.percentile(files, .5)}/{max(files)}"
        spread = f"{rules.percentile(lengths, .5)}/{rules.percentile(lengths, .9)}/{max(lengths, default=0)}"
        print(f"{folder:<14}{len(files):>6}{sum(files):>7}  {sizes:<14}{spread:<22}"
              f"{100 * comments // size:>3} %")


def main():
    wrong, cases = offences.failures()
    for line in wrong:
        print(f"FAILED self-test: {line}")
    tree = trees.real_tree()
    failed = len(wrong)
    passed = cases - failed
    for rule in rules.RULES:
        found = rule(tree)
        print(f"{'FAILED' if found else 'ok':<7}{rule.__name__}")
        for offence in found:
            print(f"       {offence}")
        passed, failed = passed + (not found), failed + bool(found)
    figures(tree)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
