# SPDX-License-Identifier: Apache-2.0
"""The nodes' own processes as clients of Services by UDP: packets that are translated on the node, one
by one, and sockets that call the Service as they have called it first."""
import contextlib
import json
import os

import pytest
from cni import namespace
from labs import FAMILIES, HERE, PYTHON, REPAIR_SECONDS, end, is_ipv6, run, wait_for
from test_socket import LOOPBACK, settings

PLACES = ["node1", "node2", "c/client"]
NODE_PORTS = {"every": 30090, "one": 30091, "host": 30092, "near": 30093, "none": 30094}
MODES = [{"connected": True}, {}]
CATCH = 9999
BIG = 4000
BRIDGED = {"ipv4": ("172.31.9.1", "172.31.9.2", 24), "ipv6": ("fd31:9::1", "fd31:9::2", 64)}
CHANGES = ["there", "here", "nowhere", "there", "nowhere", "here"]


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2", manifests=("node_client.yaml",))
    for node in "node1", "node2":
        wait_for(lambda n=node: "192.0.2.96" in rows(lab, n) and "30094" in rows(lab, n),
                 f"{node} has the rows of Services")
    with lab.left_alone():
        if lab.hostile:  # a port of a process of the node, as its operator would open it
            lab.exec("node2", "nft", "insert", "rule", "inet", "firewall", "input",
                     "udp", "dport", "7778", "accept")
        yield lab


def rows(lab, node):
    return "\n".join(row["row"] for row in lab.query(node, "tables")["rows"])


def of_family(addresses, family):
    return next(a for a in addresses if is_ipv6(a) == (family == "ipv6"))


def service(lab, name):
    return next(s for s in lab.get("services") if s["metadata"]["name"] == name)


def cluster(lab, name, family):
    return [of_family(service(lab, name)["spec"]["clusterIPs"], family), 53]


def balancer(lab, name, family):
    ingress = service(lab, name)["status"]["loadBalancer"]["ingress"]
    return [of_family([entry["ip"] for entry in ingress], family), 53]


def node_address(lab, node, family):
    return of_family(lab.node_addresses(node), family)


def own_address(lab, where, family):
    return node_address(lab, lab.pods()[where]["node"] if "/" in where else where, family)


def node_ports(lab, name, family):
    return [[node_address(lab, node, family), NODE_PORTS[name]] for node in ("node1", "node2")]


def frontends(lab, name, family):
    return [cluster(lab, name, family), balancer(lab, name, family), *node_ports(lab, name, family)]


def ask(lab, where, calls):
    done = lab.exec(where, PYTHON, "-B", os.path.join(HERE, "datagrams.py"), "ask",
                    json.dumps(calls), timeout=120)
    return json.loads(done.stdout)


def is_answered(lab, where, calls, app, client):
    """By an endpoint, in the name that was called; and the endpoint sees this client."""
    pods = lab.pods(app=app)
    for call, answer in zip(calls, ask(lab, where, calls)):
        assert "error" not in answer, (where, call, answer)
        assert sorted(reply["from"] for reply in answer["replies"]) == sorted(call["to"])
        for reply in answer["replies"]:
            assert reply["pod"] in pods and reply["client"].removeprefix("::ffff:") == client, reply
        if "peer" in answer:
            assert answer["peer"] == call["to"][0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["every", "one", "host"])
@pytest.mark.parametrize("where", PLACES)
def test_frontends(lab, where, name, family):
    """Endpoints here, elsewhere and on host networks. A node that is its own endpoint sees the Service."""
    client = own_address(lab, where, family)
    if name == "host" and where == "node2":
        client = cluster(lab, name, family)[0]
    calls = [{"to": [frontend], **mode} for frontend in frontends(lab, name, family) for mode in MODES]
    is_answered(lab, where, calls, name, client)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", ["node1", "node2"])
def test_fragments(lab, where, family):
    """A datagram in pieces, of which only the first has ports."""
    for name in "every", "one":
        calls = [{"to": [cluster(lab, name, family)], "size": BIG, **mode} for mode in MODES]
        is_answered(lab, where, calls, name, own_address(lab, where, family))


