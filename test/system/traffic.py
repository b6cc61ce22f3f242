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
"""
import json
import select
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


if __name__ == "__main__":
    VERBS = {"serve": serve, "client": client, "bulk": bulk, "open": open_flows, "tell": tell}
    VERBS[sys.argv[1]](*(int(a) if a.isdigit() else a for a in sys.argv[2:]))
