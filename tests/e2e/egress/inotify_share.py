"""Measures whom the kernel charges for the inotify instances of a Pod with a user namespace.

A program, run by root; it prints JSON. A borrowed user stands in for the root of a node: its user
namespace may hold six instances, and a Pod's namespace is below it, as `hostUsers: false` makes
them. It must not touch a limit of the machine; everything ends with it, within a second.
"""

import ctypes
import json
import multiprocessing
import multiprocessing.popen_fork  # now: the borrowed user may not be able to read the library
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

BORROWED = 54321
AGENT = 1000
NODE_LIMIT = 6
_NEW_USER = 0x10000000
_DUMPABLE = 4
_CAPABILITIES_3 = 0x20080522
_LIMIT = Path("/proc/sys/user/max_inotify_instances")
_fork = multiprocessing.get_context("fork")
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: Any) -> None:
    if getattr(_libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


def _enter_new_namespace(outside: int, inside: int) -> None:
    """Make a user namespace in which the caller, an id outside, has an id inside."""
    _call("unshare", _NEW_USER)
    Path("/proc/self/setgroups").write_text("deny")
    for name in ("uid_map", "gid_map"):
        Path("/proc/self", name).write_text(f"{inside} {outside} 1")


def _enter_and_limit(pid: int | None, limit: int) -> None:
    """Do what an agent of the node would do."""
    _call("setns", os.open(f"/proc/{pid}/ns/user", os.O_RDONLY), _NEW_USER)
    _LIMIT.write_text(str(limit))


def _in_child(work: Callable[[], object]) -> object:
    """Return what the work returns in a process of its own."""
    here, there = _fork.Pipe()
    child = _fork.Process(target=lambda: there.send(work()))
    child.start()
    there.close()
    result = here.recv()
    child.join()
    return result


def _take() -> int:
    """Take instances until the kernel refuses; they are held as long as the process lives."""
    most = 2 * NODE_LIMIT
    return next((n for n in range(most) if _libc.inotify_init1(0) < 0), most)


def _raises_its_limit() -> bool:
    try:
        _LIMIT.write_text("1000")
    except PermissionError:
        return False
    return True


def _nested() -> int:
    _enter_new_namespace(AGENT, 0)
    return _take()


def _pod(pipe: Connection) -> None:
    _enter_new_namespace(0, AGENT)
    pipe.send(None)
    pipe.recv()
    no_capability = (ctypes.c_uint32 * 6)()
    _call("capset", (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0), no_capability)
    raised, taken = _raises_its_limit(), _take()
    pipe.send({"raised": raised, "pod": taken, "nested": _in_child(_nested)})
    pipe.recv()


def attempt(limit: int | None) -> dict[str, Any]:
    """Let a hostile Pod take what it can; return that, and what the node could take meanwhile."""
    here, there = _fork.Pipe()
    pod = _fork.Process(target=_pod, args=(there,))
    pod.start()
    there.close()
    here.recv()
    if limit is not None:
        _in_child(lambda: _enter_and_limit(pod.pid, limit))
    here.send(None)
    result: dict[str, Any] = here.recv()
    result["node"] = _in_child(_take)
    here.send(None)
    pod.join()
    return result


if __name__ == "__main__":
    os.setgroups([])
    os.setresgid(BORROWED, BORROWED, BORROWED)
    os.setresuid(BORROWED, BORROWED, BORROWED)
    _call(
        "prctl", _DUMPABLE, 1, 0, 0, 0
    )  # or /proc/self belongs to root, and no map can be written
    _enter_new_namespace(BORROWED, 0)
    _LIMIT.write_text(str(NODE_LIMIT))
    json.dump({"unlimited": attempt(None), "limited": attempt(2)}, sys.stdout)
