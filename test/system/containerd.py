# SPDX-License-Identifier: Apache-2.0
"""A containerd of its own on a node of a lab, and pods on it by the CRI, as a kubelet asks for them.

Everything of it lives in a mount and a PID namespace: its state on tmpfs, its sockets, its pods'
network namespaces, its shims. The first process of the PID namespace waits for the end of a pipe
that the test holds; with it, whatever happens to the test, all the others end and all mounts go.
What is outside are the cgroups, which have one parent, and logs in a folder of the test.
"""
import glob
import io
import json
import os
import signal
import subprocess
import tarfile

from labs import HERE, PLUGIN, PYTHON, have, process_arguments, run, \
    wait_for, write_json

CRICTL = os.environ.get("PODWIRE_CRICTL")
REFERENCE_PLUGINS = "/usr/lib/cni"
IMAGE = "localhost/pause:1"

CONFIG = """version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/bin"
    conf_dir = "{folder}/net.d"
"""

# A node's agent is where a real node has it, and what containerd keeps is of this namespace alone.
START = """set -e
mount --bind "$1" "$2/podwire"
mount -t tmpfs none /var/lib
mount -t tmpfs none /run
mkdir /run/podwire
mount --bind "$2/podwire" /run/podwire
echo ready
trap '' CHLD # who is orphaned here is reaped
exec cat
"""

CONFLIST = {
    "cniVersion": "1.0.0", "cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"], "name": "podwire",
    "plugins": [{"type": "podwire-cni",
                 "capabilities": {"ips": True, "mac": True, "bandwidth": True}}]}


def missing():
    """Why this machine cannot run it; empty when it can."""
    if not CRICTL:
        return "./run test builds crictl, which needs Go 1.21 or later"
    programs = [p for p in ("containerd", "containerd-shim-runc-v2", "ctr", "runc") if not have(p)]
    return f"{' '.join(programs)}: ./run test installs it" if programs else ""


