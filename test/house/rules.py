# SPDX-License-Identifier: Apache-2.0
"""The rules of the house. A rule takes a tree (path -> text) and returns its offences, each one a
sentence that names the place and what would be right."""
import ast
import os
import re
import shutil
import subprocess
import tempfile

from tree import c_functions, is_c, strip_c

FILE_LINES = 600
FUNCTION_LINES = 100
FUNCTION_LINES_P90 = 45
MACROS_WITH_ARGUMENTS = 40
README_LINES = 15

# What each folder may include. The agent and the lab may use all.
EVERYTHING = "abi base net model ipam compile linux kube agent lab cli".split()
MAY_INCLUDE = {
    "abi": [],
    "bpf": ["abi"],
    "cni": ["abi"],
    "base": ["abi"],
    "net": ["abi", "base"],
    "ipam": ["abi", "base", "net"],
    "model": ["abi", "base", "net"],
    "compile": ["abi", "base", "net", "model", "ipam"],
    "linux": ["abi", "base", "net", "compile"],
    "kube": ["abi", "base", "net", "model"],
    "cli": ["abi", "base", "net"],
    "agent": EVERYTHING,
    "lab": EVERYTHING,
}
# Single headers beyond that, each with its reason.
MAY_ALSO_INCLUDE = {
    "cli": ["lab/command.h"],  # the verb `podwire lab` is all of src/lab
}

BANNED = "system popen sprintf vsprintf strcpy strcat strtok atoi atol gets alloca".split()

# What only this or that machine has, and what would tie the tree to one package registry.
# Each is written in two halves, so that this file does not offend.
FOREIGN = ["/wo" + "rk/", "/tmp/p" + "lan", "proxy.go" + "lang.org", "sum.go" + "lang.org",
           "registry." + "npmjs", "py" + "pi.org", "deb." + "debian.org", "crates" + ".io"]


def folder_of(path):
    """The layer that a path belongs to: src/net/addr.c and abi/addr.h are of "net" and "abi"."""
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else parts[0]


def include_edges(tree):
    offences = []
    for path, text in tree.items():
        layer = folder_of(path)
        if not is_c(path) or layer not in MAY_INCLUDE:
            continue
        for number, line in enumerate(text.split("\n"), 1):
            match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if not match or "/" not in match.group(1):
                continue
            other = folder_of(match.group(1))
            if other == layer or other in MAY_INCLUDE[layer] or \
                    match.group(1) in MAY_ALSO_INCLUDE.get(layer, []):
                continue
            offences.append(f"{path}:{number}: {layer} may not include {match.group(1)}; "
                            f"it may use {' '.join(MAY_INCLUDE[layer]) or 'nothing'}")
    return offences


def file_length(tree):
    return [f"{path}: {text.count(chr(10))} lines, at most {FILE_LINES}: split it by noun"
            for path, text in tree.items()
            if (is_c(path) or path.endswith(".py") or path == "run")
            and text.count("\n") > FILE_LINES]


def python_functions(text):
    return [(node.name, node.lineno, node.end_lineno - node.lineno + 1)
            for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]


def functions(path, text):
    if is_c(path):
        return c_functions(text)
    return python_functions(text) if path.endswith(".py") else []


def function_length(tree):
    return [f"{path}:{line}: {name}() has {length} lines, at most {FUNCTION_LINES}"
            for path, text in tree.items() for name, line, length in functions(path, text)
            if length > FUNCTION_LINES]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0


def function_length_p90(tree):
    lengths = [length for path, text in tree.items() if is_c(path)
               for _, _, length in c_functions(text)]
    p90 = percentile(lengths, 0.9)
    if p90 > FUNCTION_LINES_P90:
        return [f"nine of ten C functions have up to {p90} lines, at most {FUNCTION_LINES_P90}"]
    return []


def banned_calls(tree):
    call = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
    return [f"{path}:{number}: {match.group(1)}() is banned"
            for path, text in tree.items() if is_c(path)
            for number, line in enumerate(strip_c(text).split("\n"), 1)
            for match in call.finditer(line)]


