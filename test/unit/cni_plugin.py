# SPDX-License-Identifier: Apache-2.0
"""The plugin's binary against an agent that is made up here, in namespaces that end with the test.
usage: cni_plugin.py [EMULATOR...] PODWIRE-CNI"""
import array
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

SKIPPED = 77  # what meson takes for a skipped test
UNKNOWN, ENVIRONMENT, IO, DECODE, AGAIN, UNAVAILABLE = 3, 4, 5, 6, 11, 50
SIZE_MAX = 100_000
CONFIG = '{"cniVersion":"1.1.0","name":"podwire","type":"podwire-cni"}'
NOTHING = b'{"parameters":{}}\0'
RECORD = struct.Struct("=III16s6s6sII32sQQ256s16s256s256s64s32s128s1024s")  # struct attachment
MAGIC = 0x70775033
ADDRESS = bytes(10) + b"\xff\xff" + bytes([10, 1, 0, 7])


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Agent:
    """Takes one request, keeps it and its descriptors, gives one reply; None: closes instead."""

    def __init__(self, directory, reply=NOTHING):
        self.path = os.path.join(directory, "agent.sock")
        self.reply, self.request, self.fds = reply, b"", []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        try:
            peer, _ = self.socket.accept()
        except OSError:
            return  # nobody came
        with peer:
            while not self.request.endswith(b"\0"):
                data, ancillary, _, _ = peer.recvmsg(65536, socket.CMSG_SPACE(64))
                if not data:
                    return
                for _, _, fds in ancillary:
                    self.fds += array.array("i", fds)
                self.request += data
            try:
                peer.sendall(self.reply or b"")
            except BrokenPipeError:
                pass  # it has read enough

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
        os.unlink(self.path)
        for fd in self.fds:
            os.close(fd)

    def parameters(self):
        request = json.loads(self.request[:-1])
        assert request["method"] == "io.podwire.cni.Run"
        return request["parameters"]


class Case(unittest.TestCase):
    plugin = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="podwire-test-")
        run("ip", "netns", "add", "pod")

    def tearDown(self):
        run("ip", "netns", "del", "pod")
        run("umount", f"{self.directory}/bpf", check=False)
        shutil.rmtree(self.directory)

    def call(self, command, stdin=CONFIG, **more):
        """(exit code, standard output)"""
        variables = {"CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0",
                     "CNI_NETNS": "/run/netns/pod", "PODWIRE_RUN_DIR": self.directory, **more}
        done = subprocess.run(
            self.command, input=stdin.encode() if isinstance(stdin, str) else stdin,
            env={key: value for key, value in variables.items() if value is not None},
            capture_output=True, check=False)
        self.assertEqual(done.stderr, b"")
        return done.returncode, done.stdout.decode()

    def refused(self, code, word, *arguments, **options):
        status, output = self.call(*arguments, **options)
        error = json.loads(output)
        self.assertEqual((status, error["code"]), (1, code), error)
        self.assertIn(word, error["msg"])
        return error


class Binary(Case):
    def test_runs_on_any_host(self):
        if "__gcov" in run("nm", self.plugin):
            self.skipTest("it is another one, whose lines are counted")
        self.assertLessEqual(os.path.getsize(self.plugin), SIZE_MAX)
        self.assertNotIn("INTERP", run("readelf", "-lW", self.plugin))


