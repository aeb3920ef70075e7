"""Attacks on the kernel itself: host namespaces, modules, injection, sockets, terminals, devices.

Each makes the real call with real arguments, and asks the filter alone about the same call.
"""

import ctypes
import errno
import os
import signal
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ringfence.attack.probes.kit import (
    BAD_FD,
    NOBODY_HOME,
    Attempt,
    Result,
    Scene,
    call,
    in_child,
    outcome,
    raw,
    refusal,
    result,
    scratch,
)

_NEW_MOUNT, _NEW_USER, _NEW_PID = 0x0002_0000, 0x1000_0000, 0x2000_0000
_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_ALG: Final = 38
_AT_FDCWD: Final = -100
_KERNEL_LOG: Final = os.makedev(1, 11)
_FIRST_DISK: Final = os.makedev(8, 0)


def enter_host(_scene: Scene) -> Result:
    """`nsenter --target 1`: into the namespaces of the node's init."""
    return result(
        [
            *(_enter(kind) for kind in ("mnt", "net", "pid")),
            call("unshare(CLONE_NEWNS | CLONE_NEWPID)", "unshare", _NEW_MOUNT | _NEW_PID),
            call('chroot("/proc/1/root")', "chroot", b"/proc/1/root"),
            call("mount a tmpfs on /work", "mount", b"none", b"/work", b"tmpfs", 0, 0),
        ]
    )


def _enter(kind: str) -> Attempt:
    """Where not even the file of the namespace opens, the call is made with a closed one."""
    what = f"setns(/proc/1/ns/{kind})"
    try:
        target = os.open(f"/proc/1/ns/{kind}", os.O_RDONLY)
    except OSError:
        return call(what, "setns", BAD_FD, 0)
    try:
        return call(what, "setns", target, 0)
    finally:
        os.close(target)


def load_module(_scene: Scene) -> Result:
    """`insmod`: ENOEXEC means that the kernel was reading the module already."""
    nonsense = b"\x7fELF" + bytes(60)
    loading = (errno.ENOEXEC, errno.EINVAL, errno.EFAULT, errno.EBADF, errno.ENOENT)
    return result(
        [
            call("init_module", "init_module", nonsense, len(nonsense), b"", passed=loading),
            call("finit_module", "finit_module", BAD_FD, b"", 0, passed=loading),
            call("delete_module", "delete_module", b"ringfence_none", 0x800, passed=loading),
        ]
    )


def trace(_scene: Scene) -> Result:
    """`ptrace`, process_vm_readv and pidfd_getfd on a process of the same user."""
    secret = ctypes.create_string_buffer(b"of another process")
    with _victim() as pid:
        attach = in_child(lambda: _attach(pid))
        return result(
            [
                outcome(
                    "ptrace(PTRACE_ATTACH) on a process of the same user",
                    attach,
                    refusal("ptrace", _PTRACE_ATTACH, NOBODY_HOME, 0, 0),
                ),
                _read_memory(pid, secret),
                call("pidfd_getfd", "pidfd_getfd", os.pidfd_open(pid), 0, 0),
            ]
        )


@contextmanager
def _victim() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        signal.pause()
        os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _attach(pid: int) -> int:
    answer = raw("ptrace", _PTRACE_ATTACH, pid, 0, 0)
    if answer == 0:
        raw("ptrace", _PTRACE_DETACH, pid, 0, 0)
    return answer


def _read_memory(pid: int, secret: ctypes.Array[ctypes.c_char]) -> Attempt:
    """The child has the same memory at the same address, as it was forked."""
    size = len(secret)
    mine = ctypes.create_string_buffer(size)
    local = struct.pack("QQ", ctypes.addressof(mine), size)
    remote = struct.pack("QQ", ctypes.addressof(secret), size)
    return call("process_vm_readv", "process_vm_readv", pid, local, 1, remote, 1, 0)


def crypto_socket(_scene: Scene) -> Result:
    """AF_ALG, the way of "Copy Fail" (CVE-2026-31431) into another Pod's files."""
    return result([call("socket(AF_ALG)", "socket", _AF_ALG, socket.SOCK_SEQPACKET, 0)])


def terminal_input(_scene: Scene) -> Result:
    """Types into the terminal of whoever attached: TIOCSTI, also with a dirty upper half."""
    requests = {
        "ioctl(TIOCSTI)": _TIOCSTI,
        "ioctl(TIOCSTI | 1 << 32)": 0x1_0000_0000 | _TIOCSTI,
        "ioctl(TIOCLINUX)": _TIOCLINUX,
    }
    return result(
        outcome(
            what,
            in_child(lambda request=request: _type(request)),  # type: ignore[misc]
            refusal("ioctl", BAD_FD, request, b"x"),
        )
        for what, request in requests.items()
    )


def _type(request: int) -> int:
    """On a terminal of its own, so that nobody is disturbed where it works."""
    os.setsid()
    try:
        _, terminal = os.openpty()
    except OSError:
        terminal = BAD_FD
    else:
        terminal = os.open(os.ttyname(terminal), os.O_RDWR)  # becomes the controlling one
    return raw("ioctl", terminal, request, b"x")


def user_namespace(_scene: Scene) -> Result:
    """A namespace in which everybody is root, and can ask the kernel for what only root may."""
    return result(
        [
            call("unshare(CLONE_NEWUSER)", "unshare", _NEW_USER),
            outcome(
                "clone(CLONE_NEWUSER)",
                in_child(lambda: _fork("clone", _NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)),
                refusal("clone", _NEW_USER | signal.SIGCHLD, 0, 0, 0, 0),
            ),
            _clone3(),
        ]
    )


def _fork(syscall: str, *arguments: int | bytes) -> int:
    pid = raw(syscall, *arguments)
    if pid == 0:
        os._exit(0)
    return pid


def _clone3() -> Attempt:
    """Every kernel since 5.3 has clone3, so that ENOSYS comes from a filter."""
    wanted = struct.pack("8Q", _NEW_USER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    ended = in_child(lambda: _fork("clone3", wanted, len(wanted)))
    return outcome("clone3(CLONE_NEWUSER)", ended, ended.refusal)


def device_node(_scene: Scene) -> Result:
    """Mknod: the node's first disk and its kernel log, in a place that is writable."""
    devices = {
        "disk b 8 0": (stat.S_IFBLK, _FIRST_DISK),
        "kmsg c 1 11": (stat.S_IFCHR, _KERNEL_LOG),
    }
    return result(_make(what, *device) for what, device in devices.items())


def _make(what: str, kind: int, number: int) -> Attempt:
    with scratch() as directory:
        path = os.path.join(directory, "device").encode()
        return call(f"mknod {what}", "mknodat", _AT_FDCWD, path, kind | 0o600, number)
