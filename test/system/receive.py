# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: what a program gets by UDP on the ports of argv, in both families.

Prints "ready"; when its standard input ends, {port: {text: how often}}, where the text of a datagram is
what stands before its first space.
"""
import collections
import json
import select
import socket
import sys


def listener(family, port):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    return sock


def main():
    socks = {listener(family, int(port)): port for port in sys.argv[1:]
             for family in (socket.AF_INET, socket.AF_INET6)}
    got = collections.defaultdict(collections.Counter)
    print("ready", flush=True)
    while True:
        # Everything that has come in is read before the end is looked at.
        ready = select.select(socks, [], [], 0)[0] or select.select([*socks, sys.stdin], [], [])[0]
        if ready == [sys.stdin]:
            break
        for sock in set(ready) & set(socks):
            text = sock.recv(65536).split(b" ")[0]
            got[socks[sock]][text.decode(errors="replace")] += 1
    json.dump(got, sys.stdout)


if __name__ == "__main__":
    main()
