# SPDX-License-Identifier: Apache-2.0
"""The CNI plugin: called by hand as the specification says, and by the project's own cnitool."""
import concurrent.futures
import json
import os
import socket

import pytest
from cni import VERSIONS, Runtime, addresses, config, inside, namespace
from labs import PLUGIN, is_ipv6, run, wait_for

CNITOOL = os.environ.get("PODWIRE_CNITOOL")


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab("-n", "2")


@pytest.fixture(scope="module")
def runtime(lab):
    return Runtime(lab, lab.nodes()[0])


@pytest.fixture(scope="module")
def target(lab):
    """A pod on the other node: both its addresses."""
    return next(pod["addresses"] for pod in lab.pods(app="a").values()
                if pod["node"] != lab.nodes()[0])


@pytest.fixture
def netns(request):
    with namespace(f"t-plugin-{os.getpid()}") as path:
        yield path


def pools(runtime):
    return {pool["range"]: pool["used"]
            for pool in runtime.lab.query(runtime.node, "status")["pools"]}


def test_version(runtime):
    code, result = runtime.call("VERSION")
    assert code == 0
    assert result["supportedVersions"] == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_add_and_del(runtime, netns, target, version):
    """The result has the form of its version, and the path works when ADD answers."""
    before = pools(runtime)
    result = runtime.add("c1", netns, stdin=config(version))
    for address in target:
        inside(netns, "ping", "-c", "1", "-W", "1", address)
    assert result["cniVersion"] == version
    node_side, pod_side = result["interfaces"]
    assert "sandbox" not in node_side and pod_side["sandbox"] == netns
    assert pod_side["name"] == "eth0"
    assert [is_ipv6(a) for a in addresses(result)] == [False, True]
    assert all(ip["interface"] == 1 for ip in result["ips"])
    assert ("version" in result["ips"][0]) == (version < "1.0.0")
    assert ("mtu" in pod_side) == (version >= "1.1.0")
    assert {route["dst"] for route in result["routes"]} == {"0.0.0.0/0", "::/0"}
    link = json.loads(inside(netns, "ip", "-j", "address", "show", "eth0").stdout)[0]
    assert link["address"] == pod_side["mac"]
    assert [a["local"] for a in link["addr_info"]] == addresses(result)
    runtime.delete("c1", netns, stdin=config(version))
    assert "eth0" not in inside(netns, "ip", "-o", "link").stdout
    assert pools(runtime) == before


def test_add_twice(runtime, netns):
    """The same attachment again is refused and takes nothing from the first."""
    first = runtime.add("c1", netns)
    code, error = runtime.call("ADD", "c1", netns)
    assert code != 0 and error["code"] >= 100
    second = runtime.add("c1", netns, ifname="eth1")
    assert not set(addresses(first)) & set(addresses(second))
    runtime.delete("c1", netns)
    runtime.delete("c1", netns, ifname="eth1")


def test_loopback_is_up(runtime, netns):
    """localhost works in both families before a container starts."""
    runtime.add("c1", netns)
    for address in "127.0.0.1", "::1":
        inside(netns, "ping", "-c", "1", "-W", "1", address)
    runtime.delete("c1", netns)


def test_del_again(runtime, netns):
    """DEL succeeds however little is left: twice, for strangers, without namespace or result."""
    runtime.add("c1", netns)
    runtime.delete("c1", netns)
    runtime.delete("c1", netns)
    runtime.delete("nobody", "")
    runtime.delete("c1", "/run/netns/has-gone")


def test_del_after_namespace_has_gone(runtime):
    before = pools(runtime)
    with namespace(f"t-plugin-gone-{os.getpid()}") as path:
        runtime.add("c2", path)
    runtime.delete("c2", path)
    assert pools(runtime) == before


def test_del_of_one_spares_the_other(runtime, netns):
    """A late DEL never takes the address from its new owner."""
    with namespace(f"t-plugin-other-{os.getpid()}") as other:
        runtime.add("late", other)
        runtime.delete("late", other)
        result = runtime.add("c1", netns)
        runtime.delete("late", other)
        for address in addresses(result):
            assert address in str(runtime.lab.query(runtime.node, "pods"))
        runtime.delete("c1", netns)


def test_many_at_once(runtime):
    """Thirty-two at a time: all succeed, no address twice, all free again."""
    before = pools(runtime)
    names = [f"t-plugin-{n}-{os.getpid()}" for n in range(32)]
    for name in names:
        run("ip", "netns", "add", name)
    try:
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            results = list(pool.map(
                lambda name: runtime.add(name, f"/run/netns/{name}"), names))
            given = [a for result in results for a in addresses(result)]
            assert len(given) == len(set(given)) == 64
            list(pool.map(lambda name: runtime.delete(name, f"/run/netns/{name}"), names))
    finally:
        for name in names:
            run("ip", "netns", "del", name)
    assert pools(runtime) == before