@pytest.mark.parametrize("where", PLACES)
def test_mapped_addresses(lab, where):
    """Sockets of IPv6, addresses of IPv4."""
    calls = [{"to": [frontend], "family": 6, **mode} for frontend in frontends(lab, "every", "ipv4")
             for mode in MODES]
    is_answered(lab, where, calls, "every", own_address(lab, where, "ipv4"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", PLACES)
def test_many_destinations_of_one_socket(lab, where, family):
    """Each reply bears the name that it was called by, whoever else the socket speaks to."""
    to = [cluster(lab, "every", family), balancer(lab, "one", family),
          node_ports(lab, "host", family)[0]]
    answer, = ask(lab, where, [{"to": to}])
    assert sorted(reply["from"] for reply in answer["replies"]) == sorted(to), answer


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", PLACES)
def test_an_endpoint_by_two_ways(lab, where, family):
    """From one port by a Service and directly, which the endpoint alone could not tell apart."""
    ways = [balancer(lab, "one", family), [of_family(lab.pods()["c/one"]["addresses"], family), 7777]]
    answer, = ask(lab, where, [{"to": ways * 3, "one_by_one": True}])
    assert [reply["from"] for reply in answer["replies"]] == ways * 3, answer
    assert len({reply["client_port"] for reply in answer["replies"]}) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_external_address(lab, family):
    """Where the administrator allows it; without, nobody is there."""
    to = [of_family(["198.51.100.90", "2001:db8:e::90"], family), 53]
    calls = [{"to": [to], **mode} for mode in MODES]
    assert all("error" in answer for answer in ask(lab, "node1", calls))
    with settings(lab, "node1", lambda text: text + 'externalCIDRs: [198.51.100.0/24, "2001:db8:e::/64"]\n'):
        is_answered(lab, "node1", calls, "every", own_address(lab, "node1", family))


@pytest.mark.parametrize("family,loopback", LOOPBACK.items())
def test_loopback(lab, family, loopback):
    """A pod's host port, and node ports where the setting says so."""
    host_port = [{"to": [[loopback, 38053]], **mode} for mode in MODES]
    node_port = [{"to": [[loopback, NODE_PORTS["one"]]], **mode} for mode in MODES]
    own = own_address(lab, "node2", family)
    is_answered(lab, "node2", host_port, "one", own)
    assert all("error" in answer for answer in ask(lab, "node2", node_port))
    with settings(lab, "node2", lambda text: text + "nodePortAddresses: [primary, localhost]\n"):
        is_answered(lab, "node2", node_port, "one", own)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_container_of_another_network_is_left_alone(lab, family):
    """In a network namespace that is no pod's, on a node where the same call is answered."""
    loopback = LOOPBACK[family]
    call = {"to": [[loopback, 38053]], "connected": True}
    script = os.path.join(HERE, "datagrams.py")
    done = lab.exec("node2", "unshare", "--net", "sh", "-c",
                    f"ip link set lo up && {PYTHON} -B {script} ask '{json.dumps([call])}'")
    assert json.loads(done.stdout) == [{"error": "ECONNREFUSED"}]
    is_answered(lab, "node2", [call], "one", own_address(lab, "node2", family))


@contextlib.contextmanager
def container(lab, node, family):
    """A network namespace behind the node, which masquerades for it, as container runtimes make them."""
    gateway, own, length = BRIDGED[family]
    ip, nodad = ("ip6", ["nodad"]) if family == "ipv6" else ("ip", [])
    rules = f"""table {ip} bridged {{
        chain out {{
            type nat hook postrouting priority srcnat
            {ip} saddr {own} oifname != bridged0 masquerade
        }}
    }}"""
    with namespace(f"pw-b-{os.getpid()}") as netns:
        inside = ["nsenter", f"--net={netns}"]
        lab.exec(node, "ip", "link", "add", "bridged0", "type", "veth", "peer", "name", "eth0",
                 "netns", netns)
        try:
            lab.exec(node, "nft", "-f", "-", input=rules)
            lab.exec(node, "ip", "address", "add", f"{gateway}/{length}", "dev", "bridged0", *nodad)
            lab.exec(node, "ip", "link", "set", "bridged0", "up")
            run(*inside, "ip", "link", "set", "eth0", "up")
            run(*inside, "ip", "address", "add", f"{own}/{length}", "dev", "eth0", *nodad)
            run(*inside, "ip", "route", "add", "default", "via", gateway)
            yield inside
        finally:
            lab.exec(node, "ip", "link", "del", "bridged0")
            lab.exec(node, "nft", "delete", "table", ip, "bridged", check=False)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("node", ["node1", "node2"])
def test_containers_that_are_no_pods(lab, node, family):
    """The node speaks for them, and is the client."""
    calls = [{"to": [cluster(lab, name, family)], **mode} for name in ("every", "one") for mode in MODES]
    with container(lab, node, family) as inside:
        done = run(*inside, PYTHON, "-B", os.path.join(HERE, "datagrams.py"), "ask", json.dumps(calls))
    for call, answer in zip(calls, json.loads(done.stdout)):
        assert "error" not in answer, (call, answer)
        assert answer["replies"][0]["from"] == call["to"][0] and answer["replies"][0]["pod"]


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_default_route(lab, family):
    flag = "-6" if family == "ipv6" else "-4"
    routes = lab.exec("node1", "ip", flag, "route", "show", "default").stdout.split("\n")
    try:
        lab.exec("node1", "ip", flag, "route", "flush", "default")
        is_answered(lab, "node1", [{"to": [f], **mode} for f in frontends(lab, "one", family)
                                   for mode in MODES], "one", own_address(lab, "node1", family))
    finally:
        for route in filter(None, routes):
            lab.exec("node1", "ip", flag, "route", "add", *route.split())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", PLACES)
def test_without_endpoints(lab, where, family):
    calls = [{"to": [frontend], **mode} for frontend in frontends(lab, "none", family) for mode in MODES]
    # A port that the Service does not have: only its packets can tell.
    calls.append({"to": [[cluster(lab, "one", family)[0], 99]], "connected": True})
    assert ask(lab, where, calls) == [{"error": "ECONNREFUSED"}] * len(calls)


@pytest.mark.parametrize("family", FAMILIES)
def test_internal_policy(lab, family):
    """Local: silence where no endpoint is, for TCP too. At node ports it is not asked."""
    calls = [{"to": [cluster(lab, "near", family)], **mode} for mode in MODES]
    before = lab.drops("node1")["service-local"]
    assert ask(lab, "node1", calls) == [{"error": "timeout"}] * len(calls)
    assert lab.probe_once("node1", [("tcp", cluster(lab, "near", family)[0], 80)], 1.0) == \
        [{"error": "timeout"}]
    assert lab.drops("node1")["service-local"] >= before + 3
    is_answered(lab, "node2", calls, "one", own_address(lab, "node2", family))
    assert "error" not in lab.probe("node2", [("tcp", cluster(lab, "near", family)[0], 80)])[0]
    for where in PLACES:
        calls = [{"to": [to], **mode} for to in node_ports(lab, "near", family) for mode in MODES]
        is_answered(lab, where, calls, "one", own_address(lab, where, family))


@pytest.mark.parametrize("family", FAMILIES)
def test_ranges_of_sources(lab, family):
    allowed, denied = (balancer(lab, name, family) for name in ("for-nodes", "for-pods"))
    for where in PLACES:
        answers = ask(lab, where, [{"to": [denied], **mode} for mode in MODES])
        assert all("error" in answer for answer in answers), answers
        is_answered(lab, where, [{"to": [allowed], **mode} for mode in MODES], "one",
                    own_address(lab, where, family))


@pytest.mark.parametrize("family", FAMILIES)
def test_route(lab, family):
    """By the tunnel's device, from the node's own address; it comes back where it is taken away."""
    address, flag = cluster(lab, "one", family)[0], ["-6"] if family == "ipv6" else ["-4"]
    found, = json.loads(lab.exec("node1", "ip", "-j", "route", "get", address).stdout)
    assert found["dev"] == "pw-tunnel" and found["prefsrc"] == own_address(lab, "node1", family)
    listed = json.loads(lab.exec("node1", "ip", "-j", *flag, "route", "show", "match", address).stdout)
    prefix = next(route["dst"] for route in listed if route.get("dev") == "pw-tunnel")
    lab.exec("node1", "ip", *flag, "route", "del", prefix, "dev", "pw-tunnel")
    wait_for(lambda: "pw-tunnel" in lab.exec("node1", "ip", "route", "get", address).stdout,
             "the route is there again", REPAIR_SECONDS)
    is_answered(lab, "node1", [{"to": [cluster(lab, "one", family)]}], "one",
                own_address(lab, "node1", family))


def catching(which, node_port):
    return json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "catching", "namespace": "c"},
        "spec": {"type": "NodePort", "ipFamilyPolicy": "PreferDualStack", "selector": {"catch": which},
                 "ports": [{"port": 53, "protocol": "UDP", "targetPort": CATCH, "nodePort": node_port}]}})


