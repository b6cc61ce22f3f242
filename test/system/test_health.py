# SPDX-License-Identifier: Apache-2.0
"""What load balancers and monitors ask a node: statuses, headers and weights, by whom and where."""
import collections
import contextlib
import json
import os
import re
import signal
import socket

import pytest
from labs import FAMILIES, PYTHON, is_ipv6, run, wait_for
from prometheus_client.parser import text_string_to_metric_families
from test_agent import start_agent, stopped

NODE, OTHER = "node1", "node2"
WEB, OTHER_SERVICE = 32001, 32002
HEALTH, METRICS = 10256, 10249
LOOPBACK = {"ipv4": "127.0.0.1", "ipv6": "::1"}
VIP = {"ipv4": "192.0.2.90", "ipv6": "2001:db8:b::90"}
NETWORK = {"ipv4": "198.51.100.", "ipv6": "2001:db8:e::"}
TIMEOUT_SECONDS = 2  # healthTimeoutSeconds of the lab
READY = {"ready": True}
ENDING = {"ready": False, "serving": True, "terminating": True}
HERE, ELSEWHERE = (NODE, READY), (OTHER, READY)

Answer = collections.namedtuple("Answer", "status headers body")


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "2", manifests=("health.yaml",))
    lab.expected = [r"reading the objects"]
    settings(lab, f"healthTimeoutSeconds: {TIMEOUT_SECONDS}\n")
    return lab


