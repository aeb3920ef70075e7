"""Attempts to be somebody else: the proxy's uid, its port, its process, its files; root of the net.

Runs inside the Sandbox, each in a process of its own.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from bypass.probes.wire import Heard, own_address, said
from ringfence.attack.probes.kit import BAD_FD, NOBODY_HOME, refusal, scratch

PROXY_UID: Final = 10101
_NEW_USER: Final = 0x10000000
_CREDENTIALS: Final = 2  # SCM_CREDENTIALS
_ROUTE: Final = 0
_NEW_ROUTE, _DELETE_ROUTE, _NEW_ADDRESS = 24, 25, 20
_REQUEST, _ACK, _CREATE = 0x01, 0x04, 0x400
_ERROR: Final = 2  # NLMSG_ERROR
_KEPT: Final = 3128


def _each(ways: dict[str, Callable[[], object]]) -> Heard:
    """Through if any way works; else what the kernel said to each."""
    told: dict[str, str] = {}
    for what, way in ways.items():
        try:
            way()
        except OSError as error:
            told[what] = said(error)
        else:
            return Heard("through", "", what)
    return Heard("refused", "kernel", ", ".join(sorted(set(told.values()))))


def become_proxy() -> Heard:
    """Every call that changes the user id, which the fence goes by."""
    uid = PROXY_UID
    return _each(
        {
            "setresuid": lambda: os.setresuid(uid, uid, uid),
            "setreuid": lambda: os.setreuid(uid, uid),
            "seteuid": lambda: os.seteuid(uid),
            "setuid": lambda: os.setuid(uid),
        }
    )


def claim_proxy() -> Heard:
    """Tells the other end of a Unix socket that one is the proxy: SCM_CREDENTIALS."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        message = struct.pack("3i", os.getpid(), PROXY_UID, PROXY_UID)
        claim = [(socket.SOL_SOCKET, _CREDENTIALS, message)]
        return _each({"SCM_CREDENTIALS": lambda: ours.sendmsg([b"x"], claim)})


def give_to_proxy() -> Heard:
    """A file of the proxy's uid, set-user-ID, would be a way to become it."""
    with scratch() as directory:
        program = os.path.join(directory, "program")
        Path(program).write_bytes(b"#!/bin/sh\n")
        return _each({"chown": lambda: os.chown(program, PROXY_UID, PROXY_UID)})


def user_namespace() -> Heard:
    """In a user namespace of one's own one has every right, over networks of one's own only."""
    return _filtered({"unshare": (_NEW_USER,), "clone": (_NEW_USER | 17, 0, 0, 0, 0)})


def trace_proxy() -> Heard:
    """Calls that read, write or take over other processes."""
    return _filtered(
        {
            "ptrace": (16, NOBODY_HOME, 0, 0),
            "process_vm_readv": (NOBODY_HOME, b"", 0, b"", 0, 0),
            "pidfd_getfd": (BAD_FD, 0, 0),
            "setns": (BAD_FD, 0),
        }
    )


def _filtered(calls: dict[str, tuple[int | bytes, ...]]) -> Heard:
    heard = {call: refusal(call, *arguments) for call, arguments in calls.items()}
    passed = [call for call, answer in heard.items() if not answer]
    if passed:
        return Heard("through", "", f"the filter lets {', '.join(passed)} pass")
    return Heard("refused", "seccomp", ", ".join(f"{c} {e}" for c, e in heard.items()))


def find_proxy() -> Heard:
    """The proxy's process, to kill it or to write to its memory, and its files by way of /proc."""
    mine = os.getpid()
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    if mine not in pids:
        return Heard("untried", "", "not even this process is seen")
    found = [pid for pid in pids if _is_proxy(pid)]
    if found:
        return Heard("through", "", f"process {found}")
    return Heard("refused", "kernel", f"{len(pids)} processes, none is the proxy's")


def _is_proxy(pid: int) -> bool:
    with suppress(OSError):
        return os.stat(f"/proc/{pid}").st_uid == PROXY_UID or b"envoy" in _command_line(pid)
    return False


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]


def change_proxy() -> Heard:
    """Its configuration, which it reads anew whenever it changes."""
    names = ("envoy.yaml", "lds.yaml", "rds.yaml")
    places = [f"{root}/etc/envoy/{n}" for root in ("", "/proc/1/root") for n in names]
    return _each({place: partial(os.open, place, os.O_WRONLY) for place in places})


def shared_memory() -> Heard:
    """Containers of a Pod share the IPC namespace, and perhaps /dev/shm."""
    files = [
        e.name for e in os.scandir("/dev/shm") if e.stat(follow_symlinks=False).st_uid == PROXY_UID
    ]
    tables = [line.split() for kind in ("shm", "sem", "msg") for line in _ipc(kind)]
    owned = [row[1] for row in tables if str(PROXY_UID) in row]
    if files or owned:
        return Heard("through", "", f"{files} {owned}")
    return Heard("refused", "kernel", "nothing of the proxy's")


def _ipc(kind: str) -> list[str]:
    return Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]


def take_port(address: str, *, reuse: bool = False) -> Heard:
    """Listens where clients look for the proxy."""
    place = (own_address() if address == "own" else address, _KEPT)
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

        def listen() -> None:
            made.bind(place)
            made.listen()

        return _each({f"listen on {place[0]}": listen})


def change_network(change: str) -> Heard:
    """Routes and addresses, by route netlink, which the seccomp profile must allow."""
    return _each({change: lambda: _netlink(*_MESSAGES[change])})


def _netlink(kind: int, flags: int, body: bytes) -> None:
    head = struct.pack("IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _ROUTE) as made:
        made.bind((0, 0))
        made.send(head + body)
        answer = made.recv(4096)
    if struct.unpack_from("H", answer, 4)[0] == _ERROR:
        code = -struct.unpack_from("i", answer, 16)[0]
        if code:
            raise OSError(code, os.strerror(code))


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("HH", 4 + len(data), kind) + data


def _route(target: str, length: int) -> bytes:
    message = struct.pack("BBBBBBBBI", socket.AF_INET, length, 0, 0, 254, 4, 253, 1, 0)
    device = struct.pack("I", socket.if_nametoindex("lo"))
    return message + _attribute(1, socket.inet_aton(target)) + _attribute(4, device)


def _address(text: str) -> bytes:
    message = struct.pack("BBBBI", socket.AF_INET, 32, 0, 0, socket.if_nametoindex("lo"))
    return message + _attribute(1, socket.inet_aton(text)) + _attribute(2, socket.inet_aton(text))


_MESSAGES: Final = {
    "route": (_NEW_ROUTE, _CREATE, _route("198.18.77.1", 32)),
    "address": (_NEW_ADDRESS, _CREATE, _address("198.18.77.2")),
}


def netfilter() -> Heard:
    """Takes the fence itself away: a netlink socket to the packet filter."""
    heard = refusal("socket", int(socket.AF_NETLINK), int(socket.SOCK_RAW), 12)
    if heard:
        return Heard("refused", "seccomp", f"{heard}, by the filter itself")
    return _each({"flush": _flush})


def _flush() -> None:
    """Asks for the list of tables, as a change would do harm where it is allowed."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as made:
        made.send(struct.pack("IHHIIBBH", 20, 0x0A01, 0x301, 1, 0, 0, 0, 0))
        kind, code = struct.unpack_from("H", made.recv(4096), 4)[0], errno.EPERM
        if kind == _ERROR:
            raise OSError(code, os.strerror(code))
