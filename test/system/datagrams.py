# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: UDP sockets of a client of Services.

  datagrams.py ask JSON                   one after the other
  datagrams.py shout MODE ADDRESS PORT    from "ready" on sends the last line of its standard input,
                                          at first "start", some hundred times a second and reads
                                          nothing; says each line when it has tried it SOME times,
                                          and at the end {line: how many were sent}

Asked is a list of {"to": [[address, port], ...]}, each by one socket, with
  "connected": true: to the one address; else by sendto;
  "family": 6: a socket of IPv6 also for addresses of IPv4;
  "size": bytes of each datagram;
  "one_by_one": true: after each its reply is waited for.
An answer: {"error": NAME} or {"replies": [{"from": [address, port], and what the responder said}],
"peer": what getpeername says, where it is connected}.
"""
import errno
import json
import select
import socket
import sys

from sockets import plain

SECONDS = 1.5
PAUSE = 0.003
SOME = 20


def target(call, to):
    mapped = call.get("family") == 6 and ":" not in to[0]
    return ("::ffff:" + to[0] if mapped else to[0]), to[1]


def open_socket(call):
    v6 = call.get("family") == 6 or ":" in call["to"][0][0]
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(SECONDS)
    return sock


def name(end):
    return [plain(end[0]), end[1]]


def ask(call):
    answer, text = {"replies": []}, b"?" * call.get("size", 1)

    def take():
        line, peer = sock.recvfrom(65536)
        answer["replies"].append({**json.loads(line), "from": name(peer)})

    with open_socket(call) as sock:
        if call.get("connected"):
            sock.connect(target(call, call["to"][0]))
            answer["peer"] = name(sock.getpeername())
            sock.send(text)
        else:
            for to in call["to"]:
                sock.sendto(text, target(call, to))
                if call.get("one_by_one"):
                    take()
        while len(answer["replies"]) < len(call["to"]):
            take()
    return answer


def run(call):
    try:
        return ask(call)
    except TimeoutError:
        return {"error": "timeout"}
    except OSError as error:
        return {"error": errno.errorcode.get(error.errno, str(error))}


def shout(mode, address, port):
    text, tried, sent, to = "start", SOME, {"start": 0}, (address, int(port))
    with open_socket({"to": [to]}) as sock:
        if mode == "connected":
            sock.connect(to)
        print("ready", flush=True)
        while True:
            if select.select([sys.stdin], [], [], PAUSE)[0]:
                line = sys.stdin.readline()
                if not line:
                    return sent
                text, tried = line.strip(), 0
                sent[text] = sent.get(text, 0)
            try:
                if mode == "connected":
                    sock.send(text.encode())
                else:
                    sock.sendto(text.encode(), to)
                sent[text] += 1
            except ConnectionRefusedError:
                pass
            tried += 1
            if tried == SOME:
                print(text, flush=True)


def main():
    if sys.argv[1] == "ask":
        json.dump([run(call) for call in json.loads(sys.argv[2])], sys.stdout)
    else:
        json.dump(shout(*sys.argv[2:]), sys.stdout)


if __name__ == "__main__":
    main()