def settings(lab, text):
    """The node's agent anew, with these settings more."""
    with stopped(lab, NODE), open(f"{lab.run_directory(NODE)}/podwire.yaml", "a",
                                  encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def more_settings(lab, text):
    path = f"{lab.run_directory(NODE)}/podwire.yaml"
    with open(path, encoding="utf-8") as file:
        before = file.read()
    settings(lab, text)
    try:
        yield
    finally:
        with stopped(lab, NODE), open(path, "w", encoding="utf-8") as file:
            file.write(before)


def address(lab, family, node=NODE):
    return next(a for a in lab.node_addresses(node) if is_ipv6(a) == (family == "ipv6"))


def ask(lab, where, host, port, path="/", *options):
    """The answer to one request, or why there is none: "refused", "timeout"."""
    url = f"http://[{host}]:{port}{path}" if is_ipv6(host) else f"http://{host}:{port}{path}"
    done = lab.exec(where, "curl", "-gsi", "--max-time", "5", *options, url, check=False)
    if done.returncode:
        return {7: "refused", 28: "timeout"}.get(done.returncode, f"curl: {done.returncode}")
    head, body = done.stdout.split("\n\n", 1)
    status, *lines = head.split("\n")
    assert status.startswith("HTTP/1.1 ")
    return Answer(int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body)


def slices(name, endpoints, ports=("http", "more")):
    """A slice of each family, with endpoints of these nodes and conditions, in their order."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": {"name": f"{name}-{family}", "namespace": "h",
                      "labels": {"kubernetes.io/service-name": name}},
         "addressType": {"ipv4": "IPv4", "ipv6": "IPv6"}[family],
         "ports": [{"name": port, "port": 8080 + i} for i, port in enumerate(ports)],
         "endpoints": [{"addresses": [f"{NETWORK[family]}{i + 1}"], "nodeName": node,
                        "conditions": conditions}
                       for i, (node, conditions) in enumerate(endpoints)]}
        for family in FAMILIES]})


def service(name, port, **spec):
    return json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "h"},
        "spec": {"ports": [{"name": "http", "port": 80}, {"name": "more", "port": 81}],
                 "ipFamilyPolicy": "PreferDualStack", "type": "LoadBalancer",
                 "externalTrafficPolicy": "Local", "healthCheckNodePort": port, **spec}})


def weight(lab, family, port=WEB, node=NODE):
    """(status, weight) as a load balancer hears them."""
    answer = ask(lab, "outside", address(lab, family, node), port, "/any/path")
    if isinstance(answer, str):
        return answer
    body = json.loads(answer.body)
    assert answer.headers["X-Load-Balancing-Endpoint-Weight"] == str(body["localEndpoints"])
    return answer.status, body["localEndpoints"]


def problems(lab, node=NODE):
    return [f"{p['object']}: {p['text']}" for p in lab.query(node, "status")["problems"]]


# --- the node ---

@pytest.mark.parametrize("family", FAMILIES)
def test_the_node_is_healthy(lab, family):
    for host in LOOPBACK[family], address(lab, family):
        for path, keys in (("/healthz", ["lastUpdated", "currentTime", "nodeEligible", "healthy",
                                         "status"]),
                           ("/livez", ["lastUpdated", "currentTime", "healthy", "status"])):
            answer = ask(lab, NODE, host, HEALTH, path)
            body = json.loads(answer.body)
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert list(body) == keys
            assert body["healthy"] is True and body.get("nodeEligible", True) is True
            assert list(body["status"]) == ["IPv4", "IPv6"]
            assert all(s["healthy"] is True for s in body["status"].values())
            for time in (body["lastUpdated"], body["currentTime"],
                         *(s["lastUpdated"] for s in body["status"].values())):
                assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", time)
        assert ask(lab, NODE, host, HEALTH, "/metrics").status == 404
        assert ask(lab, NODE, host, HEALTH, "/healthz", "-X", "POST").status == 405
        assert ask(lab, NODE, host, HEALTH, "/healthz", "-I").body == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_outside_may_ask_for_health_only(lab, family):
    if lab.hostile:
        with firewall_open(lab, HEALTH, METRICS):
            outside_asks(lab, family)
    else:
        outside_asks(lab, family)


@contextlib.contextmanager
def firewall_open(lab, *ports):
    """As an operator would."""
    rule = f"insert rule inet firewall input tcp dport {{ {', '.join(map(str, ports))} }} accept"
    handle = lab.exec(NODE, "nft", "-ae", rule).stdout.split("# handle ")[1].strip()
    try:
        yield
    finally:
        lab.exec(NODE, "nft", f"delete rule inet firewall input handle {handle}")


def outside_asks(lab, family):
    host = address(lab, family)
    assert ask(lab, "outside", host, HEALTH, "/healthz").status == 200
    assert ask(lab, "outside", host, METRICS, "/metrics") == "refused"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_metrics_port(lab, family):
    host = LOOPBACK[family]
    mode = ask(lab, NODE, host, METRICS, "/proxyMode")
    assert (mode.status, mode.body) == (200, "ebpf")
    assert mode.headers["Content-Type"].startswith("text/plain")
    assert ask(lab, NODE, host, METRICS, "/healthz").body == "ok"
    assert ask(lab, NODE, host, METRICS, "/livez").status == 404


def test_a_node_that_is_about_to_go(lab):
    """KEP-3836: new connections go elsewhere, but nobody ends the agent for it, and Services whose
    load balancers ask for themselves decide for themselves."""
    lab.apply(slices("web", [HERE]))
    wait_for(lambda: weight(lab, "ipv4") == (200, 1), "the endpoint counts")
    node = next(n for n in lab.get("nodes") if n["metadata"]["name"] == NODE)
    tainted = json.loads(json.dumps(node))
    tainted["spec"]["taints"] = [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]

    def healthz():
        answer = ask(lab, NODE, "127.0.0.1", HEALTH, "/healthz")
        return answer.status, json.loads(answer.body)["nodeEligible"]

    assert healthz() == (200, True)
    lab.apply(json.dumps(tainted))
    try:
        wait_for(lambda: healthz() == (503, False), "the taint is seen")
        assert json.loads(ask(lab, NODE, "::1", HEALTH, "/healthz").body)["healthy"] is True
        assert ask(lab, NODE, "127.0.0.1", HEALTH, "/livez").status == 200
        assert weight(lab, "ipv4") == (200, 1)
        assert ask(lab, OTHER, "127.0.0.1", HEALTH, "/healthz").status == 200
    finally:
        node["spec"]["taints"] = []
        lab.apply(json.dumps(node))
    wait_for(lambda: healthz() == (200, True), "the taint has gone")


def test_changes_that_cannot_be_applied(lab):
    """The node no longer follows its objects: nobody may rely on it. It goes on by itself."""
    lab.apply(slices("web", [HERE]))
    wait_for(lambda: weight(lab, "ipv4") == (200, 1), "the endpoint counts")
    objects = f"{lab.directory}/objects"

    def statuses():
        answers = [ask(lab, NODE, "127.0.0.1", port, path)
                   for port, path in ((HEALTH, "/healthz"), (HEALTH, "/livez"), (WEB, "/"))]
        bodies = [json.loads(answer.body) for answer in answers]
        return [answer.status for answer in answers], bodies[0]["healthy"], \
            bodies[2]["serviceProxyHealthy"]

    assert statuses() == ([200, 200, 200], True, True)
    os.rename(objects, f"{objects}-away")
    try:
        wait_for(lambda: statuses() == ([503, 503, 503], False, False), "it is late",
                 TIMEOUT_SECONDS + 10)
        late = json.loads(ask(lab, NODE, "127.0.0.1", HEALTH, "/livez").body)
        assert late["lastUpdated"] < late["currentTime"]
        assert [s["healthy"] for s in late["status"].values()] == [False, False]
        errors = lab.query(NODE, "status")["errors"]
        assert len(errors) == 1 and objects in errors[0]
    finally:
        os.rename(f"{objects}-away", objects)
    wait_for(lambda: statuses() == ([200, 200, 200], True, True), "it follows again")
    assert not lab.query(NODE, "status")["errors"]


# --- Services ---

# Endpoints one after the other, and what the node then says.
WEIGHTS = [
    ([], (503, 0)),
    ([HERE], (200, 1)),
    ([HERE, HERE, ELSEWHERE], (200, 2)),
    ([ELSEWHERE], (503, 0)),
    ([(NODE, {"ready": False}), HERE], (200, 1)),
    ([(NODE, ENDING), HERE], (200, 1)),
    ([(NODE, ENDING)], (503, 0)),
    ([(NODE, {})], (200, 1)),
    ([HERE] * 5, (200, 5)),
    ([], (503, 0)),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_follow_endpoints(lab, family):
    for endpoints, expected in WEIGHTS:
        lab.apply(slices("web", endpoints))
        wait_for(lambda wanted=expected: weight(lab, family) == wanted, f"{endpoints}: {expected}")
    answer = ask(lab, "outside", address(lab, family), WEB)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(answer.body) == {"service": {"namespace": "h", "name": "web"},
                                       "localEndpoints": 0, "serviceProxyHealthy": True}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_node_and_service_for_itself(lab, family):
    lab.apply(slices("web", [HERE, HERE, ELSEWHERE]))
    lab.apply(slices("other", [ELSEWHERE], ["http"]))
    expected = {(NODE, WEB): (200, 2), (OTHER, WEB): (200, 1),
                (NODE, OTHER_SERVICE): (503, 0), (OTHER, OTHER_SERVICE): (200, 1)}
    wait_for(lambda: {(node, port): weight(lab, family, port, node) for node, port in expected}
             == expected, "each has its own weight")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_that_the_service_does_not_have(lab, family):
    other = next(f for f in FAMILIES if f != family)
    single = service("single", 32003, ipFamilyPolicy="SingleStack",
                     ipFamilies=[{"ipv4": "IPv4", "ipv6": "IPv6"}[family]])
    lab.apply(single)
    try:
        lab.apply(slices("single", [HERE]))
        wait_for(lambda: weight(lab, family, 32003) == (200, 1), "its own family is served")
        assert weight(lab, other, 32003) == "refused"
    finally:
        lab.delete(single)
    wait_for(lambda: weight(lab, family, 32003) == "refused", "nobody is there any more")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_load_balancer_that_asks_at_its_own_address(lab, family):
    """As those do that pass packets through unchanged: the address is made the node's by a route."""
    if lab.hostile:
        pytest.skip("a switch that checks sources lets no address of a load balancer pass")
    vip, port = VIP[family], 32007
    route = ["ip", "-6" if family == "ipv6" else "-4", "route"]
    balanced = {**json.loads(service("vip", port)),
                "status": {"loadBalancer": {"ingress": [{"ip": vip}]}}}
    lab.apply(json.dumps(balanced))
    lab.apply(slices("vip", [HERE]))
    lab.exec(NODE, *route, "add", "local", vip, "dev", "lo")
    lab.exec("outside", *route, "add", vip, "via", address(lab, family))
    try:
        wait_for(lambda: weight(lab, family, port) == (200, 1), "it is served at the node's address")
        answer = ask(lab, "outside", vip, port)
        assert answer.status == 200 and json.loads(answer.body)["service"]["name"] == "vip"
        assert any(f"virtual {vip} port 80 " in row["row"]
                   for row in lab.query(NODE, "tables")["rows"]), "though the address is the Service's"
    finally:
        lab.exec("outside", *route, "del", vip)
        lab.exec(NODE, *route, "del", "local", vip, "dev", "lo")
        lab.delete(json.dumps(balanced))
    wait_for(lambda: weight(lab, family, port) == "refused", "it has gone")


@pytest.mark.parametrize("change", [{"externalTrafficPolicy": "Cluster"}, {"type": "NodePort"},
                                    {"healthCheckNodePort": 32004}], ids=lambda c: next(iter(c)))
def test_the_port_is_free_where_it_is_no_longer_wanted(lab, change):
    """And another program may have it; afterwards it is back."""
    try:
        lab.apply(slices("web", [HERE]))
        wait_for(lambda: weight(lab, "ipv4") == (200, 1), "it is served")
        old = {} if "healthCheckNodePort" in change else {"healthCheckNodePort": 0}
        lab.apply(service("web", WEB, **old, **change))
        for family in FAMILIES:
            wait_for(lambda f=family: weight(lab, f) == "refused", "nobody is there any more")
        with holder(lab, WEB) as (process, line):
            assert line == "ready\n", "the port can be taken"
            assert process.poll() is None
        if "healthCheckNodePort" in change:
            assert weight(lab, "ipv6", 32004) == (200, 1)
    finally:
        lab.apply(service("web", WEB))
    for family in FAMILIES:
        wait_for(lambda f=family: weight(lab, f) == (200, 1), "it is served again")
    wait_for(lambda: weight(lab, "ipv4", 32004) == "refused", "and only there")


HOLDER = """
import socket, sys
sockets = []
for family, any in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    s = socket.socket(family)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((any, int(sys.argv[1]))), s.listen(), sockets.append(s)
print("ready", flush=True), sys.stdin.read()
"""


@contextlib.contextmanager
def holder(lab, port):
    """Another program of the node has this port, in both families."""
    process = lab.start(NODE, PYTHON, "-c", HOLDER, str(port))
    try:
        yield process, process.stdout.readline()
    finally:
        process.communicate()


def test_a_port_that_another_program_has(lab):
    """Named with the Service, tried again, and nothing else is held up."""
    taken = service("taken", 32005)
    with holder(lab, 32005) as (_, line):
        assert line == "ready\n"
        lab.apply(taken)
        try:
            named = wait_for(lambda: [p for p in problems(lab) if p.startswith("Service h/taken")],
                             "the status names it")
            assert len(named) == 2 and all("32005" in p and "in use" in p for p in named)
            assert not [p for p in problems(lab, OTHER) if "taken" in p]
            lab.apply(slices("web", [HERE, HERE]))
            wait_for(lambda: weight(lab, "ipv4") == (200, 2), "others are served")
        except BaseException:
            lab.delete(taken)
            raise
    wait_for(lambda: weight(lab, "ipv4", 32005) == weight(lab, "ipv6", 32005) == (503, 0),
             "it is served once the port is free", 15)
    wait_for(lambda: not [p for p in problems(lab) if "taken" in p], "the problem has gone")
    lab.delete(taken)


def test_two_services_with_one_port(lab):
    """The older one has it, whoever came first to podwire; and when it goes the other one."""
    path = f"{lab.directory}/objects/twins.json"

    def write(*names):
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump({"apiVersion": "v1", "kind": "List", "items": [
                {**twin, "metadata": {**twin["metadata"], "creationTimestamp": f"{year}-01-01T00:00:00Z"},
                 "spec": {**twin["spec"], "clusterIPs": [f"10.96.77.{year % 100}"]}}
                for year, twin in ((year, json.loads(service(name, 32006))) for name, year in names)]},
                file)
        os.rename(f"{path}.new", path)

    def holder_name():
        answer = ask(lab, "outside", address(lab, "ipv4"), 32006)
        return answer if isinstance(answer, str) else json.loads(answer.body)["service"]["name"]

    try:
        write(("young", 2026))
        wait_for(lambda: holder_name() == "young", "the first that comes has it")
        write(("young", 2026), ("old", 2020))
        wait_for(lambda: holder_name() == "old", "the older one has it")
        assert [p for p in problems(lab) if p.startswith("Service h/young: spec.healthCheckNodePort")
                and "h/old" in p]
        write(("young", 2026))
        wait_for(lambda: holder_name() == "young", "the other one has it")
        assert not [p for p in problems(lab) if "young" in p]
    finally:
        os.unlink(path)
    wait_for(lambda: holder_name() == "refused", "nobody has it")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_without_an_agent_nobody_answers(lab, signal_number):
    """So load balancers send new connections elsewhere; afterwards all is as before."""
    lab.apply(slices("web", [HERE, HERE]))
    wait_for(lambda: weight(lab, "ipv6") == (200, 2), "it is served")
    with stopped(lab, NODE, signal_number):
        assert weight(lab, "ipv6") == weight(lab, "ipv4") == "refused"
        assert ask(lab, NODE, "127.0.0.1", HEALTH, "/healthz") == "refused"
    wait_for(lambda: weight(lab, "ipv6") == weight(lab, "ipv4") == (200, 2), "it is served again")


def test_settings(lab):
    """Other addresses, none at all, and Services' checks where node ports are."""
    lab.apply(slices("web", [HERE]))
    inside = address(lab, "ipv4")
    with more_settings(lab, 'healthzBindAddresses: []\nmetricsBindAddresses: ["[::]:10300"]\n'
                            f"nodePortAddresses: [localhost, {inside}/32]\n"):
        for family in FAMILIES:
            assert ask(lab, NODE, LOOPBACK[family], HEALTH, "/livez") == "refused"
            assert ask(lab, NODE, LOOPBACK[family], METRICS, "/metrics") == "refused"
        assert ask(lab, NODE, "127.0.0.1", 10300, "/metrics") == "refused"
        assert ask(lab, NODE, address(lab, "ipv6"), 10300, "/metrics").status == 200
        assert weight(lab, "ipv4") == (200, 1)
        assert weight(lab, "ipv6") == "refused", "localhost alone is said of this family"
        assert ask(lab, NODE, "::1", WEB).status == 200
        assert ask(lab, NODE, "127.0.0.1", WEB).status == 200
        assert ask(lab, NODE, "127.0.0.2", WEB) == "refused"
    wait_for(lambda: weight(lab, "ipv6") == (200, 1), "all addresses again")


# --- who means harm ---

SILENT = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (5000, 5000))
sockets = []
for i in range(int(sys.argv[3])):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
    s.send(b"GET /" if i % 2 else b"")
    sockets.append(s)
