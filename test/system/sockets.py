# SPDX-License-Identifier: Apache-2.0
"""Runs inside a lab: calls on sockets, and what came of them, as JSON.

  sockets.py calls JSON           one after the other
  sockets.py hold ADDRESS PORT    connects, says "ready"; converses when its standard input ends
  sockets.py alone ADDRESS PORT   connects to itself there: {"peer", "real", "client"}
  sockets.py steady ADDRESS PORT  converses from "ready" on until its standard input ends, on a new
                                  connection each time: {"made", "failed": [NAME], "pods": [...]}

Calls are a list of {"to": [address, port]} with
  "kind": "tcp" (default), "fastopen" (connected by the first send), "udp" (connected), "sendto";
  "family": 6: a socket of IPv6 also for an address of IPv4;
  "first": [address, port]: the same socket is connected there before, and disconnected;
  "times": N: as often, with a socket of its own each.
An answer: {"error": NAME} or {"pod", "client": what the responder says; "peer": what getpeername
says; "real": what the kernel knows; of datagrams "own": the source that it chose}. NAME is
"ECONNREFUSED" where the call itself fails, "ECONNREFUSED later" where an answer has come to it.
"""
import errno
import ipaddress
import json
import os
import select
import socket
import sys

SECONDS = 3
IN_CALL = "in the call"
REQUEST = b"GET / HTTP/1.0\r\nHost: test\r\n\r\n"
KINDS = {"tcp": socket.SOCK_STREAM, "fastopen": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sendto": socket.SOCK_DGRAM}


def plain(address):
    """Without the zone, and an IPv4 address as itself."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def kernel_address(text):
    """Words of the machine's byte order, in hexadecimal."""
    words = [bytes.fromhex(text[i:i + 8])[::-1] for i in range(0, len(text), 8)]
    return plain(str(ipaddress.ip_address(b"".join(words))))


def real_peer(sock):
    """Of this socket in the kernel's list, which no program of ours changes."""
    inode = str(os.fstat(sock.fileno()).st_ino)
    for name in "tcp", "tcp6":
        with open(f"/proc/self/net/{name}", encoding="ascii") as table:
            for fields in map(str.split, table):
                if fields[9] == inode:
                    address, port = fields[2].split(":")
                    return [kernel_address(address), int(port, 16)]
    return None


def target(call, to):
    mapped = call.get("family") == 6 and ":" not in to[0]
    return ("::ffff:" + to[0] if mapped else to[0]), to[1]


def open_socket(call):
    v6 = call.get("family") == 6 or ":" in call["to"][0]
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, KINDS[call.get("kind", "tcp")])
    sock.settimeout(SECONDS)
    return sock


def connect(sock, to):
    """Without waiting first: so what the call itself refuses can be told from a reset."""
    sock.setblocking(False)
    code, text = sock.connect_ex(to), IN_CALL
    if code == errno.EINPROGRESS:
        if not select.select([], [sock], [], SECONDS)[1]:
            raise TimeoutError
        code, text = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "later"
    sock.settimeout(SECONDS)
    if code:
        raise OSError(code, text)


def disconnect(sock):
    """connect to AF_UNSPEC, which Python has no call for."""
    import ctypes
    name = (ctypes.c_char * 16)()
    ctypes.CDLL(None).connect(sock.fileno(), name, 16)


def ask(sock, call):
    kind = call.get("kind", "tcp")
    to = target(call, call["to"])
    if "first" in call:
        try:
            connect(sock, target(call, call["first"]))
        except OSError:
            pass
        disconnect(sock)
    if kind == "sendto":
        sock.sendto(b"?", to)
        return {}
    if kind == "fastopen":
        sock.settimeout(None)
        sock.sendto(REQUEST, socket.MSG_FASTOPEN, to)
        sock.settimeout(SECONDS)
    else:
        connect(sock, to)
    answer = {}
    if to[1]:  # else the kernel says ENOTCONN, although it is
        peer = sock.getpeername()
        answer["peer"] = [plain(peer[0]), peer[1]]
    if kind == "udp":
        answer["own"] = plain(sock.getsockname()[0])
    else:
        answer["real"] = real_peer(sock)
        answer.update(converse(sock, b"" if kind == "fastopen" else REQUEST))
    return answer


def converse(sock, request=REQUEST):
    sock.sendall(request)
    text = b""
    while piece := sock.recv(65536):
        text += piece
    line = json.loads(text.split(b"\r\n\r\n", 1)[1])
    return {"pod": line.get("pod"), "client": plain(line["client"])}


def run(call):
    try:
        with open_socket(call) as sock:
            return ask(sock, call)
    except TimeoutError:
        return {"error": "timeout"}
    except OSError as error:
        at_once = error.strerror == IN_CALL or call.get("kind") == "sendto"
        return {"error": errno.errorcode.get(error.errno, str(error)) + ("" if at_once else " later")}


def calls(text):
    return [run(call) for call in json.loads(text) for _ in range(call.get("times", 1))]


def hold(address, port):
    call = {"to": [address, int(port)]}
    with open_socket(call) as sock:
        connect(sock, target(call, call["to"]))
        print("ready", flush=True)
        sys.stdin.read()
        try:
            return converse(sock)
        except OSError as error:
            return {"error": errno.errorcode.get(error.errno, str(error))}


def alone(address, port):
    to = (address, int(port))
    with open_socket({"to": to}) as listener, open_socket({"to": to}) as sock:
        listener.bind(to)
        listener.listen()
        sock.connect(to)
        return {"peer": list(sock.getpeername()[:2]), "real": real_peer(sock),
                "client": listener.accept()[1][0]}


def steady(address, port):
    made, failed, pods = 0, [], set()
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        answer = run({"to": [address, int(port)]})
        made += 1
        if "error" in answer:
            failed.append(answer["error"])
        else:
            pods.add(answer["pod"])
    return {"made": made, "failed": failed, "pods": sorted(pods)}


def main():
    verbs = {"calls": calls, "hold": hold, "alone": alone, "steady": steady}
    json.dump(verbs[sys.argv[1]](*sys.argv[2:]), sys.stdout)


if __name__ == "__main__":
    main()
