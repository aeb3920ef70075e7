"""The attack table holds in a real Sandbox; each layer taken away makes its own rows fail."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import pytest

import attack_table
import product
import support
from attacked import Run, agent, attack, copy, only, start
from ringfence.attack.rows import NEIGHBOUR_LATENCY, NODE_READY, ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cluster import Cluster

pytestmark = [pytest.mark.usefixtures("ringfence"), pytest.mark.timeout(600)]

OPERATOR = "system:serviceaccount:ringfence-system:ringfence-operator"
STATIC = [row.name for row in ROWS if not row.bomb]
WATCHED = {NODE_READY.name, NEIGHBOUR_LATENCY.name}
APP_ARMOR = {row.name for row in ROWS if row.needs_app_armor}

Json = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _world(cluster: Cluster) -> Iterator[None]:
    """What an unfenced Pod would reach."""
    with attack_table.open_world(cluster):
        yield


def test_every_row_holds_in_a_sandbox_and_nothing_is_left(cluster: Cluster, namespace: str) -> None:
    run = attack(cluster, namespace)
    assert set(run.statuses) == {row.name for row in ROWS} | WATCHED
    assert run.failed == set(), json.dumps(run.document["rows"], indent=1)
    assert run.code == 0
    assert {n for n, status in run.statuses.items() if status == "notApplicable"} == APP_ARMOR
    assert run.statuses["remove-workspace"] == "tolerated"

    def gone() -> bool:
        return not support.items(cluster, "sandbox", namespace)

    support.poll("the Sandboxes of the attack to be gone", gone)


# --- Layer by layer -----------------------------------------------------------------------------


class Loss(NamedTuple):
    """One layer taken away, and the rows that must then fail."""

    edit: Callable[[Json], None]
    fails: set[str]
    rows: list[str] = STATIC
    fenced: bool = True


def no_seccomp(pod: Json) -> None:
    agent(pod)["securityContext"]["seccompProfile"] = {"type": "Unconfined"}


def writable_root(pod: Json) -> None:
    agent(pod)["securityContext"]["readOnlyRootFilesystem"] = False


def root_with_capabilities(pod: Json) -> None:
    pod["spec"]["securityContext"] |= {"runAsNonRoot": False}
    agent(pod)["securityContext"] |= {
        "runAsNonRoot": False,
        "runAsUser": 0,
        "runAsGroup": 0,
        "capabilities": {},
    }


def new_privileges(pod: Json) -> None:
    """With the own profile such a container does not even start: runc needs setgroups then."""
    no_seccomp(pod)
    agent(pod)["securityContext"]["allowPrivilegeEscalation"] = True


def no_memory_limit(pod: Json) -> None:
    del agent(pod)["resources"]["limits"]["memory"]


def soft_disk(pod: Json) -> None:
    for volume in pod["spec"]["volumes"]:
        if volume.pop("ephemeral", None):
            volume["emptyDir"] = {"sizeLimit": "5Gi"}


def no_pids_limit(pod: Json) -> None:
    """Without the label the node's agent takes it for anybody's; the guard would wait for that."""
    del pod["metadata"]["labels"]["ringfence.dev/sandbox-uid"]
    no_packet_filter(pod)
    for sidecar in pod["spec"]["initContainers"]:
        sidecar.pop("lifecycle", None)


def no_packet_filter(pod: Json) -> None:
    """Without the guard, which would wait for it for ever."""
    (proxy,) = (c for c in pod["spec"]["initContainers"] if c["name"] == "egress-proxy")
    proxy["env"] = [v for v in proxy["env"] if v["name"] != "RINGFENCE_FENCE"]
    pod["spec"]["initContainers"] = [proxy]


def host_pids(pod: Json) -> None:
    pod["spec"] |= {"hostPID": True, "hostUsers": True}


def host_network(pod: Json) -> None:
    no_packet_filter(pod)  # there is none in the node's own namespace
    pod["spec"] |= {"hostNetwork": True, "hostUsers": True}


def host_files(pod: Json) -> None:
    pod["spec"]["hostUsers"] = True  # or the kernel would have to map the owners of a whole disk
    pod["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    agent(pod)["volumeMounts"].append({"name": "host", "mountPath": "/host", "readOnly": True})


def token(pod: Json) -> None:
    pod["spec"]["automountServiceAccountToken"] = True


def unmasked_proc(pod: Json) -> None:
    agent(pod)["securityContext"]["procMount"] = "Unmasked"


def nothing(_pod: Json) -> None:
    """The Pod as the operator built it."""


SECCOMP_ROWS = {
    *("enter-host", "load-module", "ptrace", "crypto-socket"),
    *("terminal-input", "user-namespace", "device-node"),
}
OUTSIDE_ROWS = {"cluster-ports", "metadata", "environment-exfiltration"}
IDENTITY_ROWS = {"become-root", "setuid-files", "enter-host"}
LOSSES = {
    "seccomp profile": Loss(no_seccomp, SECCOMP_ROWS),
    "read-only root": Loss(writable_root, {"remove-root"}),
    "user and capabilities": Loss(root_with_capabilities, IDENTITY_ROWS),
    "no new privileges": Loss(new_privileges, SECCOMP_ROWS | IDENTITY_ROWS),
    "pid namespace": Loss(host_pids, {"other-environments", "other-files"}),
    "network namespace": Loss(host_network, OUTSIDE_ROWS),  # the neighbour has a fence of its own
    "mount namespace": Loss(host_files, {"other-files"}),
    "no token": Loss(token, {"service-account-token"}),
    "masked /proc": Loss(unmasked_proc, {"kernel-settings"}),
    "packet filter": Loss(no_packet_filter, {"environment-exfiltration"}),
    "network fence": Loss(no_packet_filter, OUTSIDE_ROWS, fenced=False),
    "memory limit": Loss(no_memory_limit, {"memory-bomb"}, ["memory-bomb"]),
    "disk limit": Loss(soft_disk, {"disk-fill"}, ["disk-fill"]),
    "pids limit": Loss(no_pids_limit, {"fork-bomb"}, ["fork-bomb"]),
}


@pytest.fixture(name="open_namespace", scope="module")
def _open_namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace without Pod Security, with one Sandbox whose Pod is copied."""
    name = f"test-{uuid4().hex[:8]}-open"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(name="original", scope="module")
