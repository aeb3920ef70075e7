"""The system calls that are allowed only with certain arguments, as data.

Part of the table in `syscalls`; it must not render or evaluate anything. Conditions inside one
rule are on different arguments and must all hold; several rules of one call are alternatives.
A condition is always on exact bits (`mask`), so that the upper half of a 64-bit register, which
the kernel ignores for an `int`, can never turn a refusal into a permission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL: Final = 0xFFFF_FFFF_FFFF_FFFF
LOW: Final = 0xFFFF_FFFF

_NAMESPACE_FLAGS: Final = 0x7E02_0000  # CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET
_KEEP, _QUERY = 0, 0xFFFF_FFFF  # personality(2)
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_STREAM, _DGRAM, _SEQPACKET = 1, 2, 5
_SOCK_TYPE_MASK: Final = 0xF  # above it live SOCK_NONBLOCK and SOCK_CLOEXEC
_TCP, _UDP = 6, 17
_NETLINK_ROUTE: Final = 0
_S_IFMT, _S_IFIFO, _S_IFREG, _S_IFSOCK = 0xF000, 0x1000, 0x8000, 0xC000
_AT_EMPTY_PATH: Final = 0x1000
_TIOC_BLOCK: Final = 0x5410  # TIOCSTI and TIOCLINUX are two of the sixteen requests 0x5410-0x541f
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


class Condition(NamedTuple):
    """`(argument & mask) == value`.

    Attributes:
        argument: Which one, 0 to 5.
        mask: The bits that count; all 64 means plain equality.
        value: What these bits must be.
    """

    argument: int
    mask: int
    value: int


class ArgumentRule(NamedTuple):
    """One way in which a call is allowed.

    Attributes:
        name: The system call.
        conditions: All must hold; never two on one argument.
    """

    name: str
    conditions: tuple[Condition, ...]


def _equal(argument: int, value: int) -> Condition:
    return Condition(argument, FULL, value)


def _socket(family: int, kind: int, protocol: int | None = None) -> ArgumentRule:
    conditions = [_equal(0, family), Condition(1, _SOCK_TYPE_MASK, kind)]
    if protocol is not None:
        conditions.append(_equal(2, protocol))
    return ArgumentRule("socket", tuple(conditions))


def _sockets() -> Iterator[ArgumentRule]:
    """Unix, TCP, UDP and route netlink; no raw, packet, vsock or crypto (AF_ALG) sockets.

    The protocol is fixed as well, or SOCK_STREAM would still load SCTP, MPTCP or SMC. Route
    netlink is what getifaddrs() needs in libc, Node and Go.
    """
    for kind in (_STREAM, _DGRAM, _SEQPACKET):
        yield _socket(_AF_UNIX, kind)
    for family in (_AF_INET, _AF_INET6):
        for kind, protocol in ((_STREAM, _TCP), (_DGRAM, _UDP)):
            yield _socket(family, kind, 0)
            yield _socket(family, kind, protocol)
    yield ArgumentRule("socket", (_equal(0, _AF_NETLINK), _equal(2, _NETLINK_ROUTE)))
    yield ArgumentRule("socketpair", (_equal(0, _AF_UNIX),))  # AF_TIPC has pairs as well


def _nodes() -> Iterator[ArgumentRule]:
    """FIFOs, sockets and regular files (type 0 means regular too), never devices or whiteouts."""
    for kind in (_S_IFIFO, _S_IFSOCK, _S_IFREG, 0):
        yield ArgumentRule("mknod", (Condition(1, _S_IFMT, kind),))
        yield ArgumentRule("mknodat", (Condition(2, _S_IFMT, kind),))


def _ioctls() -> Iterator[ArgumentRule]:
    """Every request but TIOCSTI and TIOCLINUX, which type into or paste from a terminal.

    The kernel reads 32 bits of the request. A request is harmless when any of its bits 4 to 31
    differs from the block's (28 rules of one bit each), or when it is one of the other fourteen
    of the block (14 exact rules). Together that is exactly "all but two".
    """
    for bit in range(4, 32):
        mask = 1 << bit
        yield ArgumentRule("ioctl", (Condition(1, mask, ~_TIOC_BLOCK & mask),))
    for request in range(_TIOC_BLOCK, _TIOC_BLOCK + 16):
        if request not in (_TIOCSTI, _TIOCLINUX):
            yield ArgumentRule("ioctl", (Condition(1, LOW, request),))


ARGUMENT_RULES: Final = (
    # A new namespace is a new set of capabilities over kernel code that expects root.
    ArgumentRule("clone", (Condition(0, _NAMESPACE_FLAGS, 0),)),
    # Other personalities turn off address randomisation or change what mmap and exec mean.
    ArgumentRule("personality", (_equal(0, _KEEP),)),
    ArgumentRule("personality", (_equal(0, _QUERY),)),
    # An empty path runs an open file, so also one without a name on any disk.
    ArgumentRule("execveat", (Condition(4, _AT_EMPTY_PATH, 0),)),
    *_sockets(),
    *_nodes(),
    *_ioctls(),
)
