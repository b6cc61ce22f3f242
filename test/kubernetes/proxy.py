# SPDX-License-Identifier: Apache-2.0
"""A real kube-proxy in a network namespace, with an API server of its own beside it."""
import contextlib
import json
import os
import signal
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
PROGRAM = os.environ.get("PODWIRE_KUBE_PROXY", "")  # ./run builds it, and says where it is
API_PORT, HEALTH_PORT, METRICS_PORT = 18080, 18256, 18249  # of the namespace's loopback
LEGACY = "/usr/sbin/xtables-legacy-multi"
TOOLS = [f"{family}{verb}" for family in ("iptables", "ip6tables") for verb in ("", "-save", "-restore")]


def configuration(node, mode, pods, folder):
    """`pods`: the cluster's ranges of pods."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": mode, "hostnameOverride": node, "clusterCIDR": ",".join(pods),
        "clientConnection": {"kubeconfig": f"{folder}/kubeconfig", "contentType": "application/json"},
        "healthzBindAddress": f"127.0.0.1:{HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{METRICS_PORT}",
        # The machine's own limits are no namespace's to change.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}}


def kubeconfig():
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": f"http://127.0.0.1:{API_PORT}"}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "users": [{"name": "one", "user": {}}]}


class KubeProxy:
    """`command` gives the argv that runs something in the namespace; `folder` is for its files."""

    def __init__(self, command, node, mode, objects, pods, folder, legacy=False):
        self.folder, self.processes = folder, []
        os.makedirs(folder, exist_ok=True)
        for name, tree in ("config", configuration(node, mode, pods, folder)), ("kubeconfig", kubeconfig()):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                json.dump(tree, file)
        environment = dict(os.environ)
        if legacy:
            environment["PATH"] = f"{folder}:{environment['PATH']}"
            for tool in TOOLS:
                os.symlink(LEGACY, f"{folder}/{tool}")
        api = self.start(command(PYTHON, "-B", f"{HERE}/api.py", "127.0.0.1", str(API_PORT), objects),
                         environment, stdout=subprocess.PIPE)
        assert api.stdout.readline() == "ready\n", self.log()
        self.process = self.start(command(PROGRAM, "--config", f"{folder}/config"), environment)

    def start(self, command, environment, **options):
        with open(f"{self.folder}/log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=log, text=True,
                                       **{"stdout": log, **options})
        self.processes.append(process)
        return process

    def log(self):
        with open(f"{self.folder}/log", encoding="utf-8") as log:
            return log.read()

    def end(self):
        """What it has written into the kernel stays."""
        while self.processes:
            process = self.processes.pop()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            process.wait(30)
