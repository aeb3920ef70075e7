"""Small servers for the proxy's tests: a DNS server that may lie, and a TLS server that counts.

They run in threads of the test, on sockets made in the test's namespace. They must not forward or
resolve anything themselves.
"""

import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from egress.netns import inside

_A = 1
_NXDOMAIN = 3


def _question(packet: bytes) -> tuple[str, int, int]:
    """Return (name, record type, end of the question section)."""
    labels, at = [], 12
    while length := packet[at]:
        labels.append(packet[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), struct.unpack_from("!H", packet, at + 1)[0], at + 5


def _answer(packet: bytes, zone: Mapping[str, Sequence[str]]) -> bytes:
    name, kind, end = _question(packet)
    addresses = zone.get(name.lower())
    records = list(addresses or []) if kind == _A else []
    flags = 0x8180 | (_NXDOMAIN if addresses is None else 0)
    header = packet[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    body = b"".join(
        struct.pack("!HHHIH", 0xC00C, _A, 1, 1, 4) + socket.inet_aton(record) for record in records
    )
    return header + packet[12:end] + body


@contextmanager
def dns(netns: str, zone: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Answer A queries on 127.0.0.1:53 from a zone that may change; yield the names asked for."""
    asked: list[str] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            packet, server = self.request
            asked.append(_question(packet)[0])
            server.sendto(_answer(packet, zone), self.client_address)

    with inside(netns):
        server = socketserver.ThreadingUDPServer(("127.0.0.1", 53), Handler)
    with _running(server):
        yield asked


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TlsServer(ThreadingHTTPServer):
    """An HTTPS server that remembers which addresses were dialled, even without a handshake."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        super().__init__(address, _Hello)
        self.accepted = 0
        self._context = context

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Count a connection; the handshake happens in the connection's own thread."""
        connection, peer = super().get_request()
        self.accepted += 1
        wrapped = self._context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        return wrapped, peer

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: clients that break off are the point of most tests."""


class _Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"hello from {self.headers['Host']}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (inherited name)
        """Write no log: the test reads the answers."""


@contextmanager
def tls(netns: str, address: tuple[str, int], context: ssl.SSLContext) -> Iterator[TlsServer]:
    """Serve HTTPS on an address of the namespace."""
    with inside(netns):
        server = TlsServer(address, context)
    with _running(server):
        yield server
