"""A Sandbox becomes a Ready Pod, stays as it was built, and leaves nothing behind."""

import json
import time

import pytest

import support
from cluster import Cluster

pytestmark = pytest.mark.usefixtures("ringfence")

CHILDREN = ("serviceaccount", "networkpolicy", "configmap", "pod")


def test_sandbox_becomes_ready_and_runs_commands(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    assert support.execute(cluster, namespace, name, "echo", "hello") == "hello\n"
    found = support.get(cluster, "sandbox", namespace, name)
    assert found is not None
    status = found["status"]
    assert status["phase"] == "Running"
    assert status["nodeName"] == "node-1"
    assert status["observedGeneration"] == found["metadata"]["generation"]
    assert set(status["isolation"]) == {
        "process", "namespaces", "seccomp", "appArmor", "resources", "network", "audit",
    }  # fmt: skip


def test_kubectl_wait_works_on_the_ready_condition(cluster: Cluster, namespace: str) -> None:
    name = support.create_sandbox(cluster, namespace)
    cluster.kubectl(
        "wait", "--for=condition=Ready", f"sandbox/{name}", "-n", namespace, "--timeout=60s"
    )


def test_transitions_are_events(cluster: Cluster, namespace: str) -> None:
    support.sandbox(cluster, namespace)
    found = support.items(cluster, "events.events.k8s.io", namespace)
    ours = [e for e in found if e["reportingController"] == "ringfence.dev/operator"]
    assert [e["reason"] for e in sorted(ours, key=lambda e: str(e["eventTime"]))] == [
        "Starting",
        "PodReady",
    ]


def test_agent_sees_only_the_fixed_environment(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    program = "import json, os; print(json.dumps(sorted(os.environ)))"
    seen = set(json.loads(support.python(cluster, namespace, name, program)))
    by_kubelet = {n for n in seen if n.startswith("KUBERNETES_")} | {"HOSTNAME"}
    ours = {
        "AWS_REGION", "CLAUDE_CODE_USE_BEDROCK", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LANG",
        "NO_PROXY", "PATH", "PIP_TARGET", "PYTHONPATH", "TERM", "http_proxy", "https_proxy",
        "no_proxy",
    }  # fmt: skip
    interpreter = {"LC_CTYPE", "PWD", "SHLVL", "_"}
    assert ours <= seen
    assert seen - ours - by_kubelet - interpreter == set()


@pytest.mark.parametrize("kind", CHILDREN)
def test_deleted_child_comes_back(cluster: Cluster, namespace: str, kind: str) -> None:
    name = support.sandbox(cluster, namespace)
    before = support.get(cluster, kind, namespace, name)
    assert before is not None
    cluster.kubectl("delete", kind, name, "-n", namespace, "--wait=false")

    def again() -> bool:
        now = support.get(cluster, kind, namespace, name)
        return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"]

    support.poll(f"{kind} to come back", again)
    support.wait_ready(cluster, namespace, name)


def test_widened_network_policy_is_narrowed_again(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    before = support.get(cluster, "networkpolicy", namespace, name)
    assert before is not None
    patch = json.dumps({"spec": {"ingress": [{}], "egress": [{}]}})
    cluster.kubectl("patch", "networkpolicy", name, "-n", namespace, "--type=merge", "-p", patch)

    def narrowed() -> bool:
        now = support.get(cluster, "networkpolicy", namespace, name)
        return now is not None and now["spec"] == before["spec"]

    support.poll("the policy to be as built", narrowed)


def test_foreign_role_annotation_is_removed(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    key = "eks.amazonaws.com/role-arn"
    value = f"{key}=arn:aws:iam::123456789012:role/admin"
    cluster.kubectl("annotate", "serviceaccount", name, "-n", namespace, value)

    def clean() -> bool:
        now = support.get(cluster, "serviceaccount", namespace, name)
        return now is not None and key not in now["metadata"].get("annotations", {})

    support.poll("the annotation to go", clean)


def test_edited_pod_image_is_undone(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    cluster.kubectl(
        "set", "image", f"pod/{name}", "agent=ringfence.dev/busybox:test", "-n", namespace
    )
    support.wait_for(cluster, namespace, name, "PodAltered")


def test_deleting_a_sandbox_leaves_nothing(cluster: Cluster, namespace: str) -> None:
    name = support.sandbox(cluster, namespace)
    cluster.kubectl("delete", "sandbox", name, "-n", namespace)

    def gone() -> bool:
        return all(support.get(cluster, kind, namespace, name) is None for kind in CHILDREN)

    support.poll("every child to be gone", gone)


def test_fence_stands_until_the_pod_is_gone(cluster: Cluster, namespace: str) -> None:
    """An agent that ignores SIGTERM must not find an open network in its last seconds."""
    command = ["python3", "-c", "import signal, time; signal.signal(15, print); time.sleep(600)"]
    name = support.sandbox(cluster, namespace, command=command)
    cluster.kubectl("delete", "sandbox", name, "-n", namespace, "--wait=false")
    seen_ending = False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pod = support.get(cluster, "pod", namespace, name)
        policy = support.get(cluster, "networkpolicy", namespace, name)
        if pod is None:
            break
        seen_ending |= "deletionTimestamp" in pod["metadata"]
        still = support.get(cluster, "pod", namespace, name)
        assert policy is not None or still is None, "the Pod outlived its NetworkPolicy"
        time.sleep(0.2)
    assert seen_ending


def test_finished_job_is_reported(cluster: Cluster, namespace: str) -> None:
    name = support.create_sandbox(
        cluster, namespace, restartPolicy="Never", command=["python3", "-c", "print(6 * 7)"]
    )
    found = support.wait_for(cluster, namespace, name, "PodSucceeded")
    assert found["status"]["phase"] == "Succeeded"
    assert support.condition(found, "Finished")["status"] == "True"
    assert cluster.kubectl("logs", name, "-c", "agent", "-n", namespace) == "42\n"


def test_changed_limits_are_outdated_until_the_pod_is_deleted(
    cluster: Cluster, namespace: str
) -> None:
    name = support.sandbox(cluster, namespace)
    support.create_sandbox(cluster, namespace, name, resources={"cpu": "500m"})

    def outdated() -> bool:
        found = support.get(cluster, "sandbox", namespace, name)
        return support.condition(found, "UpToDate").get("status") == "False"

    support.poll("UpToDate to be False", outdated)
    cluster.kubectl("delete", "pod", name, "-n", namespace)
    support.poll("UpToDate to be True", lambda: not outdated())
