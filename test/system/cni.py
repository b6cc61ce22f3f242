# SPDX-License-Identifier: Apache-2.0
"""The plugin as a container runtime calls it, on a node of a lab."""
import contextlib
import json
import os
import subprocess

from labs import PLUGIN, run

VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]


def config(version="1.0.0", **more):
    return {"cniVersion": version, "name": "podwire", "type": "podwire-cni", **more}


class Runtime:
    def __init__(self, lab, node):
        self.lab, self.node = lab, node

    def call(self, *arguments, **options):
        """(exit code, what the plugin printed: JSON or None)"""
        done = self.plugin(*arguments, **options)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None

    def plugin(self, command, container="c1", netns="", ifname="eth0", stdin=None, args="",
               prefix=(), binary=PLUGIN, **env):
        """The finished process; `prefix` is a command that runs it."""
        variables = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": netns,
                     "CNI_IFNAME": ifname, "CNI_ARGS": args, "CNI_PATH": os.path.dirname(PLUGIN),
                     "PODWIRE_RUN_DIR": self.lab.run_directory(self.node), **env}
        text = json.dumps(config() if stdin is None else stdin) if not isinstance(stdin, str) \
            else stdin
        return run("env", "-i", *(f"{key}={value}" for key, value in variables.items()
                                  if value is not None), *prefix, binary, input=text, check=False)

    def add(self, container, netns, **options):
        code, result = self.call("ADD", container, netns, **options)
        assert code == 0, result
        return result

    def delete(self, container, netns="", **options):
        code, result = self.call("DEL", container, netns, **options)
        assert code == 0, result
        assert result is None

    def fails(self, command, code, *arguments, **options):
        """The plugin refuses with this code of the specification, and says why."""
        exit_code, error = self.call(command, *arguments, **options)
        assert exit_code != 0 and error is not None
        assert error["code"] == code, error
        assert error["msg"]
        return error["msg"]


def addresses(result):
    return [ip["address"].split("/")[0] for ip in result["ips"]]


@contextlib.contextmanager
def namespace(name):
    """A container's network namespace, as a runtime would make it: (path)"""
    run("ip", "netns", "add", name)
    try:
        yield f"/run/netns/{name}"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def inside(netns, *command, **options):
    return run("ip", "netns", "exec", os.path.basename(netns), *command, **options)