def add_file(archive, name, data, **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


def image(folder):
    """One image for all: the pause program, and links into the machine's own /usr, which a
    container mounts. (path of a tar as `docker save` writes it)"""
    run("musl-gcc", "-static", "-Os", "-s", "-o", f"{folder}/pause", f"{HERE}/pause.c")
    with tarfile.open(f"{folder}/layer.tar", "w") as layer:
        with open(f"{folder}/pause", "rb") as program:
            add_file(layer, "pause", program.read(), mode=0o755)
        for name in "bin", "sbin", "lib", "lib64":
            add_file(layer, name, b"", type=tarfile.SYMTYPE, linkname=f"usr/{name}")
    digest = run("sha256sum", f"{folder}/layer.tar").stdout.split()[0]
    config = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
              "os": "linux", "config": {"Entrypoint": ["/pause"]},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(f"{folder}/image.tar", "w") as archive:
        archive.add(f"{folder}/layer.tar", "layer.tar")
        add_file(archive, "config.json", json.dumps(config).encode())
        add_file(archive, "manifest.json", json.dumps(manifest).encode())
    return f"{folder}/image.tar"


class Containerd:
    def __init__(self, lab, node, folder):
        self.lab, self.node, self.folder = lab, node, str(folder)
        self.cgroup = f"/{lab.name}"
        self.first = self.process = None

    # --- its life ---

    def up(self):
        for name in "podwire", "bin", "net.d", "logs":
            os.mkdir(f"{self.folder}/{name}")
        os.symlink(PLUGIN, f"{self.folder}/bin/podwire-cni")
        os.symlink(f"{REFERENCE_PLUGINS}/loopback", f"{self.folder}/bin/loopback")
        with open(f"{self.folder}/config.toml", "w", encoding="utf-8") as file:
            file.write(CONFIG.format(image=IMAGE, folder=self.folder))
        self.conflist_write()
        # pylint: disable=consider-using-with # ended by down()
        outer = self.lab.start(
            self.node, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
            "sh", "-c", START, "sh", self.lab.run_directory(self.node), self.folder)
        self.first = outer
        assert outer.stdout.readline() == "ready\n"
        self.start()
        self.inside("ctr", "--namespace", "k8s.io", "images", "import", image(self.folder))

    def down(self):
        """Ends all of it and takes its cgroups away, in whatever state it is."""
        if self.first:
            self.first.communicate(timeout=30)
        if self.process:
            self.process.wait(timeout=30)
        for folder in glob.glob(f"/sys/fs/cgroup{self.cgroup}") + \
                glob.glob(f"/sys/fs/cgroup/*{self.cgroup}"):
            for path, _, _ in os.walk(folder, topdown=False):
                wait_for(lambda path=path: removed(path), f"cgroup {path} is empty")

    def left_behind(self):
        """Processes, cgroups and mounts that down() should have ended."""
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            left = [line for line in mounts if self.folder in line]
        left += [pid for pid in filter(str.isdigit, os.listdir("/proc"))
                 if any(self.folder in argument for argument in process_arguments(pid))]
        return left + glob.glob(f"/sys/fs/cgroup/**{self.cgroup}", recursive=True)

    def start(self):
        with open(f"{self.folder}/logs/containerd.log", "a", encoding="utf-8") as log:
            # pylint: disable=consider-using-with # waited for by kill() or down()
            self.process = subprocess.Popen(
                self.command("containerd", "--config", f"{self.folder}/config.toml"),
                stdout=log, stderr=log)
        wait_for(lambda: not self.crictl("version", check=False).returncode, "containerd answers", 30)

    def kill(self):
        """kill -9: pods, their shims and their networks stay."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="utf-8") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        self.process.wait(timeout=10)

    def runs(self):
        return self.process.poll() is None

    def conflist_write(self):
        """By a rename within the directory: containerd 1.6 sees none from elsewhere."""
        write_json(f"{self.folder}/net.d/10-podwire.conflist", CONFLIST)

    def conflist_remove(self):
        os.unlink(f"{self.folder}/net.d/10-podwire.conflist")

    def log(self):
        with open(f"{self.folder}/logs/containerd.log", encoding="utf-8") as file:
            return file.read()

    # --- its command line ---

    def command(self, *words):
        """As a process of its namespaces."""
        with open(f"/proc/{self.first.pid}/task/{self.first.pid}/children", encoding="utf-8") as file:
            first = file.read().strip()
        return ["nsenter", f"--target={first}", "--mount", "--pid", "--net", "--", *words]

    def inside(self, *words, **options):
        return run(*self.command(*words), **options)

    def crictl(self, *words, **options):
        return self.inside(CRICTL, "--runtime-endpoint", "unix:///run/containerd/containerd.sock",
                           "--timeout", "30s", *words, **options)

    def json(self, *words):
        return json.loads(self.crictl(*words).stdout)

    def condition(self, name):
        """Of the runtime, as the kubelet asks for it: (whether it holds, the message)"""
        found = next(c for c in self.json("info")["status"]["conditions"] if c["type"] == name)
        return found["status"], found.get("message", "")

    # --- pods ---

    def pod(self, name, annotations=None, check=True):
        """RunPodSandbox; a failed one is a finished process."""
        config = {"metadata": {"name": name, "namespace": "cri", "uid": f"uid-{name}"},
                  "hostname": name, "log_directory": f"{self.folder}/logs",
                  "annotations": annotations or {},
                  "linux": {"cgroup_parent": self.cgroup}}
        path = f"{self.folder}/{name}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        done = self.crictl("runp", path, check=check)
        return Pod(self, done.stdout.strip(), path) if not done.returncode else done

    def plugins(self):
        """How many processes of our plugin there are."""
        return len(self.inside("pidof", "podwire-cni", check=False).stdout.split())

    def remove_all(self):
        """As the kubelet does with what it has not started."""
        self.crictl("rmp", "--all", "--force")

    def pods(self):
        """Identifiers of all pods that it knows, ready or not."""
        return self.crictl("pods", "--quiet").stdout.split()


class Pod:
    def __init__(self, runtime, identifier, path):
        self.runtime, self.id, self.path = runtime, identifier, path

    def inspect(self):
        return self.runtime.json("inspectp", "-o", "json", self.id)

    def addresses(self):
        """As the kubelet gets them: the first one, and the others."""
        network = self.inspect()["status"]["network"]
        return [network["ip"], *(other["ip"] for other in network.get("additionalIps", []))]

    def namespace(self):
        """Of the network; a path that only containerd's mount namespace has."""
        namespaces = self.inspect()["info"]["runtimeSpec"]["linux"]["namespaces"]
        return next(n["path"] for n in namespaces if n["type"] == "network")

    def ip(self, *words):
        """The command ip, or another one, in its network namespace."""
        return self.runtime.inside("nsenter", f"--net={self.namespace()}", *words)

    def container(self, name, *command):
        """A container that runs a command of the machine, with this folder's programs at /test."""
        mounts = [{"host_path": "/usr", "container_path": "/usr", "readonly": True},
                  {"host_path": HERE, "container_path": "/test", "readonly": True}]
        config = {"metadata": {"name": name}, "image": {"image": IMAGE}, "command": list(command),
                  "log_path": f"{self.id}-{name}", "mounts": mounts, "linux": {}}
        path = f"{self.path}.{name}"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        made = self.runtime.crictl("create", self.id, path, self.path).stdout.strip()
        self.runtime.crictl("start", made)
        return made

    def serve(self, port):
        """A container of this pod that answers as those of a lab do."""
        made = self.container(f"serve-{port}", PYTHON, "-B", "/test/traffic.py", "tell", str(port))
        wait_for(lambda: "ready" in self.runtime.crictl("logs", made, check=False).stdout,
                 "the container serves")
        return made

    def probe(self, targets, seconds=2.0):
        """As Lab.probe, once, from a container of its own."""
        made = self.container(f"probe-{os.urandom(4).hex()}", "/pause")
        done = self.runtime.crictl("exec", "--sync", made, PYTHON, "-B", "/test/probe.py",
                                   json.dumps({"targets": targets, "seconds": seconds}))
        return json.loads(done.stdout)

    def stop(self, **options):
        return self.runtime.crictl("stopp", self.id, **options)

    def remove(self, **options):
        return self.runtime.crictl("rmp", self.id, **options)


def removed(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