print("ready", flush=True), sys.stdin.read()
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_thousands_who_only_connect(lab, family):
    """They cost a bounded number of descriptors, and who asks in earnest is answered meanwhile."""
    lab.apply(slices("web", [HERE]))
    wait_for(lambda: weight(lab, family) == (200, 1), "it is served")
    directory = f"/proc/{lab.agent_pid(NODE)}/fd"
    before = len(os.listdir(directory))
    process = lab.start("outside", PYTHON, "-c", SILENT, address(lab, family), str(WEB), "3000")
    try:
        assert process.stdout.readline() == "ready\n"
        for _ in range(20):
            assert weight(lab, family) == (200, 1)
            assert lab.query(NODE, "status")["ready"]
            assert len(os.listdir(directory)) <= before + 130
    finally:
        process.communicate()
    wait_for(lambda: len(os.listdir(directory)) <= before, "they are gone", 15)


# --- metrics ---

def scrape(lab):
    answer = ask(lab, NODE, "127.0.0.1", METRICS, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.body


def samples(lab, name):
    """{labels without their names, sorted by them: value}"""
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for metric in text_string_to_metric_families(scrape(lab))
            for sample in metric.samples if sample.name == name}


def documented():
    """{name: (type, labels)} of doc/metrics.md."""
    path = os.path.join(os.path.dirname(__file__), "..", "..", "doc", "metrics.md")
    with open(path, encoding="utf-8") as file:
        rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) ?\| ", file.read(), re.M)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_what_is_documented_is_served(lab):
    """Both ways: names, types and labels."""
    lab.exec("outside", "ping", "-c", "1", address(lab, "ipv4"))
    text = scrape(lab)
    assert text.endswith("\n")
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    helps = re.findall(r"^# HELP (\w+) .*\.$", text, re.M)
    assert helps == list(types) and len(helps) == len(set(helps)), "each once, in order"
    served = {name: (kind, set()) for name, kind in types.items()}
    seen = set()
    for metric in text_string_to_metric_families(text):
        for sample in metric.samples:
            name = next(n for n in (sample.name, re.sub(r"_(bucket|sum|count)$", "", sample.name))
                        if n in types)
            served[name][1].update(set(sample.labels) - {"le"})
            series = (sample.name, tuple(sorted(sample.labels.items())))
            assert series not in seen, "no series twice"
            seen.add(series)
    assert served == documented()


