"""A command in a container, over the WebSocket of pods/exec: its streams, its size, its end. I/O.

What the command writes goes to a callable as it comes, and nothing of it is kept here: a hostile
program writes without end. A callable that is slow slows the command.
"""

import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from ringfence.client.access import Access
from ringfence.client.ending import ending
from ringfence.client.frames import Opcode, ProtocolError
from ringfence.client.urls import quoted
from ringfence.client.wakeup import Wakeup
from ringfence.client.websocket import ANSWER_SECONDS, WebSocket, open_websocket
from ringfence.kinds import POD, Container, object_path

PROTOCOL: Final = "v5.channel.k8s.io"
STDIN, STDOUT, STDERR, ERROR, RESIZE = 0, 1, 2, 3, 4
_CLOSE: Final = 255
_CHUNK: Final = 64 * 1024
_BACKLOG: Final = 256 * 1024
_LONGEST_STATUS: Final = 64 * 1024
_PING_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 60.0
"""As kubectl: pings that stay unanswered for so long mean that nobody is there."""
_LINGER_SECONDS: Final = 5.0
"""Between the end of the command and that of the connection."""

Output = Callable[[int, bytes], None]
"""Told of each piece of output: STDOUT or STDERR, and the bytes."""


class Input(Protocol):
    """Where standard input comes from."""

    def fileno(self) -> int:
        """A descriptor to wait for, or -1 if it never has to be waited for."""

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end."""


class Pieces:
    """Standard input from memory, or from an iterator that makes it as it is needed.

    Small pieces are put together: a message for each header of an archive would take longer than
    the files.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = bytearray()

    def fileno(self) -> int:
        """Nothing to wait for."""
        return -1

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end."""
        while len(self._rest) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        code: Its exit status; None if it never started, or its container ended first.
        problem: Why there is no exit status.
    """

    code: int | None
    problem: str


class Size(NamedTuple):
    """Of a terminal."""

    columns: int
    rows: int


