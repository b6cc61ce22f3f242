# SPDX-License-Identifier: Apache-2.0
"""What podwire lays down on a machine, who may touch it, and what it does with what others have laid
in its place (hazards J1 to J5)."""
import json
import os
import socket
import stat

import pytest
from cni import Runtime, namespace
from labs import PODWIRE, ROOT, run, wait_for
from test_agent import serves, stopped

AGENT = 6083
NOBODY = 65534
RUN = os.path.join(ROOT, "run")
STATUS = b'{"method": "io.podwire.Status"}\0'
DELETE = b'{"method": "io.podwire.cni.Run", "parameters": {"command": "DEL", "containerID": "x", ' \
         b'"netns": "", "ifname": "eth0", "config": "{\\"cniVersion\\": \\"1.0.0\\", ' \
         b'\\"name\\": \\"podwire\\"}"}}\0'


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab("-n", "1")


@pytest.fixture(scope="module")
def node(lab):
    return lab.nodes()[0]


# --- J1: the sockets ---

def ask_as(user, path, request):
    """What a process of this user gets: an answer, or the error of connect()."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(path)
                sock.sendall(request)
                theirs.sendall(sock.recv(65536))
        except OSError as error:
            theirs.sendall(type(error).__name__.encode())
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        answer = ours.recv(65536)
    os.waitpid(child, 0)
    return answer.rstrip(b"\0").decode()


@pytest.mark.parametrize("user", [NOBODY, 1000])
@pytest.mark.parametrize("name", ["agent.sock", "status.sock"])
def test_others_cannot_connect(lab, node, name, user):
    path = os.path.join(lab.run_directory(node), name)
    assert json.loads(ask_as(0, path, STATUS))["parameters"]["ready"]
    assert ask_as(user, path, STATUS) == "PermissionError"


def test_group_may_ask_and_no_more(lab, node):
    path = os.path.join(lab.run_directory(node), "status.sock")
    assert json.loads(ask_as(AGENT, path, STATUS))["parameters"]["ready"]
    for user in 0, AGENT:  # root, too, by agent.sock only
        assert json.loads(ask_as(user, path, DELETE))["error"] == \
            "org.varlink.service.PermissionDenied"
    path = os.path.join(lab.run_directory(node), "agent.sock")
    assert "parameters" in json.loads(ask_as(0, path, DELETE))
    assert "error" not in json.loads(ask_as(0, path, DELETE))


def test_credentials_count_too(lab, node):
    """Where the modes have been thrown open, who is neither root nor the agent still may not write."""
    path = os.path.join(lab.run_directory(node), "agent.sock")
    mode = stat.S_IMODE(os.stat(path).st_mode)
    os.chmod(path, 0o666)
    try:
        assert "error" not in json.loads(ask_as(0, path, DELETE))
        assert json.loads(ask_as(NOBODY, path, DELETE))["error"] == \
            "org.varlink.service.PermissionDenied"
    finally:
        os.chmod(path, mode)


# --- J2: what is installed ---

def test_installed(tmp_path):
    """0755, no special bits, no capabilities; whatever lay there under whatever mask."""
    bin_directory = tmp_path / "opt/cni/bin"
    bin_directory.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    os.symlink(victim, bin_directory / ".podwire-cni.new")
    os.symlink(victim, bin_directory / "podwire-cni")
    run("sh", "-c", f"umask 077; exec {RUN} install", timeout=300,
        env={**os.environ, "DESTDIR": str(tmp_path)})
    assert victim.read_text() == "untouched"
    files = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
    assert sorted(os.path.basename(f) for f in files) == ["podwire", "podwire-cni", "victim"]
    for path in files:
        if path != str(victim):
            found = os.lstat(path)
            assert stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o755
            assert found.st_uid == found.st_gid == 0
            assert os.listxattr(path) == []


# --- J3: what is made while it runs ---

MODES = {
    ".": (0o755, 0), "agent.sock": (0o600, 0), "status.sock": (0o660, 0),
    "attachments": (0o700, AGENT), "attachments/*": (0o600, AGENT), "bpf": (0o700, AGENT),
    "bpf/*": (0o700, AGENT), "bpf/*/*": (0o600, AGENT), "found": (0o600, 0), "lock": (0o600, 0),
}
LABS_OWN = {"podwire.yaml", "agent.log", "resolver.log", "meddler", "meddler.log"}
KERNELS_OWN = {"maps.debug", "progs.debug"}  # in every BPF file system, where the kernel has them


def shape(path):
    """attachments/c1:eth0 -> attachments/*"""
    parts = path.split("/")
    return "/".join([parts[0], *["*"] * (len(parts) - 1)])


def test_modes(lab, node):
    """Each path that there is has a row above; nobody but its owner may write it."""
    top = lab.run_directory(node)
    seen = set()
    for folder, folders, files in os.walk(top):
        for name in [".", *files] if folder == top else [*files, *folders, "."]:
            path = os.path.normpath(os.path.join(folder, name))
            kind = shape(os.path.relpath(path, top))
            if kind in LABS_OWN or name in KERNELS_OWN:
                continue
            found = os.lstat(path)
            mode, owner = MODES[kind]
            seen.add(kind)
            assert not stat.S_ISLNK(found.st_mode), path
            assert found.st_mode & (0o777 | stat.S_ISUID | stat.S_ISGID) == mode, path
            assert found.st_uid == owner, path
            assert not found.st_mode & (stat.S_IWOTH if kind == "status.sock" else 0o022), path
    assert seen == set(MODES)


# --- J4, J5: what others have laid in its place ---

def init(directory):
    """`podwire init` in namespaces of its own: (exit code, what it says)"""
    script = f"mount --make-rprivate / && exec {PODWIRE} init --run-dir {directory}"
    done = run("unshare", "-m", "-n", "sh", "-c", script, check=False)
    return done.returncode, done.stderr


@pytest.fixture
def place(tmp_path):
    """A directory that is root's alone, and what must not be touched."""
    os.chmod(tmp_path, 0o755)
    victim, file = tmp_path / "victim", tmp_path / "victim-file"
    victim.mkdir(mode=0o755)
    file.write_text("untouched")
    os.chmod(file, 0o644)
    yield tmp_path
    found = victim.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, list(victim.iterdir())) == (0o755, 0, [])
    assert file.read_text() == "untouched" and stat.S_IMODE(file.stat().st_mode) == 0o644


def test_init_control(place):
    assert init(place / "run") == (0, "")
    assert init(place / "run") == (0, "")  # again without harm


@pytest.mark.parametrize("name", ["run", "run/attachments", "run/bpf", "run/lock", "run/found"])
def test_symlink(place, name):
    """Instead of what is to be made: refused, and what it leads to is left alone."""
    (place / name).parent.mkdir(mode=0o755, exist_ok=True)
    os.symlink(place / ("victim-file" if name in ("run/lock", "run/found") else "victim"),
               place / name)
    code, said = init(place / "run")
    if name == "run/lock":  # the agent's, who takes no lock before the rest is there
        script = f"mount --make-rprivate / && {PODWIRE} init --run-dir {place}/run && " \
                 f"exec {PODWIRE} agent --objects {place} --run-dir {place}/run"
        done = run("unshare", "-m", "-n", "sh", "-c", script, check=False, timeout=60)
        code, said = done.returncode, done.stderr
    assert code == 1 and str(place / name) in said
    assert os.path.islink(place / name)


@pytest.mark.parametrize("name", ["run", "run/attachments"])
@pytest.mark.parametrize("mode, owner", [(0o1777, 0), (0o775, 0), (0o755, NOBODY)])
def test_directory_of_others(place, name, mode, owner):
    (place / name).mkdir(parents=True)
    os.chown(place / name, owner, owner)
    os.chmod(place / name, mode)
    code, said = init(place / "run")
    assert code == 1 and str(place / name) in said and "others" in said
    found = os.stat(place / name)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (mode, owner)


@pytest.mark.parametrize("mode, owner, good", [(0o777, 0, False), (0o775, 0, False),
                                               (0o755, NOBODY, False), (0o1777, 0, True)])
def test_parent_of_others(place, mode, owner, good):
    """Who may replace the directory at any moment is as good as its owner; a sticky directory of
    root's protects what is root's."""
    parent = place / "parent"
    parent.mkdir()
    os.chown(parent, owner, owner)
    os.chmod(parent, mode)
    code, said = init(parent / "run")
    assert (code == 0) == good
    assert good or (f"{parent} " in said and "others" in said and not list(parent.iterdir()))


@pytest.mark.parametrize("options", ["mode=1777", "mode=0700,uid=65534", "mode=0750"])
def test_bpffs_of_others(place, options):
    """A BPF file system in which others may have pinned something is not taken over."""
    folder = place / "run/bpf"
    script = f"mount --make-rprivate / && mkdir -p -m 0755 {place}/run {folder} && " \
             f"mount -t bpf bpf {folder} && chown {65534 if '65534' in options else 0} {folder} && " \
             f"chmod {options[5:9]} {folder} && exec {PODWIRE} init --run-dir {place}/run"
    done = run("unshare", "-m", "-n", "sh", "-c", script, check=False)
    assert done.returncode == 1 and str(folder) in done.stderr and "others" in done.stderr


def test_squatted_name(lab, node):
    """A table that is none of ours, under the name of one: the agent says so and does not start."""
    with stopped(lab, node):
        pin = run("sh", "-c", f"echo {lab.run_directory(node)}/bpf/*/pw_pod").stdout.strip()
        os.rename(pin, pin + "_ours")
        run("/usr/sbin/bpftool", "map", "create", pin, "type", "array", "key", "4", "value", "4",
            "entries", "1", "name", "squatter")
        try:
            done = lab.exec(node, PODWIRE, "agent", "--objects", f"{lab.directory}/objects",
                            "--run-dir", lab.run_directory(node), "--settings",
                            f"{lab.run_directory(node)}/podwire.yaml", check=False, timeout=60)
        finally:
            os.unlink(pin)
            os.rename(pin + "_ours", pin)
        assert done.returncode == 1 and "pw_pod" in done.stderr
    assert serves(lab, node)


