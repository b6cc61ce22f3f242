# SPDX-License-Identifier: Apache-2.0
"""Made-up trees that show that each rule catches what it is for, and lets pass what it should."""
import rules

VERDICT = 'X(1, DELIVER, FORWARD, "deliver", "delivered")\n'


def manifest(line):
    return {"deploy/agent.yaml": f"kind: ClusterRole\nrules:\n- apiGroups: ['']\n  {line}\n"}


def c_function(lines):
    return "int f(void)\n{\n" + "\tg();\n" * (lines - 3) + "}\n"


# (rule, tree, what the offence says; None: no offence)
CASES = [
    (rules.include_edges, {"src/cni/main.c": '#include "base/err.h"\n'}, "cni may not include"),
    (rules.include_edges, {"bpf/pod.bpf.c": '#include "src/net/addr.h"\n'}, "bpf may not include"),
    (rules.include_edges, {"src/base/err.c": '#include "net/addr.h"\n'}, "base may not include"),
    (rules.include_edges, {"src/model/pod.c": '#include "compile/rows.h"\n'}, "model may not"),
    (rules.include_edges, {"src/model/pod.c": '#include "net/addr.h"\n#include "pod.h"\n'}, None),
    (rules.file_length, {"src/net/addr.c": "x\n" * 601}, "601 lines"),
    (rules.file_length, {"src/net/addr.c": "x\n" * 600}, None),
    (rules.function_length, {"src/net/addr.c": c_function(101)}, "f() has 101 lines"),
    (rules.function_length, {"src/net/addr.c": c_function(100)}, None),
    (rules.function_length, {"test/x.py": "def f():\n" + "    g()\n" * 100}, "f() has 101 lines"),
    (rules.function_length_p90, {"a.c": c_function(46) * 2 + c_function(5) * 8}, "up to 46"),
    (rules.function_length_p90, {"a.c": c_function(46) + c_function(5) * 19}, None),
    (rules.banned_calls, {"src/lab/run.c": "\tsystem(command);\n"}, "run.c:1: system() is banned"),
    (rules.banned_calls, {"src/lab/run.c": "\tx = atoi (s);\n"}, "atoi() is banned"),
    (rules.banned_calls, {"src/lab/run.c": '/* no system() */ p("gets(x)"); file_system(x);\n'}, None),
    (rules.conditionals, {"bpf/route.h": "#ifdef ENABLE_IPV6\n"}, "#ifdef outside"),
    (rules.conditionals, {"src/lab/x.c": "#if 0\n"}, "#if outside"),
    (rules.conditionals, {"src/base/mem.h": "#ifdef __clang__\n"}, None),
    (rules.macro_count, {"a.h": "".join(f"#define M{n}(x) x\n" for n in range(41))}, "41 macros"),
    (rules.macro_count, {"a.h": "#define M(x) x\n" + "#define N 1\n" * 60}, None),
    (rules.spdx, {"src/net/addr.c": "#include <x.h>\n"}, "no SPDX"),
    (rules.spdx, {"run": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n"}, None),
    (rules.folder_readmes, {"src/net/addr.c": ""}, "src/net: no README.md"),
    (rules.folder_readmes, {"src/net/a.c": "", "src/net/README.md": "x\n" * 16}, "16 lines"),
    (rules.folder_readmes, {"src/net/a.c": "", "src/net/README.md": "x\n" * 15}, None),
    (rules.verdicts_documented, {"abi/verdict.h": VERDICT}, "`deliver`"),
    (rules.verdicts_documented,
     {"abi/verdict.h": VERDICT, "doc/troubleshooting.md": "| `deliver` | to a pod |"}, None),
    (rules.nothing_foreign, {"doc/lab.md": "cd " + rules.FOREIGN[0] + "main\n"}, "lab.md:1"),
    (rules.nothing_foreign, {"run": "https://" + rules.FOREIGN[2] + "/x\n"}, "run:1"),
    (rules.nothing_foreign, {"doc/lab.md": "the net" + rules.FOREIGN[0][1:] + "net\n"}, None),
    (rules.headers_compile_alone, {"src/net/x.h": "struct y f(void);\nstruct z z;\n"}, "compile alone"),
    (rules.headers_compile_alone, {"bpf/x.h": "static __u8 x;\n"}, "bpf/x.h: does not compile"),
    (rules.headers_compile_alone, {"src/net/x.h": "#pragma once\nint f(void);\n"}, None),
    (rules.manifests, manifest("verbs: [get, patch]"), "agent.yaml:4: [get, patch]: a node's agent reads"),
    (rules.manifests, manifest("verbs: ['*']"), "a wildcard"),
    (rules.manifests, manifest("verbs:"), "in one line"),
    (rules.manifests, manifest("resources: [pods, secrets]"), "secrets are none"),
    (rules.manifests, manifest("resources: [pods/status] # why\n  verbs: [get, list, watch]"), None),
    (rules.manifests, manifest("hostPath: {path: /run/podwire}"), "and the reason"),
    (rules.manifests, manifest("hostPath: {path: /run/podwire} # the plugin's socket"), None),
]


def failures():
    """Of the cases above, those whose rule says something else; with the number of cases."""
    wrong = []
    for rule, tree, expected in CASES:
        found = rule(tree)
        if (expected is None and found) or \
                (expected is not None and not any(expected in offence for offence in found)):
            wrong.append(f"{rule.__name__}: expected {expected!r}, found {found!r}")
    untried = {rule.__name__ for rule in rules.RULES} - {case[0].__name__ for case in CASES}
    return wrong + [f"{name}: no made-up offence" for name in sorted(untried)], len(CASES)
