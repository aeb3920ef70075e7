"""Whatever is killed or restarted, Sandboxes come to rest again, and rest costs nothing."""

import time

import pytest

import product
import support
from bench.writes import WriteCount
from cluster import Cluster

pytestmark = pytest.mark.usefixtures("ringfence")

OPERATOR = "deployment/ringfence-operator"


def _restart_operator(cluster: Cluster) -> None:
    where = ("-n", product.NAMESPACE)
    cluster.kubectl("rollout", "restart", OPERATOR, *where)
    cluster.kubectl("rollout", "status", OPERATOR, *where, "--timeout=90s")


def test_rest_resync_and_restart_of_the_operator_write_nothing(
    cluster: Cluster, namespace: str
) -> None:
    support.sandbox(cluster, namespace)
    time.sleep(5)
    count = WriteCount(cluster, namespace)
    time.sleep(10)
    _restart_operator(cluster)
    time.sleep(10)
    assert count.by_verb() == {}


def test_create_stays_within_the_write_budget(cluster: Cluster, namespace: str) -> None:
    time.sleep(5)
    count = WriteCount(cluster, namespace)
    support.sandbox(cluster, namespace)
    time.sleep(5)
    writes = count.by_verb()
    assert sum(n for verb, n in writes.items() if verb.startswith("patch")) <= 6, writes
    assert writes["update sandboxes/status"] <= 3, writes
    assert writes["create events"] <= 3, writes


def test_sandbox_created_while_the_operator_is_down_starts_when_it_is_back(
    cluster: Cluster, namespace: str
) -> None:
    where = ("-n", product.NAMESPACE)
    cluster.kubectl("scale", OPERATOR, "--replicas=0", *where)
    cluster.kubectl(
        "wait", "--for=delete", "pod", "-l=app.kubernetes.io/component=operator", *where
    )
    support.create_sandbox(cluster, namespace)
    time.sleep(2)
    assert support.items(cluster, "pods", namespace) == []
    cluster.kubectl("scale", OPERATOR, "--replicas=1", *where)
    support.wait_ready(cluster, namespace, "demo", 90)


def test_sandbox_deleted_while_the_operator_is_down_goes_at_once(
    cluster: Cluster, namespace: str
) -> None:
    name = support.sandbox(cluster, namespace)
    where = ("-n", product.NAMESPACE)
    cluster.kubectl("scale", OPERATOR, "--replicas=0", *where)
    try:
        cluster.kubectl("delete", "sandbox", name, "-n", namespace, "--timeout=30s")
        support.poll("the Pod to go", lambda: not support.items(cluster, "pods", namespace))
    finally:
        cluster.kubectl("scale", OPERATOR, "--replicas=1", *where)
        cluster.kubectl("rollout", "status", OPERATOR, *where, "--timeout=90s")


def test_killed_proxy_comes_back_by_itself(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    pid = _pid(cluster, namespace, name, "egress-proxy")
    cluster.node_exec("kill", "-9", pid)

    def restarted() -> bool:
        pod = support.get(cluster, "pod", namespace, name)
        return pod is not None and pod["status"]["initContainerStatuses"][0]["restartCount"] > 0

    support.poll("the proxy to restart", restarted)
    support.wait_ready(cluster, namespace, name)


def _pid(cluster: Cluster, namespace: str, name: str, container: str) -> str:
    """Process id of a container on the node, by containerd."""
    pod = support.get(cluster, "pod", namespace, name)
    assert pod is not None
    statuses = [*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]]
    (identity,) = [s["containerID"].rpartition("/")[2] for s in statuses if s["name"] == container]
    tasks = cluster.node_exec("ctr", "-n", "k8s.io", "task", "ls").stdout.splitlines()
    (pid,) = [line.split()[1] for line in tasks if line.startswith(identity)]
    return pid


def test_restarted_api_server_is_found_again(cluster: Cluster, namespace: str) -> None:
    support.sandbox(cluster, namespace, "before")
    cluster.restart("apiserver")
    cluster.wait_ready()
    support.sandbox(cluster, namespace, "after")
    support.wait_ready(cluster, namespace, "before")


def test_restarted_kubelet_changes_nothing(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    before = support.get(cluster, "pod", namespace, name)
    cluster.restart("kubelet")
    cluster.wait_ready()
    support.wait_ready(cluster, namespace, name)
    after = support.get(cluster, "pod", namespace, name)
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
