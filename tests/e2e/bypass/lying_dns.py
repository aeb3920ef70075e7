"""A DNS server that lies, over UDP and TCP, and remembers who was asked for and when. I/O."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from bypass import places
from bypass.model import Arrival
from egress.netns import inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_A, _AAAA = 1, 28
_NO_ERROR, _SERVER_FAILURE, _NO_SUCH_NAME = 0, 2, 3


class Answer(NamedTuple):
    """What is said of a name."""

    code: int = _NO_ERROR
    addresses: Sequence[str] = ()
    addresses_6: Sequence[str] = ()


class Liar:
    """The zone, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Arrival] = []
        self._seen: set[str] = set()

    def reply(self, packet: bytes, protocol: str) -> bytes | None:
        """The answer to a question; None: silence."""
        name, kind, end = _question(packet)
        self.asked.append(Arrival(time.time(), f"dns/{protocol}", name, 53))
        answer = self._answer(name, kind)
        return None if answer is None else _packed(packet, kind, end, answer)

    def _answer(self, name: str, kind: int) -> Answer | None:
        if name.endswith(f".{places.REBIND}"):
            return self._rebound(name, kind)
        return None if name == places.MUTE else _ZONE.get(name, _wild(name))

    def _rebound(self, name: str, kind: int) -> Answer:
        if kind != _A:
            return Answer()
        address = places.PRIVATE if name in self._seen else places.PUBLIC
        self._seen.add(name)
        return Answer(addresses=[address])


def _wild(name: str) -> Answer:
    return Answer(addresses=[places.PUBLIC]) if ".wild." in name else Answer(_NO_SUCH_NAME)


_ZONE: Final = {
    places.ALLOWED: Answer(addresses=[places.PUBLIC]),
    places.UNLISTED: Answer(addresses=[places.OTHER]),
    places.DOH: Answer(addresses=[places.OTHER]),
    places.FAILING: Answer(_SERVER_FAILURE),
    places.ONLY_6: Answer(addresses_6=[places.PUBLIC_6, f"::ffff:{places.PRIVATE}"]),
    **{name: Answer(addresses=lie) for name, lie in places.LIARS.items()},
    **{name: Answer(addresses=[address]) for name, address in places.HOSTILE_NAMES.items()},
}


def _question(packet: bytes) -> tuple[str, int, int]:
    """Name, record type, and where the question ends."""
    labels, at = [], 12
    while length := packet[at]:
        labels.append(packet[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += 1 + length
    return ".".join(labels), struct.unpack_from("!H", packet, at + 1)[0], at + 5


def _packed(packet: bytes, kind: int, end: int, answer: Answer) -> bytes:
    records = [_record(_A, socket.AF_INET, a) for a in answer.addresses if kind == _A]
    records += [_record(_AAAA, socket.AF_INET6, a) for a in answer.addresses_6 if kind == _AAAA]
    header = struct.pack("!HHHHH", 0x8580 | answer.code, 1, len(records), 0, 0)
    return packet[:2] + header + packet[12:end] + b"".join(records)


def _record(kind: int, family: socket.AddressFamily, address: str) -> bytes:
    data = socket.inet_pton(family, address)
    return struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(data)) + data  # lives for 0 s


def _over_udp(liar: Liar) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            packet, server = self.request
            reply = liar.reply(packet, "udp")
            if reply is not None:
                server.sendto(reply, self.client_address)

    return Handler


def _over_tcp(liar: Liar) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        timeout = 5

        def handle(self) -> None:
            while head := self.rfile.read(2):
                reply = liar.reply(self.rfile.read(int.from_bytes(head)), "tcp")
                if reply is not None:
                    self.wfile.write(len(reply).to_bytes(2) + reply)

    return Handler


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: clients that break off are the point."""


@contextmanager
def lying(netns: str, addresses: Sequence[str]) -> Iterator[Liar]:
    """Answers on port 53 of these addresses until the block ends."""
    liar = Liar()
    with ExitStack() as stack:
        for address in addresses:
            with inside(netns):
                udp = socketserver.ThreadingUDPServer((address, 53), _over_udp(liar))
                tcp = _Tcp((address, 53), _over_tcp(liar))
            for server in (udp, tcp):
                stack.enter_context(_serving(server))
        yield liar


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
