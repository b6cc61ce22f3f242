# SPDX-License-Identifier: Apache-2.0
"""The lab's contract: ordinary manifests in, a cluster out, nothing left behind."""
import json
import os
import subprocess
import time

import pytest
from labs import LABS, PODWIRE, Lab, is_ipv6, left_behind, run, wait_for

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: default, labels: {app: %s}}
spec:
  containers: [{name: main, image: example.com/any, ports: [{containerPort: 80}]}]
"""


@pytest.fixture(scope="module")
def lab(make_lab):
    return make_lab("-n", "3", "--family", "dual", manifests=("everything.yaml",))


def by_name(lab, kind):
    return {f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}": o
            for o in lab.get(kind)}


@pytest.mark.parametrize("kind, names", {
    "namespaces": {"/shop", "/default", "/kube-system"},
    "nodes": None,
    "deployments": {"shop/web"},
    "statefulsets": {"shop/db"},
    "daemonsets": {"shop/agent"},
    "services": {"shop/web", "shop/db", "shop/legacy"},
    "networkpolicies": {"shop/db"},
    "endpointslices": {"shop/legacy-1"},
}.items())
def test_kept(lab, kind, names):
    found = by_name(lab, kind)
    assert found if names is None else names <= set(found)


def test_workloads(lab):
    """Replicas are there, spread over nodes, named as their controllers name them."""
    pods = lab.pods()
    count = {app: [key for key, pod in pods.items() if pod["labels"].get("app") == app]
             for app in ("web", "db", "agent")}
    assert len(count["web"]) == 3 and len(count["agent"]) == 3
    assert sorted(count["db"]) == ["shop/db-0", "shop/db-1"]
    for app in "web", "agent":
        assert len({pods[key]["node"] for key in count[app]}) == 3
    for pod in pods.values():
        assert [is_ipv6(a) for a in pod["addresses"]] == [False, True] or pod["host"]


def test_responders(lab):
    """A pod answers on each declared port with one line of JSON that says whom it saw."""
    pods = lab.pods()
    web = next(key for key in pods if key.startswith("shop/web-"))
    source = "shop/db-0"
    keys = {"pod", "node", "client", "client_port", "local", "local_port", "proto"}
    for address in pods[web]["addresses"]:
        reply = lab.probe(source, [["tcp", address, 8080]])[0]
        assert keys <= set(reply)
        assert reply["pod"] == web and reply["node"] == pods[web]["node"]
        assert reply["client"] in pods[source]["addresses"]
        assert reply["local"] == address and reply["local_port"] == 8080
        assert reply["proto"] == "TCP"
    agent = next(key for key in pods if key.startswith("shop/agent-"))
    for address in pods[agent]["addresses"]:
        assert lab.probe(source, [["udp", address, 9100]])[0]["proto"] == "UDP"


def test_services_have_addresses(lab):
    services = by_name(lab, "services")
    web = services["shop/web"]["spec"]
    assert [is_ipv6(a) for a in web["clusterIPs"]][0] is False
    assert 30000 <= web["ports"][0]["nodePort"] <= 32767
    assert services["shop/db"]["spec"]["clusterIP"] == "None"


def test_slices_follow_pods(lab):
    """EndpointSlices are made from selectors, one per family."""
    slices = [s for s in lab.get("endpointslices")
              if s["metadata"]["labels"].get("kubernetes.io/service-name") == "web"]
    assert slices
    found = {a for s in slices for e in s["endpoints"] for a in e["addresses"]}
    pods = [pod for pod in lab.pods(app="web").values()]
    types = {s["addressType"] for s in slices}
    assert found == {a for pod in pods for a in pod["addresses"]
                     if ("IPv6" if is_ipv6(a) else "IPv4") in types}


def look_up(lab, where, name):
    done = lab.exec(where, "getent", "ahosts", name, check=False)
    return {line.split()[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("name", ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"])
def test_service_names(lab, name):
    """As the pod's resolv.conf completes them."""
    assert look_up(lab, "shop/db-0", name) == \
        set(by_name(lab, "services")["shop/web"]["spec"]["clusterIPs"])


def test_headless_names(lab):
    pods = lab.pods()
    assert look_up(lab, "shop/db-1", "db.shop.svc.cluster.local") == \
        set(pods["shop/db-0"]["addresses"] + pods["shop/db-1"]["addresses"])
    assert look_up(lab, "shop/db-1", "db-0.db.shop.svc.cluster.local") == \
        set(pods["shop/db-0"]["addresses"])


def test_unknown_names(lab):
    assert look_up(lab, "shop/db-0", "nothing.shop.svc.cluster.local") == set()


@pytest.mark.parametrize("kind", ["pods", "services", "nodes"])
def test_forms_of_get(lab, kind):
    tree = json.loads(lab.podwire("get", kind, "-A", "-o", "json").stdout)
    assert tree["kind"] == "List" and tree["apiVersion"] == "v1" and tree["items"]
    names = lab.podwire("get", kind, "-A", "-o", "name").stdout.split()
    assert len(names) == len(tree["items"]) and all("/" in name for name in names)
    assert "items:" in lab.podwire("get", kind, "-A", "-o", "yaml").stdout
    table = lab.podwire("get", kind, "-A").stdout.splitlines()
    wide = lab.podwire("get", kind, "-A", "-o", "wide").stdout.splitlines()
    assert len(table) == len(wide) == len(tree["items"]) + 1
    assert "NAME" in table[0] and len(wide[0]) >= len(table[0])


