# SPDX-License-Identifier: Apache-2.0
"""Paired measurements: podwire and its peer in turn, shown as ratios with their spread.

usage: bench.py [--json FILE] [--rounds N] [--seconds S] [--path PATH] [NAME...] [--services N...]
"""
import argparse
import contextlib
import json
import os
import platform
import subprocess
import time

import kube_proxy
import node
import peers
from peers import PODWIRE, PORT, ROOT, ROUND_TRIP, TAG, run, spread

IPERF_PORT = 5201
SERVICES = os.path.join(ROOT, "build", "bench", "services")
PROGRAMS = os.path.join(ROOT, "build", "bench", "programs")
FAMILIES = (4, 6)


# --- what runs between two ends ---

def on_processor(number, *command):
    """Where a process runs decides more about small messages than the path that they take."""
    return ["taskset", "-c", str(number % os.cpu_count()), *command]


@contextlib.contextmanager
def server(pair, processor, *arguments, ready):
    """A server on the pair's far end, from its first line on."""
    process = subprocess.Popen(pair.command("server", *on_processor(processor, *arguments)), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    try:
        said = ""
        while ready not in said:
            line = process.stdout.readline()
            assert line, f"{arguments[0]} ended: {said}"
            said += line
        yield
    finally:
        process.kill()
        process.wait()


def measure_stream(pair, family, seconds):
    """Gb/s of one TCP stream."""
    with server(pair, 1, "iperf3", "-s", "-1", "--forceflush", "-p", str(IPERF_PORT),
                ready="listening"):
        run(*pair.command("client", "ping", "-c", "1", pair.address(family)))
        client = on_processor(0, "iperf3", "-J", "-p", str(IPERF_PORT), "-t", str(seconds),
                              "-c", pair.address(family))
        result = json.loads(run(*pair.command("client", *client)))
    return result["end"]["sum_received"]["bits_per_second"] / 1e9


def measure_small(verb):
    def measure(pair, family, seconds):
        """Per second. Both ends share a processor: what is measured is the work, not the waking."""
        with server(pair, 0, ROUND_TRIP, "serve", str(PORT), ready="ready"):
            client = on_processor(0, ROUND_TRIP, verb, pair.address(family), str(pair.port), str(seconds))
            return float(run(*pair.command("client", *client)))
    return measure


MEASURES = {"stream": (measure_stream, "Gb/s"), "round-trip": (measure_small("rr"), "1/s"),
            "connect": (measure_small("connect"), "1/s")}


def compare(name, ours, theirs, options, families=FAMILIES):
    """Rounds in turn; the order changes with each, so that neither always goes first."""
    measure, unit = MEASURES[name]
    for family in families:
        figures = {ours: [], theirs: []}
        for number in range(options.rounds):
            for pair in (ours, theirs) if number % 2 else (theirs, ours):
                figures[pair].append(measure(pair, family, options.seconds))
        ratios = [a / b for a, b in zip(figures[ours], figures[theirs])]
        yield {"name": f"{name}, {ours.name}, IPv{family}", "unit": unit, "peer": theirs.name,
               "podwire": spread(figures[ours]), "theirs": spread(figures[theirs]),
               "ratio": spread(ratios)}


def paths(names, options):
    """Each measure on each path against each of its peers."""
    table = [("same node", 1, "vxlan", [peers.veth_pair, peers.bridge_pair]),
             ("VXLAN", 2, "vxlan", [peers.vxlan_pair]),
             ("direct", 2, "direct", [peers.routed_pair])]
    for path, nodes, route, make_theirs in table:
        if options.path not in (None, path):
            continue
        with contextlib.closing(peers.LabPair(path, nodes, route)) as ours:
            for make in make_theirs:
                with contextlib.closing(make()) as theirs:
                    for name in names:
                        yield from compare(name, ours, theirs, options)


def bench_service(options):
    """Connecting to a Service, beside connecting to its only pod."""
    with contextlib.closing(peers.LabPair("the pod itself", 1, "vxlan")) as pod:
        service = peers.ServicePair(pod, PORT)
        yield from compare("connect", service, pod, options)


# --- what has no pair of ends ---

def bench_programs(_options):
    """Nanoseconds per packet."""
    for name, nanoseconds in json.loads(run(PROGRAMS)).items():
        yield {"name": f"program {name}", "unit": "ns", "podwire": spread([nanoseconds])}


def bench_services(_options):
    """Memory and time of the agent's Services, four endpoints each."""
    for count in 10000, 30000:
        found = json.loads(run(SERVICES, str(count)))
        for key, unit, scale in (
            ("object_bytes", "MB", 1e-6), ("kept_bytes", "MB", 1e-6), ("compile_ms", "ms", 1),
            ("change_ms", "ms", 1)):
            yield {"name": f"{count} Services, {key.rsplit('_', 1)[0]}", "unit": unit,
                   "podwire": spread([found[key] * scale])}


def bench_lab(options):
    """Time of `lab up` and `lab down`."""
    times = {"up": [], "down": []}
    for _ in range(options.rounds):
        for verb, flags in ("up", ["-n", "3", "-f", peers.LabPair.MANIFEST]), ("down", []):
            begin = time.monotonic()
            run(PODWIRE, "lab", verb, "--name", f"{TAG}-up", *flags)
            times[verb].append(time.monotonic() - begin)
    for verb, values in times.items():
        yield {"name": f"lab {verb}, three nodes", "unit": "s", "podwire": spread(values)}


SINGLE = {"programs": bench_programs, "service": bench_service, "services": bench_services, "lab": bench_lab,
          "kube-proxy": lambda options: kube_proxy.bench(options, compare), **node.MEASURES}


# --- the table ---

def show(result):
    def figures(key):
        found = result.get(key)
        return f"{found['median']:.4g}" if found else ""
    ratio = result.get("ratio")
    text = f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else ""
    tail = f"  p99 {result['p99']:.3g}" if "p99" in result else ""
    print(f"{result['name']:<52}{figures('podwire'):>9} {result['unit']:<5}"
          f"{result.get('peer', ''):>20} {figures('theirs'):>9}  {text}{tail}", flush=True)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return {"kernel": platform.release(), "processors": os.cpu_count(),
            "model": model[0] if model else platform.machine()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--services", type=int, nargs="+", default=[10, 1000, 10000, 30000],
                        help="how many there are, beside kube-proxy")
    parser.add_argument("--path", choices=["same node", "VXLAN", "direct"])
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=" ".join([*MEASURES, *SINGLE]) + " (default: all but kube-proxy)")
    options = parser.parse_args()
    names = options.names or [name for name in [*MEASURES, *SINGLE] if name != "kube-proxy"]
    if unknown := set(names) - {*MEASURES, *SINGLE}:
        parser.error(f"{' '.join(unknown)}: no such measurement; there are "
                     + " ".join([*MEASURES, *SINGLE]))
    print(f"{'':<52}{'podwire':>9} {'':<5}{'beside':>20} {'':>9}  ratio, median (min-max)")
    results = []
    measures = [name for name in names if name in MEASURES]
    for source in [SINGLE[name](options) for name in names if name in SINGLE] \
            + ([paths(measures, options)] if measures else []):
        for result in source:
            show(result)
            results.append(result)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(), "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
