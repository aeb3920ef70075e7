"""The table as people and as programs read it. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bypass.model import Judged
    from support import Json

_HEAD = ("", "attempt", "outcome", "where", "expected", "ms", "seen")


def document(judged: Iterable[Judged]) -> list[Json]:
    """For programs."""
    return [
        {
            "name": one.row.name,
            "what": one.row.what,
            "expected": "refused" if one.row.layers else "allowed",
            "layers": [str(layer) for layer in one.row.layers],
            "proof": str(one.row.proof),
            "outcome": "allowed" if one.seen.passed(one.row) else "refused",
            "where": one.seen.where,
            "detail": one.seen.detail,
            "milliseconds": round((one.seen.end - one.seen.start) * 1000),
            "arrivals": [asdict(arrival) for arrival in one.seen.arrivals],
            "verdict": one.verdict,
            "why": one.why,
        }
        for one in judged
    ]


def table(judged: Sequence[Judged]) -> str:
    """For people: a line for each row, and how many hold."""
    lines = [_line(row) for row in document(judged)]
    widths = [max(map(len, column)) for column in zip(_HEAD, *lines, strict=True)]
    shown = [_joined(line, widths) for line in (_HEAD, *lines)]
    held = sum(one.holds for one in judged)
    return "\n".join([*shown, f"{held} of {len(judged)} rows hold\n"])


def _line(row: Json) -> tuple[str, ...]:
    mark = "✓" if row["verdict"] == "held" else "✗"
    verdict = "" if row["verdict"] == "held" else f"{row['verdict'].upper()} {row['why']} "
    expected = "+".join(row["layers"]) or "allowed"
    spent, seen = str(row["milliseconds"]), f"{verdict}{row['detail']}"
    return (mark, row["name"], row["outcome"], row["where"], expected, spent, seen[:100])


def _joined(words: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(word.ljust(width) for word, width in zip(words, widths, strict=True)).rstrip()