INCOMPATIBLE, ENVIRONMENT, DECODE, CONFIG, AGAIN = 1, 4, 6, 7, 11
# What is called, with which error code, and a word that the message must have.
REFUSED = {
    "a version of the future": (INCOMPATIBLE, "1.1.0", dict(stdin=config("2.0.0"))),
    "no version": (CONFIG, "cniVersion", dict(stdin={"name": "x", "type": "podwire-cni"})),
    "no JSON": (DECODE, "", dict(stdin="{")),
    "an empty configuration": (DECODE, "", dict(stdin="")),
    "a list as configuration": (DECODE, "object", dict(stdin="[]")),
    "no container": (ENVIRONMENT, "CNI_CONTAINERID", dict(CNI_CONTAINERID=None)),
    "an empty container": (ENVIRONMENT, "CNI_CONTAINERID", dict(CNI_CONTAINERID="")),
    "a container that climbs": (ENVIRONMENT, "CNI_CONTAINERID", dict(CNI_CONTAINERID="../../x")),
    "a container with a slash": (ENVIRONMENT, "CNI_CONTAINERID", dict(CNI_CONTAINERID="a/b")),
    "no interface": (ENVIRONMENT, "CNI_IFNAME", dict(CNI_IFNAME=None)),
    "an interface too long": (ENVIRONMENT, "CNI_IFNAME", dict(CNI_IFNAME="eth0123456789abc")),
    "an interface with a slash": (ENVIRONMENT, "CNI_IFNAME", dict(CNI_IFNAME="a/b")),
    "an interface that climbs": (ENVIRONMENT, "CNI_IFNAME", dict(CNI_IFNAME="..")),
    "an interface with a colon": (ENVIRONMENT, "CNI_IFNAME", dict(CNI_IFNAME="eth0:1")),
    "no namespace": (ENVIRONMENT, "CNI_NETNS", dict(CNI_NETNS=None)),
    "an unknown command": (ENVIRONMENT, "CNI_COMMAND", dict(CNI_COMMAND="FETCH")),
    "no command": (ENVIRONMENT, "CNI_COMMAND", dict(CNI_COMMAND=None)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(runtime, netns, what):
    before = pools(runtime)
    code, word, options = REFUSED[what]
    assert word in runtime.fails("ADD", code, "c1", netns, **options)
    assert pools(runtime) == before


@pytest.mark.parametrize("path", ["/run/netns/has-gone", "/etc/passwd", "/tmp", "/dev/null",
                                  "/proc/self/ns/mnt", "/proc/self/ns/net", "/proc/1/ns/net",
                                  "fifo", "socket", "link"])
def test_refused_namespace(runtime, tmp_path, path):
    """What is no network namespace, or the node's own, is refused before anything is changed."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        before = pools(runtime)
        code, error = runtime.call("ADD", "c1", str(tmp_path / path))
        assert code != 0 and error["msg"]
        assert pools(runtime) == before


def test_node_namespace(lab, runtime):
    """The node's own, by whatever name, and from wherever the plugin is started."""
    before = pools(runtime)
    path = f"/proc/{lab.agent_pid(runtime.node)}/ns/net"
    assert "of the node" in runtime.fails("ADD", ENVIRONMENT, "c1", path)
    assert pools(runtime) == before


def test_agent_down(lab, runtime, netns):
    """Without the agent ADD says to try again, and DEL does its work alone."""
    runtime.add("c1", netns)
    with stopped_agent(lab, runtime.node):
        runtime.fails("ADD", AGAIN, "c9", netns, ifname="eth9")
        runtime.delete("c1", netns)
        assert "eth0" not in inside(netns, "ip", "-o", "link").stdout
    assert "'c1'" not in str(lab.query(runtime.node, "pods"))


def stopped_agent(lab, node):
    from test_agent import stopped
    return stopped(lab, node)


@pytest.mark.skipif(not CNITOOL, reason="./run test builds cnitool")
@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_cnitool(lab, runtime, netns, target, tmp_path, version):
    """The project's own runtime library drives it: list, result cache, add, del."""
    if version > "1.0.0" and "v1.1" in CNITOOL:
        pytest.skip("this cnitool is older than CNI 1.1")
    (tmp_path / "podwire.conflist").write_text(json.dumps(
        {"cniVersion": version, "name": "podwire", "plugins": [{"type": "podwire-cni"}]}))
    environment = {**os.environ, "NETCONFPATH": str(tmp_path), "CNI_PATH": os.path.dirname(PLUGIN),
                   "CNI_IFNAME": "net7", "PODWIRE_RUN_DIR": lab.run_directory(runtime.node)}

    def cnitool(verb):
        # Its cache of results stays in a mount namespace that ends with it.
        return run("unshare", "-m", "sh", "-c",
                   'mount -t tmpfs none /var/lib && mkdir /var/lib/cni && '
                   'mount --bind "$1" /var/lib/cni && exec "$2" "$3" podwire "$4"', "sh",
                   str(cache), CNITOOL, verb, netns, env=environment)

    cache = tmp_path / "cache"
    cache.mkdir()
    result = json.loads(cnitool("add").stdout)
    assert result["cniVersion"] == version
    for address in target:
        inside(netns, "ping", "-c", "1", "-W", "1", address)
    cnitool("del")
    wait_for(lambda: "net7" not in inside(netns, "ip", "-o", "link").stdout, "the interface goes")
