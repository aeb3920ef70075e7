"""A WebSocket to the API server: opens it, and moves bytes whenever the socket can. I/O.

One thread reads and writes: an SSL connection bears no two at a time. Whoever uses it waits in
`poll` for the socket and for whatever else it waits for.
"""

import base64
import hashlib
import json
import os
import select
import socket
import ssl
from collections.abc import Mapping
from typing import Final

from ringfence.client.access import Access
from ringfence.client.frames import Frame, Opcode, Parser, ProtocolError, encode
from ringfence.kinds import ApiError

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING: Final = 101
_LONGEST_HEAD: Final = 64 * 1024
_CHUNK: Final = 128 * 1024
_READS_AT_ONCE: Final = 16
ANSWER_SECONDS: Final = 60.0
"""The API server answers an exec after the runtime has started the program."""


class WebSocket:
    """An open connection; not for more than one thread."""

    def __init__(self, connection: socket.socket, received: bytes) -> None:
        self._socket = connection
        self._socket.settimeout(0)
        self._parser = Parser()
        self._received = received
        self._out = bytearray()
        self._unread = bool(received)
        self._stuck = False
        self.closed = False

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    @property
    def events(self) -> int:
        """What to poll for."""
        return select.POLLIN | (select.POLLOUT if self._out or self._stuck else 0)

    @property
    def unread(self) -> bool:
        """Whether there is something to read that poll cannot know of."""
        return self._unread

    @property
    def backlog(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._out)

    def send(self, opcode: Opcode, payload: bytes) -> None:
        """Puts a message into the queue."""
        if not self.closed:
            self._out += encode(opcode, payload, os.urandom(4))

    def flush(self) -> None:
        """Sends what can be sent now."""
        try:
            while self._out:
                sent = self._socket.send(memoryview(self._out)[:_CHUNK])
                del self._out[:sent]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError:
            self._end()  # what the other side still said can be read, or is lost

    def read(self) -> list[Frame]:
        """Messages that have come; answers pings. `closed` is set after the last of them.

        Raises:
            ProtocolError: The other side does not speak WebSocket.
        """
        frames = self._parser.feed(self._receive())
        for frame in frames:
            if frame.opcode is Opcode.PING:
                self.send(Opcode.PONG, frame.payload)
            elif frame.opcode is Opcode.CLOSE:
                self._end()
        return frames

    def close(self) -> None:
        """Takes leave, if the other side listens, and closes."""
        self.send(Opcode.CLOSE, b"\x03\xe8")
        self.flush()
        self._end()
        self._socket.close()

    def _end(self) -> None:
        self.closed = True
        self._unread = False
        self._out.clear()

    def _receive(self) -> bytes:
        received, self._received = bytearray(self._received), b""
        self._unread = self._stuck = False
        try:
            for _ in range(_READS_AT_ONCE):
                data = self._socket.recv(_CHUNK)
                received += data
                if not data:
                    self._end()
                    break
            else:
                self._unread = True
        except ssl.SSLWantWriteError:
            self._stuck = True
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            self._end()
        return bytes(received)


def open_websocket(
    access: Access,
    connection: socket.socket,
    path: str,
    protocol: str,
    seconds: float = ANSWER_SECONDS,
) -> WebSocket:
    """Opens a WebSocket over a connection, which it closes if it cannot within `seconds`.

    Raises:
        ApiError: The API server refused, or did not answer.
    """
    connection.settimeout(seconds)
    key = base64.b64encode(os.urandom(16))
    try:
        connection.sendall(_request(access, path, protocol, key))
        rest = _agreed(connection, key, protocol)
    except BaseException as error:
        connection.close()
        if isinstance(error, (OSError, ValueError, ProtocolError)):
            message = f"no WebSocket at {access.host}:{access.port}: {error}"
            raise ApiError(0, "Unreachable", message) from error
        raise
    return WebSocket(connection, rest)


def _request(access: Access, path: str, protocol: str, key: bytes) -> bytes:
    host = f"[{access.host}]" if ":" in access.host else access.host
    fields = {
        **access.headers,
        "Host": f"{host}:{access.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": protocol,
    }
    lines = [f"GET {access.prefix}{path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _agreed(connection: socket.socket, key: bytes, protocol: str) -> bytes:
    """What came after the answer, if the answer is yes."""
    status, fields, rest = _response(connection)
    if status != _SWITCHING:
        raise _refusal(connection, status, fields, rest)
    _check(fields, key, protocol)
    return rest


def _response(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, header fields, and what came after them."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(_CHUNK)
        received += data
        if not data or len(received) > _LONGEST_HEAD:
            message = "the answer is not HTTP" if received else "the connection was closed"
            raise ProtocolError(message)
    head, _, rest = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {k.strip().lower(): v.strip() for k, _, v in pairs}, rest


def _check(fields: Mapping[str, str], key: bytes, protocol: str) -> None:
    digest = hashlib.sha1(key + _GUID).digest()  # noqa: S324 - the protocol demands it
    if fields.get("sec-websocket-accept") != base64.b64encode(digest).decode():
        message = "the answer is not to our question"
        raise ProtocolError(message)
    if fields.get("sec-websocket-protocol") != protocol:
        message = f"the API server does not speak {protocol}: Kubernetes 1.30 or newer does"
        raise ProtocolError(message)


def _refusal(
    connection: socket.socket, status: int, fields: Mapping[str, str], body: bytes
) -> ApiError:
    length = min(int(fields.get("content-length") or 0), _LONGEST_HEAD)
    while len(body) < length:
        data = connection.recv(_CHUNK)
        if not data:
            break
        body += data
    return refusal(status, body)


def refusal(status: int, body: bytes) -> ApiError:
    """The error in an answer: a Status object, or text of something before the API server."""
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        parsed = {"message": body.decode(errors="replace").strip()[:1024]}
    message = parsed.get("message") or f"HTTP {status}"
    return ApiError(status, parsed.get("reason") or f"HTTP{status}", message)
