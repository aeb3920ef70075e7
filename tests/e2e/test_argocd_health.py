"""Argo CD's view of real Sandboxes: the shipped health check over objects read from the cluster.

With RINGFENCE_CAPTURE=1 each object also replaces its test datum below manifests/argocd/.
"""

import json
import os

import pytest
from helm import capture

import support
from cluster import Cluster
from lua_health import health

Json = support.Json


def _verdict(name: str, found: Json) -> tuple[str, str]:
    if os.environ.get("RINGFENCE_CAPTURE"):
        capture.write(name, found)
    verdict = health("Sandbox", found)
    return verdict.status, verdict.message


def _says(found: Json) -> str:
    ready = support.condition(found)
    return f"{ready['reason']}: {ready['message']}"


def test_ready_sandbox_is_healthy(cluster: Cluster, namespace: str) -> None:
    support.create_sandbox(cluster, namespace)
    found = support.wait_ready(cluster, namespace, "demo")
    assert _verdict("ready", found) == ("Healthy", _says(found))


def test_sandbox_is_progressing_until_it_is_ready(cluster: Cluster, namespace: str) -> None:
    """Every state that the Sandbox went through, read afterwards from the API server's history."""
    support.create_sandbox(cluster, namespace)
    support.wait_ready(cluster, namespace, "demo")
    states = _history(cluster, namespace)
    assert not states[0].get("status", {}).get("conditions")
    seen = [health("Sandbox", state).status for state in states]
    first_healthy = seen.index("Healthy")
    assert set(seen[:first_healthy]) == {"Progressing"}
    assert set(seen[first_healthy:]) == {"Healthy"}
    _verdict("not_yet_seen", states[0])
    starting = next(s for s in states if support.condition(s).get("reason") == "Starting")
    assert _verdict("starting", starting) == ("Progressing", _says(starting))


def _history(cluster: Cluster, namespace: str) -> list[Json]:
    """A watch from before the creation, over after a second."""
    path = f"/apis/ringfence.dev/v1alpha1/namespaces/{namespace}/sandboxes"
    space = json.loads(cluster.kubectl("get", "namespace", namespace, "-o", "json"))
    since = f"watch=true&timeoutSeconds=1&resourceVersion={space['metadata']['resourceVersion']}"
    events = cluster.kubectl("get", "--raw", f"{path}?{since}").splitlines()
    return [json.loads(event)["object"] for event in events]


REFUSED: dict[str, tuple[str, Json]] = {
    "class_not_found": ("ClassNotFound", {"className": "no-such-class"}),
    "class_ceiling_exceeded": ("ClassCeilingExceeded", {"resources": {"memory": "1Ti"}}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_sandbox_is_degraded(cluster: Cluster, namespace: str, name: str) -> None:
    reason, spec = REFUSED[name]
    support.create_sandbox(cluster, namespace, **spec)
    found = support.wait_for(cluster, namespace, "demo", reason)
    assert _verdict(name, found) == ("Degraded", _says(found))


STUCK: dict[str, tuple[str, Json]] = {
    "image_pull_failed": ("ImagePullFailed", {}),
    "unschedulable": ("Unschedulable", {"nodeSelector": {"no": "such-node"}}),
}


@pytest.mark.parametrize("name", STUCK)
def test_stuck_sandbox_is_degraded(cluster: Cluster, namespace: str, name: str) -> None:
    reason, rules = STUCK[name]
    class_name = f"stuck-{namespace}"
    body = {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": class_name},
        "spec": {"images": {"default": "ringfence.dev/missing:none"}, **rules},
    }
    support.apply(cluster, body)
    try:
        support.create_sandbox(cluster, namespace, className=class_name)
        found = support.wait_for(cluster, namespace, "demo", reason)
    finally:
        cluster.kubectl("delete", "sandboxclass", class_name)
    assert _verdict(name, found) == ("Degraded", _says(found))


def test_sandbox_whose_job_is_done_is_healthy(cluster: Cluster, namespace: str) -> None:
    support.create_sandbox(cluster, namespace, restartPolicy="Never", command=["true"])
    found = support.wait_for(cluster, namespace, "demo", "PodSucceeded")
    assert _verdict("succeeded", found) == ("Healthy", _says(found))


def test_sandbox_whose_job_failed_is_degraded(cluster: Cluster, namespace: str) -> None:
    command = ["sh", "-c", "exit 3"]
    support.create_sandbox(cluster, namespace, restartPolicy="Never", command=command)
    found = support.wait_for(cluster, namespace, "demo", "PodFailed")
    assert _verdict("failed", found) == ("Degraded", _says(found))