def backend_is(lab, which, family):
    """The node has only this endpoint of the Service, or none."""
    text = rows(lab, "node1")
    pods = lab.pods()
    found = {key for key in ("c/here", "c/there")
             if f"{of_family(pods[key]['addresses'], family)} port {CATCH}" in text}
    return found == {f"c/{which}"} - {"c/nowhere"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("which", ["here", "there"])
def test_an_endpoint_that_does_not_listen(lab, which, family):
    """Its error comes to the socket, as about the Service. With somebody there, nothing does."""
    lab.apply(catching(which, 30099))
    try:
        wait_for(lambda: backend_is(lab, which, family), "the Service's rows")
        call = {"to": [cluster(lab, "catching", family)], "connected": True}
        assert ask(lab, "node1", [call]) == [{"error": "ECONNREFUSED"}]
        catcher = lab.beside(f"c/{which}", "receive.py", str(CATCH))
        assert ask(lab, "node1", [call]) == [{"error": "timeout"}]
        assert end(catcher)[str(CATCH)] == {"?": 1}
    finally:
        lab.delete(catching(which, 30099))


def say(sender, text):
    sender.stdin.write(text + "\n")
    sender.stdin.flush()
    assert sender.stdout.readline() == text + "\n"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ["connected", "unconnected"])
