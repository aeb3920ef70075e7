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

from ringfence.cli.views import Cell
from ringfence.printable import printable

_UNBOUNDED: Final = 100_000
_LONGEST: Final = 2000
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
        self._err.print(Text("error: ", "red") + plain(message), soft_wrap=True)

    def note(self, message: str, style: str = "") -> None:
        """A message beside the result."""
        self._err.print(plain(message, style), soft_wrap=True)

    def write(self, text: str) -> None:
        """The result as it is, for programs."""
        self._out.file.write(text)

    def heading(self, text: str) -> None:
        """The title of what follows."""
        self._out.print(Text(f"\n{text}", "bold"))

    def cells(self, headings: Sequence[str] | None, lines: Sequence[Sequence[Cell]]) -> None:
        """Columns; what is too wide for a terminal is folded, for a program it stays whole."""
        heads = [[Cell(heading) for heading in headings]] if headings else []
        if not self._out.is_terminal:
            self.write("".join(f"{text}\n" for text in _columns([*heads, *lines])))
            return
        table = Table(box=None, pad_edge=False, show_header=headings is not None)
        for heading in headings or [""] * len(lines[0]):
            table.add_column(heading, overflow="fold")
        for cells in lines:
            table.add_row(*(plain(cell.text, cell.style) for cell in cells))
        self._out.print(table)

    def table(
        self, headings: Sequence[str], lines: Sequence[Sequence[str]], styles: Sequence[str]
    ) -> None:
        """The result for people; each line's style colours its last cell."""
        table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
        for cells, style in zip(lines, styles, strict=True):
            *others, last = cells
            table.add_row(*map(plain, others), plain(last, style))
        self._out.print(table)


class Working:
    """The running display."""

    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress = progress
        self._console = console
        self._moved = 0
        self._task = progress.add_task("", total=None)

    def doing(self, what: str) -> None:
        """Names what happens now; its time starts at nought."""
        self._progress.reset(self._task, description=plain(what).plain, total=None)

    def doing_still(self, what: str) -> None:
        """Names what happens, without a new beginning of its time."""
        self._progress.update(self._task, description=plain(what).plain)

    def moved(self, size: int) -> None:
        """So many more bytes went through."""
        self._moved += size
        self.doing_still(f"{self._moved / 1e6:.1f} MB")

    def done(self, message: str, style: str) -> None:
        """Leaves a line about something that is over."""
        self._console.print(plain(message, style))


def plain(text: str, style: str = "") -> Text:
    """`text` for a terminal, whatever is in it."""
    return Text(printable(text, _LONGEST), style)


def _columns(lines: Sequence[Sequence[Cell]]) -> Iterator[str]:
    """Padded lines, as kubectl writes them."""
    texts = [[printable(cell.text, _UNBOUNDED) for cell in cells] for cells in lines]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for cells in texts:
        pairs = zip(cells, widths, strict=True)
        yield "   ".join(text.ljust(width) for text, width in pairs).rstrip()


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console
