# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: steady traffic, to see what a change costs.

  traffic.py serve PORT              echoes UDP datagrams and TCP bytes on all addresses; "ready"
  traffic.py client ADDRESS PORT RATE  sends so many numbered datagrams and TCP lines a second
                                     until its standard input ends, then prints what came back:
                                     {"udp": {"sent", "lost"}, "tcp": {"sent", "lost", "gap_ms"}}
  traffic.py bulk ADDRESS PORT SIZE  sends so many bytes to a server and wants them back
  traffic.py open ADDRESS PORT       opens a new UDP and a new TCP flow every few milliseconds until
                                     its standard input ends: {"opened", "failed": [why, ...]}
  traffic.py tell PORT               says to each client which address and port it saw, as the
                                     responder of a pod does; "ready"
  traffic.py name NAME PORT...       answers every datagram and TCP line with "NAME/PORT LINE"; "ready"
  traffic.py from PORT TARGETS       one client port to all of [[address, UDP port or 0, TCP port], ...]: who
                                     answers each, by UDP and by TCP with all connections open
  traffic.py who TARGETS             who answers each of them at once: [{"tcp", "udp"}, ...]
  traffic.py big ADDRESS PORT SIZE   sends datagrams of this size until one is echoed: how many it took
  traffic.py echo PORT COUNT         echoes TCP bytes on so many ports, of very many clients; "ready"
  traffic.py crowd ADDRESS PORT COUNT CONNECTIONS  has so many connections to that; a line on standard
                                     input uses each: {"local": [ports], "failed"}
  traffic.py hammer TARGETS          asks responders at all of these, one after the other, until its
                                     standard input ends: {"asked", "failed": [why, ...]}; "ready"
  traffic.py watch ADDRESS UDP TCP RATE  asks such servers without end, and counts who answers (Watch)
