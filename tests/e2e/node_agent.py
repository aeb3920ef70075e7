"""The node agent in end-to-end tests: Pods made by hand as the operator would, and what is said.

Made by hand so that they can be what the operator never makes: privileged, without limits. The API
server takes them from nobody but the operator, so they are sent in its name.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import product
import support
from cluster import Cluster
from ringfence.profiles.seccomp import localhost_profile

Json = dict[str, Any]

OPERATOR = "system:serviceaccount:ringfence-system:ringfence-operator"
AGENT = "system:serviceaccount:ringfence-system:ringfence-node"
DAEMON_SET = "daemonset/ringfence-node"
LABEL = f"seccomp.ringfence.dev/{localhost_profile().rpartition('/')[2].removesuffix('.json')}"
PROFILE = f"/var/lib/kubelet/seccomp/{localhost_profile()}"
VERIFIED = "ringfence.dev/PostureVerified"
UID = 31000
LIMITS = {"pids": 64, "diskBytes": 2**30}
FENCE = {"ports": [443], "resolver": "10.96.0.10"}
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": UID,
    "runAsGroup": UID,
}
FORK_BOMB = """
import errno, json, os, signal
children, error = [], 0
try:
    for _ in range(1000):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
except OSError as refused:
    error = refused.errno
print(json.dumps({"children": len(children), "again": error == errno.EAGAIN}))
for pid in children:
    os.kill(pid, signal.SIGKILL)
"""
"""Stops at the limit, ends what it started, and says how far it got."""


def body(cluster: Cluster, namespace: str, limits: Json | None = None, **context: Any) -> Json:
    """A Pod in the form of a Sandbox's; `context` changes the agent's security context."""
    image = json.loads(cluster.kubectl("get", "sandboxclass", "standard", "-o", "json"))
    image = image["spec"]["images"]["default"]
    own = {"type": "Localhost", "localhostProfile": localhost_profile()}
    text = json.dumps(LIMITS if limits is None else limits)
    proxy: Json = {
        "name": "egress-proxy",
        "restartPolicy": "Always",
        "env": [
            {"name": "RINGFENCE_LIMITS", "value": text},
            {"name": "RINGFENCE_FENCE", "value": json.dumps(FENCE)},
        ],
        "securityContext": {**HARDENED, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    agent: Json = {
        "name": "agent",
        "securityContext": {**HARDENED, "seccompProfile": own} | context,
        "resources": {"limits": {"cpu": "1", "memory": "256Mi"}, "requests": {"cpu": "10m"}},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
    }
    common = {"image": image, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "infinity"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "by-hand",
            "namespace": namespace,
            "labels": {"ringfence.dev/sandbox-uid": "by-hand"},
        },
        "spec": {
            "hostUsers": False,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"fsGroup": UID},
            "initContainers": [proxy | common],
            "containers": [agent | common],
            "volumes": [{"name": "work", "emptyDir": {}}],
        },
    }


def create(cluster: Cluster, pod: Json) -> None:
    """Creates a Pod in the operator's name."""
    cluster.kubectl("create", "--as", OPERATOR, "-f", "-", input=json.dumps(pod))


def conditions(cluster: Cluster, namespace: str, name: str = "by-hand") -> dict[str, Json]:
    """What the node agent says about a Pod, by type."""
    found = support.get(cluster, "pod", namespace, name) or {}
    entries = found.get("status", {}).get("conditions", [])
    return {c["type"]: c for c in entries if c["type"].startswith("ringfence.dev/")}


def wait_posture(
    cluster: Cluster, namespace: str, status: str = "True", seconds: float = 60.0
) -> dict[str, Json]:
    """The conditions once PostureVerified has the status."""
    last: dict[str, Json] = {}

    def look() -> dict[str, Json] | None:
        last.update(conditions(cluster, namespace))
        return last if last.get(VERIFIED, {}).get("status") == status else None

    try:
        return support.poll(f"PostureVerified {status}", look, seconds)
    except AssertionError as error:
        message = f"{error}; the conditions are {json.dumps(last, indent=1)}"
        raise AssertionError(message) from None


def verified(cluster: Cluster, namespace: str, **limits: int) -> dict[str, Json]:
    """Creates a Pod as it must be and waits until its posture is verified."""
    create(cluster, body(cluster, namespace, {**LIMITS, **limits}))
    return wait_posture(cluster, namespace)


def cgroup(cluster: Cluster, namespace: str, container: str = "") -> str:
    """Directory of the pids cgroup of the Pod, or of one of its containers, on node 1."""
    pod = support.get(cluster, "pod", namespace, "by-hand")
    assert pod is not None
    uid = pod["metadata"]["uid"]
    find = f"find /sys/fs/cgroup/pids -type d -path '*/kubepods/*' -name 'pod{uid}'"
    directory = cluster.node_exec("sh", "-c", find).stdout.strip()
    if not container:
        return directory
    statuses = [*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]]
    (found,) = [s["containerID"] for s in statuses if s["name"] == container]
    return f"{directory}/{found.rpartition('/')[2]}"


def pids_max(cluster: Cluster, directory: str) -> str:
    """The pids limit of a cgroup."""
    return cluster.node_exec("cat", f"{directory}/pids.max").stdout.strip()


def node_labels(cluster: Cluster) -> dict[str, str]:
    """Labels of node 1 that belong to the node agent."""
    node = json.loads(cluster.kubectl("get", "node", "node-1", "-o", "json"))
    labels: dict[str, str] = node["metadata"]["labels"]
    return {key: value for key, value in labels.items() if ".ringfence.dev/" in key}


def sandbox_node(cluster: Cluster) -> Json:
    """Status of node 1's SandboxNode."""
    found: Json = json.loads(cluster.kubectl("get", "sandboxnode", "node-1", "-o", "json"))
    status: Json = found.get("status", {})
    return status


@contextmanager
def stopped(cluster: Cluster) -> Iterator[None]:
    """While this lasts, no node agent runs."""
    where = ("-n", product.NAMESPACE)
    _select(cluster, {"no": "node"})
    selector = "-l=app.kubernetes.io/component=node"
    cluster.kubectl("wait", "--for=delete", "pod", selector, *where, "--timeout=60s")
    try:
        yield
    finally:
        _select(cluster, {"no": None})
        cluster.kubectl("rollout", "status", DAEMON_SET, *where, "--timeout=90s")


def _select(cluster: Cluster, selector: Json) -> None:
    patch = json.dumps({"spec": {"template": {"spec": {"nodeSelector": selector}}}})
    where = ("-n", product.NAMESPACE)
    cluster.kubectl("patch", DAEMON_SET, *where, "--type=merge", "-p", patch)


def process(cluster: Cluster) -> str | None:
    """Pid of the node agent on node 1."""
    found = cluster.node_exec("pgrep", "-f", "bin/ringfence-node$", check=False).stdout.split()
    return found[0] if found else None
