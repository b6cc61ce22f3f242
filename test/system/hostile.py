# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: sends frames that nobody should send, each several times over a window.

Standard input: {"interface", "mac", "gateway_mac", "rounds", "period", "cases": {name: [frame, ...]}}
A frame is a list of layers, [class name of scapy, {field: value}], for example
[["Ether", {}], ["IP", {"src": "10.0.0.1", "dst": "10.0.0.2"}], ["UDP", {"dport": 53}]].
Each frame bears its case's name, so that whoever sees one knows which it is: where it ends in
["Raw", {}] as the payload, else behind its end, where a bridge may cut it off.
Prints {name: how many frames the kernel took}.
"""
import json
import socket
import sys
import time

import scapy.all as scapy

MARK = b"podwire<%s>"


def build(layers, task, mark):
    frame = None
    for name, fields in layers:
        if name in ("Ether", "Dot3"):
            fields = {"src": task["mac"], "dst": task["gateway_mac"], **fields}
        if name == "Raw":
            fields = {"load": mark}
        layer = getattr(scapy, name)(**fields)
        frame = layer if frame is None else frame / layer
    return bytes(frame) if frame.haslayer("Raw") else bytes(frame).ljust(60, b"\0") + mark


def main():
    task = json.load(sys.stdin)
    frames = [(name, build(layers, task, MARK % name.encode()))
              for name, case in task["cases"].items() for layers in case]
    sent = dict.fromkeys(task["cases"], 0)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((task["interface"], 0))
        for _ in range(task["rounds"]):
            for name, frame in frames:
                sock.send(frame)
                sent[name] += 1
            time.sleep(task["period"])
    json.dump(sent, sys.stdout)


if __name__ == "__main__":
    main()
