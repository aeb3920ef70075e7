"""The fence of a real Sandbox: closed from the agent's first instruction on, watched, accounted."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

import support
from cluster import Cluster
from product import NAMESPACE

pytestmark = pytest.mark.usefixtures("ringfence")

PUBLIC = "203.0.113.10"
TRY = """
import errno, json, os, socket, sys
def attempt(kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    type_ = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    try:
        with socket.socket(family, type_) as tried:
            tried.settimeout(1)
            tried.connect((address, port))
            tried.send(b"x")
        return "open"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps([attempt(*way) for way in %r]))
"""
WAYS = [
    ("tcp", PUBLIC, 443),
    ("tcp", "10.96.0.1", 443),
    ("tcp", "10.77.0.1", 6443),
    ("tcp", "169.254.169.254", 80),
    ("udp", "10.96.0.10", 53),
    ("tcp", "10.96.0.10", 53),
    ("udp", PUBLIC, 443),
]
INSTANCES = """
import ctypes
libc = ctypes.CDLL(None)
count = 0
while libc.inotify_init1(0) >= 0 and count < 1000:
    count += 1
print(count)
"""


def attempts(cluster: Cluster, namespace: str, name: str, ways: list[Any]) -> list[str]:
    found: list[str] = json.loads(support.python(cluster, namespace, name, TRY % ways))
    return found


def fenced(cluster: Cluster, namespace: str, name: str) -> Any:
    return support.condition(support.get(cluster, "sandbox", namespace, name), "NetworkFenced")


def in_pod_network(cluster: Cluster, namespace: str, name: str, *argv: str) -> str:
    """Runs a program of the node in the network namespace of a Pod."""
    body = support.get(cluster, "pod", namespace, name)
    assert body
    slug = body["metadata"]["uid"]
    find = f"grep -l {slug} /proc/[0-9]*/cgroup | head -1"
    path = cluster.node_exec("sh", "-c", find).stdout.strip()
    pid = re.fullmatch(r"/proc/(\d+)/cgroup", path)
    assert pid, path
    return cluster.node_exec("nsenter", f"--net=/proc/{pid[1]}/ns/net", "--", *argv).stdout


def test_status_says_that_the_network_is_fenced_and_how(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    found = fenced(cluster, namespace, name)
    assert (found["status"], found["reason"]) == ("True", "NetworkFenced")
    assert "only uid 10101 (egress proxy) leaves the Pod" in found["message"]
    body = support.get(cluster, "sandbox", namespace, name)
    assert body
    assert body["status"]["isolation"]["network"]["state"] == "Enforced"


def test_agent_is_refused_at_once_whatever_it_tries(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    start = time.monotonic()
    assert set(attempts(cluster, namespace, name, WAYS)) <= {"EHOSTUNREACH", "EPERM"}
    assert time.monotonic() - start < 5


def test_refused_packets_are_logged_with_uid_and_destination(
    cluster: Cluster, namespace: str
) -> None:
    name = support.sandbox(cluster, namespace)
    attempts(cluster, namespace, name, [("tcp", "203.0.113.77", 4711)])
    body = support.get(cluster, "sandbox", namespace, name)
    assert body
    words = (
        f"refused: Pod {namespace}/{name}: uid {body['status']['uid']}, "
        "tcp to 203.0.113.77 port 4711, packets 1"
    )
    support.poll(words, lambda: words in node_log(cluster), 30)


def node_log(cluster: Cluster) -> str:
    selector = "app.kubernetes.io/component=node"
    return cluster.kubectl("logs", "-n", NAMESPACE, "-l", selector, "--tail", "200")


def test_filter_that_somebody_removes_is_back_at_once(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    in_pod_network(cluster, namespace, name, "nft", "delete", "table", "inet", "ringfence")
    tables = ("nft", "list", "tables")
    support.poll(
        "the table", lambda: "ringfence" in in_pod_network(cluster, namespace, name, *tables), 5
    )
    assert set(attempts(cluster, namespace, name, WAYS)) <= {"EHOSTUNREACH", "EPERM"}
    assert "packet filter was changed" in node_log(cluster)


def test_foreign_policy_that_widens_the_fence_is_named(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "let-all-out", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }
    support.apply(cluster, policy)
    support.poll(
        "PolicyWidened",
        lambda: fenced(cluster, namespace, name).get("reason") == "PolicyWidened",
        10,
    )
    assert "let-all-out" in fenced(cluster, namespace, name)["message"]
    assert set(attempts(cluster, namespace, name, WAYS)) <= {"EHOSTUNREACH", "EPERM"}
    cluster.kubectl("delete", "networkpolicy", "let-all-out", "-n", namespace)
    support.poll(
        "fenced again", lambda: fenced(cluster, namespace, name).get("status") == "True", 10
    )


def test_sandbox_takes_no_more_than_its_share_of_inotify(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    assert int(support.python(cluster, namespace, name, INSTANCES)) <= 16


@pytest.fixture
def blind_node_agent(cluster: Cluster) -> Iterator[None]:
    """A node agent that has no right to touch network namespaces, but does all else."""
    patch = [{"op": "replace", "path": CAPABILITIES, "value": ["SETGID", "SETUID", "SYS_PTRACE"]}]
    set_capabilities(cluster, patch)
    yield
    rest = ["MAC_ADMIN", "NET_ADMIN", "SETGID", "SETUID", "SYS_ADMIN", "SYS_PTRACE"]
    set_capabilities(cluster, [{"op": "replace", "path": CAPABILITIES, "value": rest}])


CAPABILITIES = "/spec/template/spec/containers/0/securityContext/capabilities/add"


def set_capabilities(cluster: Cluster, patch: list[Any]) -> None:
    which = ("-n", NAMESPACE, "daemonset/ringfence-node")
    cluster.kubectl("patch", *which, "--type=json", "-p", json.dumps(patch))
    cluster.kubectl("rollout", "status", *which, "--timeout=60s")


@pytest.mark.usefixtures("blind_node_agent")
def test_agent_container_does_not_start_without_the_fence(cluster: Cluster, namespace: str) -> None:
    name = support.create_sandbox(cluster, namespace)
    body = support.poll(
        "the guard to run", lambda: _guard_runs(cluster, namespace, name), support.READY_SECONDS
    )
    time.sleep(5)
    body = support.get(cluster, "pod", namespace, name)
    assert body
    (agent,) = body["status"]["containerStatuses"]
    assert not agent.get("started")
    assert "running" not in agent["state"]
    support.wait_for(cluster, namespace, name, "NetworkNotFenced", 90)
    assert fenced(cluster, namespace, name)["status"] == "False"


def _guard_runs(cluster: Cluster, namespace: str, name: str) -> bool:
    body = support.get(cluster, "pod", namespace, name) or {}
    found = body.get("status", {}).get("initContainerStatuses", [])
    return any(c["name"] == "guard" and "running" in c["state"] for c in found)
