"""Inside a real Sandbox every dangerous system call is refused, and by the profile.

The same probe runs in a control Pod without a profile: where both sound the same, the refusal is
the kernel's own and this test would not notice a lost profile. Which rows those are is fixed, and
`test_seccomp_runc` shows them with all capabilities.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import support
from probes import syscalls
from probes.expected import NEEDS_ROOT_TO_TELL, indistinguishable, wrong_under_profile
from ringfence.profiles.seccomp import Arch, localhost_profile, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster import Cluster

PROBE = Path(syscalls.__file__).read_text()
NODE_FILE = f"/var/lib/kubelet/seccomp/{localhost_profile()}"
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 30000,
    "runAsGroup": 30000,
}


def _agent(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    pod = support.get(cluster, "pod", namespace, name)
    assert pod is not None
    (agent,) = (c for c in pod["spec"]["containers"] if c["name"] == "agent")
    return dict(agent)


def _pod(namespace: str, image: str, profile: dict[str, str]) -> dict[str, Any]:
    """A Pod as hardened as a Sandbox's, but for the profile."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "control", "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "agent",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "securityContext": {**HARDENED, "seccompProfile": profile},
                }
            ],
        },
    }


@pytest.fixture(name="open_namespace")
def _open_namespace(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A namespace without Pod Security, which would not let the control Pod in."""
    name = f"{namespace}-open"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _answers(cluster: Cluster, namespace: str, name: str) -> dict[str, int]:
    answers: dict[str, int] = json.loads(support.python(cluster, namespace, name, PROBE))
    return answers


def test_every_dangerous_call_is_refused_in_a_sandbox_and_by_the_profile(
    cluster: Cluster, namespace: str, open_namespace: str
) -> None:
    name = support.sandbox(cluster, namespace)
    image = _agent(cluster, namespace, name)["image"]
    support.apply(cluster, _pod(open_namespace, image, {"type": "Unconfined"}))
    filtered = _answers(cluster, namespace, name)
    assert wrong_under_profile(filtered) == {}
    cluster.kubectl(
        "wait", "-n", open_namespace, "pod/control", "--for=condition=Ready", "--timeout=60s"
    )
    free = _answers(cluster, open_namespace, "control")
    assert indistinguishable(filtered, free) <= NEEDS_ROOT_TO_TELL


def test_agent_names_the_profile_by_its_content_and_runs_filtered(
    cluster: Cluster, namespace: str
) -> None:
    name = support.sandbox(cluster, namespace)
    wanted = {"type": "Localhost", "localhostProfile": localhost_profile()}
    assert _agent(cluster, namespace, name)["securityContext"]["seccompProfile"] == wanted
    status = support.execute(cluster, namespace, name, "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["Seccomp"], fields["NoNewPrivs"]) == ("2", "1")


def test_removed_and_altered_profile_is_put_back_on_the_node(cluster: Cluster) -> None:
    machine = cluster.node_exec("uname", "-m").stdout.strip()
    content = render(Arch(machine)).decode()

    def is_right() -> bool:
        return cluster.node_exec("cat", NODE_FILE, check=False).stdout == content

    support.poll(f"{NODE_FILE} to be installed", is_right)
    cluster.node_exec("rm", NODE_FILE)
    support.poll(f"{NODE_FILE} to be put back", is_right)
    cluster.node_exec("truncate", "-s", "0", NODE_FILE)
    support.poll(f"{NODE_FILE} to be repaired", is_right)


def test_pod_does_not_start_without_its_profile(
    cluster: Cluster, namespace: str, open_namespace: str
) -> None:
    name = support.sandbox(cluster, namespace)
    image = _agent(cluster, namespace, name)["image"]
    absent = {"type": "Localhost", "localhostProfile": "ringfence/sandbox-agent-absent00.json"}
    support.apply(cluster, _pod(open_namespace, image, absent))

    def refused() -> bool:
        pod = support.get(cluster, "pod", open_namespace, "control") or {}
        statuses = pod.get("status", {}).get("containerStatuses", [])
        return any("seccomp" in json.dumps(s.get("state", {})) for s in statuses)

    support.poll("the kubelet to refuse a container whose profile is missing", refused)
