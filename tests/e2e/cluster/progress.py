"""Progress on the terminal: one line per step with its elapsed time.

On a terminal a spinner shows the running step; elsewhere (CI) a line appears when a
step starts being slow, so that a long build never looks like a hang.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

HEARTBEAT_SECONDS = 30.0


class Progress:
    """Prints what is going on; silent steps are those that had nothing to do."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._begin = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self._begin

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a running step, then its result and duration."""
        begin = time.monotonic()
        try:
            with self._running(title, begin):
                yield
        except BaseException:
            self.console.print(f"[red]✗[/] {title} [dim]{time.monotonic() - begin:.1f} s[/]")
            raise
        self.console.print(f"[green]✓[/] {title} [dim]{time.monotonic() - begin:.1f} s[/]")

    def note(self, text: str) -> None:
        """Print one line."""
        self.console.print(text)

    @contextmanager
    def _running(self, title: str, begin: float) -> Iterator[None]:
        if self.console.is_terminal:
            with self.console.status(title):
                yield
            return
        finished = threading.Event()
        beat = threading.Thread(target=self._heartbeat, args=(title, begin, finished), daemon=True)
        beat.start()
        try:
            yield
        finally:
            finished.set()
            beat.join()

    def _heartbeat(self, title: str, begin: float, finished: threading.Event) -> None:
        while not finished.wait(HEARTBEAT_SECONDS):
            self.console.print(f"[dim]… {title}, {time.monotonic() - begin:.0f} s so far[/]")
