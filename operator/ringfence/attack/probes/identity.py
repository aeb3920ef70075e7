"""Attacks on who the agent is: becoming root, and files that make others root."""

import errno
import os
import shutil
import stat
import struct
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from ringfence.attack.probes.kit import (
    Attempt,
    Result,
    Scene,
    attempt,
    deadline,
    in_child,
    me,
    name,
    outcome,
    raw,
    result,
    scratch,
)

_CAPABILITIES_V3: Final = 0x2008_0522
_ALL: Final = 0xFFFF_FFFF
_SEARCH_SECONDS: Final = 40.0
_TRIED: Final = 4
"""Most setuid programs that are started."""
_KERNEL_TREES: Final = ("/proc", "/sys", "/dev")


def become_root(_scene: Scene) -> Result:
    """`sudo su`, and what they would do."""
    header = struct.pack("Ii", _CAPABILITIES_V3, 0)
    attempts = [
        outcome("setresuid(0, 0, 0)", in_child(lambda: raw("setresuid", 0, 0, 0))),
        outcome("setresgid(0, 0, 0)", in_child(lambda: raw("setresgid", 0, 0, 0))),
        outcome(
            "capset(all)", in_child(lambda: raw("capset", header, struct.pack("6I", *6 * [_ALL])))
        ),
    ]
    tools = filter(None, map(shutil.which, ("sudo", "su")))
    return result([*attempts, *map(_start, tools)])


def setuid_files(_scene: Scene) -> Result:
    """Starts what is setuid, setgid or has capabilities of its own, and makes such a file."""
    over = deadline(_SEARCH_SECONDS)
    found: list[str] = []
    for path in _files():
        if over():
            return result([Attempt("find / -perm /6000", "untried", detail="took too long")])
        if _raises(path):
            found.append(path)
    attempts = [_start(path) for path in found[:_TRIED]]
    return result([*attempts, _planted()], files=len(found))


def _files() -> Iterator[str]:
    for directory, below, files in os.walk("/"):
        below[:] = [d for d in below if os.path.join(directory, d) not in _KERNEL_TREES]
        yield from (os.path.join(directory, file) for file in files)


def _raises(path: str) -> bool:
    """Whether starting it could give rights that the starter lacks."""
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode) or not mode & 0o111:
            return False
        if mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        return "security.capability" in os.listxattr(path)
    except OSError:
        return False


def _start(path: str) -> Attempt:
    """Starts a program without arguments or terminal, and looks at who it then is."""
    null = subprocess.DEVNULL
    try:
        process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=null, stderr=null)
    except OSError as error:
        return Attempt(path, "refused", name(error.errno or errno.EIO))
    try:
        gained = _gained(process.pid)
    finally:
        process.kill()
        process.communicate()
    return Attempt(path, "through" if gained else "refused", detail="started")


def _gained(pid: int) -> bool:
    """Whether a process has another effective user, or a capability, at any time."""
    mine = me()
    over = deadline(0.5)
    while not over():
        try:
            with open(f"/proc/{pid}/status") as file:
                status = dict(line.split(":", 1) for line in file)
        except OSError:
            return False
        if int(status["Uid"].split()[1]) != mine["uid"]:
            return True
        if int(status["CapEff"], 16) & ~int(mine["capabilities"], 16):
            return True
        time.sleep(0.01)
    return False


def _planted() -> Attempt:
    """A setuid file of root's, as rm and install would leave it: chown must be refused."""
    with scratch() as directory:
        path = os.path.join(directory, "planted")
        with open(path, "w"):
            pass

        def plant() -> None:
            os.chown(path, 0, 0)
            os.chmod(path, 0o4700)

        return attempt("chown root planted; chmod u+s planted", plant)
