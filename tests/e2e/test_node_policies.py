"""A node agent speaks of its own node alone, and nobody else speaks in its stead.

With tokens that the API server itself made: for the real agent of node 1, for one on another node,
and for none.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import node_agent
import product
import support
from cluster import Cluster, ClusterError
from node_agent import LABEL, VERIFIED
from ringfence.node.api import Access, ApiError, Client

pytestmark = pytest.mark.usefixtures("ringfence")

Json = dict[str, Any]
OTHER_NODE = "stranger"
FORGED = [{"type": VERIFIED, "status": "True", "reason": "Verified", "message": "trust me"}]


class Speaker:
    """Requests in the name of the node agent's ServiceAccount, by the agent's own client."""

    def __init__(self, cluster: Cluster, directory: Path, token: str) -> None:
        shown = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))
        (entry,) = shown["clusters"]
        url = urlsplit(entry["cluster"]["server"])
        certificate = base64.b64decode(entry["cluster"]["certificate-authority-data"])
        (directory / "ca.crt").write_bytes(certificate)
        (directory / "token").write_text(token)
        self._client = Client(Access(str(url.hostname), url.port or 443, directory))

    def patch(self, path: str, body: Json) -> None:
        """Patches an object; raises if that is refused."""
        try:
            self._client.patch(path, "ringfence-node", body)
        finally:
            self._client.close()

    def apply(self, path: str, body: Json) -> None:
        """Server-side apply; raises if that is refused."""
        try:
            self._client.apply(path, "ringfence-node", body)
        finally:
            self._client.close()


NODE = "/api/v1/nodes/node-1"
SANDBOX_NODE = "/apis/ringfence.dev/v1alpha1/sandboxnodes/node-1"


@pytest.fixture
def own(cluster: Cluster, tmp_path: Path) -> Speaker:
    """The real agent of node 1."""
    selector = "-l=app.kubernetes.io/component=node"
    pod = json.loads(cluster.kubectl("get", "pod", selector, "-n", product.NAMESPACE, "-o", "json"))
    name = next(
        p["metadata"]["name"] for p in pod["items"] if p["spec"].get("nodeName") == "node-1"
    )
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={name}")
    return Speaker(cluster, tmp_path, _token(cluster, *bound))


@pytest.fixture
def other(cluster: Cluster, tmp_path: Path) -> Iterator[Speaker]:
    """An agent on another node."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": OTHER_NODE}}
    cluster.kubectl("create", "-f", "-", input=json.dumps(node))
    bound = ("--bound-object-kind=Node", f"--bound-object-name={OTHER_NODE}")
    yield Speaker(cluster, tmp_path, _token(cluster, *bound))
    cluster.kubectl("delete", "node", OTHER_NODE)


@pytest.fixture
def nobody(cluster: Cluster, tmp_path: Path) -> Speaker:
    """The same ServiceAccount without a node."""
    return Speaker(cluster, tmp_path, _token(cluster))


def _token(cluster: Cluster, *bound: str) -> str:
    where = ("-n", product.NAMESPACE)
    return cluster.kubectl("create", "token", "ringfence-node", *bound, *where).strip()


@pytest.fixture
def pod(cluster: Cluster, namespace: str) -> str:
    """Path of the status of a verified Sandbox Pod on node 1."""
    node_agent.verified(cluster, namespace)
    return _status(namespace, "by-hand")


def _status(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}/status"


def _labels(**labels: str | None) -> Json:
    return {"metadata": {"labels": labels}}


def _conditions(*conditions: Json) -> Json:
    return {"status": {"conditions": list(conditions)}}


DENIED = r"ValidatingAdmissionPolicy.*denied"
SPOKEN: Json = {
    "apiVersion": "ringfence.dev/v1alpha1",
    "kind": "SandboxNode",
    "metadata": {"name": "node-1"},
    "status": {
        "renewTime": "2999-01-01T00:00:00Z",
        "agentVersion": "forged",
        "cgroupVersion": 1,
        "appArmor": {"enabled": False},
    },
}
ANNOTATED: Json = {"metadata": {"name": "node-1", "annotations": {"a": "b"}}}
SAID = {"type": VERIFIED, "status": "False", "reason": "Tested", "message": "of a test"}


def test_agent_of_the_node_may_speak(
    cluster: Cluster, own: Speaker, pod: str, namespace: str
) -> None:
    own.patch(pod, _conditions(SAID))
    node_agent.wait_posture(cluster, namespace, "True", 20)  # corrected by the real one
    own.patch(NODE, _labels(**{"seccomp.ringfence.dev/of-a-test": "installed"}))
    own.patch(NODE, _labels(**{"seccomp.ringfence.dev/of-a-test": None}))