def conditionals(tree):
    return [f"{path}:{number}: #{match.group(1)} outside base and abi: "
            "a setting is a load-time constant, a kernel's ability is probed when running"
            for path, text in tree.items() if is_c(path) and folder_of(path) not in ("base", "abi")
            for number, line in enumerate(strip_c(text).split("\n"), 1)
            for match in [re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b", line)] if match]


def macro_count(tree):
    macros = [f"{path}: {name}" for path, text in tree.items() if is_c(path)
              for name in re.findall(r"^\s*#\s*define\s+(\w+)\(", strip_c(text), re.M)]
    if len(macros) > MACROS_WITH_ARGUMENTS:
        return [f"{len(macros)} macros with arguments, at most {MACROS_WITH_ARGUMENTS}: "
                + ", ".join(macros)]
    return []


def spdx(tree):
    return [f"{path}: no SPDX line among the first two" for path, text in tree.items()
            if (is_c(path) or path.endswith((".py", ".sh")) or path in ("run", ".ci/run"))
            and "SPDX-License-Identifier: " not in "\n".join(text.split("\n")[:2])]


def folder_readmes(tree):
    """A folder with sources says in at most 15 lines what it is for."""
    folders = {os.path.dirname(path) for path in tree
               if (is_c(path) or path.endswith(".py")) and os.path.dirname(path)}
    offences = []
    for folder in sorted(folders):
        text = tree.get(f"{folder}/README.md")
        if text is None:
            offences.append(f"{folder}: no README.md with its job, what it may use, its files")
        elif text.count("\n") > README_LINES:
            offences.append(f"{folder}/README.md: {text.count(chr(10))} lines, at most {README_LINES}")
    return offences


def verdicts_documented(tree):
    names = re.findall(r'X\(\d+,\s*\w+,\s*\w+,\s*"([^"]+)"', tree.get("abi/verdict.h", ""))
    guide = tree.get("doc/troubleshooting.md", "")
    return [f"doc/troubleshooting.md: says nothing about the verdict `{name}`"
            for name in names if f"`{name}`" not in guide]


def nothing_foreign(tree):
    return [f"{path}:{number}: \"{word}\" belongs to one machine, not to the tree"
            for path, text in tree.items()
            for number, line in enumerate(text.split("\n"), 1)
            for word in FOREIGN
            if re.search(r"(?<![\w.])" + re.escape(word), line)]


def role_offences(path, number, line):
    """Of one line of a role, whose lists stand in one line: no role does more than read."""
    match = re.match(r"\s*(?:- )?(verbs|resources|apiGroups):(.*)", line)
    if not match:
        return
    words = set(re.findall(r"[\w.*/-]+", match[2]))
    if not re.fullmatch(r" \[.*\](?: #.*)?", match[2]):
        yield f"{path}:{number}: write the list in one line, as [a, b], for this rule to read it"
    if "*" in words:
        yield f"{path}:{number}: a wildcard gives more than anybody has read"
    if any(word.split("/")[0] == "secrets" for word in words):
        yield f"{path}:{number}: secrets are none of the network's business"
    if match[1] == "verbs" and words - {"get", "list", "watch"}:
        yield f"{path}:{number}: {match[2].strip()}: a node's agent reads, and does nothing else"


def manifests(tree):
    """What we ask a cluster for (hazards J6 and J7): to be read, and paths of the host with a
    reason each, as a comment on the line."""
    offences = []
    for path, text in tree.items():
        if not path.startswith("deploy/"):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            offences += role_offences(path, number, line)
            if re.match(r"\s*(?:- )?hostPath:", line) and \
                    not re.search(r"hostPath: \{.*\} # \w", line):
                offences.append(f"{path}:{number}: write hostPath: {{path: ...}} # and the reason")
    return offences


def find_clang():
    names = ["clang"] + [f"clang-{number}" for number in range(22, 13, -1)]
    return next(filter(None, map(shutil.which, names)), None)


def header_command(path, root):
    includes = [f"-I{root}", f"-iquote{root}/src"]
    if path.startswith("bpf/"):
        machine = os.uname().machine
        return [find_clang() or "clang", "-target", "bpf", "-O2", "-std=gnu11", "-fsyntax-only",
                "-Wno-unused-function", f"-I/usr/include/{machine}-linux-gnu", *includes]
    return ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", *includes]


def headers_compile_alone(tree):
    """The tree is written out, because a made-up one is nowhere else."""
    offences = []
    with tempfile.TemporaryDirectory() as root:
        for path, text in tree.items():
            if is_c(path):
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w") as file:
                    file.write(text)
        for path in filter(lambda p: p.endswith(".h"), tree):
            source = os.path.join(root, "alone.c")
            with open(source, "w") as file:
                file.write(f'#include "{path}"\n')
            run = subprocess.run([*header_command(path, root), source],
                                 capture_output=True, text=True, check=False)
            if run.returncode:
                error = next((line for line in run.stderr.split("\n") if "error:" in line), run.stderr)
                offences.append(f"{path}: does not compile alone: {error.replace(root + '/', '')}")
    return offences


RULES = [include_edges, file_length, function_length, function_length_p90, banned_calls,
         conditionals, macro_count, spdx, folder_readmes, verdicts_documented, nothing_foreign,
         headers_compile_alone, manifests]
