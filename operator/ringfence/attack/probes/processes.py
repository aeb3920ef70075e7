"""Attacks on other processes: reading the environment of those that do not belong to the agent."""

import os
from typing import Final

from ringfence.attack.probes.kit import Attempt, Result, Scene, me, name, result

_SHOWN: Final = 20
"""Most processes that are reported."""


def other_environ(_scene: Scene) -> Result:
    """Reads /proc/PID/environ of every process of somebody else.

    The agent's own processes are no secret to it; nothing in their environment is. What it must
    not see is any process of another user or of the node.
    """
    uid = me()["uid"]
    strangers = [pid for pid in _pids() if _owner(pid) not in (uid, None)]
    attempts = [_read(pid) for pid in strangers[:_SHOWN]]
    return result(
        attempts or [Attempt("cat /proc/*/environ", "refused", "no other user's process in sight")],
        strangers=len(strangers),
        ownPidNamespace=_own_pid_namespace(),
    )


def _pids() -> list[int]:
    return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _status(pid: int | str) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as file:
        return {key: value.strip() for key, value in (line.split(":", 1) for line in file)}


def _owner(pid: int) -> int | None:
    try:
        return int(_status(pid)["Uid"].split()[0])
    except OSError:
        return None  # it has ended


def _read(pid: int) -> Attempt:
    """Says how much was readable, never what."""
    what = f"cat /proc/{pid}/environ"
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            size = len(file.read(65536))
    except OSError as error:
        return Attempt(what, "refused", name(error.errno or 0))
    return Attempt(what, "through" if size else "refused", detail=f"{size} bytes")


def _own_pid_namespace() -> bool:
    """Whether the probe's ancestors end in somebody outside of what it can see.

    A program started by the container runtime enters the container's namespace, so that its parent
    has no number there. In the node's own namespace the line of ancestors ends in process 1.
    """
    pid = os.getpid()
    while parent := int(_status(pid)["PPid"]):
        pid = parent
    return pid != 1
