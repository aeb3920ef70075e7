"""From what the kernel says about an agent container to the conditions of its Pod. Pure.

A list of small judgements, one per layer. What a Pod must have to be worked with is decided here:
`Finding.ailing` says that the Sandbox must not be called ready. Numbers that change while nothing
changes must not stand in a message, or each look would be a write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ringfence import names
from ringfence.node import fence, procfs
from ringfence.node.limits import Effective
from ringfence.node.pods import IoLimits, SandboxPod
from ringfence.node.procfs import Confinement, IdRange, Status
from ringfence.node.reasons import NodeReason

State = Literal["True", "False", "Unknown"]

NAMESPACES: Final = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
READ_ONLY: Final = ("/", "/sys", "/proc/sys")
"""Mount points through which a container must not be able to change anything."""
_REQUIRED: Final = ("ipc", "mnt", "net", "pid", "uts")
_SECCOMP_FILTER: Final = 2
_GIB: Final = 2**30


@dataclass(frozen=True)
class Disk:
    """The file system behind /work."""

    size: int
    inodes: int
    type: str
    device: str
    own: bool
    """False: it is the one that the kubelet keeps its own files on."""


@dataclass(frozen=True)
class Resources:
    """Limits that are in force, whoever set them."""

    pids: Effective
    memory: int | None
    cpu: float | None
    processes: int | None
    """RLIMIT_NPROC of the agent's uid."""
    disk: Disk | None
    io: IoLimits | None
    """None: there is no device that can be limited."""


@dataclass(frozen=True)
class Facts:
    """What the kernel says about the agent container of a Pod."""

    status: Status
    uid_map: tuple[IdRange, ...]
    namespaces: Mapping[str, str]
    writable: tuple[str, ...]
    """Mount points of READ_ONLY that are not read-only."""
    confinement: Confinement | None
    """None: the kernel has no AppArmor."""
    resources: Resources
    fenced: bool = False
    """Whether the packet filter is in place in the network namespace of the container."""
    strays: tuple[tuple[int, Status], ...] = ()
    """Pids and status of further processes that are not as they must be."""


@dataclass(frozen=True)
class Node:
    """What holds for every Pod of the node."""

    namespaces: Mapping[str, str]
    seccomp_profiles: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """The state of one layer."""

    layer: str
    state: State
    reason: NodeReason
    message: str
    ailing: bool = field(default=False)


def findings(pod: SandboxPod, facts: Facts, node: Node) -> list[Finding]:
    """What is in force for a Pod, layer by layer, and the summary last."""
    layers = [
        _process(pod, facts),
        _namespaces(pod, facts, node),
        _seccomp(pod, facts, node),
        _app_armor(pod, facts),
        _resources(pod, facts.resources),
        _network(pod, facts),
    ]
    return [*layers, _summary(layers)]


def unreadable(error: Exception) -> Finding:
    """What is said when the kernel cannot be read: nothing was verified."""
    message = f"the node agent cannot read the state of the Pod: {error}"
    return Finding(names.POSTURE_VERIFIED, "False", NodeReason.UNREADABLE, message, ailing=True)


def is_confined(status: Status) -> bool:
    """Whether a process has nothing that its container must not have, and cannot get it."""
    return status.seccomp_mode == _SECCOMP_FILTER and not any(_privileges(status))


def is_ailing(found: list[Finding]) -> bool:
    """Whether something is missing without which the Sandbox must not be called ready."""
    return any(finding.ailing for finding in found)


def _summary(layers: list[Finding]) -> Finding:
    ailing = [finding for finding in layers if finding.ailing]
    if not ailing:
        message = "everything that must hold was read from the kernel"
        return Finding(names.POSTURE_VERIFIED, "True", NodeReason.VERIFIED, message)
    message = "; ".join(finding.message for finding in ailing)
    return Finding(names.POSTURE_VERIFIED, "False", ailing[0].reason, message, ailing=True)


def _process(pod: SandboxPod, facts: Facts) -> Finding:
    problems = [*_process_problems(pod, facts)]
    if problems:
        message = "; ".join(problems)
        return Finding(
            names.PROCESS_CONDITION, "False", NodeReason.PRIVILEGED, message, ailing=True
        )
    message = (
        f"uid {pod.agent_uid} ({facts.status.uids[0]} on the node), no capability, "
        "no new privileges, read-only root"
    )
    return Finding(names.PROCESS_CONDITION, "True", NodeReason.VERIFIED, message)


def _process_problems(pod: SandboxPod, facts: Facts) -> Iterator[str]:
    for uid in sorted(set(facts.status.uids)):
        inside = procfs.inside_id(facts.uid_map, uid)
        if inside != pod.agent_uid:
            yield f"uid {inside} instead of {pod.agent_uid}"
    yield from (f"{point} is not mounted read-only" for point in facts.writable)
    yield from _privileges(facts.status)
    for pid, status in facts.strays:
        yield from (f"process {pid}: {problem}" for problem in _privileges(status))


def _privileges(status: Status) -> Iterator[str]:
    if 0 in (*status.uids, *status.gids):
        yield "root on the node"
    held = [name for name, value in status.capabilities.items() if value]
    if held:
        yield f"has capabilities ({', '.join(held)})"
    if not status.no_new_privileges:
        yield "may gain privileges (NoNewPrivs 0)"