def test_ignored_is_said_once(lab):
    """What is no concern of the network is named when it comes, and not again."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: shop}\n"
    first = lab.apply(text % "new")
    assert "ConfigMap" in first.stdout + first.stderr
    second = lab.apply(text % "new")
    assert "ConfigMap" not in second.stdout + second.stderr


def test_apply_and_delete(lab):
    """A pod comes and goes with its manifest."""
    text = POD % ("extra", "extra")
    lab.apply(text)
    pod = lab.pods()["default/extra"]
    reply = lab.probe("shop/db-0", [["tcp", pod["addresses"][0], 80]])[0]
    assert reply["pod"] == "default/extra"
    lab.apply(text)
    assert lab.pods()["default/extra"] == pod, "the same manifest again changes nothing"
    lab.delete(text)
    assert "default/extra" not in lab.pods()
    assert "error" in lab.probe("shop/db-0", [["tcp", pod["addresses"][0], 80]], 0.5)[0]


def test_scale(lab):
    """Applying another number of replicas makes and removes pods, and leaves the rest alone."""
    deployment = by_name(lab, "deployments")["shop/web"]
    before = set(lab.pods(app="web"))
    for replicas in 5, 2, 3:
        deployment["spec"]["replicas"] = replicas
        lab.apply(json.dumps(deployment))
        pods = set(lab.pods(app="web"))
        assert len(pods) == replicas
        assert len(pods & before) == min(replicas, len(before))
        before = pods


@pytest.mark.parametrize("where", ["shop/db-0", "outside", "node"])
def test_exec(lab, where):
    """The machine's programs, with exit code, input, output and arguments as they are."""
    where = lab.nodes()[0] if where == "node" else where
    done = lab.exec(where, "sh", "-c", 'cat; echo "$1" >&2; exit 7', "sh", "two words",
                    input="in", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "in", "two words\n")


@pytest.mark.parametrize("where, word", [("shop/nobody", "nobody"), ("nowhere", "nowhere")])
def test_exec_nowhere(lab, where, word):
    done = lab.exec(where, "true", check=False)
    assert done.returncode != 0 and word in done.stderr


def test_exec_no_program(lab):
    done = lab.exec("outside", "no-such-program", check=False)
    assert done.returncode == 127 and "no-such-program" in done.stderr


def test_matrix(lab):
    """Everybody reaches everybody in this cluster, so the table has no refusal."""
    done = lab.podwire("matrix", "--port", "9100")
    assert "IPv4" in done.stdout and "IPv6" in done.stdout


def test_check(lab, tmp_path):
    """A table of expectations against real packets: exit 0 where they hold, 1 where not."""
    web = next(key for key in lab.pods() if key.startswith("shop/web-"))
    line = "- {from: shop/db-0, to: %s, port: 8080, expect: %s}\n"
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    closed = "unreachable" if lab.hostile else "refused"  # a firewall that drops says nothing
    good.write_text(line % (web, "reachable") +
                    f"- {{from: outside, to: node1, port: 1, expect: {closed}}}\n")
    bad.write_text(line % (web, "refused"))
    assert lab.podwire("check", str(good), check=False).returncode == 0
    done = lab.podwire("check", str(bad), check=False)
    assert done.returncode == 1 and web in done.stdout + done.stderr


def test_up_twice(lab):
    """A lab of that name is there: said, and left alone."""
    done = lab.up(check=False)
    assert done.returncode != 0 and lab.name in done.stderr
    assert lab.pods()


def test_two_labs(lab, make_lab):
    """Labs do not see each other, though their addresses are the same."""
    other = make_lab("-n", "1", manifests=("cluster.yaml",), name="-other")
    assert not set(other.pods()) & set(lab.pods())
    pod = next(iter(other.pods(app="a").values()))
    replies = lab.probe("shop/db-0", [["tcp", a, 80] for a in pod["addresses"]], 0.5)
    assert not any("t/" in str(reply.get("pod")) for reply in replies)


def test_down_of_nothing():
    done = run(PODWIRE, "lab", "down", "--name", "t-never-was", check=False)
    assert "t-never-was" in done.stdout + done.stderr


@pytest.mark.parametrize("after", [0.02, 0.15, 0.4, 0.8])
def test_down_after_crash(after):
    """`up` is killed somewhere in the middle; `down` takes away what there is."""
    lab = Lab(f"t-crash-{os.getpid()}")
    up = subprocess.Popen([PODWIRE, "lab", "up", "--name", lab.name, "-n", "3"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)  # the only sleep: the moment of the crash is the test's parameter
    up.kill()
    up.wait()
    lab.down(check=False)
    wait_for(lambda: not left_behind(lab.name), "all is gone", 5)
    assert not os.path.exists(f"{LABS}/{lab.name}")


def test_bad_manifest_changes_nothing(lab):
    """All or nothing: a file with one bad object leaves the lab as it was."""
    before = lab.podwire("get", "pods", "-A", "-o", "name").stdout
    text = POD % ("fine", "fine") + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: Not_Fine}\n"
    done = lab.apply(text, check=False)
    assert done.returncode != 0 and "Not_Fine" in done.stderr
    assert lab.podwire("get", "pods", "-A", "-o", "name").stdout == before
