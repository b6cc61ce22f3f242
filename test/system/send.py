# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: puts frames on the wire as they are, in the order in which they are given.

Standard input: {"interface", "frames": [[offload, hexadecimal], ...]}; offload is "" or that of a
large frame that the kernel cuts later, as struct virtio_net_hdr.
"""
import json
import socket
import sys

SOL_PACKET, PACKET_VNET_HDR = 263, 15
NO_OFFLOAD = bytes(10)


def main():
    task = json.load(sys.stdin)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((task["interface"], 0))
        sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        for offload, frame in task["frames"]:
            sock.send((bytes.fromhex(offload) or NO_OFFLOAD) + bytes.fromhex(frame))


if __name__ == "__main__":
    main()