def test_agent_of_another_node_may_not_speak(other: Speaker, pod: str) -> None:
    with pytest.raises(ApiError, match="Sandbox Pods of its own node"):
        other.patch(pod, _conditions(SAID))
    with pytest.raises(ApiError, match="its own node's labels"):
        other.patch(NODE, _labels(**{LABEL: None}))
    with pytest.raises(ApiError, match="node of its name"):
        other.apply(f"{SANDBOX_NODE}/status", SPOKEN)
    with pytest.raises(ApiError, match="node of its name"):
        other.apply(SANDBOX_NODE, {k: v for k, v in SPOKEN.items() if k != "status"} | ANNOTATED)


def test_token_without_a_node_is_worth_nothing(nobody: Speaker, pod: str) -> None:
    with pytest.raises(ApiError, match=DENIED):
        nobody.patch(pod, _conditions(SAID))
    with pytest.raises(ApiError, match=DENIED):
        nobody.patch(NODE, _labels(**{LABEL: None}))
    with pytest.raises(ApiError, match=DENIED):
        nobody.apply(f"{SANDBOX_NODE}/status", SPOKEN)


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}},
        {"metadata": {"labels": {"kubernetes.io/os": "other"}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"finalizers": ["a.example/b"]}},
        {"spec": {"unschedulable": True}},
        {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    ],
    ids=str,
)
def test_agent_changes_nothing_else_of_its_node(own: Speaker, body: Json) -> None:
    with pytest.raises(ApiError, match="node agent may change"):
        own.patch(NODE, body)


@pytest.mark.parametrize(
    "body",
    [
        {"status": {"phase": "Succeeded"}},
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        {"status": {"containerStatuses": None}},
        {"status": {"reason": "Evicted"}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"finalizers": ["a.example/b"]}},
    ],
    ids=str,
)
def test_agent_changes_nothing_else_of_a_pod(own: Speaker, pod: str, body: Json) -> None:
    with pytest.raises(ApiError, match="node agent may"):
        own.patch(pod, body)


def test_agent_says_nothing_of_other_pods_on_its_node(cluster: Cluster, own: Speaker) -> None:
    pods = json.loads(cluster.kubectl("get", "pods", "-n", product.NAMESPACE, "-o", "json"))
    name = pods["items"][0]["metadata"]["name"]
    with pytest.raises(ApiError, match="Sandbox Pods of its own node"):
        own.patch(_status(product.NAMESPACE, name), _conditions(SAID))


@pytest.mark.usefixtures("pod")
def test_administrator_cannot_say_that_a_sandbox_is_verified(
    cluster: Cluster, namespace: str
) -> None:
    patch = json.dumps(_conditions(*FORGED))
    target = ("pod", "by-hand", "-n", namespace, "--subresource=status")
    with pytest.raises(ClusterError, match="only the Ringfence node agent"):
        cluster.kubectl("patch", *target, "--type=strategic", "-p", patch)


def test_administrator_cannot_say_that_a_node_has_profiles(cluster: Cluster) -> None:
    for change in (f"{LABEL}-", "apparmor.ringfence.dev/forged=enforced"):
        with pytest.raises(ClusterError, match="only the Ringfence node agent"):
            cluster.kubectl("label", "node", "node-1", change)
    cluster.kubectl("label", "node", "node-1", "something.else/is=allowed")
    cluster.kubectl("label", "node", "node-1", "something.else/is-")


def test_node_cannot_be_born_with_our_labels(cluster: Cluster) -> None:
    labels = {"seccomp.ringfence.dev/forged": "installed"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "born", "labels": labels}}
    with pytest.raises(ClusterError, match="only the Ringfence node agent"):
        cluster.kubectl("create", "-f", "-", input=json.dumps(node))


def test_administrator_cannot_speak_for_a_sandbox_node(cluster: Cluster) -> None:
    status = json.dumps({"status": {"renewTime": "2999-01-01T00:00:00Z"}})
    target = ("sandboxnode", "node-1", "--subresource=status")
    with pytest.raises(ClusterError, match="node of its name"):
        cluster.kubectl("patch", *target, "--type=merge", "-p", status)
    forged = {"apiVersion": "ringfence.dev/v1alpha1", "kind": "SandboxNode"}
    body = json.dumps(forged | {"metadata": {"name": "forged"}})
    with pytest.raises(ClusterError, match="node of its name"):
        cluster.kubectl("create", "-f", "-", input=body)


@pytest.mark.usefixtures("pod")
def test_kubelet_goes_on_reporting(cluster: Cluster, namespace: str) -> None:
    """Its own writes to the same status neither fail nor undo what the node agent said."""
    directory = node_agent.cgroup(cluster, namespace, "agent")
    cluster.node_exec("sh", "-c", f"kill -9 $(head -1 {directory}/cgroup.procs)")

    def restarted() -> bool:
        found = support.get(cluster, "pod", namespace, "by-hand") or {}
        (status,) = found["status"]["containerStatuses"]
        return bool(status["restartCount"])

    support.poll("the kubelet to report the restart", restarted)
    assert node_agent.conditions(cluster, namespace)[VERIFIED]["status"] == "True"
