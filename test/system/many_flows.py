# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: one datagram to ADDRESS PORT from each of COUNT sockets, whose ports it prints as
JSON. They come one after the other, so that no queue on the way overflows."""
import json
import socket
import sys

ADDRESS, PORT, COUNT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET

ports = []
for port in range(20000, 60000):
    if len(ports) == COUNT:
        break
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("", port))
        except OSError:
            continue  # somebody has it
        sock.connect((ADDRESS, PORT))
        sock.send(b"?")
        ports.append(port)
print(json.dumps(ports))
