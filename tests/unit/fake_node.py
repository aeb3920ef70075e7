"""A node without a kernel: a cgroup tree in plain files, and processes in a dict."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from node_samples import AGENT_ID, MOUNTINFO, NAMESPACES, POD_UID, status
from ringfence.node import procfs
from ringfence.node.cgroups import V1, V2, Layout
from ringfence.node.fence import Destination
from ringfence.node.fences import Fences, Kernel
from ringfence.node.posture import Disk
from ringfence.node.procfs import Confinement, IdRange, Mount, Status

OWN_POD = "99999999-8888-7777-6666-555555555555"


class FakeCgroups:
    """Directories and files as the kernel shows them."""

    def __init__(self, mount: Path, layout: Layout = V1, root: str = "kubepods") -> None:
        self.mount = mount
        self.layout = layout
        self.root = root
        if layout is V2:
            (mount / "cgroup.procs").write_text("1\n")
        self.pod(OWN_POD)

    def path(self, controller: str, name: str) -> Path:
        return self.mount / controller / name

    def pod(self, uid: str = POD_UID) -> str:
        """Makes the cgroup of a Pod and returns its path."""
        name = f"{self.root}/burstable/pod{uid}"
        self._make(name)
        return name

    def container(self, pod: str, *pids: int, id_: str = AGENT_ID) -> str:
        """Makes the cgroup of a container and returns its path."""
        name = f"{pod}/{id_}"
        self._make(name)
        self.processes(name, *pids)
        return name

    def processes(self, name: str, *pids: int) -> None:
        text = "".join(f"{pid}\n" for pid in pids)
        self.path(self.layout.pids, name).joinpath("cgroup.procs").write_text(text)

    def _make(self, name: str) -> None:
        files = {
            (self.layout.pids, "pids.max"): "max\n",
            (self.layout.memory, self.layout.memory_limit): "2147483648\n",
        }
        if self.layout is V2:
            files |= {("", "cpu.max"): "100000 100000\n", ("", "io.max"): ""}
        else:
            files |= {
                ("cpu", "cpu.cfs_quota_us"): "100000\n",
                ("cpu", "cpu.cfs_period_us"): "100000\n",
            }
            throttle = [f"{w}_{u}_device" for w in ("read", "write") for u in ("bps", "iops")]
            files |= {("blkio", f"blkio.throttle.{what}"): "" for what in throttle}
        for (controller, file), text in files.items():
            directory = self.path(controller, name)
            directory.mkdir(parents=True, exist_ok=True)
            (directory / file).write_text(text)

    def pids_max(self, name: str) -> str:
        return self.path(self.layout.pids, name).joinpath("pids.max").read_text().strip()

    def set_pids_max(self, name: str, text: str) -> None:
        self.path(self.layout.pids, name).joinpath("pids.max").write_text(text)


class FakeFilter:
    """The rules in one network namespace; tests change them."""

    def __init__(self) -> None:
        self.rules = ""
        self.installed = 0
        self.intact = False
        self.packets: dict[Destination, int] = {}
        self.closed = False
        self._descriptor = os.eventfd(0)

    def fileno(self) -> int:
        return self._descriptor

    def install(self, rules: str) -> None:
        self.rules, self.intact = rules, True
        self.installed += 1

    def is_intact(self) -> bool:
        return self.intact

    def alter(self) -> None:
        self.intact = False
        os.eventfd_write(self._descriptor, 1)

    def refused_packets(self) -> int:
        return sum(self.packets.values())

    def refused(self) -> dict[Destination, int]:
        return dict(self.packets)

    def close(self) -> None:
        self.closed = True
        os.close(self._descriptor)


@dataclass
class FakeNetworks:
    """The filter of each network namespace, and the inotify limit of each process's users."""

    filters: dict[str, FakeFilter] = field(default_factory=dict)
    inotify: dict[int, int] = field(default_factory=dict)

    def open_filter(self, pid: int, name: str) -> FakeFilter | None:
        return self.filters.setdefault(name, FakeFilter()) if pid else None

    def limit_inotify(self, pid: int, instances: int) -> None:
        self.inotify[pid] = instances

    def fences(self) -> Fences:
        return Fences(Kernel(self.open_filter, self.limit_inotify))


@dataclass
class FakeProcesses:
    """Processes by pid; the agent's first one is there from the beginning."""

    statuses: dict[int, Status] = field(default_factory=lambda: {1105: status()})
    mountinfo: dict[int, str] = field(default_factory=lambda: {1105: MOUNTINFO})
    limits: dict[int, int] = field(default_factory=dict)
    broken: bool = False

    def status(self, pid: int) -> Status | None:
        return self.statuses.get(pid)

    def age(self, pid: int) -> float | None:
        return 0.2 if pid in self.statuses else None

    def mounts(self, pid: int) -> tuple[Mount, ...]:
        return procfs.parse_mountinfo(self.mountinfo.get(pid, ""))

    def uid_map(self, pid: int) -> tuple[IdRange, ...]:  # noqa: ARG002 - one for all
        return (IdRange(0, 887029760, 65536),)

    def namespaces(self, pid: int = 1) -> dict[str, str] | None:
        if self.broken:
            message = "ns/mnt"
            raise PermissionError(message)
        return dict(NAMESPACES) if pid in self.statuses else None

    def namespace(self, pid: int, kind: str) -> str | None:
        return NAMESPACES[kind] if pid in self.statuses else None

    def confinement(self, pid: int) -> Confinement | None:  # noqa: ARG002 - there is no AppArmor
        return None

    def app_armor_enabled(self) -> bool:
        return False

    def process_limit(self, pid: int) -> int | None:
        return self.limits.get(pid)

    def lower_process_limit(self, pid: int, status: Status, wanted: int) -> None:  # noqa: ARG002
        self.limits[pid] = min(wanted, self.limits.get(pid, wanted))

    def disk(self, pid: int, mounts: tuple[Mount, ...]) -> Disk | None:  # noqa: ARG002
        work = procfs.mount_at(mounts, "/work")
        return Disk(2**30, 1000, "ext4", work.device, own=False) if work else None

    def whole_disk(self, device: str) -> str | None:
        return device if device.startswith("254:") else None
