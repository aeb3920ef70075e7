"""Our standard streams as a command in a Sandbox uses them: bytes, signals, a terminal. I/O."""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import Any, Final, Self

from ringfence.client.remote import STDOUT, Remote, Size
from ringfence.client.wakeup import Wakeup

_STDIN: Final = 0
_DESCRIPTORS: Final = {True: 1, False: 2}
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StandardInput:
    """Implements ringfence.client.remote.Input."""

    def fileno(self) -> int:
        """The descriptor itself: Python's buffers would hide what has come."""
        return _STDIN

    def read(self, size: int) -> bytes:
        """What is there."""
        try:
            return os.read(_STDIN, size)
        except OSError:
            return b""  # a terminal that went away


def write(channel: int, data: bytes) -> None:
    """Writes output as it is.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    descriptor = _DESCRIPTORS[channel == STDOUT]
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # whoever shares the descriptor may have made it so
            select.select([], [descriptor], [])


def interactive() -> bool:
    """Whether a person sits at both ends."""
    return os.isatty(_STDIN) and os.isatty(1)


def size() -> Size:
    """Of our terminal."""
    with contextlib.suppress(OSError):
        found = os.get_terminal_size(_STDIN)
        return Size(found.columns, found.lines)
    return Size(80, 24)


@contextlib.contextmanager
def raw() -> Iterator[None]:
    """Every key goes through as it is, Ctrl-C too; whatever happens, the terminal is restored."""
    import termios  # noqa: PLC0415 - only for terminals
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(_STDIN)
    tty.setraw(_STDIN)
    try:
        yield
    finally:
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)


class Signals:
    """What signals do while a command runs.

    Before it runs they interrupt whatever we wait for. Then the first one asks for an orderly end,
    and a second one interrupts that, too.
    """

    def __init__(self, wakeup: Wakeup, *, resize: bool) -> None:
        self._wakeup = wakeup
        self._resize = resize
        self._before: dict[int, Any] = {}
        self._running = False
        self.number = 0

    def __enter__(self) -> Self:
        for number in _ENDING:
            self._before[number] = signal.signal(number, self._end)
        if self._resize:
            number = signal.SIGWINCH
            self._before[number] = signal.signal(number, lambda *_: self._wakeup.nudge())
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def begun(self, remote: Remote) -> None:
        """The command runs; called again after each change of the terminal's size."""
        self._running = True
        if self._resize:
            remote.resize(size())

    def _end(self, number: int, _frame: object) -> None:
        if self.number or not self._running:
            self.number = number
            raise KeyboardInterrupt
        self.number = number
        self._wakeup.stop()


def tell(message: str) -> None:
    """A line beside the command's own output."""
    sys.stderr.write(f"{message}\n")