class Version(Case):
    def test_echoes(self):
        for text, version in ((CONFIG, "1.1.0"), ('{"cniVersion" : "0.3.1"}', "0.3.1"),
                              ('{"a":{"cniVersion":"0.4.0"}}', "1.0.0"), ("{}", "1.0.0"),
                              ('{"cniVersion":"9\\"9"}', "1.0.0"), ('{"cniVersion":7}', "1.0.0")):
            with self.subTest(text):
                status, output = self.call("VERSION", text, CNI_CONTAINERID=None, CNI_IFNAME=None,
                                           CNI_NETNS=None)
                self.assertEqual(status, 0)
                self.assertEqual(json.loads(output), {
                    "cniVersion": version,
                    "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]})


class Environment(Case):
    CASES = (
        ("CNI_COMMAND", None), ("CNI_COMMAND", ""), ("CNI_COMMAND", "add"),
        ("CNI_COMMAND", "FETCH\x1b"),
        ("CNI_CONTAINERID", None), ("CNI_CONTAINERID", ""), ("CNI_CONTAINERID", "../x"),
        ("CNI_CONTAINERID", "a/b"), ("CNI_CONTAINERID", "-a"), ("CNI_CONTAINERID", ".a"),
        ("CNI_CONTAINERID", "a:b"), ("CNI_CONTAINERID", "a b"), ("CNI_CONTAINERID", "\u00e4"),
        ("CNI_CONTAINERID", "a" * 239), ("CNI_CONTAINERID", b"a\xff"),
        ("CNI_IFNAME", None), ("CNI_IFNAME", ""), ("CNI_IFNAME", "."), ("CNI_IFNAME", ".."),
        ("CNI_IFNAME", "a/b"), ("CNI_IFNAME", "eth0:1"), ("CNI_IFNAME", "a b"),
        ("CNI_IFNAME", "a\tb"), ("CNI_IFNAME", "a" * 16), ("CNI_IFNAME", b"\xc3"),
        ("CNI_NETNS", None), ("CNI_NETNS", ""), ("CNI_NETNS", "/dev/null"), ("CNI_NETNS", "/"),
        ("CNI_NETNS", "/proc/self/ns/mnt"), ("CNI_NETNS", "/proc/self/ns/net"),
        ("CNI_ARGS", b"\xff"), ("PODWIRE_RUN_DIR", "/" + "x" * 200),
    )

    def test_refused_by_name(self):
        for name, value in self.CASES:
            with self.subTest(name, value=value):
                self.refused(ENVIRONMENT, name, **{"command": "ADD", name: value}
                             if name != "CNI_COMMAND" else {"command": value})

    def test_namespace_that_has_gone(self):
        self.refused(UNKNOWN, "CNI_NETNS", "ADD", CNI_NETNS="/run/netns/gone")

    def test_names_at_their_limits(self):
        for more in ({"CNI_CONTAINERID": "0" + "a_.-" * 59 + "a"}, {"CNI_IFNAME": "a" * 15},
                     {"CNI_IFNAME": "..."}, {"CNI_IFNAME": "\u00e4"}):
            with self.subTest(more), Agent(self.directory) as agent:
                self.assertEqual(self.call("ADD", **more), (0, ""))
                self.assertIn(*more.values(), agent.parameters().values())


class Input(Case):
    def test_refused(self):
        deep = 300
        for text in ("", "{", "[1,]", "{}x", '{"a":1,}', '{"a"}', "nul", "01", "-", "1.", "1e",
                     '"\\x"', '"\\u12"', '"a\nb"', '{"a":"\0"}', b'"\xff"', b'"\xed\xa0\x80"',
                     b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', "[" * deep + "]" * deep,
                     '"' + "x" * (1 << 20) + '"'):
            with self.subTest(text[:20]):
                self.refused(DECODE, "standard input", "ADD", text)

    def test_handed_over_as_it_is(self):
        for text in ('{"a":"\\"\\\\\\n\\u0000"}', ' \t\r\n[ ]\n', "-0.5e+7", "true",
                     '{"\u00e4\u20ac\U0001f600":"\u007f"}', '{"x":"' + "y" * 900_000 + '"}'):
            with self.subTest(text[:20]), Agent(self.directory) as agent:
                self.assertEqual(self.call("ADD", text), (0, ""))
                self.assertEqual(agent.parameters()["config"], text)


class Request(Case):
    def test_all_of_it(self):
        with Agent(self.directory) as agent:
            self.call("ADD", CNI_ARGS="K8S_POD_NAME=x;A=\"", CNI_PATH="/opt/cni/bin")
            self.assertEqual(agent.parameters(), {
                "command": "ADD", "containerID": "c1", "ifname": "eth0", "config": CONFIG,
                "netns": "/run/netns/pod", "args": "K8S_POD_NAME=x;A=\"", "path": "/opt/cni/bin"})

    def test_descriptors(self):
        """The namespace, and a socket that acts in it: it brings its loopback up."""
        for command in "ADD", "DEL", "CHECK":
            with self.subTest(command), Agent(self.directory) as agent:
                self.call(command)
                netns, netlink = agent.fds
                self.assertEqual(os.fstat(netns).st_ino, os.stat("/run/netns/pod").st_ino)
                os.write(netlink, struct.pack("=IHHIIBBHiII", 32, 16, 5, 1, 0, 0, 0, 0, 1, 1, 1))
                os.read(netlink, 4096)
                self.assertIn("UP", run("ip", "-n", "pod", "link", "show", "lo"))
                self.assertNotIn("UP", run("ip", "link", "show", "lo"))

    def test_without_descriptors(self):
        for command, netns in (("DEL", None), ("DEL", ""), ("DEL", "/run/netns/gone"),
                               ("DEL", "/dev/null"), ("DEL", "/proc/self/ns/net"),
                               ("STATUS", "/run/netns/pod"), ("GC", "/run/netns/pod")):
            with self.subTest(command, netns=netns), Agent(self.directory) as agent:
                self.assertEqual(self.call(command, CNI_NETNS=netns), (0, ""))
                self.assertEqual(agent.fds, [])

    def test_ipv6_is_allowed(self):
        keys = [f"net.ipv6.conf.{name}.disable_ipv6" for name in ("lo", "default")]
        inside = "ip", "netns", "exec", "pod", "sysctl", "-n"
        run(*inside, "-w", *(f"{key}=1" for key in keys))
        with Agent(self.directory):
            self.call("ADD")
        self.assertEqual(run(*inside, *keys).split(), ["0", "0"])


class Reply(Case):
    def test_result_is_printed_as_it_is(self):
        result = '{"cniVersion":"1.1.0","dns":{},"x":"' + "y" * 200_000 + '"}'
        with Agent(self.directory, f'{{"parameters":{result}}}\0'.encode()):
            self.assertEqual(self.call("ADD"), (0, result + "\n"))

    def test_error_is_printed_as_it_is(self):
        error = '{"cniVersion":"1.1.0","code":100,"msg":"it is there already"}'
        reply = f'{{"error":"io.podwire.cni.Failed","parameters":{error}}}\0'
        with Agent(self.directory, reply.encode()):
            self.assertEqual(self.call("ADD"), (1, error + "\n"))

    def test_any_other_reply_is_an_error(self):
        for reply in (b'\0', b'{"parameters":\0', b'{"parameters":{}} x\0', b'{"other":1}\0',
                      b'{"error":"org.varlink.service.MethodNotFound","parameters":{}}\0',
                      b'{"x":"\xff"}\0', b"x" * (1 << 21)):
            with self.subTest(reply[:30]), Agent(self.directory, reply):
                self.refused(IO, "podwire agent", "ADD")

    def test_no_reply(self):
        with Agent(self.directory, None):
            self.refused(AGAIN, "without a reply", "ADD")
        with Agent(self.directory, b'{"parameters":'):
            self.refused(AGAIN, "without a reply", "ADD")
        with Agent(self.directory, None):
            self.assertEqual(self.call("DEL"), (0, ""))


class Alone(Case):
    """No agent is there."""

    def setUp(self):
        super().setUp()
        os.makedirs(f"{self.directory}/attachments")
        os.makedirs(f"{self.directory}/bpf")
        run("mount", "-t", "bpf", "bpf", f"{self.directory}/bpf")
        os.mkdir(f"{self.directory}/bpf/layout")
        self.table = f"{self.directory}/bpf/layout/pw_pod"
        run("bpftool", "map", "create", self.table, "type", "hash", "key", "16", "value", "40",
            "entries", "8", "name", "pw_pod")
        run("ip", "link", "add", "pw-c1", "type", "veth", "peer", "name", "eth0",
            "netns", "pod", "address", "02:00:00:00:00:02")
        self.ifindex = json.loads(run("ip", "-j", "link", "show", "pw-c1"))[0]["ifindex"]
        self.record = f"{self.directory}/attachments/c1:eth0"
        self.write_record()
        self.write_row(self.ifindex)

    def tearDown(self):
        run("ip", "link", "del", "pw-c1", check=False)
        super().tearDown()

    def write_record(self, link=b"pw-c1", ifindex=None, magic=MAGIC, count=1, size=RECORD.size,
                     behind=b""):
        with open(self.record, "wb") as file:
            file.write(RECORD.pack(magic, size, ifindex or self.ifindex, link,
                                   bytes([2, 0, 0, 0, 0, 2]), bytes(6), count, 0, ADDRESS, 0, 0,
                                   b"c1", b"eth0", b"", b"", b"", b"", b"", b"") + behind)

    def write_row(self, ifindex):
        self.hex_table("update", *ADDRESS, "value", "hex",
                       *(f"{byte:02x}" for byte in struct.pack("=I36x", ifindex)))

    def hex_table(self, verb, *words):
        key = [f"{word:02x}" if isinstance(word, int) else word for word in words]
        return run("bpftool", "map", verb, "pinned", self.table, "key", "hex", *key, check=False)

    def has_row(self):
        return "value" in self.hex_table("lookup", *ADDRESS)

    def has_link(self):
        return "pw-c1" in run("ip", "-o", "link")

    def test_other_verbs(self):
        for command, code in (("ADD", AGAIN), ("CHECK", AGAIN), ("GC", AGAIN),
                              ("STATUS", UNAVAILABLE)):
            error = self.refused(code, f"{self.directory}/agent.sock", command)
            self.assertEqual(error["cniVersion"], "1.1.0")

    def test_removes_all_of_it_and_again(self):
        self.assertTrue(self.has_row() and self.has_link())
        for _ in range(2):
            self.assertEqual(self.call("DEL"), (0, ""))
            self.assertFalse(self.has_row() or self.has_link() or os.path.exists(self.record))

    def test_nothing_is_there(self):
        self.assertEqual(self.call("DEL", CNI_CONTAINERID="c2", CNI_NETNS=""), (0, ""))
        self.assertEqual(self.call("DEL", PODWIRE_RUN_DIR="/nowhere"), (0, ""))
        self.assertTrue(self.has_row() and self.has_link())

    def test_row_and_link_of_others_stay(self):
        self.write_row(self.ifindex + 1)
        self.write_record(link=b"pw-other")
        self.assertEqual(self.call("DEL", CNI_NETNS=""), (0, ""))
        self.assertTrue(self.has_row() and self.has_link())
        self.assertFalse(os.path.exists(self.record))

    def test_by_the_pod_side(self):
        """A plugin that is not in the node's namespace reaches the link from its other end."""
        self.write_record(ifindex=4242)
        self.assertEqual(self.call("DEL"), (0, ""))
        self.assertFalse(self.has_link())

    def test_parts_have_gone(self):
        run("ip", "link", "del", "pw-c1")
        os.unlink(self.table)
        self.assertEqual(self.call("DEL"), (0, ""))
        self.assertFalse(os.path.exists(self.record))

    def test_record_of_a_newer_release(self):
        """It has more behind what this plugin knows."""
        self.write_record(size=RECORD.size + 64, behind=b"x" * 64)
        self.assertEqual(self.call("DEL"), (0, ""))
        self.assertFalse(self.has_row() or self.has_link() or os.path.exists(self.record))

    def test_record_of_another_form(self):
        for change in ({"magic": MAGIC + 1}, {"count": 3}, {"link": b"x" * 16},
                       {"size": RECORD.size - 1}, {"size": 0}):
            self.write_record(**change)
            self.refused(AGAIN, self.record, "DEL")
        with open(self.record, "w", encoding="ascii") as file:
            file.write("short")
        self.refused(AGAIN, self.record, "DEL")
        self.assertTrue(self.has_row() and self.has_link())


def main():
    if os.geteuid() != 0:
        print("skipped: only root can make network namespaces")
        return SKIPPED
    if os.environ.get("PODWIRE_TEST_INSIDE") != "1":
        os.environ["PODWIRE_TEST_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-mn", sys.executable, "-B", *sys.argv])
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    os.makedirs("/run/netns", exist_ok=True)
    run("mount", "-t", "tmpfs", "none", "/run/netns")
    Case.plugin = os.path.abspath(sys.argv[-1])
    Case.command = [*sys.argv[1:-1], Case.plugin]
    # An emulator knows too little of namespaces for the others.
    chosen = ["Version"] if len(Case.command) > 1 else []
    return not unittest.main(argv=sys.argv[:1] + chosen, exit=False).result.wasSuccessful()


if __name__ == "__main__":
    sys.exit(main())
