"""Bad input is a clear answer: refused at the door, or a condition that names the way out."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import support
from cluster import Cluster, ClusterError

pytestmark = pytest.mark.usefixtures("ringfence")

REFUSED_AT_THE_DOOR = {
    "cpu": ({"resources": {"cpu": "lots"}}, "spec.resources.cpu"),
    "pids": ({"resources": {"pids": 1}}, "spec.resources.pids"),
    "host": ({"egress": {"allow": [{"host": "10.0.0.1"}]}}, "spec.egress.allow[0].host"),
    "port": (
        {"egress": {"allow": [{"host": "a.example", "ports": [0]}]}},
        "spec.egress.allow[0].ports[0]",
    ),
    "role": ({"identity": {"roleArn": "admin"}}, "spec.identity.roleArn"),
    "restart": ({"restartPolicy": "Sometimes"}, "spec.restartPolicy"),
    "unknown": ({"hostNetwork": True}, "hostNetwork"),
    "type": ({"command": "sh"}, "spec.command"),
}


@pytest.mark.parametrize("case", REFUSED_AT_THE_DOOR)
def test_api_server_refuses_and_names_the_field(
    cluster: Cluster, namespace: str, case: str
) -> None:
    spec, field = REFUSED_AT_THE_DOOR[case]
    with pytest.raises(ClusterError, match=re.escape(field)):
        support.create_sandbox(cluster, namespace, "bad", **spec)


def test_class_name_cannot_be_changed(cluster: Cluster, namespace: str) -> None:
    support.create_sandbox(cluster, namespace, "fixed", className="standard")
    with pytest.raises(ClusterError, match="className cannot be changed"):
        support.create_sandbox(cluster, namespace, "fixed", className="other")


CONDITIONS = {
    "ClassNotFound": {"className": "no-such-class"},
    "ClassCeilingExceeded": {"resources": {"memory": "1Ti"}},
}


@pytest.mark.parametrize("reason", CONDITIONS)
def test_refused_sandbox_says_why(cluster: Cluster, namespace: str, reason: str) -> None:
    name = support.create_sandbox(cluster, namespace, "refused", **CONDITIONS[reason])
    found = support.wait_for(cluster, namespace, name, reason)
    assert support.condition(found)["message"]
    assert support.get(cluster, "pod", namespace, name) is None


@pytest.fixture
def make_class(cluster: Cluster, namespace: str) -> Iterator[Callable[..., str]]:
    """Makes a class of the given spec, and removes it after the test."""
    name = f"class-{namespace}"

    def make(**spec: Any) -> str:
        kind = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "SandboxClass"}
        support.apply(cluster, {**kind, "metadata": {"name": name}, "spec": spec})
        return name

    yield make
    cluster.kubectl("delete", "sandboxclass", name, "--ignore-not-found")


def test_unschedulable_sandbox_says_so_and_starts_once_it_fits(
    cluster: Cluster, namespace: str, make_class: Callable[..., str]
) -> None:
    label = f"test.ringfence.dev/{namespace}"
    standard = support.get(cluster, "sandboxclass", "", "standard")
    assert standard is not None
    class_name = make_class(images=standard["spec"]["images"], nodeSelector={label: "yes"})
    name = support.create_sandbox(cluster, namespace, className=class_name)
    found = support.wait_for(cluster, namespace, name, "Unschedulable")
    assert "node" in support.condition(found)["message"]
    cluster.kubectl("label", "node", "node-1", f"{label}=yes")
    support.wait_ready(cluster, namespace, name)
    cluster.kubectl("label", "node", "node-1", f"{label}-")


def test_missing_image_is_named(
    cluster: Cluster, namespace: str, make_class: Callable[..., str]
) -> None:
    class_name = make_class(images={"default": "ringfence.dev/missing:none"})
    name = support.create_sandbox(cluster, namespace, className=class_name)
    found = support.wait_for(cluster, namespace, name, "ImagePullFailed")
    assert "ringfence.dev/missing:none" in support.condition(found)["message"]


def test_name_of_253_characters_works(cluster: Cluster, namespace: str) -> None:
    name = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    assert len(name) == 253
    support.create_sandbox(cluster, namespace, name)
    found = support.wait_ready(cluster, namespace, name)
    assert len(found["status"]["podName"]) <= 63


def test_foreign_object_of_the_same_name_is_left_alone(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "taken", "-n", namespace)
    before = support.get(cluster, "serviceaccount", namespace, "taken")
    support.create_sandbox(cluster, namespace, "taken")
    support.wait_for(cluster, namespace, "taken", "NameConflict")
    assert support.get(cluster, "serviceaccount", namespace, "taken") == before
    cluster.kubectl("delete", "serviceaccount", "taken", "-n", namespace)
    support.wait_ready(cluster, namespace, "taken", 90)


def test_quota_is_shown_and_the_sandbox_starts_once_it_is_lifted(
    cluster: Cluster, namespace: str
) -> None:
    cluster.kubectl("create", "quota", "none", "--hard=pods=0", "-n", namespace)
    name = support.create_sandbox(cluster, namespace)
    found = support.wait_for(cluster, namespace, name, "Rejected")
    assert "exceeded quota" in support.condition(found)["message"]
    cluster.kubectl("delete", "quota", "none", "-n", namespace)
    support.wait_ready(cluster, namespace, name, 120)


def test_terminating_namespace_ends_without_a_trace(cluster: Cluster, namespace: str) -> None:
    before = _restarts(cluster)
    name = f"{namespace}-ending"
    cluster.kubectl("create", "namespace", name)
    support.sandbox(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--timeout=90s")
    text = cluster.kubectl("get", "namespace", name, "--ignore-not-found")
    assert text == ""
    logs = cluster.kubectl("logs", "-n", "ringfence-system", "deployment/ringfence-operator")
    assert "Traceback" not in logs
    assert _restarts(cluster) == before


def _restarts(cluster: Cluster) -> int:
    text = cluster.kubectl("get", "pods", "-n", "ringfence-system", "-o", "json")
    pods = json.loads(text)["items"]
    return sum(
        status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]
    )


def test_class_with_a_default_above_its_limit_is_refused(cluster: Cluster) -> None:
    limits = {"cpu": "1", "memory": "2Gi", "pids": 256, "disk": "5Gi"}
    spec = {"images": {"default": "x"}, "limits": limits}
    broken = {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "SandboxClass",
        "metadata": {"name": "broken"},
        "spec": {**spec, "defaultLimits": {**limits, "memory": "3Gi"}},
    }
    with pytest.raises(ClusterError, match=r"defaultLimits\.memory"):
        support.apply(cluster, broken)
