"""The packet filter of one network namespace: installs it, and notices every change of it. I/O.

It decides nothing; rules are text from fence.py.
"""

import errno
import os
import socket
import subprocess
from collections.abc import Mapping
from typing import Final

from ringfence.node import enter, fence, nfnetlink

_ANSWER: Final = 1 << 16
_SECONDS: Final = 10.0
_PATH: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class PacketFilterError(Exception):
    """The rules could not be put in place; the message is nft's own."""


class PacketFilter:
    """The rules in one network namespace. Its sockets stay in the namespace as long as it."""

    def __init__(self, namespace: int) -> None:
        """Opens its sockets.

        Args:
            namespace: Descriptor of the network namespace; taken over and closed with this.
        """
        self._namespace = namespace
        self._questions, self._changes = enter.in_network(namespace, _sockets)
        self._installed: int | None = None

    def fileno(self) -> int:
        """Readable when somebody changed the rules."""
        return self._changes.fileno()

    def close(self) -> None:
        """Lets go of the namespace; the rules stay as long as it does."""
        self._questions.close()
        self._changes.close()
        os.close(self._namespace)

    def install(self, rules: str) -> None:
        """Puts the rules in place, in one transaction.

        Raises:
            PacketFilterError: The kernel or nft refuses them.
        """
        self._nft(["-f", "-"], rules)
        self._installed = self._generation()
        self._drain()

    def is_intact(self) -> bool:
        """Whether nothing was changed since they were put in place."""
        self._drain()
        return self._installed is not None and self._generation() == self._installed

    def refused_packets(self) -> int:
        """How many packets were refused since the rules were put in place."""
        request = nfnetlink.counter_request(fence.TABLE, fence.REFUSED_COUNTER)
        return nfnetlink.parse_counter(self._ask(request))

    def refused(self) -> Mapping[fence.Destination, int]:
        """Refused packets of the last hour by destination."""
        found: dict[fence.Destination, int] = {}
        for name in fence.REFUSED_SETS:
            listed = ["--json", "list", "set", fence.FAMILY, fence.TABLE, name]
            found |= fence.parse_refused(self._nft(listed, ""))
        return found

    def _generation(self) -> int:
        return nfnetlink.parse_generation(self._ask(nfnetlink.generation_request()))

    def _ask(self, request: bytes) -> bytes:
        self._questions.send(request)
        return self._questions.recv(_ANSWER)

    def _drain(self) -> None:
        """What changed does not matter: any change makes the generation another one."""
        while True:
            try:
                self._changes.recv(_ANSWER)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # there was more than the socket holds
                    raise

    def _nft(self, arguments: list[str], text: str) -> str:
        return enter.in_network(self._namespace, lambda: _run(["nft", *arguments], text))


def opened(pid: int, name: str) -> PacketFilter | None:
    """The filter of the network namespace of a process.

    Args:
        pid: The process.
        name: Identity of the namespace; None is returned if the process has gone, or is in
            another one by now.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    if name == f"net:[{os.fstat(descriptor).st_ino}]":
        return PacketFilter(descriptor)
    os.close(descriptor)
    return None


def _sockets() -> tuple[socket.socket, socket.socket]:
    questions, changes = (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, nfnetlink.PROTOCOL)
        for _ in range(2)
    )
    questions.settimeout(_SECONDS)
    questions.bind((0, 0))
    changes.settimeout(0)
    changes.bind((0, nfnetlink.CHANGES))
    return questions, changes


def _run(argv: list[str], text: str) -> str:
    done = subprocess.run(
        argv, input=text, check=False, capture_output=True, text=True, timeout=_SECONDS, env=_PATH
    )
    if done.returncode:
        message = f"{' '.join(argv)}: {done.stderr.strip()[-500:]}"
        raise PacketFilterError(message)
    return done.stdout
