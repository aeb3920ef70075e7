"""Frames of a WebSocket, the client's side of RFC 6455. Pure.

Fragments are handed on as they come: pods/exec is a stream, and whoever reads it puts no limit on
how long a message may be.
"""

from enum import IntEnum
from typing import Final, NamedTuple

LONGEST: Final = 16 * 1024 * 1024
"""Bytes of one frame; API servers send 32 KiB."""
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_SHORT, _TWO_BYTES, _EIGHT_BYTES = 125, 126, 127


class Opcode(IntEnum):
    """Kinds of frames."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Frame(NamedTuple):
    """One frame."""

    opcode: Opcode
    payload: bytes


class ProtocolError(Exception):
    """The other side does not speak WebSocket, or not as a server."""


def encode(opcode: Opcode, payload: bytes, mask: bytes) -> bytes:
    """A whole message in one frame, masked with four random bytes as a client must."""
    length = len(payload)
    if length <= _SHORT:
        head = bytes([_FINAL | opcode, _MASKED | length])
    elif length < 1 << 16:
        head = bytes([_FINAL | opcode, _MASKED | _TWO_BYTES]) + length.to_bytes(2)
    else:
        head = bytes([_FINAL | opcode, _MASKED | _EIGHT_BYTES]) + length.to_bytes(8)
    return head + mask + _masked(payload, mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    """As two long numbers: a loop over the bytes would be the slowest part of an upload."""
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(length)


class Parser:
    """Turns bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now.

        Raises:
            ProtocolError: This is no WebSocket.
        """
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        head = self._head()
        if head is None or len(self._buffer) < head[0] + head[1]:
            return None
        start, length = head
        opcode, payload = self._buffer[0] & 0x0F, bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        try:
            return Frame(Opcode(opcode), payload)
        except ValueError as error:
            raise ProtocolError(str(error)) from error

    def _head(self) -> tuple[int, int] | None:
        """Where the payload begins and how long it is, once that is known."""
        buffer = self._buffer
        if len(buffer) < 2:  # noqa: PLR2004 - the least head there is
            return None
        if buffer[0] & 0x70 or buffer[1] & _MASKED:
            message = "a masked or extended frame from the server"
            raise ProtocolError(message)
        extra = {_TWO_BYTES: 2, _EIGHT_BYTES: 8}.get(buffer[1], 0)
        if len(buffer) < 2 + extra:
            return None
        length = int.from_bytes(buffer[2 : 2 + extra]) if extra else buffer[1]
        if length > LONGEST:
            message = f"a frame of {length} bytes"
            raise ProtocolError(message)
        return 2 + extra, length
