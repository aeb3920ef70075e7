"""Stops a command that another thread, or a signal handler, waits for. I/O."""

import socket
from types import TracebackType
from typing import Self


class Wakeup:
    """A flag that ends a poll; once set it stays set."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)
        self.stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """For poll: readable when there is news."""
        return self._reader.fileno()

    def stop(self) -> None:
        """Asks the command to end. May be called from a signal handler."""
        self.stopped = True
        self.nudge()

    def nudge(self) -> None:
        """Ends a poll, so that whoever is in it looks around."""
        try:
            self._writer.send(b"!")
        except OSError:
            return  # full: it will wake up; closed: nobody waits any more

    def clear(self) -> None:
        """Takes the news."""
        try:
            while self._reader.recv(1024):
                pass
        except BlockingIOError:
            return
