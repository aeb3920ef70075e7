"""Each thing that must hold is missed when it is gone, and nothing else is blamed."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_samples import (
    APP_ARMOR,
    GIB,
    HARD_DISK,
    HOST_NAMESPACES,
    HOST_UID,
    NAMESPACES,
    NODE,
    PROFILE,
    SOFT_DISK,
    app_armor_pod,
    facts,
    pod,
    pod_body,
    resources,
    status,
)
from ringfence import names
from ringfence.node import posture
from ringfence.node.limits import Effective
from ringfence.node.pods import IoLimits, SandboxPod, sandbox_pod
from ringfence.node.posture import Facts, Finding, Node
from ringfence.node.procfs import Confinement
from ringfence.node.reasons import NodeReason


def _judge(found: Facts, of: SandboxPod | None = None, node: Node = NODE) -> dict[str, Finding]:
    return {f.layer: f for f in posture.findings(of or pod(), found, node)}


def _said(found: Facts, layer: str, of: SandboxPod | None = None) -> tuple[str, NodeReason]:
    finding = _judge(found, of)[layer]
    return finding.state, finding.reason


def _verified(found: Facts, of: SandboxPod | None = None, node: Node = NODE) -> bool:
    return _judge(found, of, node)[names.POSTURE_VERIFIED].state == "True"


def test_sandbox_as_it_must_be_is_verified() -> None:
    judged = _judge(facts())
    assert {layer: f.state for layer, f in judged.items()} == {
        "ringfence.dev/Process": "True",
        "ringfence.dev/Namespaces": "True",
        "ringfence.dev/Seccomp": "True",
        "ringfence.dev/AppArmor": "Unknown",
        "ringfence.dev/Resources": "True",
        "ringfence.dev/Network": "True",
        "ringfence.dev/PostureVerified": "True",
    }
    assert judged["ringfence.dev/Resources"].message == (
        "pids 256 (container cgroup), RLIMIT_NPROC 256, memory 2147483648, cpu 1, "
        "disk 4.94 GiB with ENOSPC (ext4, 327680 inodes)"
    )


def test_pod_without_the_filter_it_asks_for_is_ailing() -> None:
    judged = _judge(facts(fenced=False))
    assert judged["ringfence.dev/Network"].reason == "NotFenced"
    assert judged["ringfence.dev/PostureVerified"].state == "False"


def test_pod_that_asks_for_no_filter_is_not_ailing() -> None:
    body = pod_body()
    del body["spec"]["initContainers"][0]["env"][1]
    found = {f.layer: f for f in posture.findings(sandbox_pod(body), facts(fenced=False), NODE)}
    assert found["ringfence.dev/Network"].state == "Unknown"
    assert found["ringfence.dev/PostureVerified"].state == "True"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": status(uid=HOST_UID + 1)}, "uid 30149 instead of 30148"),
        ({"status": status(uid=0)}, "root on the node"),
        ({"status": status(caps=1 << 21)}, "CapEff"),
        ({"status": status(nnp=0)}, "NoNewPrivs"),
        ({"writable": ("/",)}, "/ is not mounted read-only"),
        ({"writable": ("/proc/sys",)}, "/proc/sys is not mounted read-only"),
        ({"strays": ((7, status(caps=1)),)}, "process 7: has capabilities"),
    ],
)
def test_privilege_of_any_sort_is_not_verified(change: dict[str, Any], words: str) -> None:
    judged = _judge(facts(**change))
    assert judged[names.PROCESS_CONDITION].state == "False"
    assert words in judged[names.POSTURE_VERIFIED].message
    assert judged[names.POSTURE_VERIFIED].state == "False"


@given(caps=st.integers(1, 2**41 - 1))
def test_no_set_of_capabilities_is_overlooked(caps: int) -> None:
    assert not _verified(facts(status=status(caps=caps)))


@pytest.mark.parametrize("name", ["ipc", "mnt", "net", "pid", "user", "uts"])
def test_namespace_of_the_node_is_not_verified(name: str) -> None:
    shared = NAMESPACES | {name: HOST_NAMESPACES[name]}
    assert _said(facts(namespaces=shared), names.NAMESPACES_CONDITION) == (
        "False",
        NodeReason.HOST_NAMESPACE,
    )
    assert not _verified(facts(namespaces=shared))


def test_user_namespace_that_the_class_does_not_want_is_degraded_but_no_ailment() -> None:
    shared = facts(namespaces=NAMESPACES | {"user": HOST_NAMESPACES["user"]})
    without = pod(hostUsers=True)
    assert _said(shared, names.NAMESPACES_CONDITION, without)[1] is NodeReason.NO_USER_NAMESPACE
    assert _verified(shared, without)


def test_cgroup_namespace_is_no_must() -> None:
    """Runtimes give none under cgroup v1."""
    assert _verified(facts(namespaces=NAMESPACES | {"cgroup": HOST_NAMESPACES["cgroup"]}))


@pytest.mark.parametrize("mode", [0, 1])
def test_process_without_a_filter_is_not_verified(mode: int) -> None:
    assert not _verified(facts(status=status(seccomp=mode)))
    assert not _verified(facts(strays=((7, status(seccomp=mode)),)))


def test_profile_that_the_node_lost_is_not_verified() -> None:
    judged = _judge(facts(), node=Node(HOST_NAMESPACES, ()))
    assert judged[names.SECCOMP_CONDITION].reason is NodeReason.PROFILE_MISSING
    assert judged[names.POSTURE_VERIFIED].state == "False"


def test_filter_of_the_runtime_alone_is_not_verified() -> None:
    assert not _verified(facts(), replace(pod(), seccomp_profile=None))


@pytest.mark.parametrize(
    "found",
    [
        None,
        Confinement("", ""),
        Confinement("unconfined", ""),
        Confinement(APP_ARMOR, "complain"),
        Confinement("cri-containerd.apparmor.d", "enforce"),
    ],
)
def test_app_armor_that_is_asked_for_must_be_enforced(found: Confinement | None) -> None:
    assert not _verified(facts(confinement=found), app_armor_pod())


def test_app_armor_in_enforce_mode_is_verified() -> None:
    found = facts(confinement=Confinement(APP_ARMOR, "enforce"))
    assert _verified(found, app_armor_pod())
    assert _said(found, names.APP_ARMOR_CONDITION, app_armor_pod()) == (
        "True",
        NodeReason.VERIFIED,
    )


@pytest.mark.parametrize("value", [None, 257])
def test_pids_limit_that_is_too_high_is_not_verified(value: int | None) -> None:
    found = facts(resources=resources(pids=Effective(value, "container cgroup")))
    assert _said(found, names.RESOURCES_CONDITION) == ("False", NodeReason.LIMIT_NOT_IN_FORCE)
    assert not _verified(found)


def test_lower_pids_limit_of_somebody_else_is_reported_with_its_source() -> None:
    found = facts(resources=resources(pids=Effective(100, "Pod cgroup")))
    assert _verified(found)
    assert "pids 100 (Pod cgroup)" in _judge(found)[names.RESOURCES_CONDITION].message


def test_pod_without_limits_is_not_verified() -> None:
    assert not _verified(facts(), pod("nonsense"))


def test_soft_disk_is_degraded_and_said_so() -> None:
    finding = _judge(facts(resources=resources(disk=SOFT_DISK)))[names.RESOURCES_CONDITION]
    assert (finding.state, finding.reason) == ("False", NodeReason.SOFT_LIMITS)
    assert "limited by eviction alone" in finding.message
    assert _verified(facts(resources=resources(disk=SOFT_DISK)))


@pytest.mark.parametrize(
    ("disk", "hard"),
    [
        (HARD_DISK, True),
        (replace(HARD_DISK, size=6 * GIB), True),
        (replace(HARD_DISK, size=7 * GIB), False),
        (replace(HARD_DISK, own=False), False),
    ],
)
def test_only_an_own_disk_of_about_the_limit_is_hard(disk: posture.Disk, hard: bool) -> None:  # noqa: FBT001
    assert posture.is_hard(disk, 5 * GIB) is hard


def test_io_limit_that_is_not_in_force_is_degraded() -> None:
    wanted = pod({"pids": 256, "diskBytes": 5 * GIB, "io": {"writeBytesPerSecond": 10}})
    missing = facts(resources=resources(io=IoLimits()))
    assert _said(missing, names.RESOURCES_CONDITION, wanted)[1] is NodeReason.LIMIT_NOT_IN_FORCE
    there = facts(resources=resources(io=IoLimits(write_bytes=10)))
    assert _said(there, names.RESOURCES_CONDITION, wanted)[0] == "True"


@pytest.mark.parametrize("missing", ["memory", "cpu"])
def test_missing_limit_of_the_kubelet_is_degraded(missing: str) -> None:
    found = facts(resources=resources(**{missing: None}))
    assert _said(found, names.RESOURCES_CONDITION)[0] == "False"


def test_what_cannot_be_read_is_not_verified() -> None:
    finding = posture.unreadable(PermissionError("ns/mnt"))
    assert (finding.layer, finding.state) == (names.POSTURE_VERIFIED, "False")
    assert posture.is_ailing([finding])


def test_profile_is_named_in_what_is_said() -> None:
    assert PROFILE in _judge(facts())[names.SECCOMP_CONDITION].message