def _namespaces(pod: SandboxPod, facts: Facts, node: Node) -> Finding:
    shared = [name for name in NAMESPACES if facts.namespaces[name] == node.namespaces[name]]
    required = {*_REQUIRED, *(("user",) if pod.user_namespace else ())}
    wrong = sorted(required & set(shared))
    own = ", ".join(name for name in NAMESPACES if name not in shared)
    if wrong:
        message = f"the node's own namespaces: {', '.join(wrong)}"
        return Finding(
            names.NAMESPACES_CONDITION, "False", NodeReason.HOST_NAMESPACE, message, ailing=True
        )
    if "user" in shared:
        message = f"own {own}; no user namespace"
        return Finding(names.NAMESPACES_CONDITION, "False", NodeReason.NO_USER_NAMESPACE, message)
    return Finding(names.NAMESPACES_CONDITION, "True", NodeReason.VERIFIED, f"own {own}")


def _seccomp(pod: SandboxPod, facts: Facts, node: Node) -> Finding:
    def bad(reason: NodeReason, message: str) -> Finding:
        return Finding(names.SECCOMP_CONDITION, "False", reason, message, ailing=True)

    looked_at = (facts.status, *(status for _, status in facts.strays))
    if any(status.seccomp_mode != _SECCOMP_FILTER for status in looked_at):
        return bad(NodeReason.UNFILTERED, "a process runs without a seccomp filter")
    if pod.seccomp_profile is None:
        return bad(NodeReason.UNFILTERED, "the Pod names no Localhost profile")
    if pod.seccomp_profile not in node.seccomp_profiles:
        message = f"{pod.seccomp_profile} is not in place on this node"
        return bad(NodeReason.PROFILE_MISSING, message)
    message = f"filter mode, {pod.seccomp_profile} is in place with the right content"
    return Finding(names.SECCOMP_CONDITION, "True", NodeReason.VERIFIED, message)


def _app_armor(pod: SandboxPod, facts: Facts) -> Finding:
    found, wanted = facts.confinement, pod.app_armor_profile
    seen = "no AppArmor on this node" if found is None else " ".join(found).strip()
    if wanted is None:
        message = f"the Pod asks for no profile; {seen}"
        return Finding(names.APP_ARMOR_CONDITION, "Unknown", NodeReason.NOT_ASKED_FOR, message)
    if found != Confinement(wanted, "enforce"):
        message = f"{seen} instead of {wanted} enforce"
        return Finding(
            names.APP_ARMOR_CONDITION, "False", NodeReason.UNCONFINED, message, ailing=True
        )
    return Finding(names.APP_ARMOR_CONDITION, "True", NodeReason.VERIFIED, seen)


def _resources(pod: SandboxPod, found: Resources) -> Finding:
    said = ", ".join(_described(found))

    def finding(
        state: State, reason: NodeReason, why: str = "", *, ailing: bool = False
    ) -> Finding:
        message = f"{why}; {said}" if why else said
        return Finding(names.RESOURCES_CONDITION, state, reason, message, ailing=ailing)

    if pod.limits is None:
        why = f"the Pod's {names.LIMITS_VARIABLE} cannot be read"
        return finding("False", NodeReason.LIMITS_UNKNOWN, why, ailing=True)
    if found.pids.value is None or found.pids.value > pod.limits.pids:
        why = f"pids should be {pod.limits.pids}"
        return finding("False", NodeReason.LIMIT_NOT_IN_FORCE, why, ailing=True)
    missing = [*_missing(pod.limits.io, found)]
    if missing:
        return finding("False", NodeReason.LIMIT_NOT_IN_FORCE, f"no limit of {', '.join(missing)}")
    if found.disk is None or not is_hard(found.disk, pod.limits.disk_bytes):
        return finding("False", NodeReason.SOFT_LIMITS, "the disk is limited by eviction alone")
    return finding("True", NodeReason.VERIFIED)


def _network(pod: SandboxPod, facts: Facts) -> Finding:
    type_ = names.NETWORK_CONDITION
    if pod.fence is None:
        message = "the Pod asks for no packet filter"
        return Finding(type_, "Unknown", NodeReason.NOT_ASKED_FOR, message)
    if not facts.fenced:
        message = "the packet filter is not in place in the network namespace of the agent"
        return Finding(type_, "False", NodeReason.NOT_FENCED, message, ailing=True)
    return Finding(type_, "True", NodeReason.VERIFIED, fence.described(pod.fence))


def _missing(io: IoLimits | None, found: Resources) -> Iterator[str]:
    if found.memory is None:
        yield "memory"
    if found.cpu is None:
        yield "cpu"
    for name, value in vars(io).items() if io else ():
        current = getattr(found.io, name) if found.io else None
        if value is not None and (current is None or current > value):
            yield f"io {name.replace('_', ' ')}"


def is_hard(disk: Disk, limit: int) -> bool:
    """Whether the disk gives ENOSPC at about the limit: own and not much larger.

    Provisioners round up to their own unit, which is at most a GiB.
    """
    return disk.own and disk.size <= max(limit + _GIB, limit * 11 // 10)


def _described(found: Resources) -> Iterator[str]:
    yield f"pids {_shown(found.pids.value)} ({found.pids.source})"
    yield f"RLIMIT_NPROC {_shown(found.processes)}"
    yield f"memory {_shown(found.memory)}"
    yield f"cpu {'unlimited' if found.cpu is None else f'{found.cpu:g}'}"
    yield _described_disk(found.disk)
    for name, value in vars(found.io).items() if found.io else ():
        if value is not None:
            yield f"{name.replace('_', ' ')} {value}/s"


def _described_disk(disk: Disk | None) -> str:
    if disk is None:
        return "no /work"
    size = f"{disk.size / _GIB:.3g} GiB"
    if not disk.own:
        return f"disk on the node's own file system ({disk.type})"
    return f"disk {size} with ENOSPC ({disk.type}, {disk.inodes} inodes)"


def _shown(value: int | None) -> str:
    return "unlimited" if value is None else str(value)
