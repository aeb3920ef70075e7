"""`ringfence-guard`: proves inside a Pod that its agent cannot leave it but through the proxy.

An init container with the agent's uid and no rights. It believes a refusal only if the Pod's own
packet filter said it, at once: silence may be a slow network, and a refusal from elsewhere shows
that a packet left. It must need nothing but the standard library, for its start delays the agent's.
"""

import argparse
import errno
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

FAILED: Final = "NetworkNotFenced:"
"""How the termination message of a guard begins that gave up."""

_TERMINATION_LOG: Final = Path("/dev/termination-log")
_PATIENCE_SECONDS: Final = 60.0
_STEP_SECONDS: Final = 0.02
_PROMPT_SECONDS: Final = 0.25
"""The Pod's own filter answers within a millisecond; this bears a busy node."""
_DOCUMENTATION: Final = ("192.0.2.1", "198.51.100.1", "203.0.113.1")
"""RFC 5737: addresses that belong to nobody."""
_DOCUMENTATION_6: Final = "2001:db8::1"
"""RFC 3849."""
_METADATA: Final = "169.254.169.254"
_IP_RECVERR: Final = 11
_ICMP: Final = (2, 3, 13)
"""Origin ICMP, type unreachable, code administratively prohibited, as in linux/errqueue.h."""
_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_FILTERED: Final = frozenset({errno.EPERM, errno.EACCES})
"""Only a filter of this host says so."""


class Probe(NamedTuple):
    """A way out that must be closed."""

    kind: socket.SocketKind
    address: str
    port: int

    def __str__(self) -> str:
        """For messages."""
        return f"{'TCP' if self.kind == socket.SOCK_STREAM else 'UDP'} {self.address}:{self.port}"


def probes(resolver: str) -> list[Probe]:
    """Every kind of way out, and those that were the most useful to somebody inside."""
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    return [
        *(Probe(tcp, address, 443) for address in _DOCUMENTATION),
        Probe(tcp, _METADATA, 80),
        Probe(udp, _DOCUMENTATION[0], 443),
        Probe(udp, _DOCUMENTATION[1], 53),
        *(Probe(kind, resolver, 53) for kind in (tcp, udp)),
        *(Probe(kind, _DOCUMENTATION_6, 443) for kind in (tcp, udp)),
    ]


def opening(probe: Probe) -> str | None:
    """What speaks against this way being closed; None: the Pod's own filter refuses it."""
    family = socket.AF_INET6 if ":" in probe.address else socket.AF_INET
    try:
        with socket.socket(family, probe.kind) as tried:
            return _tried(tried, probe)
    except OSError as error:
        return None if error.errno in _NO_ROUTE else f"{probe}: {error}"


def _tried(tried: socket.socket, probe: Probe) -> str | None:
    if tried.family == socket.AF_INET:
        tried.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    tried.settimeout(_PROMPT_SECONDS)
    try:
        tried.connect((probe.address, probe.port))
        tried.send(b"\0")
    except TimeoutError:
        return f"{probe}: no answer, so nobody in this Pod refuses it"
    except OSError as error:
        refused = error.errno in _FILTERED or (tried.family == socket.AF_INET and _is_own(tried))
        if refused or error.errno in _NO_ROUTE:
            return None
        return f"{probe}: {error.strerror}, which is not what the Pod's packet filter says"
    return f"{probe}: open"


def _is_own(tried: socket.socket) -> bool:
    """Whether the ICMP message came from an address of this Pod itself."""
    with suppress(OSError):
        _, ancillary, _, _ = tried.recvmsg(1, 512, socket.MSG_ERRQUEUE)
        for _, _, data in ancillary:
            message = struct.unpack_from("BBB", data, 4)
            if message == _ICMP and _is_local(socket.inet_ntop(socket.AF_INET, data[20:24])):
                return True
    return False


def _is_local(address: str) -> bool:
    """Whether the address is this network namespace's: only such a one can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        try:
            bound.bind((address, 0))
        except OSError:
            return False
    return True


def silence(host: str, port: int) -> str | None:
    """What is wrong with the proxy; None: it answers, and refuses what is on no list."""
    question = b"CONNECT guard.invalid:443 HTTP/1.1\r\nHost: guard.invalid:443\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(question)
            answer = connection.recv(64).decode(errors="replace")
    except OSError as error:
        return f"the egress proxy at {host}:{port} does not answer: {error}"
    if answer.startswith("HTTP/1.1 403"):
        return None
    return f"the egress proxy answers an unlisted host with {answer.splitlines()[:1]}"


def problems(arguments: argparse.Namespace) -> Iterator[str]:
    """All that speaks against letting the agent start."""
    host, _, port = arguments.proxy.rpartition(":")
    for probe in probes(arguments.resolver):
        if found := opening(probe):
            yield found
    if found := silence(host, int(port)):
        yield found


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ringfence-guard", description=__doc__)
    parser.add_argument("--proxy", required=True, help="address:port of the egress proxy")
    parser.add_argument("--resolver", required=True, help="IPv4 address of the DNS server")
    parser.add_argument("--seconds", type=float, default=_PATIENCE_SECONDS, help="patience")
    return parser.parse_args(argv)


def prove(arguments: argparse.Namespace) -> int:
    """Waits until nothing speaks against it; the exit code: 0 then, 1 if that takes too long."""
    end = time.monotonic() + arguments.seconds
    while found := next(problems(arguments), None):
        if time.monotonic() > end:
            return _give_up(found)
        time.sleep(_STEP_SECONDS)
    return 0


def _give_up(found: str) -> int:
    message = f"{FAILED} {found}"
    sys.stderr.write(f"{message}\n")
    with suppress(OSError):
        _TERMINATION_LOG.write_text(f"{message}\n")
    return 1


def main() -> int:
    """The program."""
    return prove(parse(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
