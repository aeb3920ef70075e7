"""What most attempts share: a socket that remembers who refused it, and what was heard.

Runs inside the Sandbox.
"""

import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from ringfence.attack.probes.kit import name

MARK: Final = b"rf-bypass"
SECONDS: Final = 3.0
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_ICMP_ORIGINS: Final = (2, 3)

Option = tuple[int, int, int | bytes]


class Heard(NamedTuple):
    """What came of an attempt; the fields are those of bypass.model.Seen."""

    outcome: str
    where: str = ""
    detail: str = ""


class How(NamedTuple):
    """How a socket is prepared."""

    options: tuple[Option, ...] = ()
    source: tuple[str, int] | None = None
    kind: int = socket.SOCK_STREAM
    protocol: int = 0


def family(address: str) -> socket.AddressFamily:
    """Of an address as it is written."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def prepared(address: str, how: How) -> socket.socket:
    """A socket that keeps the ICMP messages of those who refuse."""
    made = socket.socket(family(address), how.kind, how.protocol)
    made.settimeout(SECONDS)
    for level, option in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
        with suppress(OSError):
            made.setsockopt(level, option, 1)
    for level, option, value in how.options:
        made.setsockopt(level, option, value)
    if how.source:
        made.bind(how.source)
    return made


def guarded(action: Callable[[], Heard]) -> Heard:
    """Runs `action`; an OSError before anything was sent is the kernel's own refusal."""
    try:
        return action()
    except OSError as error:
        return Heard("refused", "kernel", said(error))


def said(error: OSError) -> str:
    """EPERM and its like."""
    return "timeout" if isinstance(error, TimeoutError) else name(error.errno or errno.EIO)


def sent(made: socket.socket, action: Callable[[socket.socket], str]) -> Heard:
    """Lets `action` send something and wait for an answer, which it returns."""
    with made:
        try:
            return Heard("through", "", action(made))
        except TimeoutError:
            return refused_by(made, TimeoutError())
        except OSError as error:
            return refused_by(made, error)


def refused_by(made: socket.socket, error: OSError) -> Heard:
    """Who refused: by its ICMP message, or by an error that only the own host's filter gives."""
    sender = _complainer(made)
    if sender:
        where = "fence" if is_local(sender) else "policy"
        return Heard("refused", where, f"{said(error)}, ICMP from {sender}")
    if error.errno in (errno.EPERM, errno.EACCES):
        return Heard("refused", "fence", said(error))
    if error.errno == errno.ECONNREFUSED:
        return Heard("refused", "nobody", said(error))
    if isinstance(error, TimeoutError):
        return Heard("silent", "nobody", said(error))
    return Heard("refused", "kernel", said(error))


def _complainer(made: socket.socket) -> str:
    made.settimeout(0)
    with suppress(OSError):
        _, ancillary, _, _ = made.recvmsg(1, 512, socket.MSG_ERRQUEUE)
        for level, _, data in ancillary:
            if struct.unpack_from("B", data, 4)[0] in _ICMP_ORIGINS:
                is_6 = level == socket.IPPROTO_IPV6
                at, end = (24, 40) if is_6 else (20, 24)
                kind = socket.AF_INET6 if is_6 else socket.AF_INET
                return socket.inet_ntop(kind, data[at:end])
    return ""


def is_local(address: str) -> bool:
    """Whether the address is this network namespace's: only such a one can be bound."""
    scope = "%eth0" if address.startswith("fe80:") else ""
    with socket.socket(family(address), socket.SOCK_DGRAM) as bound:
        try:
            bound.bind(socket.getaddrinfo(f"{address}{scope}", 0)[0][4])
        except OSError:
            return False
    return True


def first(found: list[Heard]) -> Heard:
    """Of several ways: the one that got through, else the least certain refusal."""
    order = {"through": 0, "untried": 1, "silent": 2, "refused": 3}
    return min(found, key=lambda heard: order[heard.outcome])


def own_address() -> str:
    """The Pod's own IPv4 address: that of the way out, without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("203.0.113.1", 9))
        return str(asking.getsockname()[0])
