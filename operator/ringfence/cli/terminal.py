"""What the command line shows: progress on standard error, results on standard output.

Whatever comes from a Sandbox or from the API server is shown as plain text: markup in it is not
interpreted, and control characters are gone.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ringfence.attack.model import printable

WIDE: Final = 200
"""Columns where nobody says how wide the output is, as in a log."""


class Terminal:
    """Two consoles; tests give their own."""

    def __init__(self, out: Console | None = None, err: Console | None = None) -> None:
        self._out = out or _console(stderr=False)
        self._err = err or _console(stderr=True)

    @contextmanager
    def working(self) -> Iterator["Working"]:
        """Shows what is being done, and for how long; nothing stays of it."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        live = self._err.is_terminal
        with Progress(*columns, console=self._err, transient=True, disable=not live) as progress:
            yield Working(progress, self._err)

    def error(self, message: str) -> None:
        """A message about what went wrong."""
        self._err.print(Text("error: ", "red") + plain(message))

    def note(self, message: str, style: str = "") -> None:
        """A message beside the result."""
        self._err.print(plain(message, style))

    def write(self, text: str) -> None:
        """The result as it is, for programs."""
        self._out.file.write(text)

    def table(
        self, headings: Sequence[str], lines: Sequence[Sequence[str]], styles: Sequence[str]
    ) -> None:
        """The result for people; each line's style colours its last cell, its first is a name."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, heading in enumerate(headings):
            # Names are typed again: they are never cut, and nothing else loses a letter either.
            table.add_column(heading, no_wrap=number == 0, overflow="fold")
        for cells, style in zip(lines, styles, strict=True):
            *others, last = cells
            table.add_row(*map(plain, others), plain(last, style))
        self._out.print(table)


class Working:
    """The running display."""

    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress = progress
        self._console = console
        self._task = progress.add_task("", total=None)

    def doing(self, what: str) -> None:
        """Names what happens now; its time starts at nought."""
        self._progress.reset(self._task, description=plain(what).plain, total=None)

    def done(self, message: str, style: str) -> None:
        """Leaves a line about something that is over."""
        self._console.print(plain(message, style))


def plain(text: str, style: str = "") -> Text:
    """`text` for a terminal, whatever is in it."""
    return Text(printable(text), style)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console
