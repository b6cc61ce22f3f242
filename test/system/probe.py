# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: asks each target once, all at the same time, and prints the replies as JSON.

argv[1]: {"seconds": S, "targets": [[protocol, address, port], ...]}; protocol tcp, udp or icmp.
A reply is what the responder said, {} for an echo reply, or {"error": "timeout"} and the like.
"""
import concurrent.futures
import errno
import json
import os
import socket
import struct
import sys

NAMES = {errno.ECONNREFUSED: "refused", errno.EHOSTUNREACH: "unreachable",
         errno.ENETUNREACH: "no route", errno.ECONNRESET: "reset", errno.EACCES: "prohibited"}


def open_socket(address, kind, protocol=0):
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, protocol)


def ask_tcp(address, port, seconds):
    with open_socket(address, socket.SOCK_STREAM) as sock:
        sock.settimeout(seconds)
        sock.connect((address, port))
        sock.sendall(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")
        text = b""
        while piece := sock.recv(65536):
            text += piece
    return json.loads(text.split(b"\r\n\r\n", 1)[1])


def ask_udp(address, port, seconds):
    with open_socket(address, socket.SOCK_DGRAM) as sock:
        sock.settimeout(seconds)
        sock.connect((address, port))
        sock.send(b"?")
        return json.loads(sock.recv(65536))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ask_icmp(address, number, seconds):
    """An echo of eight bytes; `number` keeps the askers of one process apart."""
    v6 = ":" in address
    name = struct.pack("!HH", os.getpid() & 0xffff, number)
    body = name + b"podwire."
    request, reply = (128, 129) if v6 else (8, 0)
    head = struct.pack("!BBH", request, 0, 0)
    if not v6:
        head = struct.pack("!BBH", request, 0, checksum(head + body))
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    with open_socket(address, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(seconds)
        sock.connect((address, 0))
        sock.send(head + body)
        while True:
            data = sock.recv(65536)
            data = data if v6 else data[(data[0] & 15) * 4:]
            if data[0] == reply and data[4:8] == name:
                return {}


def ask(target, number, seconds):
    protocol, address, port = target
    try:
        if protocol == "icmp":
            return ask_icmp(address, number, seconds)
        return (ask_tcp if protocol == "tcp" else ask_udp)(address, port, seconds)
    except TimeoutError:
        return {"error": "timeout"}
    except OSError as error:
        return {"error": NAMES.get(error.errno, str(error))}
    except (ValueError, IndexError) as error:
        return {"error": f"no reply of a responder: {error}"}


def main():
    task = json.loads(sys.argv[1])
    with concurrent.futures.ThreadPoolExecutor(max(1, len(task["targets"]))) as pool:
        replies = list(pool.map(ask, task["targets"], range(len(task["targets"])),
                                [task["seconds"]] * len(task["targets"])))
    json.dump(replies, sys.stdout)


if __name__ == "__main__":
    main()
