"""What the node's /proc says about processes, and RLIMIT_NPROC. I/O.

Needs hostPID, and CAP_SYS_PTRACE for namespaces and root of processes with another uid. None means
that the process has gone.
"""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ringfence.node import containers, files, procfs
from ringfence.node.posture import NAMESPACES, Disk
from ringfence.node.procfs import Confinement, IdRange, Mount, Status

_WORK: Final = "/work"
_FIRST: Final = 1
"""A process that is in all the namespaces of the node itself."""


class Processes:
    """The processes of the node."""

    def __init__(self, proc: str = "/proc", sys: str = "/sys") -> None:
        self._proc = proc
        self._sys = sys

    def status(self, pid: int) -> Status | None:
        """Ids, capabilities and seccomp mode."""
        text = files.read(f"{self._proc}/{pid}/status")
        # A process that has ended keeps a status until its parent asks for it.
        return procfs.parse_status(text) if text and "\nState:\tZ" not in text else None

    def age(self, pid: int) -> float | None:
        """Seconds since the process was made."""
        text = files.read(f"{self._proc}/{pid}/stat")
        if text is None:
            return None
        ticks = procfs.parse_start_time(text)
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")

    def mounts(self, pid: int) -> tuple[Mount, ...]:
        """What is mounted where."""
        return procfs.parse_mountinfo(files.read(f"{self._proc}/{pid}/mountinfo") or "")

    def uid_map(self, pid: int) -> tuple[IdRange, ...]:
        """The user namespace's ranges."""
        return procfs.parse_uid_map(files.read(f"{self._proc}/{pid}/uid_map") or "")

    def namespaces(self, pid: int = _FIRST) -> dict[str, str] | None:
        """Identity of each namespace; without a pid those of the node."""
        found = {name: files.link(f"{self._proc}/{pid}/ns/{name}") for name in NAMESPACES}
        complete = {name: target for name, target in found.items() if target}
        return complete if len(complete) == len(found) else None

    def namespace(self, pid: int, kind: str) -> str | None:
        """Identity of one namespace."""
        return files.link(f"{self._proc}/{pid}/ns/{kind}")

    def confinement(self, pid: int) -> Confinement | None:
        """The AppArmor profile; None: the kernel has no AppArmor, or it is off."""
        if not self.app_armor_enabled():
            return None
        own = files.read(f"{self._proc}/{pid}/attr/apparmor/current")
        text = own if own is not None else files.read(f"{self._proc}/{pid}/attr/current")
        return procfs.parse_confinement(text) if text is not None else Confinement("", "")

    def app_armor_enabled(self) -> bool:
        """Whether the kernel has AppArmor, switched on."""
        return files.read(f"{self._sys}/module/apparmor/parameters/enabled") == "Y\n"

    def process_limit(self, pid: int) -> int | None:
        """The hard RLIMIT_NPROC; None: unlimited."""
        text = files.read(f"{self._proc}/{pid}/limits")
        return procfs.parse_process_limit(text) if text else None

    def lower_process_limit(self, pid: int, status: Status, wanted: int) -> None:
        """Sets RLIMIT_NPROC of a process unless a lower one is in force."""
        current = self.process_limit(pid)
        if current is not None and current <= wanted:
            return
        # Vanished, or became somebody else in between: the next look decides anew.
        with suppress(ProcessLookupError, PermissionError), _as_user(status):
            resource.prlimit(pid, resource.RLIMIT_NPROC, (wanted, wanted))

    def disk(self, pid: int, mounts: tuple[Mount, ...]) -> Disk | None:
        """The file system behind /work."""
        mount, log = procfs.mount_at(mounts, _WORK), containers.kubelets_file(mounts)
        if mount is None:
            return None
        try:
            found = os.statvfs(f"{self._proc}/{pid}/root{_WORK}")
        except (FileNotFoundError, ProcessLookupError):
            return None
        own = log is not None and log.device != mount.device
        size = found.f_blocks * found.f_frsize
        return Disk(size, found.f_files, mount.file_system, mount.device, own)

    def whole_disk(self, device: str) -> str | None:
        """The device that can be limited: the disk of a partition; None: there is none."""
        directory = Path(self._sys, "dev", "block", device)
        if not directory.exists():
            return None
        holder = directory.resolve().parent if (directory / "partition").exists() else directory
        return (holder / "dev").read_text().strip()


@contextmanager
def _as_user(status: Status) -> Iterator[None]:
    """With the real ids of another process, which then counts as our own for prlimit.

    The effective ids stay, so nothing else changes, and the capabilities stay as well. This needs
    CAP_SETUID and CAP_SETGID; the other way to be allowed to would be CAP_SYS_RESOURCE.
    """
    uid, gid = os.getuid(), os.getgid()
    os.setresgid(status.gids[0], -1, -1)
    try:
        os.setresuid(status.uids[0], -1, -1)
        yield
    finally:
        os.setresuid(uid, -1, -1)
        os.setresgid(gid, -1, -1)
