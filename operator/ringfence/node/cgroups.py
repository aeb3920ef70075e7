"""The names in a kubelet's cgroup tree: which directory is which Pod, which is a container. Pure.

Both cgroup versions and both drivers (cgroupfs, systemd). It must not assume where the kubelet's
tree begins: `cgroupRoot` may put it anywhere.
"""

import re
from dataclasses import dataclass
from typing import Final

_UID: Final = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}"
_POD: Final = re.compile(rf"pod({_UID})|kubepods(?:-[a-z]+)?-pod({_UID})\.slice")
_CONTAINER: Final = re.compile(r"(?:[a-z][a-z-]*-)?([0-9a-f]{64})(?:\.scope)?")
_MONITOR: Final = "crio-conmon-"
_ROOTS: Final = ("kubepods", "kubepods.slice")
_UNLIMITED_V1: Final = 1 << 62


@dataclass(frozen=True)
class Layout:
    """Where the controllers are mounted and how their files are called."""

    version: int
    pids: str
    memory: str
    cpu: str
    io: str
    memory_limit: str


V1: Final = Layout(1, "pids", "memory", "cpu", "blkio", "memory.limit_in_bytes")
V2: Final = Layout(2, "", "", "", "", "memory.max")


def pod_uid(name: str) -> str | None:
    """The uid of the Pod whose cgroup has this name, as the API server spells it."""
    found = _POD.fullmatch(name)
    return (found[1] or found[2]).replace("_", "-") if found else None


def container_id(name: str) -> str | None:
    """The id of the container whose cgroup has this name."""
    found = None if name.startswith(_MONITOR) else _CONTAINER.fullmatch(name)
    return found[1] if found else None


def is_root(name: str) -> bool:
    """Whether a kubelet keeps all its Pods below a cgroup of this name."""
    return name in _ROOTS


def parse_limit(text: str) -> int | None:
    """A limit as the kernel prints it; None: unlimited."""
    word = text.strip()
    if word in ("max", "-1"):
        return None
    value = int(word)
    return None if value >= _UNLIMITED_V1 else value


def parse_cpu(texts: list[str]) -> float | None:
    """Cores from cpu.max (v2: one text), or from cfs_quota_us and cfs_period_us (v1: two)."""
    quota, period = " ".join(texts).split()
    limit = parse_limit(quota)
    return None if limit is None else limit / int(period)