"""
import collections
import json
import resource
import select
import selectors
import socket
import struct
import sys
import threading
import time

PAUSE = 0.002  # between two openings
QUEUE = 4 << 20  # bytes that wait for a busy machine's process; what overflows is not the network's loss
SO_RCVBUFFORCE = 33


def serve(port):
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE)
    for sock in udp, tcp:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", port))
    tcp.listen()
    print("ready", flush=True)
    clients = []
    while True:
        for sock in select.select([udp, tcp, *clients], [], [])[0]:
            if sock is udp:
                data, peer = udp.recvfrom(65536)
                udp.sendto(data, peer)
            elif sock is tcp:
                clients.append(tcp.accept()[0])
            elif data := sock.recv(65536):
                sock.sendall(data)
            else:
                clients.remove(sock)


class Stream:
    """Numbered messages of eight bytes; the echo of each is expected once."""

    def __init__(self, kind, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, kind)
        self.sock.settimeout(2)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE)
        self.sock.connect((address, port))
        if kind == socket.SOCK_STREAM:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent, self.seen, self.gap, self.last = 0, set(), 0.0, time.monotonic()
        self.done = False
        self.buffer = b""
        self.error = None
        self.thread = threading.Thread(target=self.receive)
        self.thread.start()

    def receive(self):
        while not self.done or len(self.seen) < self.sent:
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                break
            except OSError as error:
                self.error = str(error)
                continue
            if not data:
                self.error = "closed"
                break
            now = time.monotonic()
            self.gap, self.last = max(self.gap, now - self.last), now
            self.buffer += data
            while len(self.buffer) >= 8:
                self.seen.add(struct.unpack("!Q", self.buffer[:8])[0])
                self.buffer = self.buffer[8:]

    def send(self):
        try:
            self.sock.send(struct.pack("!Q", self.sent))
        except OSError as error:
            self.error = str(error)
        self.sent += 1

    def result(self):
        self.done = True
        self.thread.join()
        return {"sent": self.sent, "lost": self.sent - len(self.seen),
                "gap_ms": round(self.gap * 1000), "error": self.error}


def client(address, port, rate):
    streams = {"udp": Stream(socket.SOCK_DGRAM, address, port),
               "tcp": Stream(socket.SOCK_STREAM, address, port)}
    print("ready", flush=True)
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0]:
        for stream in streams.values():
            stream.send()
        due += 1 / rate
    json.dump({name: stream.result() for name, stream in streams.items()}, sys.stdout)


def bulk(address, port, size):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect((address, port))
        sender = threading.Thread(target=sock.sendall, args=(bytes(size),))
        sender.start()
        back = 0
        while back < size:
            data = sock.recv(1 << 20)
            assert data, "closed"
            back += len(data)
        sender.join()
    print(back)


def open_one(kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.settimeout(1)
        sock.connect((address, port))
        sock.send(b"12345678")
        answer = sock.recv(8)
        assert answer == b"12345678", answer


def open_flows(address, port):
    opened, failed = 0, []
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
            try:
                open_one(kind, address, port)
            except (OSError, AssertionError) as error:
                failed.append(f"{kind.name}: {error}")
            opened += 1
    json.dump({"opened": opened, "failed": failed}, sys.stdout)


def tell(port):
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for sock in udp, tcp:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", port))
    tcp.listen()
    print("ready", flush=True)
    while True:
        for sock in select.select([udp, tcp], [], [])[0]:
            if sock is udp:
                peer = udp.recvfrom(65536)[1]
            else:
                connection, peer = tcp.accept()
                connection.recv(65536)
            seen = json.dumps({"client": peer[0].removeprefix("::ffff:"), "client_port": peer[1]})
            if sock is udp:
                udp.sendto(seen.encode(), peer)
            else:
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + seen.encode())
                connection.close()


class Named:
    """What answers on one port, and says who it is."""

    def __init__(self, name, port):
        self.answer = f"{name}/{port} ".encode()
        self.udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE)
        for sock in self.udp, self.tcp:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(("::", port))
        self.tcp.listen(128)


def name_ports(name, *ports):
    servers = {}
    for port in ports:
        named = Named(name, port)
        servers.update({named.udp: named, named.tcp: named})
    print("ready", flush=True)
    while True:
        for sock in select.select(servers, [], [])[0]:
            named = servers[sock]
            if sock is named.udp:
                data, peer = sock.recvfrom(65536)
                sock.sendto(named.answer + data, peer)
            elif sock is named.tcp:
                servers[sock.accept()[0]] = named
            else:
                try:
                    data = sock.recv(65536)
                except ConnectionResetError:
                    data = b""
                if data:
                    sock.sendall(named.answer + data)
                else:
                    del servers[sock]
                    sock.close()


FLOWS_PAUSE = 0.01
KEPT, KEPT_PAUSE = 8, 0.05
REASONS = {ConnectionRefusedError: "refused", TimeoutError: "none", ConnectionResetError: "reset"}


def bind_anew(sock):
    """To a port that nobody has used for minutes: who uses one again goes on with its old flow."""
    while True:
        try:
            sock.bind(("", 2048 + int(time.monotonic() * 100) % 28000))
            return
        except OSError:
            time.sleep(FLOWS_PAUSE)


class Watch:
    """Asks one address in every way at once, and counts by phase who has answered, or why nobody:

      datagrams  numbered, from one port, at a rate      flows     a datagram each from a new port
      requests   a TCP connection each                   kept      TCP connections held all the time

    A line on standard input is the name of the phase that begins; "ok" says that it has, and that the
    one before has seen at least LEAST datagrams. At the end of standard input: {kind: {phase: {who:
    how often}}}, and of those that were kept {"kept": [{"who", "asked", "error"}]}.
    """

    LEAST = 200

    def __init__(self, address, udp, tcp, rate):
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.address, self.udp, self.tcp, self.rate = address, udp, tcp, rate
        self.phase, self.done = "start", False
        self.counts = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
        self.sent = []  # the phase of each datagram
        self.got = {}  # its number: who has answered
        self.kept = []

    def connect(self, kind, port, seconds):
        sock = socket.socket(self.family, kind)
        sock.settimeout(seconds)
        try:
            if kind == socket.SOCK_DGRAM:
                bind_anew(sock)
            sock.connect((self.address, port))
        except OSError:
            sock.close()
            raise
        return sock

    def ask_once(self, kind, port, seconds):
        try:
            with self.connect(kind, port, seconds) as sock:
                sock.send(b"?")
                return sock.recv(100).split(b" ")[0].decode() or "closed"
        except OSError as error:
            return REASONS.get(type(error), str(error))

    def flows(self):
        """One after the other, so that a phase's last one is over when the next one begins."""
        while not self.done:
            for name, kind, port in (("requests", socket.SOCK_STREAM, self.tcp),
                                     ("flows", socket.SOCK_DGRAM, self.udp)):
                phase = self.phase
                self.counts[name][phase][self.ask_once(kind, port, 0.5)] += 1
            time.sleep(FLOWS_PAUSE)

    def keep(self):
        socks = [self.connect(socket.SOCK_STREAM, self.tcp, 10) for _ in range(KEPT)]
        self.kept = [{"who": [], "asked": 0, "error": None} for _ in socks]
        while not self.done:
            for sock, kept in zip(socks, self.kept):
                if kept["error"]:
                    continue
                try:
                    sock.sendall(b"?")
                    who = sock.recv(100).split(b" ")[0].decode() or "closed"
                    kept["asked"] += 1
                    if who not in kept["who"]:
                        kept["who"].append(who)
                except OSError as error:
                    kept["error"] = f"{error} in {self.phase}"
            time.sleep(KEPT_PAUSE)

    def receive(self, sock):
        while True:
            try:
                who, number = sock.recv(100).split(b" ")
                self.got[int(number)] = who.decode()
            except TimeoutError:
                if self.done:
                    return
            except ConnectionRefusedError:
                self.counts["refusals"][self.phase]["refused"] += 1

    def send(self, sock):
        due = time.monotonic()
        while not self.done:
            number = len(self.sent)
            self.sent.append(self.phase)
            for _ in range(2):  # an error may be about the datagram before
                try:
                    sock.send(b"%d" % number)
                    break
                except ConnectionRefusedError:
                    self.counts["refusals"][self.phase]["refused"] += 1
            due += 1 / self.rate
            time.sleep(max(0, due - time.monotonic()))

    def run(self):
        sock = self.connect(socket.SOCK_DGRAM, self.udp, 0.5)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE)
        threads = [threading.Thread(target=work, args=arguments) for work, arguments in (
            (self.send, (sock,)), (self.receive, (sock,)), (self.flows, ()), (self.keep, ()))]
        for thread in threads:
            thread.start()
        print("ready", flush=True)
        for line in sys.stdin:
            self.enough()
            self.phase = line.strip()
            print("ok", flush=True)
        self.enough()
        self.done = True
        for thread in threads:
            thread.join()
        for number, phase in enumerate(self.sent):
            self.counts["datagrams"][phase][self.got.get(number, "none")] += 1
        json.dump({**self.counts, "kept": self.kept}, sys.stdout)

    def enough(self):
        while len(self.sent) < self.LEAST or self.sent[-self.LEAST] != self.phase or \
                not self.counts["flows"][self.phase] or not self.counts["requests"][self.phase]:
            time.sleep(FLOWS_PAUSE)


