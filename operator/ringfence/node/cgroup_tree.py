"""The kubelet's cgroup tree of this node: finds Pods and containers, reads and writes limits. I/O.

Paths are relative to a hierarchy's mount, so that one path serves all controllers. It decides
nothing: which limit belongs where stands in limits.py.
"""

from collections.abc import Iterator
from typing import Final

from ringfence.node import cgroups, files, limits
from ringfence.node.cgroups import V1, V2, Layout
from ringfence.node.pods import IoLimits

_DEEPEST_ROOT: Final = 4
_CLASSES: Final = ("burstable", "besteffort")


class NoCgroupsError(Exception):
    """The kubelet's cgroups are not to be found; the message says where was looked."""


class CgroupTree:
    """The cgroups of one kubelet."""

    def __init__(self, mount: str, own_pod: str) -> None:
        """Finds the tree.

        Args:
            mount: Where the node's /sys/fs/cgroup is.
            own_pod: uid of a Pod of this kubelet; tells its tree from another kubelet's.

        Raises:
            NoCgroupsError: There is none.
        """
        self.layout: Layout = V1 if files.read(f"{mount}/cgroup.procs") is None else V2
        self._mount = mount
        self._root = self._find_root(own_pod)

    def _find_root(self, own_pod: str) -> str:
        for root in self._roots("", _DEEPEST_ROOT):
            if own_pod in self._pods_below(root):
                return root
        message = f"no cgroup below {self._mount} holds the Pod {own_pod}; mount the node's here"
        raise NoCgroupsError(message)

    def _roots(self, path: str, depth: int) -> Iterator[str]:
        for name in files.directories(self._dir(self.layout.pids, path)):
            if cgroups.is_root(name):
                yield f"{path}/{name}"
            elif depth > 1:
                yield from self._roots(f"{path}/{name}", depth - 1)

    def _dir(self, controller: str, path: str) -> str:
        return f"{self._mount}/{controller}{path}" if controller else f"{self._mount}{path}"

    def pod_parents(self) -> list[str]:
        """The cgroups that Pods are made in."""
        below = files.directories(self._dir(self.layout.pids, self._root))
        classes = (name for name in below if name.removesuffix(".slice").endswith(_CLASSES))
        return [self._root, *(f"{self._root}/{name}" for name in classes)]

    def pods(self) -> dict[str, str]:
        """Uid to path of every Pod."""
        return self._pods_below(self._root)

    def _pods_below(self, root: str) -> dict[str, str]:
        self._root = root
        found = {}
        for parent in self.pod_parents():
            for name in files.directories(self._dir(self.layout.pids, parent)):
                if uid := cgroups.pod_uid(name):
                    found[uid] = f"{parent}/{name}"
        return found

    def containers(self, pod: str) -> dict[str, str]:
        """Id to path of every container of a Pod."""
        names = files.directories(self._dir(self.layout.pids, pod))
        return {found: f"{pod}/{name}" for name in names if (found := cgroups.container_id(name))}

    def directory(self, path: str) -> str:
        """The directory in which children of a cgroup show."""
        return self._dir(self.layout.pids, path)

    def pids_file(self, path: str) -> str:
        """The file that holds the pids limit of a cgroup."""
        return f"{self._dir(self.layout.pids, path)}/pids.max"

    def processes(self, container: str) -> list[int]:
        """Pids in a container, also in cgroups below its own."""
        directory = self._dir(self.layout.pids, container)
        text = files.read(f"{directory}/cgroup.procs") or ""
        below = files.directories(directory)
        return [
            *map(int, text.split()),
            *(pid for name in below for pid in self.processes(f"{container}/{name}")),
        ]

    def pids_limit(self, path: str) -> int | None:
        """The pids limit of one cgroup; None: unlimited, or gone."""
        text = files.read(self.pids_file(path))
        return None if text is None else cgroups.parse_limit(text)

    def lower_pids(self, path: str, wanted: int) -> bool:
        """Sets the pids limit unless a lower one stands there; says whether it wrote."""
        value = limits.lowered(self.pids_limit(path), wanted)
        if value is None:
            return False
        return files.write(self.pids_file(path), str(value))

    def pids_in_force(self, container: str) -> limits.Effective:
        """The pids limit that holds in a container, over the whole hierarchy."""
        chain, path = [], container
        while path:
            chain.append((_described(path, container), self.pids_limit(path)))
            path = path.rpartition("/")[0]
        return limits.effective(chain)

    def memory(self, container: str) -> int | None:
        """Bytes that a container may use."""
        layout = self.layout
        text = files.read(f"{self._dir(layout.memory, container)}/{layout.memory_limit}")
        return None if text is None else cgroups.parse_limit(text)

    def cpu(self, container: str) -> float | None:
        """Cores that a container may use."""
        directory = self._dir(self.layout.cpu, container)
        names = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}
        texts = [files.read(f"{directory}/{name}") for name in names[self.layout.version]]
        found = [text for text in texts if text]
        return cgroups.parse_cpu(found) if len(found) == len(texts) else None

    def io(self, container: str, device: str) -> IoLimits | None:
        """Limits of a container on a device; None: the controller is not there."""
        directory, version = self._dir(self.layout.io, container), self.layout.version
        texts = {name: files.read(f"{directory}/{name}") for name in limits.IO_FILES[version]}
        found = {name: text for name, text in texts.items() if text is not None}
        return limits.parse_io(version, device, found) if len(found) == len(texts) else None

    def lower_io(self, container: str, device: str, wanted: IoLimits) -> None:
        """Sets the limits that are not in force yet."""
        current = self.io(container, device)
        if current is None:
            return
        directory = self._dir(self.layout.io, container)
        for name, line in limits.io_writes(self.layout.version, device, wanted, current):
            files.write(f"{directory}/{name}", line)


def _described(path: str, container: str) -> str:
    if path == container:
        return "container cgroup"
    return "Pod cgroup" if path == container.rpartition("/")[0] else f"cgroup {path}"
