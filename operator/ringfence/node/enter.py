"""Enters namespaces of a Sandbox from outside. I/O.

Needs CAP_SYS_ADMIN (setns) and, for what is done in a network namespace, CAP_NET_ADMIN.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

_NETWORK: Final = 0x40000000
"""CLONE_NEWNET."""
_SECONDS: Final = 10.0
_Result = TypeVar("_Result")

_libc: Final = ctypes.CDLL(None, use_errno=True)


def in_network(namespace: int, work: Callable[[], _Result]) -> _Result:
    """Runs `work` with its network namespace changed; programs that it starts are in it, too.

    A network namespace belongs to a thread. The thread ends with the work, so no other one can
    come to be in the wrong namespace.

    Args:
        namespace: Descriptor of the namespace.
        work: What to do.

    Raises:
        OSError: The namespace cannot be entered.
    """

    def enter() -> _Result:
        if _libc.setns(namespace, _NETWORK) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
        return work()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(enter).result()


# The limits of a user namespace show to whoever opens their files in it, and only a process of one
# thread may enter one: hence a program. The node's own /proc is the one that is not read-only.
_LIMIT_INOTIFY: Final = """
import ctypes, os, sys
limits = os.open("/proc/1/root/proc/sys/user", os.O_PATH | os.O_DIRECTORY)
space = os.open(sys.argv[1], os.O_RDONLY)
if ctypes.CDLL(None, use_errno=True).setns(space, 0x10000000):
    sys.exit(os.strerror(ctypes.get_errno()))
file = os.open("max_inotify_instances", os.O_RDWR, dir_fd=limits)
if int(os.read(file, 32)) > int(sys.argv[2]):
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, sys.argv[2].encode())
"""


def limit_inotify(pid: int, instances: int) -> None:
    """Lowers what each uid of a user namespace may hold of the node's inotify instances.

    The kernel charges them to the owner of the namespace, the node's root, as well: without this
    one Sandbox could take them all (docs/security.md).

    Args:
        pid: A process in the namespace.
        instances: Greatest number for each uid.

    Raises:
        OSError: It cannot be done; the message says why.
    """
    namespace = f"/proc/{pid}/ns/user"
    program = [sys.executable, "-I", "-S", "-c", _LIMIT_INOTIFY, namespace, str(instances)]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        message = f"cannot limit inotify instances: {done.stderr.strip()[-300:]}"
        raise OSError(message)