def client_at(kind, targets, port):
    sock = socket.socket(socket.AF_INET6 if ":" in targets[0][0] else socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if kind == socket.SOCK_STREAM:  # closed at once, so that the port can be used again
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.bind(("", port))
    sock.settimeout(4)  # on hostile nodes a packet may be lost, and TCP asks again after one second
    return sock


def ask_from(port, text):
    targets = json.loads(text)
    connections, answers = [], {"tcp": [], "udp": []}
    for address, _, tcp in targets:
        connections.append(client_at(socket.SOCK_STREAM, targets, port))
        connections[-1].connect((address, tcp))
    datagrams = client_at(socket.SOCK_DGRAM, targets, port)
    for _ in range(3):
        for connection, (address, udp, _) in zip(connections, targets):
            connection.send(b"?")
            answers["tcp"].append(connection.recv(100).decode())
            if not udp:
                continue
            datagrams.sendto(b"?", (address, udp))
            answer, peer = datagrams.recvfrom(100)
            assert peer[:2] == (address, udp), f"{peer} has answered for {address}"
            answers["udp"].append(answer.decode())
    json.dump(answers, sys.stdout)


def who(text):
    answers = []
    for address, udp, tcp in json.loads(text):
        asker = Watch(address, udp, tcp, 0)
        answers.append({"tcp": asker.ask_once(socket.SOCK_STREAM, tcp, 1),
                        "udp": asker.ask_once(socket.SOCK_DGRAM, udp, 1)})
    json.dump(answers, sys.stdout)


def big(address, port, size):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.connect((address, port))
        for number in range(1, 26):
            try:
                sock.send(bytes(size))
                assert len(sock.recv(65536)) == size
                print(number)
                return
            except OSError as error:  # the path's MTU is not known yet
                last = error
    sys.exit(f"not one came back: {last}")


def echo(first, count):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    selector, listeners = selectors.DefaultSelector(), set()
    for port in range(first, first + count):
        sock = socket.create_server(("::", port), family=socket.AF_INET6, backlog=4096,
                                    dualstack_ipv6=True)
        listeners.add(sock)
        selector.register(sock, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj in listeners:
                selector.register(key.fileobj.accept()[0], selectors.EVENT_READ)
            elif data := key.fileobj.recv(65536):
                key.fileobj.send(data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


def crowd(address, first, count, connections):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    socks = [socket.create_connection((address, first + number % count), 5)
             for number in range(connections)]
    print("ready", flush=True)
    for _ in sys.stdin:
        failed = 0
        for sock in socks:
            try:
                sock.send(b"?")
                failed += sock.recv(1) != b"?"
            except OSError:
                failed += 1
        print(json.dumps({"local": sorted({sock.getsockname()[1] for sock in socks}),
                          "failed": failed}), flush=True)


def hammer(text):
    asked, failed = 0, []
    targets = [(kind, address, port) for address, udp, tcp in json.loads(text)
               for kind, port in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp))]
    print("ready", flush=True)
    while True:
        for kind, address, port in targets:
            if select.select([sys.stdin], [], [], PAUSE)[0]:
                json.dump({"asked": asked, "failed": failed}, sys.stdout)
                return
            try:
                with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as sock:
                    sock.settimeout(1)
                    sock.connect((address, port))
                    sock.send(b"?\n")
                    assert b'"pod"' in sock.recv(1000), "an empty answer"
            except (OSError, AssertionError) as error:
                failed.append(f"{kind.name} {address} {port}: {error}")
            asked += 1


def watch(address, udp, tcp, rate):
    Watch(address, udp, tcp, rate).run()


if __name__ == "__main__":
    VERBS = {"serve": serve, "client": client, "bulk": bulk, "open": open_flows, "tell": tell,
             "name": name_ports, "from": ask_from, "hammer": hammer, "who": who, "big": big, "echo": echo, "crowd": crowd,
             "watch": watch}
    VERBS[sys.argv[1]](*(int(a) if a.isdigit() else a for a in sys.argv[2:]))
