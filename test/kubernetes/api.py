# SPDX-License-Identifier: Apache-2.0
"""An API server that lists and watches what lies in a directory as JSON files, one object or a List
each, and takes what is posted (events) without keeping it. Enough for kube-proxy, over HTTP.

usage: api.py ADDRESS PORT DIRECTORY

It says "ready" when it listens. A file that changes is read again; what it no longer holds is deleted.
"""
import ctypes
import http.server
import json
import os
import re
import sys
import threading
import urllib.parse

KINDS = {"services": "Service", "endpointslices": "EndpointSlice", "nodes": "Node",
         "servicecidrs": "ServiceCIDR", "events": "Event"}
PATH = re.compile(r"/(?:api/(v1)|apis/([^/]+/[^/]+))(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?$")
IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE = 0x8, 0x40, 0x80, 0x200


class Objects:
    """What the directory holds, and every change of it since the start, numbered."""

    def __init__(self, directory):
        self.directory = directory
        self.files = {}  # name -> {key: object}
        self.changes = []  # (type, object); the resource version is the place in this list
        self.changed = threading.Condition()
        libc = ctypes.CDLL(None, use_errno=True)
        self.inotify = libc.inotify_init1(os.O_CLOEXEC)
        watch = libc.inotify_add_watch(self.inotify, directory.encode(), IN_CLOSE_WRITE |
                                       IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE)
        assert self.inotify >= 0 and watch >= 0, os.strerror(ctypes.get_errno())
        for name in os.listdir(directory):
            self.read(name)
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        while True:
            events, at = os.read(self.inotify, 65536), 0
            while at < len(events):
                length = int.from_bytes(events[at + 12:at + 16], sys.byteorder)
                self.read(events[at + 16:at + 16 + length].rstrip(b"\0").decode())
                at += 16 + length

    def read(self, name):
        if name.startswith(".") or not name.endswith(".json"):
            return
        try:
            with open(os.path.join(self.directory, name), encoding="utf-8") as file:
                tree = json.load(file)
        except FileNotFoundError:
            tree = {"kind": "List", "items": []}
        new = {}
        for item in tree["items"] if tree["kind"] == "List" else [tree]:
            meta = item["metadata"]
            new[item["kind"], meta.get("namespace"), meta["name"]] = item
        old = self.files.get(name, {})
        with self.changed:
            self.files[name] = new
            for key in old.keys() - new.keys():
                self.add("DELETED", old[key])
            for key, item in new.items():
                if key not in old:
                    self.add("ADDED", item)
                elif item != old[key]:
                    self.add("MODIFIED", item)
            self.changed.notify_all()

    def add(self, kind, item):
        version = str(len(self.changes) + 1)
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": version}}
        self.changes.append((kind, item))

    def list(self, wanted):
        """All that is, and the version as of which it is."""
        with self.changed:
            items = {}
            for change, item in self.changes:
                if wanted(item):
                    key = item["metadata"].get("namespace"), item["metadata"]["name"]
                    items.pop(key, None)
                    if change != "DELETED":
                        items[key] = item
            return list(items.values()), len(self.changes)

    def wait(self, version, seconds):
        """What has changed since the version, and the new one."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.changes) > version, seconds)
            return self.changes[version:], len(self.changes)


def selector(query):
    """A function that says whether a request's selectors want an object."""
    labels = [term for term in query.get("labelSelector", "").split(",") if term]
    name = re.match(r"metadata\.name=(.*)", query.get("fieldSelector", ""))

    def wants(item):
        held = item["metadata"].get("labels", {})
        return (not name or item["metadata"]["name"] == name.group(1)) and \
            all((term.lstrip("!") in held) != term.startswith("!") for term in labels)
    return wants


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects = None

    def answer(self, code, tree):
        body = json.dumps(tree).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code, reason):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                           "message": self.path, "code": code})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(201, body)

    do_PATCH = do_POST

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        match = PATH.match(url.path)
        kind = KINDS.get(match.group(4)) if match else None
        if not kind:
            self.refuse(404, "NotFound")
            return
        selected = selector(query)
        version = match.group(1) or match.group(2)

        def wanted(item):
            return item["kind"] == kind and selected(item)
        if match.group(5):
            found, _ = self.objects.list(lambda item: wanted(item) and
                                         item["metadata"]["name"] == match.group(5) and
                                         item["metadata"].get("namespace") == match.group(3))
            if found:
                self.answer(200, found[0])
            else:
                self.refuse(404, "NotFound")
        elif query.get("watch") in ("1", "true"):
            self.watch(query, wanted)
        else:
            items, number = self.objects.list(wanted)
            self.answer(200, {"kind": kind + "List", "apiVersion": version, "items": items,
                              "metadata": {"resourceVersion": str(number)}})

    def watch(self, query, wanted):
        if query.get("sendInitialEvents") == "true":
            self.refuse(422, "Invalid")  # the client lists, then
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        version = int(query.get("resourceVersion") or 0)
        while True:
            changes, version = self.objects.wait(version, 60)
            lines = "".join(json.dumps({"type": change, "object": item}) + "\n"
                            for change, item in changes if wanted(item)).encode()
            if lines:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(lines), lines))

    def log_message(self, *_arguments):
        pass


def main():
    Handler.objects = Objects(sys.argv[3])
    server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
    server.daemon_threads = True
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
