# SPDX-License-Identifier: Apache-2.0
"""Services end to end: from pods and from outside, to endpoints here, elsewhere, on host networks
and to none. The client's address is kept, always."""
import ipaddress

import pytest
from labs import FAMILIES, is_ipv6, wait_for

NODES = ["node1", "node2", "node3"]
PORTS = [("tcp", 80), ("udp", 53)]


@pytest.fixture(scope="module")
def lab(make_lab):
    lab = make_lab("-n", "3", "--route", "vxlan", manifests=("services.yaml",))
    for node in NODES:
        wait_for(lambda n=node: "30084" in rows(lab, n), f"{node} has the rows of Services")
    # Whoever is outside reaches the balancers' addresses through the first node, as a router would.
    for network, family in (("192.0.2.0/24", "ipv4"), ("2001:db8:b::/64", "ipv6")):
        lab.exec("outside", "ip", "route", "add", network, "via", node_address(lab, "node1", family))
    return lab


def rows(lab, node):
    return "\n".join(row["row"] for row in lab.query(node, "tables")["rows"])


def of_family(addresses, family):
    return next(a for a in addresses if is_ipv6(a) == (FAMILIES[family] == 6))


def node_address(lab, node, family):
    return of_family(lab.node_addresses(node), family)


def service(lab, name):
    return next(s for s in lab.get("services") if s["metadata"]["name"] == name)


def cluster_address(lab, name, family):
    return of_family(service(lab, name)["spec"]["clusterIPs"], family)


def balancer(lab, name, family):
    ingress = service(lab, name)["status"]["loadBalancer"]["ingress"]
    return of_family([entry["ip"] for entry in ingress], family)


def pod_on(lab, node, app="every"):
    return next(key for key, pod in lab.pods(app=app).items() if pod["node"] == node)


def own_addresses(lab, where):
    text = lab.exec(where, "ip", "-o", "address", "show", "scope", "global").stdout
    return [ipaddress.ip_address(line.split()[3].split("/")[0]) for line in text.splitlines()]


def check(lab, where, targets, app, keeps_client=True):
    """Each target answers, as a pod of `app`, and has seen the client's own address."""
    expected = set(lab.pods(app=app))
    own = own_addresses(lab, where)
    for target, reply in zip(targets, lab.probe(where, targets)):
        assert "error" not in reply, f"{where} -> {target}: {reply}"
        assert reply["pod"] in expected, f"{where} -> {target}: {reply}"
        if keeps_client:
            assert ipaddress.ip_address(reply["client"]) in own, f"{where} -> {target}: {reply}"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["every", "one", "host"])
def test_pods_reach_cluster_addresses(lab, name, family):
    targets = [(protocol, cluster_address(lab, name, family), port) for protocol, port in PORTS]
    for node in NODES:
        # A pod that is its own endpoint may be seen as the Service.
        check(lab, pod_on(lab, node), targets * 3, name, keeps_client=name != "every")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pod_reaches_itself_through_its_service(lab, family):
    targets = [(protocol, cluster_address(lab, "one", family), port) for protocol, port in PORTS]
    check(lab, "s/one", targets, "one", keeps_client=False)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("port,name", [(30080, "every"), (30081, "one"), (30083, "host")])
def test_the_outside_reaches_node_ports_of_every_node(lab, port, name, family):
    if lab.hostile and name == "host":
        pytest.skip("the node's own firewall judges what is for processes of the node")
    for node in NODES:
        address = node_address(lab, node, family)
        targets = [(protocol, address, port) for protocol, _ in PORTS] * 3
        check(lab, "outside", targets, name)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["every", "one"])
def test_the_outside_reaches_load_balancers(lab, name, family):
    if lab.hostile:
        pytest.skip("a switch that checks sources lets no address of a load balancer pass")
    targets = [(protocol, balancer(lab, name, family), port) for protocol, port in PORTS]
    check(lab, "outside", targets * 3, name)


@pytest.mark.parametrize("family", FAMILIES)
def test_pods_reach_node_ports_of_every_node(lab, family):
    targets = [(protocol, node_address(lab, node, family), 30081)
               for node in NODES for protocol, _ in PORTS]
    for node in NODES:
        check(lab, pod_on(lab, node), targets, "one")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_local_policy_serves_where_an_endpoint_is(lab, family):
    here = [(protocol, node_address(lab, "node2", family), 30082) for protocol, _ in PORTS]
    elsewhere = [(protocol, node_address(lab, "node1", family), 30082) for protocol, _ in PORTS]
    check(lab, "outside", here, "one")
    before = lab.drops("node1")["service-local"]
    replies = lab.probe_once("outside", elsewhere, 1.0)
    assert [reply.get("error") for reply in replies] == ["timeout", "timeout"], replies
    assert lab.drops("node1")["service-local"] > before
    check(lab, "outside", here, "one")
    # Inside the policy is not asked: the whole cluster serves.
    inside = [(protocol, balancer(lab, "local", family), port) for protocol, port in PORTS]
    check(lab, pod_on(lab, "node1"), inside, "one")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_service_without_endpoints_refuses_at_once(lab, family):
    where = {"outside": [(protocol, node_address(lab, "node1", family), 30084) for protocol, _ in PORTS],
             pod_on(lab, "node1"): [(protocol, cluster_address(lab, "none", family), port)
                                    for protocol, port in PORTS]}
    for client, targets in where.items():
        for reply in lab.probe(client, targets):
            assert reply == {"error": "refused"}, f"{client}: {reply}"
