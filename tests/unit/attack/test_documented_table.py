"""The table that docs/attack.md shows is the table of this code."""

import re
from pathlib import Path

from ringfence.attack.model import Status
from ringfence.attack.report import HEADINGS
from ringfence.attack.rows import NEIGHBOUR_LATENCY, NODE_READY, ROWS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "attack.md"


def tables() -> list[list[str]]:
    """The printed tables, line by line, without their rule; a wrapped cell continues its line."""
    blocks = re.findall(r"^```\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    printed = [b.splitlines() for b in blocks if b.split()[: len(HEADINGS)][:1] == [HEADINGS[0]]]
    return [[line for line in lines if line.strip(" ─")] for lines in printed]


def rows(lines: list[str]) -> dict[str, str]:
    """Name of each row and the last cell of its first line, which is its verdict."""
    shown = [line.split() for line in lines[1:] if not line.startswith(" ")]
    return {words[0]: words[-1] for words in shown}


def test_every_row_is_shown_in_order_and_holds() -> None:
    first, _ = map(rows, tables())
    assert list(first) == [row.name for row in (*ROWS, NODE_READY, NEIGHBOUR_LATENCY)]
    assert all(Status(verdict).passed for verdict in first.values())


def test_rows_that_need_apparmor_are_shown_where_there_is_apparmor() -> None:
    _, second = map(rows, tables())
    assert second == {row.name: Status.STOPPED.value for row in ROWS if row.needs_app_armor}