def test_records_of_others(lab, node):
    """A symlink among the records is no record: not followed, not removed by what it leads to."""
    folder = os.path.join(lab.run_directory(node), "attachments")
    victim = os.path.join(lab.directory, "victim")
    with open(victim, "w", encoding="utf-8") as file:
        file.write("untouched")
    link = os.path.join(folder, "planted:eth0")
    os.symlink(victim, link)
    try:
        with stopped(lab, node):  # the plugin removes by itself, as root
            Runtime(lab, node).call("DEL", "planted")
        wait_for(lambda: serves(lab, node), "the agent reads its records again")
        with open(victim, encoding="utf-8") as file:
            assert file.read() == "untouched"
    finally:
        if os.path.lexists(link):
            os.unlink(link)
        os.unlink(victim)


@pytest.mark.parametrize("what", ["a file", "a directory", "nothing", "the node's own", "a device"])
def test_netns_of_others(lab, node, what, tmp_path):
    """CNI_NETNS leads somewhere else: refused by name, nothing is made; a namespace behind a
    symlink is one."""
    target = {"a file": "/etc/passwd", "a directory": "/etc", "nothing": str(tmp_path / "none"),
              "the node's own": "/proc/self/ns/net", "a device": "/dev/null"}[what]
    path = tmp_path / "netns"
    os.symlink(target, path)
    before = os.listdir(os.path.join(lab.run_directory(node), "attachments"))
    runtime = Runtime(lab, node)
    code, error = runtime.call("ADD", "strange", str(path))
    assert code != 0 and "CNI_NETNS" in error["msg"]
    assert os.listdir(os.path.join(lab.run_directory(node), "attachments")) == before
    with namespace(f"t-modes-{os.getpid()}") as netns:
        os.unlink(path)
        os.symlink(netns, path)
        assert runtime.add("strange", str(path))["ips"]
        runtime.delete("strange", str(path))
