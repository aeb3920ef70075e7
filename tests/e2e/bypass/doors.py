"""Listeners of the stand-in internet: open ports, TLS servers, and hostile ones. I/O.

One thread accepts for all of them; each connection gets a thread of its own. They forward nothing.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from egress.netns import inside

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

    from bypass.model import Place

Handler = Callable[[socket.socket], None]

_POLL_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 10.0
_FLOOD_MIB: Final = 64
_LINGER_SECONDS: Final = 0.3
"""For the agent to see the port of the connection of the proxy, which it wants to inherit."""


def banner(connection: socket.socket) -> None:
    """Says that somebody is there."""
    connection.sendall(b"rf-open\n")


def https(context: ssl.SSLContext) -> Handler:
    """A handler that answers one request over TLS and names the host that was asked for."""

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            head = secure.recv(8192).decode("latin-1")
            host = next((line for line in head.split("\r\n") if line.startswith("Host: ")), "")
            body = f"hello from {host.removeprefix('Host: ')}\n"
            answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            secure.sendall(answer.encode())

    return handle


def garbage(connection: socket.socket) -> None:
    """What is no TLS at all."""
    connection.sendall(b"\xff" * 4096 + os.urandom(65536))
    time.sleep(_LINGER_SECONDS)


def silent(connection: socket.socket) -> None:
    """Never answers."""
    while connection.recv(4096):
        pass


def flood(connection: socket.socket) -> None:
    """Far more than anybody asked for."""
    for _ in range(_FLOOD_MIB):
        connection.sendall(bytes(1 << 20))


def reset(connection: socket.socket) -> None:
    """Ends the connection by RST soon after anything was said."""
    connection.recv(1)
    time.sleep(_LINGER_SECONDS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Doors:
    """Open ports."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._stop = threading.Event()

    def open(self, netns: str, place: Place, handler: Handler) -> None:
        """Listens for TCP."""
        with inside(netns):
            family, exact = _exact(place)
            listener = socket.create_server(exact, family=family, backlog=128)
        self._add(listener, lambda: _take(listener, handler))

    def echo(self, netns: str, place: Place) -> None:
        """Sends every datagram back."""
        with inside(netns):
            family, exact = _exact(place)
            listener = socket.socket(family, socket.SOCK_DGRAM)
            listener.bind(exact)
        self._add(listener, lambda: _echo(listener))

    def _add(self, listener: socket.socket, act: Callable[[], None]) -> None:
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, act)

    def serve(self) -> None:
        """Accepts until `stop`."""
        while not self._stop.is_set():
            for key, _ in self._selector.select(_POLL_SECONDS):
                key.data()

    def stop(self) -> None:
        """Ends `serve`."""
        self._stop.set()

    def close(self) -> None:
        """Closes every port."""
        for listener in self._listeners:
            listener.close()
        self._selector.close()


def _exact(place: Place) -> tuple[int, tuple[Any, ...]]:
    """Family and address with the number of the link, if it names one."""
    family, _, _, _, exact = socket.getaddrinfo(*place, flags=socket.AI_NUMERICHOST)[0]
    return family, exact


def _take(listener: socket.socket, handler: Handler) -> None:
    with suppress(OSError):
        connection, _ = listener.accept()
        threading.Thread(target=_handle, args=(connection, handler), daemon=True).start()


def _handle(connection: socket.socket, handler: Handler) -> None:
    """Clients that break off are the point of most rows."""
    with connection, suppress(OSError):
        connection.settimeout(_PATIENCE_SECONDS)
        handler(connection)


def _echo(listener: socket.socket) -> None:
    with suppress(OSError):
        message, place = listener.recvfrom(65536)
        listener.sendto(message, place)


@contextmanager
def doors(netns: str, places: Sequence[Place]) -> Iterator[Doors]:
    """Doors that are open until the block ends, these with a banner."""
    made = Doors()
    thread = threading.Thread(target=made.serve)
    thread.start()
    try:
        for place in places:
            made.open(netns, place, banner)
        yield made
    finally:
        made.stop()
        thread.join()
        made.close()
