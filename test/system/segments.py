# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: TCP segments that no TCP has sent, and who sends what.

  segments.py send SOURCE PORT TARGET PORT SEQUENCE...   data of that connection, at these sequence numbers
  segments.py sources PORT   counts TCP segments that come in to that port, by their source, until its
                             standard input ends: {"ADDRESS PORT": how often}; "ready"
  segments.py hold ADDRESS PORT  a connection; each line of standard input is sent and answered:
                             {"port": its own, "answer"}; "ready"
"""
import collections
import ipaddress
import json
import select
import socket
import struct
import sys

ETH_P_ALL, PACKET_OUTGOING = 3, 4
ACK_PUSH = 0x18
DATA = b"out of the window"


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def send(source, source_port, target, target_port, *sequences):
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    family = socket.AF_INET6 if source.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as sock:
        for sequence in sequences:
            head = struct.pack("!HHIIBBHHH", source_port, target_port, sequence, sequence, 5 << 4,
                               ACK_PUSH, 1000, 0, 0)
            data = DATA + bytes(len(DATA) % 2)
            pseudo = source.packed + target.packed + struct.pack("!II", len(head) + len(data),
                                                                socket.IPPROTO_TCP)
            head = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:]
            sock.sendto(head + data, (str(target), 0))


def tcp_of(frame):
    """(source, source port, target port) of a TCP segment in an Ethernet frame; None: it is none."""
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0800 and frame[23] == socket.IPPROTO_TCP:
        source, at = ipaddress.ip_address(frame[26:30]), 14 + (frame[14] & 15) * 4
    elif kind == 0x86dd and frame[20] == socket.IPPROTO_TCP:
        source, at = ipaddress.ip_address(frame[22:38]), 54
    else:
        return None
    return (str(source), *struct.unpack("!HH", frame[at:at + 4]))


def sources(port):
    seen = collections.Counter()
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    print("ready", flush=True)
    while True:
        # Everything that has come in is read before the end is looked at.
        ready = select.select([packets], [], [], 0)[0] or select.select([packets, sys.stdin], [], [])[0]
        if ready == [sys.stdin]:
            break
        frame, origin = packets.recvfrom(65536)
        found = tcp_of(frame)
        if found and found[2] == port and origin[2] != PACKET_OUTGOING:
            seen[f"{found[0]} {found[1]}"] += 1
    json.dump(seen, sys.stdout)


def hold(address, port):
    with socket.create_connection((address, port), 5) as sock:
        print("ready", flush=True)
        for line in sys.stdin:
            sock.sendall(line.encode())
            print(json.dumps({"port": sock.getsockname()[1], "answer": sock.recv(100).decode()}),
                  flush=True)


if __name__ == "__main__":
    VERBS = {"send": send, "sources": sources, "hold": hold}
    VERBS[sys.argv[1]](*(int(a) if a.isdigit() else a for a in sys.argv[2:]))