@pytest.mark.parametrize("frontend", ["cluster address", "node port"])
def test_a_sender_that_never_reads(lab, frontend, mode, family):
    """All that is sent after a change comes to who serves now, and to nobody else."""
    lab.apply(catching("here", 30099))
    with contextlib.ExitStack() as stack:
        stack.callback(lab.delete, catching("here", 30099))
        wait_for(lambda: backend_is(lab, "here", family), "the Service's rows")
        to = cluster(lab, "catching", family)
        if frontend == "node port":
            to = [node_address(lab, "node1", family), 30099]
        catchers = {which: lab.beside(f"c/{which}", "receive.py", str(CATCH))
                    for which in ("here", "there")}
        sender = lab.beside("node1", "datagrams.py", "shout", mode, to[0], str(to[1]))
        for number, which in enumerate(CHANGES):
            say(sender, "meanwhile")
            lab.apply(catching(which, 30099))
            wait_for(lambda w=which: backend_is(lab, w, family), "the change is known")
            say(sender, f"{number}-{which}")
        sent = end(sender)
        caught = {which: end(catcher)[str(CATCH)] for which, catcher in catchers.items()}
    for number, which in enumerate(CHANGES):
        text = f"{number}-{which}"
        for catcher, got in caught.items():
            assert got.get(text, 0) == (sent[text] if catcher == which else 0), (text, sent, caught)
        assert which == "nowhere" or sent[text] > 1
