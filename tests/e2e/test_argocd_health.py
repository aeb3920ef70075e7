"""Argo CD's view of real Sandboxes: the shipped health check over objects read from the cluster.

With RINGFENCE_CAPTURE=1 each object also replaces its test datum below manifests/argocd/.
"""

import os

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


def test_starting_sandbox_is_progressing(cluster: Cluster, namespace: str) -> None:
    """A Sandbox whose Pod is held back by nothing but time: its scheduler is stopped."""
    cluster.stop("scheduler")
    try:
        support.create_sandbox(cluster, namespace)
        found = support.wait_for(cluster, namespace, "demo", "Starting")
    finally:
        cluster.start("scheduler")
    assert _verdict("starting", found) == ("Progressing", _says(found))
    support.wait_ready(cluster, namespace, "demo")


def test_sandbox_with_a_missing_class_is_degraded(cluster: Cluster, namespace: str) -> None:
    support.create_sandbox(cluster, namespace, className="no-such-class")
    found = support.wait_for(cluster, namespace, "demo", "ClassNotFound")
    assert _verdict("class_not_found", found) == ("Degraded", _says(found))


def test_sandbox_with_a_missing_image_is_degraded(cluster: Cluster, namespace: str) -> None:
    name = f"missing-{namespace}"
    rules = {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": name},
        "spec": {"images": {"default": "ringfence.dev/missing:none"}},
    }
    support.apply(cluster, rules)
    try:
        support.create_sandbox(cluster, namespace, className=name)
        found = support.wait_for(cluster, namespace, "demo", "ImagePullFailed")
    finally:
        cluster.kubectl("delete", "sandboxclass", name)
    assert _verdict("image_pull_failed", found) == ("Degraded", _says(found))


def test_sandbox_whose_job_is_done_is_healthy(cluster: Cluster, namespace: str) -> None:
    support.create_sandbox(cluster, namespace, restartPolicy="Never", command=["true"])
    found = support.wait_for(cluster, namespace, "demo", "PodSucceeded")
    assert _verdict("succeeded", found) == ("Healthy", _says(found))


def test_sandbox_whose_job_failed_is_degraded(cluster: Cluster, namespace: str) -> None:
    command = ["sh", "-c", "exit 3"]
    support.create_sandbox(cluster, namespace, restartPolicy="Never", command=command)
    found = support.wait_for(cluster, namespace, "demo", "PodFailed")
    assert _verdict("failed", found) == ("Degraded", _says(found))
