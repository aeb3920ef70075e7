"""Gateway mode on a real cluster: one way out, for one Sandbox, whatever dies meanwhile."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import attack_table
import node_agent
import pods
import product
import support
from bench.writes import WriteCount
from cluster import Cluster
from ringfence import allowlist

pytestmark = pytest.mark.usefixtures("ringfence")

Json = dict[str, Any]
CLASS = "behind-gateway"
OPERATOR = "deployment/ringfence-operator"
INDEX = f"https://{allowlist.default_hosts()[0]}/simple/seaborn/"
PARTS = ("networkpolicy", "service", "pod")
CHILDREN = ("serviceaccount", "networkpolicy", "configmap", "pod")

FETCH = """
import time, urllib.request
begun = time.monotonic()
try:
    answer = urllib.request.urlopen(%r, timeout=10).status
except OSError as error:
    answer = error
print(f"{time.monotonic() - begun:.2f} {answer}")
"""

REACH = """
import json, socket
def tcp(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
def udp(host, port):
    query = bytes.fromhex("000101000001000000000000") + b"\\x0akubernetes\\x07default\\x03svc"
    query += b"\\x07cluster\\x05local\\x00\\x00\\x01\\x00\\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect((host, port))
            probe.send(query)
            probe.recv(512)
        except OSError:
            return False
    return True
ways = {"tcp": tcp, "udp": udp}
places = json.loads(%r)
print(json.dumps([n for n, (how, host, port) in places.items() if ways[how](host, port)]))
"""


@pytest.fixture(scope="module", autouse=True)
def gateway_class(cluster: Cluster) -> Iterator[str]:
    """A class like the default one whose proxies have Pods of their own."""
    standard = support.get(cluster, "sandboxclass", "", "standard")
    assert standard is not None
    spec = {"images": standard["spec"]["images"], "egress": {"mode": "Gateway"}}
    kind = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "SandboxClass"}
    support.apply(cluster, {**kind, "metadata": {"name": CLASS}, "spec": spec})
    yield CLASS
    cluster.kubectl("delete", "sandboxclass", CLASS)


def behind(cluster: Cluster, namespace: str, name: str = "demo", **spec: Any) -> str:
    """A Ready Sandbox behind its gateway."""
    return support.sandbox(cluster, namespace, name, className=CLASS, **spec)


def found(cluster: Cluster, kind: str, namespace: str, name: str) -> Json:
    body = support.get(cluster, kind, namespace, name)
    assert body is not None, f"there is no {kind} {name}"
    return body


def fetch(cluster: Cluster, namespace: str, name: str, url: str) -> str:
    return support.python(cluster, namespace, name, FETCH % url)


def reached(cluster: Cluster, namespace: str, name: str, places: Json) -> list[str]:
    """Which of the places a process in the Sandbox reaches directly."""
    said = support.python(cluster, namespace, name, REACH % json.dumps(places))
    return list(json.loads(said))


def address(cluster: Cluster, namespace: str, name: str = "demo") -> str:
    """Cluster address of a Sandbox's gateway."""
    return str(found(cluster, "service", namespace, f"gateway-{name}")["spec"]["clusterIP"])


def pod_ip(cluster: Cluster, namespace: str, name: str) -> str:
    return str(found(cluster, "pod", namespace, name)["status"]["podIP"])


@contextmanager
def operator_down(cluster: Cluster) -> Iterator[None]:
    """While this lasts, nobody repairs anything."""
    where = ("-n", product.NAMESPACE)
    selector = "-l=app.kubernetes.io/component=operator"
    cluster.kubectl("scale", OPERATOR, "--replicas=0", *where)
    cluster.kubectl("wait", "--for=delete", "pod", selector, *where)
    try:
        yield
    finally:
        cluster.kubectl("scale", OPERATOR, "--replicas=1", *where)
        cluster.kubectl("rollout", "status", OPERATOR, *where, "--timeout=90s")


# --- it works ---------------------------------------------------------------------------------


def test_sandbox_is_ready_and_its_pod_holds_no_proxy(cluster: Cluster, namespace: str) -> None:
    name = behind(cluster, namespace)
    status = found(cluster, "sandbox", namespace, name)["status"]
    assert status["gatewayPodName"] == "gateway-demo"
    assert status["isolation"]["network"]["state"] == "Enforced"
    assert support.condition({"status": status}, "NetworkFenced")["status"] == "True"
    spec = found(cluster, "pod", namespace, name)["spec"]
    assert [c["name"] for c in spec["initContainers"] + spec["containers"]] == ["guard", "agent"]
    gateway = found(cluster, "pod", namespace, "gateway-demo")["spec"]
    assert [c["name"] for c in gateway["containers"]] == ["egress-proxy"]
    assert gateway["hostUsers"] is False


def test_pip_installs_through_the_gateway(cluster: Cluster, namespace: str) -> None:
    name = behind(cluster, namespace)
    support.execute(cluster, namespace, name, "pip", "install", "--quiet", "contourpy", "cycler")
    program = "import contourpy, numpy; print(contourpy.__file__)"
    assert support.python(cluster, namespace, name, program).startswith("/work/.local/lib/")


def test_host_off_the_list_is_refused_within_two_seconds_and_told_why(
    cluster: Cluster, namespace: str
) -> None:
    name = behind(cluster, namespace)
    seconds, _, answer = fetch(cluster, namespace, name, "https://example.com/").partition(" ")
    assert float(seconds) < 2
    assert "allowlist (spec.egress.allow)" in answer


def test_changed_allowlist_reaches_the_running_gateway(cluster: Cluster, namespace: str) -> None:
    name = behind(cluster, namespace)
    assert " 200" in fetch(cluster, namespace, name, INDEX)
    before = found(cluster, "pod", namespace, "gateway-demo")["status"]["containerStatuses"]
    support.create_sandbox(cluster, namespace, name, className=CLASS, egress={"allow": []})
    support.poll("refusal", lambda: "403" in fetch(cluster, namespace, name, INDEX), 20)
    after = found(cluster, "pod", namespace, "gateway-demo")["status"]["containerStatuses"]
    assert [s["containerID"] for s in after] == [s["containerID"] for s in before]


# --- the fence --------------------------------------------------------------------------------


def _places(cluster: Cluster, namespace: str) -> Json:
    """Everything that is known to answer, and must not answer an agent; `neighbour` has to run."""
    node = json.loads(cluster.kubectl("get", "node", "node-1", "-o", "json"))
    inside = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    return {
        "public address, allowed port": ("tcp", "203.0.113.10", 443),
        "public address by UDP": ("udp", "203.0.113.10", 443),
        "DNS by UDP": ("udp", "10.96.0.10", 53),
        "DNS by TCP": ("tcp", "10.96.0.10", 53),
        "API server": ("tcp", "10.96.0.1", 443),
        "API server's own address": ("tcp", "10.77.0.1", 6443),
        "kubelet": ("tcp", inside, 10250),
        "metadata": ("tcp", "169.254.169.254", 80),
        "neighbour": ("tcp", pod_ip(cluster, namespace, "neighbour"), 8000),
        "neighbour's gateway": ("tcp", pod_ip(cluster, namespace, "gateway-neighbour"), 3128),
        "neighbour's gateway by Service": ("tcp", address(cluster, namespace, "neighbour"), 3128),
        "own gateway, another port": ("tcp", pod_ip(cluster, namespace, "gateway-demo"), 80),
    }


def _with_neighbour(cluster: Cluster, namespace: str) -> Json:
    """`demo` beside a `neighbour` that listens; places to try."""
    listen = "import socket, time; socket.create_server(('', 8000)); time.sleep(3600)"
    behind(cluster, namespace, "neighbour", command=["python3", "-c", listen])
    behind(cluster, namespace)
    return _places(cluster, namespace)


def test_agent_reaches_its_gateway_and_nothing_else(cluster: Cluster, namespace: str) -> None:
    places = _with_neighbour(cluster, namespace)
    places["own gateway"] = ("tcp", address(cluster, namespace), 3128)
    places["own gateway's Pod"] = ("tcp", pod_ip(cluster, namespace, "gateway-demo"), 3128)
    seen = reached(cluster, namespace, "demo", places)
    assert seen == ["own gateway", "own gateway's Pod"]


def test_without_its_policy_the_same_agent_reaches_what_it_must_not(
    cluster: Cluster, namespace: str
) -> None:
    places = _with_neighbour(cluster, namespace)
    with operator_down(cluster):
        cluster.kubectl("delete", "networkpolicy", "demo", "-n", namespace)
        expected = {"public address, allowed port", "DNS by UDP", "DNS by TCP", "API server"}
        expected |= {"kubelet"}

        def open_() -> bool:
            return expected <= set(reached(cluster, namespace, "demo", places))

        support.poll("the network to be open", open_)
    support.wait_ready(cluster, namespace, "demo")
    support.poll("closed again", lambda: not reached(cluster, namespace, "demo", places))


@pytest.mark.timeout(600)
def test_every_row_of_the_attack_table_holds(cluster: Cluster, namespace: str) -> None:
    arguments = ("--class", CLASS, "--output", "json", "--target", attack_table.TARGET)
    with attack_table.open_world(cluster):
        command = attack_table.argv(cluster, namespace, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = json.loads(done.stdout)["rows"]
    failed = [row for row in rows if not row["passed"]]
    assert done.returncode == 0, json.dumps(failed, indent=1)
    (exfiltration,) = [row for row in rows if row["name"] == "environment-exfiltration"]
    assert exfiltration["status"] == "stopped"


def test_names_are_not_resolved(cluster: Cluster, namespace: str) -> None:
    name = behind(cluster, namespace)
    program = (
        "import socket\n"
        "try: print(socket.getaddrinfo('kubernetes.default.svc.cluster.local', 443))\n"
        "except OSError as error: print('refused', error)\n"
    )
    assert support.python(cluster, namespace, name, program).startswith("refused")


def _answers(cluster: Cluster, namespace: str, host: str, name: str = "one") -> bool:
    """Whether the proxy at this address says anything to a plain Pod."""
    script = f"nc -w 2 {host} 3128 </dev/null 2>&1 && echo through || echo refused"
    return pods.sh(cluster, namespace, script, name).strip().endswith("through")


def test_another_pod_of_the_namespace_cannot_use_the_gateway_until_its_policy_is_gone(
    cluster: Cluster, namespace: str
) -> None:
    behind(cluster, namespace)
    pods.start(cluster, namespace, pods.pod("one"))
    hosts = [address(cluster, namespace), pod_ip(cluster, namespace, "gateway-demo")]
    assert [_answers(cluster, namespace, host) for host in hosts] == [False, False]
    with operator_down(cluster):
        cluster.kubectl("delete", "networkpolicy", "gateway-demo", "-n", namespace)
        support.poll("the gateway to answer", lambda: _answers(cluster, namespace, hosts[1]))
    support.poll("closed again", lambda: not _answers(cluster, namespace, hosts[1]))


def test_service_that_is_pointed_elsewhere_leads_the_agent_nowhere(
    cluster: Cluster, namespace: str
) -> None:
    name = behind(cluster, namespace)
    serve = pods.pod("one")
    serve["metadata"]["labels"] = {"app": "trap"}
    serve["spec"]["containers"][0]["command"] = ["nc", "-lk", "-p", "3128", "-e", "echo", "trap"]
    pods.start(cluster, namespace, serve)
    place = {"service": ("tcp", address(cluster, namespace), 3128)}
    with operator_down(cluster):
        patch = json.dumps([{"op": "replace", "path": "/spec/selector", "value": {"app": "trap"}}])
        cluster.kubectl(
            *("patch", "service", "gateway-demo", "-n", namespace, "--type=json", "-p", patch)
        )
        support.poll("silence", lambda: not reached(cluster, namespace, name, place), 20)
        time.sleep(3)  # the trap is an endpoint by now
        assert reached(cluster, namespace, name, place) == []
    support.poll("repair", lambda: reached(cluster, namespace, name, place))


def test_guard_lets_no_agent_start_while_the_network_is_open(
    cluster: Cluster, namespace: str
) -> None:
    """The operator's own Pod, made by hand after its policy was taken away."""
    name = behind(cluster, namespace)
    copy = found(cluster, "pod", namespace, name)
    labels = copy["metadata"]["labels"]
    copy["metadata"] = {"name": "copy", "namespace": namespace, "labels": labels}
    del copy["status"], copy["spec"]["nodeName"]
    copy["spec"]["initContainers"][0]["command"][1] = "5"
    with operator_down(cluster):
        cluster.kubectl("delete", "networkpolicy", name, "-n", namespace)
        node_agent.create(cluster, copy)

        def gave_up() -> str:
            statuses = found(cluster, "pod", namespace, "copy")["status"]
            guard = next(iter(statuses.get("initContainerStatuses", [])), {})
            ends = (guard.get(k, {}).get("terminated", {}) for k in ("state", "lastState"))
            return next((end["message"] for end in ends if end), "")

        said = support.poll("the guard to give up", gave_up)
        assert said.startswith("NetworkNotFenced: the Pod reaches the ")
        assert all(word in said for word in ("API server", "kubelet", "by TCP", "by UDP")), said
        agent = found(cluster, "pod", namespace, "copy")["status"]["containerStatuses"][0]
        assert "waiting" in agent["state"]
        cluster.kubectl("delete", "pod", "copy", "-n", namespace, "--force")


def test_no_agent_starts_before_the_node_agent_has_limited_it(
    cluster: Cluster, namespace: str
) -> None:
    with node_agent.stopped(cluster):
        support.create_sandbox(cluster, namespace, className=CLASS)

        def guarded() -> Json | None:
            pod = support.get(cluster, "pod", namespace, "demo") or {}
            status = pod.get("status", {})
            guard = next(iter(status.get("initContainerStatuses", [])), {})
            return status if "running" in guard.get("state", {}) else None

        support.poll("the guard to run", guarded, 30)
        time.sleep(5)
        status = support.poll("the guard to run still", guarded, 5)
        assert all("waiting" in s["state"] for s in status["containerStatuses"])
    support.wait_ready(cluster, namespace, "demo", 120)


# --- what dies comes back, and what goes leaves nothing ---------------------------------------


def test_deleted_gateway_closes_the_network_and_comes_back_by_itself(
    cluster: Cluster, namespace: str
) -> None:
    name = behind(cluster, namespace)
    before = found(cluster, "pod", namespace, name)["metadata"]["uid"]
    place = {"gateway": ("tcp", address(cluster, namespace), 3128)}
    with operator_down(cluster):
        cluster.kubectl("delete", "pod", "gateway-demo", "-n", namespace, "--wait")
        assert reached(cluster, namespace, name, place) == []
        assert "200" not in fetch(cluster, namespace, name, INDEX)
    support.poll("the way out", lambda: " 200" in fetch(cluster, namespace, name, INDEX))
    support.wait_ready(cluster, namespace, name)
    assert found(cluster, "pod", namespace, name)["metadata"]["uid"] == before


def test_killed_proxy_comes_back_by_itself(cluster: Cluster, namespace: str) -> None:
    name = behind(cluster, namespace)
    status = found(cluster, "pod", namespace, "gateway-demo")["status"]["containerStatuses"][0]
    id_ = status["containerID"].rpartition("/")[2]
    tasks = cluster.node_exec("ctr", "-n", "k8s.io", "task", "ls").stdout.splitlines()
    (pid,) = [line.split()[1] for line in tasks if line.startswith(id_)]
    cluster.node_exec("kill", "-9", pid)

    def restarted() -> bool:
        pod = found(cluster, "pod", namespace, "gateway-demo")
        return int(pod["status"]["containerStatuses"][0]["restartCount"]) > 0

    support.poll("the proxy to restart", restarted)
    support.poll("the way out", lambda: " 200" in fetch(cluster, namespace, name, INDEX))
    support.wait_ready(cluster, namespace, name)


@pytest.mark.parametrize("kind", PARTS)
def test_deleted_part_of_the_gateway_comes_back(
    cluster: Cluster, namespace: str, kind: str
) -> None:
    name = behind(cluster, namespace)
    before = found(cluster, kind, namespace, "gateway-demo")
    known = address(cluster, namespace)
    cluster.kubectl("delete", kind, "gateway-demo", "-n", namespace, "--wait=false")

    def again() -> bool:
        now = support.get(cluster, kind, namespace, "gateway-demo")
        return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"]

    support.poll(f"{kind} to come back", again)
    support.poll("the way out", lambda: " 200" in fetch(cluster, namespace, name, INDEX))
    support.wait_ready(cluster, namespace, name)
    assert address(cluster, namespace) == known


def test_deleting_a_sandbox_leaves_nothing_and_each_fence_stands_until_its_pod_is_gone(
    cluster: Cluster, namespace: str
) -> None:
    """An agent that ignores SIGTERM must not find an open network in its last seconds."""
    command = ["python3", "-c", "import signal, time; signal.signal(15, print); time.sleep(600)"]
    name = behind(cluster, namespace, command=command)
    cluster.kubectl("delete", "sandbox", name, "-n", namespace, "--wait=false")
    both = (name, f"gateway-{name}")
    deadline, ended = time.monotonic() + 60, set[str]()
    while len(ended) < len(both) and time.monotonic() < deadline:
        for pod in both:
            policy = support.get(cluster, "networkpolicy", namespace, pod)
            still = support.get(cluster, "pod", namespace, pod)
            assert policy is not None or still is None, f"Pod {pod} outlived its NetworkPolicy"
            ended |= set() if still else {pod}
        time.sleep(0.2)

    def left() -> list[str]:
        parts = [(k, name) for k in CHILDREN] + [(k, f"gateway-{name}") for k in PARTS]
        return [f"{k} {n}" for k, n in parts if support.get(cluster, k, namespace, n)]

    support.poll("nothing to be left", lambda: not left())


def test_create_stays_within_the_write_budget_and_rest_and_restart_write_nothing(
    cluster: Cluster, namespace: str
) -> None:
    time.sleep(5)
    count = WriteCount(cluster, namespace)
    behind(cluster, namespace)
    time.sleep(5)
    writes = count.by_verb()
    assert sum(n for verb, n in writes.items() if verb.startswith("patch")) <= 9, writes
    assert writes["update sandboxes/status"] <= 3, writes
    assert writes["create events"] <= 3, writes
    count = WriteCount(cluster, namespace)
    with operator_down(cluster):
        pass
    time.sleep(10)
    assert count.by_verb() == {}