class Remote:
    """A command that runs. `drive` until it has `ended`, then `close`."""

    def __init__(self, connection: WebSocket, output: Output, source: Input | None) -> None:
        self._connection = connection
        self._output = output
        self._source = source
        self._status = bytearray()
        self._last = STDOUT
        self._heard = self._pinged = time.monotonic()
        self._leave_at: float | None = None
        self.ended: Ended | None = None

    def drive(self, wakeup: Wakeup | None = None, until: float | None = None) -> bool:
        """Moves bytes until the command has ended (True), or `wakeup` or the clock says stop.

        Args:
            wakeup: May stop it; whoever nudges it gets the control for a moment, too.
            until: time.monotonic() of the end of patience.
        """
        while self.ended is None:
            if until is not None and time.monotonic() >= until:
                return False
            self._wait(wakeup, until)
            if self.ended is None and wakeup is not None and wakeup.stopped:
                return False
            if wakeup is not None and self._nudged(wakeup):
                return False
        return True

    @property
    def answered(self) -> bool:
        """Whether the other side has said how the command ended."""
        return bool(self._status)

    def resize(self, size: Size) -> None:
        """Tells the command's terminal how large ours is."""
        text = f'{{"Width":{size.columns},"Height":{size.rows}}}'
        self._connection.send(Opcode.BINARY, bytes([RESIZE]) + text.encode())

    def mute(self) -> None:
        """From now on nothing is passed on in either direction."""
        self._output = lambda _channel, _data: None
        self._source = None

    def close(self) -> None:
        """Closes the connection. That does not end the command."""
        self._connection.close()

    @staticmethod
    def _nudged(wakeup: Wakeup) -> bool:
        """Whether somebody wanted the control."""
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        if not poll.poll(0):
            return False
        wakeup.clear()
        return True

    def _wait(self, wakeup: Wakeup | None, until: float | None) -> None:
        """One round: waits for something to do, and does it."""
        poll = select.poll()
        poll.register(self._connection, self._connection.events)
        if wakeup is not None:
            poll.register(wakeup, select.POLLIN)
        stdin = self._wanted()
        if stdin is not None and stdin.fileno() >= 0:
            poll.register(stdin, select.POLLIN)
        idle = stdin is None or stdin.fileno() >= 0
        seconds = self._patience(until) if idle and not self._connection.unread else 0.0
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        if stdin is not None and (stdin.fileno() < 0 or stdin.fileno() in ready):
            self._feed(stdin)
        self._connection.flush()
        self._listen()

    def _wanted(self) -> Input | None:
        """Standard input, unless it is over or the connection has enough of it."""
        return self._source if self._connection.backlog < _BACKLOG else None

    def _patience(self, until: float | None) -> float:
        ends = [self._pinged + _PING_SECONDS, *(at for at in (until, self._leave_at) if at)]
        return max(0.0, min(ends) - time.monotonic())

    def _feed(self, stdin: Input) -> None:
        data = stdin.read(_CHUNK)
        if data:
            self._connection.send(Opcode.BINARY, bytes([STDIN]) + data)
        else:
            self._connection.send(Opcode.BINARY, bytes([_CLOSE, STDIN]))
            self._source = None

    def _listen(self) -> None:
        try:
            frames = self._connection.read()
        except ProtocolError as error:
            self.ended = Ended(None, f"the API server does not speak WebSocket: {error}")
            return
        for opcode, payload in frames:
            if opcode is Opcode.BINARY and payload:
                self._last = payload[0]
                self._take(payload[1:])
            elif opcode is Opcode.CONTINUATION:
                self._take(payload)
        self._look_at_the_clock(heard=bool(frames))
        if self._connection.closed:
            self._end()

    def _take(self, data: bytes) -> None:
        if self._last in (STDOUT, STDERR) and data:
            self._output(self._last, data)
        elif self._last == ERROR and len(self._status) < _LONGEST_STATUS:
            self._status += data
            self._leave_at = time.monotonic() + _LINGER_SECONDS

    def _look_at_the_clock(self, *, heard: bool) -> None:
        now = time.monotonic()
        if heard:
            self._heard = now
        if self._leave_at is not None and now >= self._leave_at:
            self._end()
        elif now - self._heard > _SILENCE_SECONDS:
            self.ended = Ended(None, f"nothing was heard for {_SILENCE_SECONDS:.0f} s")
        elif now - self._pinged >= _PING_SECONDS:
            self._connection.send(Opcode.PING, b"")
            self._pinged = now

    def _end(self) -> None:
        self.ended = Ended(*ending(self._status.decode(errors="replace")))


class Question(NamedTuple):
    """What is asked of pods/exec.

    Attributes:
        container: Where the command runs.
        argv: The command.
        stdin: Whether it gets standard input.
        tty: Whether it gets a terminal.
        seconds: How long the API server has for its answer.
    """

    container: Container
    argv: Sequence[str]
    stdin: bool = False
    tty: bool = False
    seconds: float = ANSWER_SECONDS


def start(
    access: Access,
    question: Question,
    output: Output,
    source: Input | None = None,
    connection: socket.socket | None = None,
) -> Remote:
    """Starts a command in a container, over a new connection unless there is one.

    Raises:
        ApiError: The API server refused, or did not answer.
    """
    connected = connection or access.connect()
    path = exec_path(question)
    websocket = open_websocket(access, connected, path, PROTOCOL, question.seconds)
    return Remote(websocket, output, source)


def exec_path(question: Question) -> str:
    """URL path of an exec."""
    container = question.container
    # On a terminal there is but one stream.
    wanted = {
        "stdin": question.stdin,
        "stdout": True,
        "stderr": not question.tty,
        "tty": question.tty,
    }
    words = [("container", container.name), *(("command", word) for word in question.argv)]
    words += [(name, "true") for name, on in wanted.items() if on]
    query = "&".join(f"{name}={quoted(word)}" for name, word in words)
    return f"{object_path(POD, container.namespace, container.pod)}/exec?{query}"