def test_numbers_follow_what_happens(lab):
    lab.apply(slices("web", [HERE]))
    wait_for(lambda: weight(lab, "ipv4") == (200, 1), "it is served")
    packets = sum(samples(lab, "podwire_packets_total").values())
    checks = samples(lab, "kubeproxy_proxy_healthz_total")[("200",)]
    changes = samples(lab, "kubeproxy_sync_proxy_rules_endpoint_changes_total")[()]
    endpoints = samples(lab, "podwire_endpoints")
    assert ask(lab, NODE, "127.0.0.1", HEALTH, "/healthz").status == 200
    assert samples(lab, "kubeproxy_proxy_healthz_total")[("200",)] == checks + 1
    lab.apply(slices("web", [HERE, HERE, ELSEWHERE]))
    wait_for(lambda: weight(lab, "ipv4") == (200, 2), "the change is applied")
    assert samples(lab, "kubeproxy_sync_proxy_rules_endpoint_changes_total")[()] == changes + 2
    assert samples(lab, "kubeproxy_sync_proxy_rules_endpoint_changes_pending")[()] == 0
    assert samples(lab, "podwire_endpoints") == {key: count + 2 for key, count in endpoints.items()}
    assert sum(samples(lab, "podwire_packets_total").values()) > packets
    rows, sizes = samples(lab, "podwire_table_rows"), samples(lab, "podwire_table_size")
    assert rows[("node",)] > 0 and rows[("backend",)] > 0
    assert all(rows[table] <= size for table, size in sizes.items())
    assert samples(lab, "podwire_ready")[()] == 1
    assert samples(lab, "process_resident_memory_bytes")[()] > 1e6


