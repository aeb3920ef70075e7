"""Background processes of the cluster: started detached, remembered by pid and start time.

A pid is only ever signalled while its start time equals the remembered one, so a
number that the kernel gave to somebody else in the meantime is left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.shell import wait_until

# The child detaches from us (own session, log as output); its pid comes back on stdout.
_DETACH = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'


@dataclass(frozen=True)
class Process:
    """One process, told apart from a later one with the same number by its start time."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs (a zombie does not)."""
        return start_time(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process is gone."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start_time(pid: int) -> int | None:
    """Clock tick at which a process started; None if there is none or it has ended.

    A zombie whose other threads still run has not ended: its files and sockets are still open.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold spaces and parentheses itself: count from the last one.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" and threads == 1 else int(fields[19])


def process(pid: int) -> Process | None:
    """The living process with this number, if any."""
    started = start_time(pid)
    return None if started is None else Process(pid, started)


def read_pid_file(file: Path) -> Process | None:
    """The living process a pid file speaks of, if it still is that one."""
    try:
        pid, started = (int(word) for word in file.read_text().split())
    except (FileNotFoundError, ValueError):
        return None
    found = Process(pid, started)
    return found if found.alive else None


def write_pid_file(file: Path, found: Process) -> None:
    """Remember a process; readers never see half a file."""
    temporary = file.with_suffix(".new")
    temporary.write_text(f"{found.pid} {found.started}\n")
    temporary.rename(file)


def start(argv: list[str], log: Path, *, child: bool = False) -> Process:
    """Start a detached process; with `child`, return the program that nsenter forked."""
    done = subprocess.run(
        ["sh", "-c", _DETACH, "sh", str(log), *argv],
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        cwd="/",
    )
    found = process(int(done.stdout))
    if found is None:
        raise died(log)
    return _first_child(found, log) if child else found


def _first_child(parent: Process, log: Path) -> Process:
    deadline = time.monotonic() + 5
    while parent.alive and time.monotonic() < deadline:
        for pid in children(parent.pid):
            if (found := process(pid)) is not None:
                return found
        time.sleep(0.005)
    raise died(log)


def children(pid: int) -> list[int]:
    """Direct children of a process."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(word) for word in text.split()]


def stop(found: Process, seconds: float = 10) -> None:
    """End a process: politely, then by force."""
    found.signal(signal.SIGTERM)
    with contextlib.suppress(ClusterError):
        wait_until(f"end of {found.pid}", lambda: not found.alive, seconds)
    found.signal(signal.SIGKILL)
    wait_until(f"end of {found.pid} after SIGKILL", lambda: not found.alive, 10)


def kill(found: list[Process]) -> None:
    """End processes by force and wait until all are gone."""
    for one in found:
        one.signal(signal.SIGKILL)
    wait_until("end of killed processes", lambda: not any(one.alive for one in found), 20)


def in_namespace(netns: Path) -> list[Process]:
    """All living processes whose network namespace is the named one."""
    try:
        inode = netns.stat().st_ino
    except FileNotFoundError:
        return []
    return [found for found in _all_processes() if _net_inode(found.pid) == inode]


def _all_processes() -> list[Process]:
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [found for pid in pids if (found := process(pid)) is not None]


def _net_inode(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116 - follows the magic link
    except OSError:
        return None


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log file."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def died(log: Path) -> ClusterError:
    """The error to raise for a component that ended: its name and its last words."""
    return ClusterError(f"{log.stem} died. The end of its log {log}:\n{tail(log)}")