def _original(cluster: Cluster, open_namespace: str) -> Json:
    """The Pod that the operator built for a Sandbox."""
    name = support.sandbox(cluster, open_namespace, "original")
    pod = support.get(cluster, "pod", open_namespace, name)
    assert pod is not None
    return pod


def _open_fence(cluster: Cluster, original: Json) -> None:
    """Policies add up, so one that allows everything takes the fence away."""
    selected = {
        "ringfence.dev/sandbox-uid": original["metadata"]["labels"]["ringfence.dev/sandbox-uid"]
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "open", "namespace": original["metadata"]["namespace"]},
        "spec": {
            "podSelector": {"matchLabels": selected},
            "policyTypes": ["Egress"],
            "egress": [{}],
        },
    }
    support.apply(cluster, policy)


@pytest.fixture(name="intact", scope="module")
def _intact(cluster: Cluster, open_namespace: str, original: Json) -> Run:
    """The table against an unchanged copy: what fails here is no layer's doing."""
    name = start(cluster, copy(original, "intact", nothing))
    run = attack(cluster, open_namespace, "--pod", name)
    cluster.kubectl("delete", "pod", "-n", open_namespace, name, "--wait=false")
    return run


def test_a_copy_of_the_pod_holds_what_the_sandbox_holds(intact: Run) -> None:
    assert intact.failed == set(), json.dumps(intact.document["rows"], indent=1)


@pytest.mark.parametrize("layer", LOSSES)
def test_each_layer_that_is_missing_makes_exactly_its_rows_fail(
    cluster: Cluster, open_namespace: str, original: Json, intact: Run, layer: str
) -> None:
    loss = LOSSES[layer]
    pod = copy(original, f"loss-{list(LOSSES).index(layer)}", loss.edit)
    name = start(cluster, pod)
    try:
        if not loss.fenced:
            _open_fence(cluster, original)
        run = attack(cluster, open_namespace, "--pod", name, *only(loss.rows))
    finally:
        cluster.kubectl("delete", "pod", "-n", open_namespace, name, "--wait=false")
        cluster.kubectl(
            "delete", "networkpolicy", "open", "-n", open_namespace, "--ignore-not-found"
        )
    told = {row["name"]: (row["status"], row["seen"]) for row in run.document["rows"]}
    assert run.failed - intact.failed == loss.fails - intact.failed, json.dumps(told, indent=1)


# --- The command --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_attack_removes_what_it_made(
    cluster: Cluster, namespace: str, number: signal.Signals
) -> None:
    command = attack_table.argv(cluster, namespace)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def made() -> bool:
        return len(support.items(cluster, "sandbox", namespace)) == 2

    support.poll("the two Sandboxes", made)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not [
        s
        for s in support.items(cluster, "sandbox", namespace)
        if "deletionTimestamp" not in s["metadata"]
    ]


def test_class_that_does_not_exist_is_told_at_once(cluster: Cluster, namespace: str) -> None:
    command = attack_table.argv(cluster, namespace, "--class", "none")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert "ClassNotFound" in done.stderr
    assert not support.items(cluster, "sandbox", namespace)


def test_helm_test_runs_the_table_with_no_more_than_its_own_rights(
    cluster: Cluster, namespace: str
) -> None:
    chart = str(product.REPOSITORY / "helm" / "ringfence")
    where = ("--namespace", product.NAMESPACE)
    settings = (f"helmTest.namespace={namespace}", f"helmTest.target={attack_table.TARGET}")
    sets = [word for setting in settings for word in ("--set-string", setting)]
    product.helm(cluster, "upgrade", "ringfence", chart, *where, "--reuse-values", *sets)
    product.helm(cluster, "test", "ringfence", *where, "--timeout", "5m")
    log = cluster.kubectl("logs", "-n", product.NAMESPACE, "ringfence-attack")
    assert all(row.name in log for row in ROWS)
    left = cluster.kubectl("get", "role,rolebinding", "-n", namespace, "-o", "name")
    assert "ringfence-attack" not in left
