# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: every port of each address in argv, by TCP and by UDP.

Prints {address: {"tcp": [open], "silent": [no answer by TCP], "udp": [not called unreachable]}}.
"""
import errno
import json
import select
import socket
import struct
import sys
import time

PORTS = range(1, 65536)
AT_ONCE = 1000
PATIENCE = 1.0  # for an answer to what was asked last
ROUNDS = 12


def is_v6(address):
    return ":" in address


def family_of(address):
    return socket.AF_INET6 if is_v6(address) else socket.AF_INET


def connect_all(address, ports):
    """One try each: (open, no answer)"""
    pending, found = {}, []
    poll = select.epoll()
    for port in ports:
        sock = socket.socket(family_of(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        code = sock.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            pending[sock.fileno()] = (sock, port)
            poll.register(sock, select.EPOLLOUT)
        elif code == 0:
            found.append(port)
    while pending:
        events = poll.poll(PATIENCE)
        if not events:
            break
        for fd, _ in events:
            sock, port = pending.pop(fd)
            # On a loopback address a socket may meet itself.
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and \
                    sock.getsockname() != sock.getpeername():
                found.append(port)
            sock.close()
    silent = [port for sock, port in pending.values() if not sock.close()]
    return found, silent


def scan_tcp(address):
    found, silent = [], []
    for start in range(0, len(PORTS), AT_ONCE):
        more, none = connect_all(address, PORTS[start:start + AT_ONCE])
        again, none = connect_all(address, none) if none else ([], [])
        found += more + again
        silent += none
    return sorted(found), sorted(silent)


def unreachable_port(message, v6):
    """The port that an ICMP error says is closed, or None."""
    inner = message[8:] if v6 else message[(message[0] & 15) * 4 + 8:]
    kind = message[:2] if v6 else message[(message[0] & 15) * 4:][:2]
    if kind != (b"\1\4" if v6 else b"\3\3"):
        return None
    return struct.unpack("!H", inner[42:44] if v6 else inner[22:24])[0]


def scan_udp(address):
    v6 = is_v6(address)
    icmp = socket.socket(family_of(address), socket.SOCK_RAW,
                         socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
    icmp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
    icmp.setblocking(False)
    sender = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sender.bind(("", 0))
    left = set(PORTS) - {sender.getsockname()[1]}

    def listen(until):
        while select.select([icmp], [], [], max(0, until - time.monotonic()))[0]:
            left.discard(unreachable_port(icmp.recv(65536), v6))

    for _ in range(ROUNDS):
        before = len(left)
        for i, port in enumerate(sorted(left)):
            sender.sendto(b"?", (address, port))
            if i % 100 == 99:
                listen(0)
        listen(time.monotonic() + PATIENCE)
        if len(left) == before:
            break
    return sorted(left)


def main():
    report = {}
    for address in sys.argv[1:]:
        found, silent = scan_tcp(address)
        report[address] = {"tcp": found, "silent": silent, "udp": scan_udp(address)}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
