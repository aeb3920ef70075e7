"""Gathers the facts about one agent container, and sets the limits that sit on its processes. I/O.

It judges nothing, except which processes need to be shown at all: see `_strays`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ringfence.node import containers, posture, procfs
from ringfence.node.cgroup_tree import CgroupTree
from ringfence.node.pods import Limits
from ringfence.node.posture import Disk, Facts, Resources
from ringfence.node.processes import Processes
from ringfence.node.procfs import Mount, Status

SETTLE_SECONDS: Final = 1.0
"""How long something must be wrong before it is said. A process that the runtime brings into a
container has the runtime's rights for some milliseconds."""


@dataclass
class Container:
    """What is remembered of a container: only what cannot change while it runs."""

    path: str
    """Of its cgroup."""
    since: float
    """When its cgroup was first seen; monotonic, as all times here."""
    name: str | None = None
    """In the Pod's spec. None: not known yet, or the pause container."""
    init: int | None = None
    """Its first process. None: not known yet."""
    mounts: tuple[Mount, ...] = ()
    disk: Disk | None = None
    device: str | None = None
    """The block device of /work that can be limited."""
    started: float | None = None
    """When it was first seen to run its own program."""
    vetted: set[int] = field(default_factory=set)
    """Processes that were found as they must be. They have no way to get back what they lack."""
    suspects: dict[int, float] = field(default_factory=dict)
    """Processes that were not, and since when."""
    announced: bool = False
    """Whether the API server was told that it is verified."""


class Inspector:
    """Looks into containers from outside."""

    def __init__(self, tree: CgroupTree, processes: Processes) -> None:
        self._tree = tree
        self._processes = processes

    def identify(self, container: Container, pod_uid: str) -> None:
        """Finds out which container it is, as soon as its first process has its own mounts."""
        container.init = None
        for pid in self._tree.processes(container.path):
            status = self._processes.status(pid)
            if status and containers.is_init(status):
                container.mounts = self._processes.mounts(pid)
                container.name = containers.container_name(container.mounts, pod_uid)
                known = container.name or not containers.is_starting(status)
                container.init = pid if known else None
                return

    def status(self, container: Container) -> Status | None:
        """Status of its first process; None: it has gone, or is not known yet."""
        # Its number may be another process's by now.
        alive = container.init is not None and container.init in self._tree.processes(
            container.path
        )
        return self._processes.status(container.init or 0) if alive else None

    def age(self, container: Container) -> float | None:
        """Seconds since its first process was made."""
        return self._processes.age(container.init) if container.init else None

    def own_namespaces(
        self, found: Iterable[Container], kind: str, host: Mapping[str, str]
    ) -> dict[str, int]:
        """Namespaces of containers that are not the node's, each with a process in it.

        A process that the runtime has only just begun is still in the node's.
        """
        pids = (self._any_process(container) for container in found)
        seen = {self._processes.namespace(pid, kind): pid for pid in pids if pid}
        return {name: pid for name, pid in seen.items() if name and name != host[kind]}

    def _any_process(self, container: Container) -> int | None:
        return container.init or next(iter(self._tree.processes(container.path)), None)

    def oldest(self, pids: Iterable[int]) -> float | None:
        """Age of the process that was made first."""
        ages = (self._processes.age(pid) for pid in pids)
        return max((age for age in ages if age is not None), default=None)

    def _look_at_mounts(self, container: Container, init: int) -> None:
        """Notes what is mounted, until the runtime has finished with it; then it is fixed."""
        if container.disk is None or _writable(container):
            container.mounts = self._processes.mounts(init)
            disk = self._processes.disk(init, container.mounts)
            container.disk = disk
            container.device = self._processes.whole_disk(disk.device) if disk else None

    def facts(
        self, container: Container, status: Status, limits: Limits, now: float
    ) -> Facts | None:
        """Everything that matters about the container; None: it has gone."""
        init = container.init or 0
        self._look_at_mounts(container, init)
        strays = self._strays(container, limits, now)
        namespaces = self._processes.namespaces(init)
        if namespaces is None:
            return None
        return Facts(
            status=status,
            uid_map=self._processes.uid_map(init),
            namespaces=namespaces,
            writable=_writable(container),
            confinement=self._processes.confinement(init),
            resources=self._resources(container, limits),
            strays=strays,
        )

    def _resources(self, container: Container, limits: Limits) -> Resources:
        tree, path, device = self._tree, container.path, container.device
        if device and limits.io:
            tree.lower_io(path, device, limits.io)
        return Resources(
            pids=tree.pids_in_force(path),
            memory=tree.memory(path),
            cpu=tree.cpu(path),
            processes=self._processes.process_limit(container.init or 0),
            disk=container.disk,
            io=tree.io(path, device) if device else None,
        )

    def _strays(
        self, container: Container, limits: Limits, now: float
    ) -> tuple[tuple[int, Status], ...]:
        """Processes that are not as they must be, and stay so. New ones get their RLIMIT_NPROC."""
        pids = set(self._tree.processes(container.path))
        container.vetted &= pids
        suspects = {}
        for pid in pids - container.vetted:
            status = self._processes.status(pid)
            if status is None:
                continue
            if posture.is_confined(status):
                self._processes.lower_process_limit(pid, status, limits.pids)
                container.vetted.add(pid)
            else:
                suspects[pid] = status
        since = container.suspects
        container.suspects = {pid: since.get(pid, now) for pid in suspects}
        return tuple(
            (pid, suspects[pid])
            for pid, first in sorted(container.suspects.items())
            if now - first >= SETTLE_SECONDS
        )


def _writable(container: Container) -> tuple[str, ...]:
    """Mount points that must be read-only and are not."""
    found = {point: procfs.mount_at(container.mounts, point) for point in posture.READ_ONLY}
    return tuple(p for p, mount in found.items() if mount is None or "ro" not in mount.options)