@pytest.mark.parametrize("family", FAMILIES)
def test_local_policies_without_endpoints(lab, family):
    name = "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
    key = {"ipv4": "IPv4", "ipv6": "IPv6"}[family]
    lab.apply(slices("web", [HERE]))
    lab.apply(slices("other", [], ["http"]))
    wait_for(lambda: samples(lab, name)[(key, "external")] == 0, "all have one here, or none at all")
    lab.apply(slices("web", [ELSEWHERE]))
    wait_for(lambda: samples(lab, name)[(key, "external")] == 2, "both its ports drop")
    assert samples(lab, name)[(key, "internal")] == 0
    lab.apply(service("web", WEB, internalTrafficPolicy="Local"))
    wait_for(lambda: samples(lab, name)[(key, "internal")] == 2, "and inside, too")
    lab.apply(service("web", WEB))
    lab.apply(slices("web", []))
    wait_for(lambda: set(samples(lab, name).values()) == {0}, "without any endpoint they refuse")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_time_from_a_change_to_the_packet_path(lab, family):
    name = "kubeproxy_network_programming_duration_seconds_count"
    key = ({"ipv4": "IPv4", "ipv6": "IPv6"}[family],)

    def change(when, node):
        tree = json.loads(slices("web", [(node, READY)]))
        for item in tree["items"]:
            item["metadata"]["annotations"] = {
                "endpoints.kubernetes.io/last-change-trigger-time": when}
        lab.apply(json.dumps(tree))
        wanted = (200, 1) if node == NODE else (503, 0)
        wait_for(lambda: weight(lab, family) == wanted, "the change is applied")

    before = samples(lab, name)[key]
    change("2020-01-01T00:00:00Z", OTHER)
    change("bananas", NODE)
    assert samples(lab, name)[key] == before, "what is older than the agent says nothing"
    change(run("date", "-u", "+%Y-%m-%dT%H:%M:%S.%NZ").stdout.strip(), OTHER)
    assert samples(lab, name)[key] == before + 1
    bucket = samples(lab, name.replace("count", "bucket"))
    assert bucket[(*key, "5")] - bucket.get((*key, "0"), 0) >= 1
