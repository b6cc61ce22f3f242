# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: counts the marked frames of hostile.py that come in by each interface of a
namespace, and the datagrams that a listener on its loopback addresses gets.

Prints "ready"; when its standard input ends, {"seen": {interface: {case: count}}, "heard": count}.
"""
import collections
import json
import re
import select
import socket
import sys

ETH_P_ALL = 3
PACKET_OUTGOING = 4
LOOPBACK_PORT = 9999


def listeners():
    for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((address, LOOPBACK_PORT))
        yield sock


def main():
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    heard = list(listeners())
    seen = collections.defaultdict(collections.Counter)
    datagrams = 0
    print("ready", flush=True)
    while True:
        # Everything that has come in is read before the end is looked at.
        ready = select.select([packets, *heard], [], [], 0)[0]
        if not ready:
            ready = select.select([packets, *heard, sys.stdin], [], [])[0]
        if ready == [sys.stdin]:
            break
        if packets in ready:
            frame, origin = packets.recvfrom(65536)
            mark = re.search(rb"podwire<([^>]*)>", frame)
            if mark and origin[2] != PACKET_OUTGOING:
                seen[origin[0]][mark.group(1).decode()] += 1
        for sock in set(heard) & set(ready):
            sock.recv(65536)
            datagrams += 1
    json.dump({"seen": seen, "heard": datagrams}, sys.stdout)


if __name__ == "__main__":
    main()
