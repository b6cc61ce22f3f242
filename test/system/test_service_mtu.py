# SPDX-License-Identifier: Apache-2.0
"""What a Service hands over becomes longer than the wire takes. Processes of a node know nothing of
that: they and their clients must learn what fits, over either kind of underlay."""
import pytest
from flows import ask, beside, service_object, text_of
from labs import is_ipv6, wait_for
from test_service_rows import rows

PORT, NODE_PORT = 30900, 30075  # a port that the firewalls of hostile nodes let in
SIZE = 4 << 20


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def lab(request, make_lab):
    """The endpoint is a process of node2; clients come by node1. The underlay has the lab's family."""
    lab = make_lab("-n", "2", "--route", "vxlan", "--family", request.param,
                   manifests=("mtu.yaml",), name="-" + request.param)
    [address] = lab.node_addresses("node2")
    ports = [{"name": name, "protocol": name.upper(), "port": PORT} for name in ("tcp", "udp")]
    endpoints = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                 "metadata": {"name": "big", "namespace": "f",
                              "labels": {"kubernetes.io/service-name": "big"}},
                 "addressType": "IPv6" if is_ipv6(address) else "IPv4", "ports": ports,
                 "endpoints": [{"addresses": [address], "nodeName": "node2"}]}
    lab.apply(text_of([service_object("big", NODE_PORT, []), endpoints]))
    for node in "node1", "node2":
        wait_for(lambda n=node: f"{address} port {PORT}" in "\n".join(rows(lab, n, "backend")),
                 f"{node} knows the endpoint")
    with beside(lab, "node2", "serve", PORT):
        yield lab


def fragments(lab):
    """Packets that were cut to pieces by a node, or should have been and could not."""
    names = ["IpFragCreates", "IpFragFails", "Ip6FragCreates", "Ip6FragFails"]
    return [lab.exec(node, "nstat", "-asz", *names).stdout for node in ("node1", "node2")]


def test_connections_fit(lab):
    before = fragments(lab)
    [address] = lab.node_addresses("node1")
    assert ask(lab, "outside", "bulk", address, NODE_PORT, SIZE) == SIZE
    assert fragments(lab) == before


def test_datagrams_that_are_too_big(lab):
    """Both ends are told, the client by the node where it comes in, the process by its own."""
    if lab.hostile:
        pytest.skip("the node's own firewall judges what is for processes of the node")
    [address] = lab.node_addresses("node1")
    assert ask(lab, "outside", "big", address, NODE_PORT, 1440) > 1
    assert ask(lab, "outside", "big", address, NODE_PORT, 1440) == 1
